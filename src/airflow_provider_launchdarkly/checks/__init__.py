"""The checks that sensors and triggers run. Pure procedures: no Airflow, no I/O."""
