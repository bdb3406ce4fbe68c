"""A rollout whose winner reaches everyone through a guarded release, and goes back if a metric regresses.

For a change whose harm may show only in more people than the experiment had: the iteration ends on its baseline, and a
release goes from there to everyone in steps. 21 days and 5 at the longest. Runs as it is against the emulator. For your
own: change `experiment`, the guardrails, and the steps of the release.
"""

from airflow_provider_launchdarkly import rollout_dag

dag = rollout_dag(
    {
        "experiment": {
            "key": "checkout-release",
            "name": "Bold checkout button, released in steps",
            "flag": "checkout-button",
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [{"allocation": 50, "gate": "decision"}],
        "policy": {
            "min_duration": "7d",
            "max_duration": "21d",
            "guardrails": [{"metric": "page-load-ms", "margin": 0.02}],
        },
        "endings": {
            "ship": {
                "release": {
                    "steps": [
                        {"percent": 10, "duration": "1d"},
                        {"percent": 25, "duration": "2d"},
                        {"percent": 50, "duration": "2d"},
                    ],
                }
            }
        },
        "turn_flag_on": True,
    },
    dag_id="ship_by_release",
)
