"""A rollout that rolls back when it is marked failed, and refuses to share an iteration with another run."""

from airflow.triggers.base import BaseTrigger

from airflow_provider_launchdarkly import rollout_dag

dag = rollout_dag(
    {
        "experiment": {
            "key": "guarded-button",
            "flag": "checkout-button",
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [{"allocation": 50, "gate": "decision"}],
        "turn_flag_on": True,
        "on_kill": "rollback" if hasattr(BaseTrigger, "on_kill") else "leave",  # Airflow 3.3 and later
        "if_running": "refuse",
    },
    dag_id="guarded",
    max_active_runs=2,
)
