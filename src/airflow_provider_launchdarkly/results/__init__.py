"""Where evidence comes from, and the look that turns it into a verdict. No Airflow, no I/O of its own."""
