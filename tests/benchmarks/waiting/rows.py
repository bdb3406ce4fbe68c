"""Fills Airflow's metadata database with tasks that have deferred: much faster than thousands of runs would.

`python -m waiting.rows` in Airflow's environment reads a JSON object: `dags`, a folder, makes the database and stores
the DAGs; `copies`, kinds and URLs, copies it for each kind; `tasks` inserts deferred tasks. Each part is optional.
"""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.models.connection import Connection
from airflow.models.dag_version import DagVersion
from airflow.models.dagbag import DBDagBag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import create_engine, insert, text
from sqlalchemy.orm import Session

from dags.conftest import dag_bag, register

if TYPE_CHECKING:
    from collections.abc import Sequence

_TRIGGER = ("classpath", "encrypted_kwargs", "created_date")
_TASK = (
    *("dag_id", "task_id", "map_index", "state", "max_tries", "hostname", "unixname", "pool", "pool_slots", "queue"),
    *("priority_weight", "operator", "custom_operator_name", "executor_config", "dag_version_id"),
)


def make_database(dags: str) -> None:
    from airflow.utils.db import initdb

    initdb()
    bag = dag_bag(dags)
    assert not bag.import_errors, bag.import_errors
    for dag in bag.dags.values():
        register(dag)


def copy_database(source: str, copies: dict[str, str]) -> None:
    from airflow import settings

    settings.dispose_orm()
    if source.startswith("sqlite"):
        for url in copies.values():
            shutil.copyfile(source.removeprefix("sqlite:///"), url.removeprefix("sqlite:///"))
        return
    base, _, name = source.rpartition("/")
    engine = create_engine(f"{base}/template1", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for url in copies.values():
            connection.execute(text(f"CREATE DATABASE {url.rpartition('/')[2]} TEMPLATE {name}"))


def insert_tasks(
    url: str,
    dag_id: str,
    name: str,
    triggers: list[tuple[str, dict[str, Any]]],
    connections: Sequence[dict[str, Any]] = (),
) -> None:
    """Insert a run of the DAG for each trigger, whose task has deferred to it.

    Args:
        url: The database.
        dag_id: The DAG. Its only task is `wait`.
        name: What the runs' ids begin with.
        triggers: Classpath and arguments; an argument `moment` is seconds from now.
        connections: Fields of Airflow connections to insert.
    """
    now = datetime.now(UTC)
    with Session(create_engine(url), expire_on_commit=False) as session:
        session.add_all(Connection(**fields) for fields in connections)
        version = DagVersion.get_latest_version(dag_id, session=session)
        dag = None if version is None else DBDagBag().get_dag(version.id, session=session)
        assert version is not None, f"{dag_id} is not stored"
        assert dag is not None, f"{dag_id} is not stored"
        task = dag.get_task("wait")
        made = [Trigger(classpath, _due(arguments, now)) for classpath, arguments in triggers]
        rows = [{name: getattr(trigger, name) for name in _TRIGGER} for trigger in made]
        ids = session.scalars(insert(Trigger).returning(Trigger.id, sort_by_parameter_order=True), rows).all()
        runs = [f"{name}-{number:05}" for number in range(len(ids))]
        run = {"dag_id": dag_id, "run_type": DagRunType.MANUAL, "state": DagRunState.RUNNING, "run_after": now}
        run |= {"start_date": now, "queued_at": now, "triggered_by": DagRunTriggeredByType.TEST, "log_template_id": 1}
        run |= {"created_dag_version_id": version.id}
        session.execute(insert(DagRun.__table__), [{**run, "run_id": run_id} for run_id in runs])
        ti = TaskInstance(task, dag_version_id=version.id, run_id="", state=TaskInstanceState.DEFERRED)
        common = {name: getattr(ti, name) for name in _TASK} | {"try_number": 1, "start_date": now}
        common |= {"next_method": "execute_complete", "next_kwargs": {}}
        rows = [{**common, "run_id": run_id, "trigger_id": key} for run_id, key in zip(runs, ids, strict=True)]
        session.execute(insert(TaskInstance.__table__), rows)
        session.commit()


def _due(arguments: dict[str, Any], now: datetime) -> dict[str, Any]:
    if "moment" not in arguments:
        return arguments
    return {**arguments, "moment": now + timedelta(seconds=arguments["moment"])}


def main() -> None:
    asked = json.load(sys.stdin)
    if "dags" in asked:
        make_database(asked["dags"])
    if "copies" in asked:
        copy_database(asked["source"], asked["copies"])
    for tasks in asked.get("tasks", ()):
        insert_tasks(**tasks)


if __name__ == "__main__":
    main()
