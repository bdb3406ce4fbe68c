"""The main example through `dag.test()`: each scenario to its ending, and a second run that changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from airflow_provider_launchdarkly.testing import EmulatorServer
from support.lone_polls import poll_alone

KEY = "bold-checkout-button"


@pytest.fixture
def days_fly(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trigger's sleeps take no time; each turns the emulator's clock by a day."""

    async def sleep(_: float) -> None:
        emulator.clock.advance("P1D")

    poll_alone(monkeypatch, sleep)


def serves(emulator: EmulatorServer) -> Any:
    flag = emulator.call(lambda running: running.world.projects["demo"].flags["checkout-button"])
    return flag.configs["production"]


def xcom(run: Any, task_id: str, key: str = "return_value") -> Any:
    from airflow.models.xcom import XComModel

    row = XComModel.get_many(run_id=run.run_id, key=key, task_ids=task_id, dag_ids=run.dag_id)
    from airflow.utils.session import create_session

    with create_session() as session:
        return XComModel.deserialize_value(session.scalars(row).first())


@pytest.mark.usefixtures("connection", "days_fly")
@pytest.mark.parametrize(
    ("scenario", "verdict", "state", "stops"),
    [
        ("effect", "ship", "success", 1),
        ("no-effect", "inconclusive", "success", 1),
        ("broken-split", "invalid", "failed", 0),
    ],
)
def test_each_scenario_ends_in_its_verdict(
    emulator: EmulatorServer, load_dag: Callable[[str], Any], scenario: str, verdict: str, state: str, stops: int
) -> None:
    emulator.reset(scenario)
    run = load_dag("experiment_rollout").test()
    assert run.state == state
    assert xcom(run, "wait", "verdict") == verdict
    assert len(emulator.effects("iteration.stopped")) == stops


@pytest.mark.usefixtures("connection", "days_fly")
def test_from_airflow_3_3_on_the_task_s_state_keeps_the_looks(
    emulator: EmulatorServer, load_dag: Callable[[str], Any]
) -> None:
    emulator.reset("effect")
    run = load_dag("experiment_rollout").test()
    cautions = xcom(run, "wait", "cautions")
    assert xcom(run, "wait", "look") > 1
    keeps = hasattr(import_module("airflow.sdk.execution_time.context"), "TaskStateStoreAccessor")
    assert any("no earlier look is known" in caution for caution in cautions) != keeps


@pytest.mark.usefixtures("connection", "days_fly")
def test_a_second_run_adopts_the_experiment_and_starts_nothing_again(
    emulator: EmulatorServer, load_dag: Callable[[str], Any]
) -> None:
    dag = load_dag("experiment_rollout")
    assert dag.test().state == "success"
    assert dag.test().state == "failed"
    for kind in ("experiment.created", "iteration.created", "iteration.started", "iteration.stopped"):
        assert len(emulator.effects(kind)) == 1


@pytest.mark.usefixtures("connection", "days_fly")
def test_the_token_is_in_no_xcom_and_no_rendered_field(
    emulator: EmulatorServer, load_dag: Callable[[str], Any]
) -> None:
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    assert load_dag("experiment_rollout").test().state == "success"
    with create_session() as session:
        stored = [str(row.value) for row in session.scalars(select(XComModel))]
        stored += [str(row.rendered_fields) for row in session.scalars(select(RenderedTaskInstanceFields))]
    assert stored
    assert not [text for text in stored if emulator.token in text]
