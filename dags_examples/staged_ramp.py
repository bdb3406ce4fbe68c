"""A staged ramp: a tenth, a quarter, then half of the people, with guardrails, a change window, and an approval.

For a change that could do harm: each stage is left only if nothing is worse, and a person reads the decision card
before the winner is shipped. 28 days at the longest. Runs as it is against the emulator. For your own: change
`experiment`, the stages' allocations and dwell times, the guardrails, and who is asked (`approval.users`).
"""

from airflow_provider_launchdarkly import rollout_dag

dag = rollout_dag(
    {
        "experiment": {
            "key": "checkout-ramp",
            "name": "Bold checkout button, in stages",
            "flag": "checkout-button",
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [
            {"name": "canary", "allocation": 10, "dwell": "3d", "notes": "Only to see that nothing breaks."},
            {"name": "quarter", "allocation": 25, "dwell": "4d"},
            {"name": "half", "allocation": 50, "gate": "decision", "notes": "Where it is decided."},
        ],
        "policy": {
            "min_duration": "7d",
            "max_duration": "21d",
            "guardrails": [{"metric": "page-load-ms", "margin": 0.02}],
        },
        "approval": {"before_ship": True, "timeout": "2d"},
        "change_window": {
            "timezone": "Europe/Berlin",
            "weekdays": ["mon", "tue", "wed", "thu"],
            "hours": "09:00-16:00",
            "blackout": ["2026-12-24/2027-01-02"],
        },
        "turn_flag_on": True,
    },
    dag_id="staged_ramp",
)
