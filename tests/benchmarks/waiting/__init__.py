"""What `bench_waiting.py` and `bench_outage.py` run beside Airflow and inside it."""
