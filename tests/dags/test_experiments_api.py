"""The tour of the operators and sensors through `dag.test()`, and that nothing of it ever shows the token."""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_launchdarkly.testing import EmulatorServer
from support.lone_polls import poll_alone
from support.surroundings import CONNECTION, connection_json

# Not the emulator's well-known one, which is in the documentation: this one may be nowhere.
SECRET = "api-5ec4e700-0c0f-4fee-a11e-0123456789ab"


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer(token=SECRET) as server:
        yield server


@pytest.fixture
def days_fly(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The triggers' sleeps take no time; each turns the emulator's clock by a day."""

    async def sleep(_: float) -> None:
        emulator.clock.advance("P1D")

    poll_alone(monkeypatch, sleep)


def stored(dag_id: str) -> list[str]:
    """Everything that Airflow keeps of a DAG's runs: XComs, rendered fields, trigger arguments, log files."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.trigger import Trigger
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        texts = [str(row.value) for row in session.scalars(select(XComModel).where(XComModel.dag_id == dag_id))]
        texts += [str(row.rendered_fields) for row in session.scalars(select(RenderedTaskInstanceFields))]
        texts += [json.dumps(row.data) for row in session.scalars(select(SerializedDagModel))]
        texts += [str(row.kwargs) for row in session.scalars(select(Trigger))]
    logs = Path(os.environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"])
    return texts + [path.read_text(errors="replace") for path in logs.rglob("*.log")]


@pytest.mark.usefixtures("connection", "days_fly")
def test_the_tour_runs_to_its_end_and_shows_the_token_nowhere(
    emulator: EmulatorServer,
    load_dag: Callable[[str], Any],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    run = load_dag("experiments_api").test()
    assert run.state == "success"
    assert len(emulator.effects("iteration.started")) == 3
    printed = capfd.readouterr()
    kept = stored("experiments_api")
    # The net is not empty: it holds XComs, rendered fields, logs.
    assert any("checkout-conversion" in text for text in kept)
    assert "Created experiment bold-checkout-tour" in caplog.text + printed.out + printed.err + "".join(kept)
    assert [text for text in (*kept, caplog.text, printed.out, printed.err) if SECRET in text] == []


FAILURES: dict[str, dict[str, Any]] = {
    "401": {"fault": "status", "status": 401},
    "403": {"fault": "status", "status": 403},
    "404": {"fault": "status", "status": 404},
    "409": {"fault": "status", "status": 409, "times": 99},
    "closed": {"fault": "close_before", "times": 99},
    "truncated": {"fault": "truncated", "times": 99},
    "echo": {"fault": "status", "status": 400, "message": f"bad token {SECRET}"},
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_task_shows_the_token_nowhere(
    emulator: EmulatorServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    failure: str,
) -> None:
    from airflow_provider_launchdarkly import (
        LaunchDarklyGetExperimentOperator,
        LaunchDarklyUpdateExperimentationSettingsOperator,
    )

    monkeypatch.setenv(CONNECTION, connection_json(emulator, retry_budget=0.2))
    caplog.set_level(logging.DEBUG)
    units = [{"randomization_unit": "organization", "default": True}]
    for task in (
        LaunchDarklyGetExperimentOperator(task_id="read", experiment_key="bold"),
        LaunchDarklyUpdateExperimentationSettingsOperator(task_id="units", randomization_units=units),
    ):
        context: Any = {"ti": SimpleNamespace(dag_id="d", task_id="t", run_id="r")}
        emulator.fault("*", **FAILURES[failure])
        with pytest.raises(Exception, match=r"\w") as caught:
            task.execute(context)
        whole = traceback.TracebackException.from_exception(caught.value, capture_locals=False)
        told = ["".join(whole.format()), repr(caught.value), repr(vars(task)), repr(task.hook), str(vars(task.hook))]
        assert [text for text in told if SECRET in text] == []
    printed = capfd.readouterr()
    assert [text for text in (caplog.text, printed.out, printed.err) if SECRET in text] == []
