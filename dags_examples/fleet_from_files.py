"""A fleet of rollouts from YAML files: each one under `rollouts/` beside this file becomes a DAG (see its comments)."""

from airflow_provider_launchdarkly import load_rollouts

dags = load_rollouts("rollouts")
