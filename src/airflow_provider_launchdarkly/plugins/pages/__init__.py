"""The pages in Airflow's UI. Only the API server imports what is below; see ``plugins/provider.py``."""
