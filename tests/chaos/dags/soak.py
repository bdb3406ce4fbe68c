"""The rollouts of a soak: one for each flag, each in an environment of its own, all at the same time, with records."""

import os
from datetime import timedelta

from airflow.sdk import get_parsing_context

from airflow_provider_launchdarkly import retries, rollout_dag

retries.RETRY_DELAY = timedelta(seconds=5)
retries.LONGEST_RETRY_DELAY = timedelta(seconds=20)

asked = get_parsing_context().dag_id  # a task's process needs one of them
for number in range(int(os.environ.get("SOAK_LANES", "0"))):
    dag_id = f"soak_{number}"
    if asked not in {None, dag_id}:
        continue
    globals()[dag_id] = rollout_dag(
        {
            "environment": f"lane-{number}",
            "experiment": {
                "key": f"soak-{number}",
                "flag": f"button-{number}",
                "hypothesis": "A bold button brings more people through the checkout.",
                "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
                "primary_metric": "conversion",
            },
            "stages": [{"name": "half", "allocation": 50, "gate": "decision"}],
            "policy": {"looks": "1d", "min_duration": "2d", "max_duration": "4d", "futility": "off"},
            "turn_flag_on": True,
        },
        dag_id=dag_id,
    )
