"""One experiment through two environments: first in test, then in production, and there only if test has shipped.

For a change that is to prove itself where nobody is hurt. In test it is decided at once; in production a tenth gets it
first, only within working hours, and a person is asked before the winner is shipped. Runs as it is against the
emulator. For your own: change `experiment`, and name your environments in their order.
"""

from airflow_provider_launchdarkly import rollout_dag

dag = rollout_dag(
    {
        "experiment": {
            "key": "button-everywhere",
            "name": "Bold checkout button, from test to production",
            "flag": "checkout-button",
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [{"allocation": 50, "gate": "decision"}],
        "policy": {"min_duration": "7d", "max_duration": "21d"},
        "turn_flag_on": True,
        "environments": [
            "test",
            {
                "key": "production",
                "stages": [
                    {"name": "canary", "allocation": 10, "dwell": "2d"},
                    {"name": "half", "allocation": 50, "gate": "decision"},
                ],
                "policy": {"guardrails": [{"metric": "page-load-ms", "margin": 0.02}]},
                "approval": {"before_ship": True, "timeout": "2d"},
                "change_window": {"timezone": "Europe/Berlin", "hours": "09:00-16:00"},
            },
        ],
    },
    dag_id="promote",
)
