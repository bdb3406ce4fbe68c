"""Four targets in two waves with a pause between them; in the second one, two run side by side and a third waits."""

from airflow_provider_launchdarkly import rollout_dag

PRICING = {
    "key": "new-pricing",
    "flag": "pricing-page",
    "treatments": [{"variation": "Present", "baseline": True}, {"variation": "New"}],
    "primary_metric": "signup-form-opened",
}
dag = rollout_dag(
    {
        "experiment": {
            "key": "button-everywhere",
            "flag": "checkout-button",
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [{"allocation": 50, "gate": "decision"}],
        "policy": {"min_duration": "2d", "max_duration": "6d", "looks": "2d"},
        "turn_flag_on": True,
        "targets": [
            {"key": "berlin", "environment": "berlin"},
            # Its first look comes when Rome has failed.
            {"key": "paris", "environment": "paris", "policy": {"min_duration": "6d", "looks": "6d"}},
            {"key": "rome", "environment": "rome", "experiment": PRICING},
            {"key": "oslo", "environment": "oslo"},
        ],
        "waves": {"order": [1, {"size": "rest", "pause": "2d"}], "max_under_way": 2, "max_failed": 0},
    },
    dag_id="in_waves",
)
