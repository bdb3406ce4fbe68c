"""Makes DAGs from rollout files. A broken rollout gets a failing DAG that shows the errors."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowFailException, conf
from airflow.sdk import DAG, get_parsing_context

from airflow_provider_launchdarkly.config.problems import Problem
from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.rollout.files import Broken, NamedRollout, read_files, rollout_files
from airflow_provider_launchdarkly.rollout.known_good import KnownGood
from airflow_provider_launchdarkly.rollout.loadable import BROKEN, stand_in_ids

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.rollout.dag_settings import DagSettings


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
    # The ids of stand-ins depend on each other, so the task of one reads every file.
    stand_in = wanted is not None and wanted.endswith(BROKEN)
    made: list[DAG] = []
    broken: list[tuple[Broken, str, str]] = []
    known_good = KnownGood.configured(conf.get("launchdarkly", "rollout_cache", fallback=""))
    files = rollout_files([here.parent / folder])
    for found in read_files(files, only=None if stand_in else wanted, known_good=known_good):
        result = _made(found) if isinstance(found, NamedRollout) else found
        if isinstance(result, Broken):
            broken.append((result, "cannot be read", "Its runs are paused until it can."))
            continue
        made.append(result)
        if isinstance(found, NamedRollout) and found.calendar_problem:
            problem = Broken(found.name, found.file, (found.calendar_problem,))
            consequence = "Its starts and shipping fail until it can. Judging and rolling back go on."
            broken.append((problem, "has a calendar that cannot be read", consequence))
    ids = stand_in_ids((entry.name, entry.file) for entry, _, _ in broken)
    made += [_broken_dag(*entry, dag_id) for entry, dag_id in zip(broken, ids, strict=True)]
    dags = {dag.dag_id: dag for dag in made if not stand_in or dag.dag_id == wanted}
    for dag in dags.values():
        dag.auto_register = True
        with dag:  # Airflow registers a DAG that is no global variable when its context ends
            pass
    return dags


def _made(found: NamedRollout) -> DAG | Broken:
    """Return the DAG. An error of this Airflow, which `validate` cannot know, breaks only this rollout."""
    try:
        return _dag(found)
    except Exception as error:  # noqa: BLE001 - whatever one rollout raises, the others load
        message = f"this Airflow cannot make its DAG: {type(error).__name__}: {error}"
        return Broken(found.name, found.file, (Problem(found.file, found.line, "", message),))


def _dag(found: NamedRollout) -> DAG:
    settings = found.dag
    arguments: dict[str, Any] = {
        "tags": ["launchdarkly", *settings.tags],
        "default_args": _given(owner=settings.owner, retries=settings.retries, retry_delay=settings.retry_delay),
        **_given(
            start_date=_start(settings),
            is_paused_upon_creation=settings.paused,
        ),
    }
    # A DAG that is only half made must not be registered.
    arguments["auto_register"] = False
    dag: DAG = rollout_dag(found.content, dag_id=found.name, schedule=settings.schedule, **arguments)
    return dag


def _start(settings: DagSettings) -> datetime | None:
    """Return the start of the schedule. Airflow takes the schedule's time zone from it."""
    zone = pendulum.timezone(settings.timezone)
    if settings.start_date is not None:
        return datetime.combine(settings.start_date, time(), zone)
    # Without catch-up, a start in the past runs nothing late.
    return None if settings.schedule is None else datetime(2020, 1, 1, tzinfo=zone)


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _broken_dag(broken: Broken, what: str, consequence: str, dag_id: str) -> DAG:
    from airflow.sdk import task  # loads the operators of another provider: paid only where a file is broken

    problems = "\n".join(str(problem) for problem in broken.problems)
    with DAG(
        dag_id,
        description=str(broken.problems[0])[:500],
        doc_md=f"Rollout `{broken.name}` {what}:\n\n```\n{problems}\n```\n\n{consequence}",
        schedule="@hourly",
        start_date=datetime(2020, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["launchdarkly", "broken"],
        auto_register=False,
    ) as dag:

        @task(retries=0)
        def correct_the_file() -> None:
            raise AirflowFailException(problems)

        correct_the_file()
    return dag
