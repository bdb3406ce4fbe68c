"""The command line `airflow-launchdarkly`."""
