"""The checks that sensors and triggers run: pure procedures, without Airflow and without I/O."""
