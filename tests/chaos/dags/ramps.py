"""The staged ramp, for stacks under attack: the example as it is, and a shorter one. Both retry after seconds."""

import runpy
from datetime import timedelta
from pathlib import Path

from airflow_provider_launchdarkly import retries, rollout_dag

retries.RETRY_DELAY = timedelta(seconds=5)
retries.LONGEST_RETRY_DELAY = timedelta(seconds=20)

EXAMPLES = Path(__file__).parents[3] / "dags_examples"

ramp = runpy.run_path(str(EXAMPLES / "staged_ramp.py"))["dag"]

short = rollout_dag(
    {
        "experiment": {
            "key": "short-ramp",
            "flag": "checkout-button",
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [
            {"name": "canary", "allocation": 20, "dwell": "1d"},
            {"name": "half", "allocation": 50, "gate": "decision"},
        ],
        "policy": {
            "looks": "1d",
            "min_duration": "1d",
            "max_duration": "4d",
            "guardrails": [{"metric": "page-load-ms", "margin": 0.05}],
        },
        "approval": {"before_ship": True, "timeout": "2d"},
        "change_window": {
            "timezone": "Europe/Berlin",
            "weekdays": ["mon", "tue", "wed", "thu"],
            "hours": "09:00-16:00",
        },
        "turn_flag_on": True,
    },
    dag_id="short_ramp",
)
