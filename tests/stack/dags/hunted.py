"""A short rollout with everything that keeps something: stages, a window, an approval, links, a notification's card."""

from airflow_provider_launchdarkly import rollout_dag

dag = rollout_dag(
    {
        "experiment": {
            "key": "hunted-button",
            "flag": "checkout-button",
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [{"name": "half", "allocation": 50, "gate": "decision"}],
        "policy": {"min_duration": "3d", "max_duration": "14d"},
        "approval": {"before_ship": True, "timeout": "2d"},
        "change_window": {
            "timezone": "Europe/Berlin",
            "weekdays": ["mon", "tue", "wed", "thu"],
            "hours": "09:00-16:00",
        },
        "turn_flag_on": True,
    },
    dag_id="hunted",
)
