"""LaunchDarkly experiments, run by Apache Airflow."""

__version__ = "0.1.0"
