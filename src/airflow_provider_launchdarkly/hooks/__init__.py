"""The hook: LaunchDarkly's API behind an Airflow connection."""
