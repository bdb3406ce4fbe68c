"""Evidence in, verdict out: no I/O, no clock, no Airflow, no numpy."""
