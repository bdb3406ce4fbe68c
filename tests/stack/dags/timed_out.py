"""A rollout in a DAG whose runs may take a minute; what is told of it is kept in a file."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import BaseNotifier
from typing_extensions import override

from airflow_provider_launchdarkly import rollout_dag


class Keep(BaseNotifier):
    """Writes what the task that tells has found beside Airflow's own files."""

    @override
    def notify(self, context: Any) -> None:
        ti = context["ti"]
        found = ti.xcom_pull(task_ids=ti.task_id) or {}
        with (Path(os.environ["AIRFLOW_HOME"]) / "timed_out.txt").open("a") as kept:
            kept.write(f"{ti.task_id} {found.get('event')}: {found.get('text')}\n---\n")


dag = rollout_dag(
    {
        "experiment": {
            "key": "timed-out-button",
            "flag": "checkout-button",
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [{"allocation": 50, "gate": "decision"}],
        "turn_flag_on": True,
    },
    dag_id="timed_out",
    notifiers=[Keep()],
    dagrun_timeout=timedelta(seconds=60),
)
