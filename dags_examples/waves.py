"""One change for four groups of customers, in waves: first one, then one more, then the rest, and a limit on failures.

For a change that goes to many projects, markets or tenants. Here a target is a rule of the flag in one environment. At
most two are under way at once. If the new page fails with more than one, nothing further starts. Runs as it is against
the emulator. For your own: change `experiment`, and list your targets.
"""

from airflow_provider_launchdarkly import rollout_dag

dag = rollout_dag(
    {
        "experiment": {
            "key": "new-pricing",
            "name": "New pricing page",
            "flag": "pricing-page",
            "hypothesis": "The new page brings more people to the sign-up form.",
            "treatments": [{"variation": "Present", "baseline": True}, {"variation": "New"}],
            "primary_metric": "signup-form-opened",
        },
        "stages": [{"allocation": 50, "gate": "decision"}],
        "policy": {"min_duration": "7d", "max_duration": "21d"},
        "turn_flag_on": True,
        "targets": [
            {"key": "testers-germany", "environment": "test", "rule": "German visitors"},
            {"key": "testers-elsewhere", "environment": "test"},
            {"key": "germany", "environment": "production", "rule": "German visitors"},
            {"key": "elsewhere", "environment": "production", "approval": {"before_ship": True}},
        ],
        "waves": {
            "order": [
                1,
                ["testers-elsewhere"],
                {"size": "rest", "pause": "1d", "approval": True, "notes": "Real customers from here on."},
            ],
            "max_under_way": 2,
            "max_failed": 1,
        },
    },
    dag_id="waves",
)
