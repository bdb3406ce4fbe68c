"""LaunchDarkly's REST API: requests as values, typed models, one error tree, two thin clients. No Airflow."""
