"""Makes DAGs from rollout files. A broken rollout gets a failing DAG that shows the errors."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG, get_parsing_context

from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.rollout.files import Broken, NamedRollout, read_files, rollout_files

if TYPE_CHECKING:
    from collections.abc import Iterator

BROKEN = ".broken"
"""The suffix of the DAG that stands for a broken rollout."""


def load_rollouts(folder: str | Path) -> dict[str, DAG]:
    """Make a DAG of each rollout in a folder's YAML files.

    The file in the DAGs folder needs only::

        from airflow_provider_launchdarkly.rollout.loading import load_rollouts
        dags = load_rollouts("rollouts")

    A broken rollout does not affect the others. It gets a DAG named ``<name>.broken``, whose task fails every hour with
    file, line and field, so that the usual alerts for failed tasks report it. The rollout's own DAG is missing
    meanwhile: Airflow pauses its runs, and resumes them once the file is valid. A replaced DAG would lose their tasks.
    If only the change window's calendar cannot be read, the rollout keeps its own DAG beside the broken one: its starts
    and shipping fail, and it can still roll back.

    Args:
        folder: The folder, or a single file, relative to the calling file.

    Returns:
        The DAGs by id. In a task's process, only the task's DAG.
    """
    caller = inspect.currentframe()
    here = Path(caller.f_back.f_globals.get("__file__", ".")) if caller and caller.f_back else Path()
    wanted = get_parsing_context().dag_id
    only = wanted.removesuffix(BROKEN) if wanted else None
    dags: dict[str, DAG] = {}
    for found in read_files(rollout_files([here.parent / folder]), only=only):
        for dag in _dags(found):
            if dag.dag_id not in dags:
                with dag:  # Airflow registers a DAG that is no global variable when its context ends
                    dags[dag.dag_id] = dag
    return dags


def _dags(found: NamedRollout | Broken) -> Iterator[DAG]:
    if isinstance(found, Broken):
        yield _broken_dag(found, "cannot be read", "Its runs are held until it can.")
        return
    yield _dag(found)
    if found.calendar_problem:
        broken = Broken(found.name, found.file, (found.calendar_problem,))
        consequence = "Its starts and shipping fail until it can. Judging and rolling back go on."
        yield _broken_dag(broken, "has a calendar that cannot be read", consequence)


def _dag(found: NamedRollout) -> DAG:
    settings = found.dag
    arguments: dict[str, Any] = {
        "tags": ["launchdarkly", *settings.tags],
        "default_args": _given(owner=settings.owner, retries=settings.retries),
        **_given(
            start_date=settings.start_date and datetime.combine(settings.start_date, time(), UTC),
            is_paused_upon_creation=settings.paused,
        ),
    }
    dag: DAG = rollout_dag(found.rollout, dag_id=found.name, schedule=settings.schedule, **arguments)
    return dag


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _broken_dag(broken: Broken, what: str, consequence: str) -> DAG:
    from airflow.sdk import task  # loads the operators of another provider: paid only where a file is broken

    problems = "\n".join(str(problem) for problem in broken.problems)
    with DAG(
        f"{broken.name}{BROKEN}",
        description=str(broken.problems[0])[:500],
        doc_md=f"Rollout `{broken.name}` {what}:\n\n```\n{problems}\n```\n\n{consequence}",
        schedule="@hourly",
        start_date=datetime(2020, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["launchdarkly", "broken"],
    ) as dag:

        @task(retries=0)
        def correct_the_file() -> None:
            raise AirflowFailException(problems)

        correct_the_file()
    return dag
