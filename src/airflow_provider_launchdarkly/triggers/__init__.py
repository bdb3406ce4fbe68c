"""Triggers wait in Airflow's triggerer. They only read, apart from ``on_kill``."""
