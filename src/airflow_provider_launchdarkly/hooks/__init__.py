"""The hook: LaunchDarkly's API behind an Airflow connection."""

DEFAULT_CONNECTION = "launchdarkly_default"
