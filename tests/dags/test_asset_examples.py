"""Asset events of the operators, and the DAGs that are scheduled on them: examples 6 and 7."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.testing import EmulatorServer
from dags.conftest import dag_bag, register

pytestmark = pytest.mark.usefixtures("connection", "airflow_database")

PRODUCER = """
from airflow.sdk import DAG, task
from airflow_provider_launchdarkly import (
    LaunchDarklyCreateExperimentOperator,
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
    experiment_asset,
)

with DAG("{dag_id}", schedule=None, catchup=False):
    create = LaunchDarklyCreateExperimentOperator(
        task_id="create",
        experiment_key="bold-checkout-button",
        name="Bold checkout button",
        hypothesis="Bold is better.",
        flag_key="checkout-button",
        treatments=[
            {{"variation": "Classic", "allocation_percent": 50, "baseline": True}},
            {{"variation": "Bold", "allocation_percent": 50}},
        ],
        primary_metric="checkout-conversion",
    )
    iteration = {{"experiment_key": "bold-checkout-button", "iteration_id": create.output["iteration_id"]}}

    @task
    def verdict(created):
        bold = next(treatment for treatment in created["treatments"] if not treatment["baseline"])
        keys = ("project_key", "environment_key", "experiment_key", "iteration_id")
        return {{"verdict": "{verdict}", "summary": "Bold is better: ship", "treatment_id": bold["treatment_id"],
                "treatment": "Bold", **{{key: created[key] for key in keys}}}}

    start = {start}
    stop = LaunchDarklyStopIterationOperator(task_id="stop", **iteration, winner=verdict(create.output){outlets})
    create >> start >> stop
"""
START = 'LaunchDarklyStartIterationOperator(task_id="start", **iteration, turn_flag_on=True)'
MAPPED_START = (
    'LaunchDarklyStartIterationOperator.partial(task_id="start", turn_flag_on=True, '
    'iteration_id=create.output["iteration_id"]).expand(experiment_key=["bold-checkout-button"])'
)
URI = "launchdarkly://demo/production/bold-checkout-button"


@pytest.fixture
def produce(tmp_path: Path) -> Callable[..., str]:
    """Run a rollout to its stop; the DAG's id tells its events from others'."""

    def run(dag_id: str, *, verdict: str = "ship", start: str = START, outlets: str = "") -> str:
        text = PRODUCER.format(dag_id=dag_id, verdict=verdict, start=start, outlets=outlets)
        (tmp_path / f"{dag_id}.py").write_text(text)
        bag = dag_bag(str(tmp_path))
        assert not bag.import_errors
        register(bag.dags[dag_id])
        assert bag.dags[dag_id].test().state == "success"
        return dag_id

    return run


def events_of(dag_id: str) -> list[Any]:
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.orm import joinedload

    with create_session() as session:
        wanted = select(AssetEvent).where(AssetEvent.source_dag_id == dag_id).order_by(AssetEvent.id)
        events = list(session.scalars(wanted.options(joinedload(AssetEvent.asset))))
        session.expunge_all()
        return events


@contextmanager
def started_by(events: list[Any]) -> Iterator[None]:
    """Runs that are made meanwhile are made as the scheduler makes them for these asset events."""
    from airflow.models.asset import AssetEvent
    from airflow.models.dagrun import DagRun
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    def attach(session: Session, *_: Any) -> None:
        for run in session.new:
            if isinstance(run, DagRun):
                run.consumed_asset_events = [session.get_one(AssetEvent, happened.id) for happened in events]

    event.listen(Session, "before_flush", attach)
    try:
        yield
    finally:
        event.remove(Session, "before_flush", attach)


def states(run: Any) -> dict[str, str]:
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


def xcom(run: Any, task_id: str) -> Any:
    (ti,) = (ti for ti in run.get_task_instances() if ti.task_id == task_id)
    return ti.xcom_pull(task_ids=task_id)


@pytest.mark.parametrize("verdict", ["ship", "rollback", "inconclusive"])
def test_start_and_stop_emit_events_with_the_verdict(produce: Callable[..., str], verdict: str) -> None:
    started, stopped = events_of(produce(f"produce_{verdict}", verdict=verdict))
    assert [started.asset.uri, stopped.asset.uri] == [URI, URI]
    assert [started.extra["event"], stopped.extra["event"]] == ["start", verdict]
    assert stopped.extra["verdict"]["summary"] == "Bold is better: ship"
    assert stopped.extra["winning_treatment"] == ("Bold" if verdict == "ship" else "Classic")
    assert started.extra["iteration_id"] == stopped.extra["iteration_id"]


def test_a_mapped_task_emits_its_event(produce: Callable[..., str]) -> None:
    events = events_of(produce("produce_mapped", start=MAPPED_START))
    assert [event.extra["event"] for event in events] == ["start", "ship"]


def test_an_asset_among_the_outlets_gets_the_extra_and_no_second_event(produce: Callable[..., str]) -> None:
    outlets = ', outlets=[experiment_asset("demo", "production", "bold-checkout-button")]'
    events = events_of(produce("produce_outlet", outlets=outlets))
    assert [(event.asset.uri, event.extra["event"]) for event in events] == [(URI, "start"), (URI, "ship")]


def test_no_event_is_emitted_where_none_is_wanted(produce: Callable[..., str]) -> None:
    quiet = START.replace("turn_flag_on", "emit_asset=False, turn_flag_on")
    events = events_of(produce("produce_quiet", start=quiet, outlets=", emit_asset=False"))
    assert events == []


def test_the_analysis_runs_when_the_experiment_ships(produce: Callable[..., str], load_dag: Any) -> None:
    shipped = events_of(produce("produce_for_analysis"))
    with started_by(shipped):
        run = load_dag("analysis_on_ship").test()
    assert states(run) == {"shipped": "success", "analyse": "success"}


def test_the_analysis_is_skipped_when_the_experiment_only_started(produce: Callable[..., str], load_dag: Any) -> None:
    started, _ = events_of(produce("produce_for_no_analysis"))
    with started_by([started]):
        run = load_dag("analysis_on_ship").test()
    assert states(run) == {"shipped": "success", "analyse": "skipped"}


def test_the_watching_dag_says_what_happened(
    produce: Callable[..., str], load_dag: Any, emulator: EmulatorServer
) -> None:
    with started_by(events_of(produce("produce_for_watcher"))):
        run = load_dag("watch_an_experiment").test()
    assert states(run) == {"tell": "success"}
    assert xcom(run, "tell") == ["start", "ship"]


RELEASES = """
from airflow.sdk import DAG
from airflow_provider_launchdarkly import (
    LaunchDarklySetFlagOperator,
    LaunchDarklyStartReleaseOperator,
    LaunchDarklyStopReleaseOperator,
)

with DAG("{dag_id}", schedule=None, catchup=False):
    turn_on = LaunchDarklySetFlagOperator(task_id="turn_on", flag_key="checkout-button", on=True)
    start = LaunchDarklyStartReleaseOperator(
        task_id="start",
        flag_key="checkout-button",
        original="Classic",
        target="Bold",
        phases=[{{"steps": [{{"percent": 10, "duration": "1d"}}]}}],
    )
    stop = LaunchDarklyStopReleaseOperator(
        task_id="stop",
        flag_key="checkout-button",
        release_id=start.output["release_id"],
        resolution="roll_back_all_phases_and_remove_pending_phases",
    )
    turn_on >> start >> stop
"""


def test_the_dag_that_watches_releases_says_what_happened(
    tmp_path: Path, load_dag: Any, emulator: EmulatorServer
) -> None:
    (tmp_path / "produce_releases.py").write_text(RELEASES.format(dag_id="produce_releases"))
    produced = dag_bag(str(tmp_path)).dags["produce_releases"]
    register(produced)
    assert produced.test().state == "success"
    happened = events_of("produce_releases")
    assert {event.extra["event"] for event in happened} >= {"release_started", "release_reverted"}
    with started_by(happened):
        run = load_dag("watch_releases").test()
    assert states(run) == {"tell": "success"}
    assert xcom(run, "tell") == ["release_reverted"]
