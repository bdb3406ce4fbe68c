"""Three environments, one after the other; two tasks between them are killed once, as they begin."""

import os
import signal
from typing import Any

from airflow_provider_launchdarkly import rollout_dag

KILLED = ("promote_to_staging", "production.start")


def kill_the_first_try(context: Any) -> None:
    """End the task's process as a machine that fails would."""
    if context["ti"].try_number == 1:
        os.kill(os.getpid(), signal.SIGKILL)


dag = rollout_dag(
    {
        "experiment": {
            "key": "promoted-button",
            "flag": "checkout-button",
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [{"allocation": 50, "gate": "decision"}],
        "policy": {"min_duration": "5d", "max_duration": "15d", "looks": "5d"},
        "turn_flag_on": True,
        "if_running": "refuse",
        "environments": ["test", "staging", "production"],
    },
    dag_id="promoted",
    retry_delay=1,
)
for task_id in KILLED:
    dag.get_task(task_id).on_execute_callback = [kill_the_first_try]
