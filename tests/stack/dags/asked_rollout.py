"""A rollout that does harm from its first stage on, judges nothing there, and then asks whether the next may start."""

from airflow_provider_launchdarkly import rollout_dag

dag = rollout_dag(
    {
        "experiment": {
            "key": "asked-ramp",
            "flag": "checkout-button",
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [
            {"allocation": 50, "dwell": "1h", "gate": "none"},
            {"allocation": 50, "gate": "decision", "approval": True},
        ],
        "turn_flag_on": True,
    },
    dag_id="asked_rollout",
)
