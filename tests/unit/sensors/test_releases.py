"""Waiting for a release: completed, reverted or waiting, and never a metric without data for a good one."""

from __future__ import annotations

import asyncio
import json
from copy import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.models import ReleasePost
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators.releases import LaunchDarklyGetReleaseOperator
from airflow_provider_launchdarkly.sensors.releases import LaunchDarklyReleaseSensor
from airflow_provider_launchdarkly.views.releases import read_release, release_in_words, release_key
from support.lone_polls import poll_alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.testing import EmulatorServer

CONTEXT: Any = {"ti": SimpleNamespace(dag_id="ship", task_id="wait", run_id="run-1")}
FLAG, METRIC, SILENT = "checkout-button", "checkout-conversion", "search-click-through"
CLAUSE = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"]}
BYPASS = ["metric_events_any", "metric_events_with_context"]


@pytest.fixture
def begin(connection: str, emulator: EmulatorServer) -> Callable[..., str]:
    def start(effect: float, *metrics: str, rolls_back: bool = True) -> str:
        hook = LaunchDarklyHook(connection)
        truth = {
            "people_per_day": 5_000,
            "metrics": {METRIC: {"baseline_rate": 0.2, "effects": {"Bold": {"relative": effect}}}},
        }
        emulator.call(lambda it: it.world.projects["demo"].truths.update({FLAG: GroundTruth.from_dict(truth)}))
        hook.turn_flag(FLAG, on=True)
        classic, bold = (variation.id for variation in hook.get_flag(FLAG).variations)
        post = {
            "originalVariationId": classic,
            "targetVariationId": bold,
            "randomizationUnit": "user",
            "phases": [{"clauses": [CLAUSE], "steps": [{"allocation": 50_000, "durationMillis": 2 * 86_400_000}]}],
            "metrics": [{"metricKey": key, "autoRollback": rolls_back} for key in metrics],
            "bypassHealthChecks": BYPASS,
        }
        return hook.start_release(FLAG, ReleasePost.checked(post)).release.id

    return start


@pytest.fixture
def wait(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run the sensor to its end, through its trigger; the emulator's clock goes on by a day with each poll."""

    async def turn(_: float) -> None:
        emulator.clock.advance("P1D")

    poll_alone(monkeypatch, turn)

    def run(release_id: str, **fields: Any) -> Any:
        sensor = LaunchDarklyReleaseSensor(task_id="wait", flag_key=FLAG, release_id=release_id, **fields)
        try:
            return sensor.execute(CONTEXT)
        except TaskDeferred as deferred:
            path, arguments = deferred.trigger.serialize()
            assert json.loads(json.dumps(arguments)) == arguments, path
            fired = asyncio.run(anext(type(deferred.trigger)(**arguments).run()))
            return sensor.execute_complete(CONTEXT, fired.payload)

    return run


def test_a_release_that_harms_nobody_ends_completed(begin: Callable[..., str], wait: Callable[..., Any]) -> None:
    output = wait(begin(0.05, METRIC))

    assert (output["status"], output["reason"]) == ("completed", "completed_automatic")
    assert output["metrics"] == {METRIC: "ok"}
    assert output["regressed"] == output["unmeasured"] == []


def test_a_regression_that_reverts_is_an_outcome(begin: Callable[..., str], wait: Callable[..., Any]) -> None:
    output = wait(begin(-0.5, METRIC))

    assert (output["status"], output["reason"]) == ("reverted", "reverted_regression_detected")
    assert output["regressed"] == [METRIC]


def test_a_regression_that_waits_is_an_outcome(begin: Callable[..., str], wait: Callable[..., Any]) -> None:
    output = wait(begin(-0.5, METRIC, rolls_back=False))

    assert (output["status"], output["reason"]) == ("waiting", "waiting_regression_detected")


GERMANS = {"contextKind": "user", "attribute": "country", "op": "in", "values": ["DE"]}


@pytest.fixture
def in_phases(connection: str, emulator: EmulatorServer) -> Callable[..., str]:
    """Start a progressive release of two phases, a day each, by their advancement."""

    def start(mode: str) -> str:
        hook = LaunchDarklyHook(connection)
        hook.turn_flag(FLAG, on=True)
        classic, bold = (variation.id for variation in hook.get_flag(FLAG).variations)
        steps = [{"allocation": 50_000, "durationMillis": 86_400_000}]
        post = {
            "originalVariationId": classic,
            "targetVariationId": bold,
            "randomizationUnit": "user",
            "advancementMode": mode,
            "phases": [{"clauses": [CLAUSE, GERMANS], "steps": steps}, {"clauses": [CLAUSE], "steps": steps}],
            "bypassHealthChecks": BYPASS,
        }
        return hook.start_release(FLAG, ReleasePost.checked(post)).release.id

    return start


def test_a_wait_between_phases_that_ends_by_itself_is_waited_for(
    in_phases: Callable[..., str], emulator: EmulatorServer, wait: Callable[..., Any]
) -> None:
    emulator.switch(release_pauses="between_phases")
    release_id = in_phases("automatic")
    emulator.clock.advance("P1D")
    output = LaunchDarklyGetReleaseOperator(task_id="get", flag_key=FLAG, release_id=release_id).execute(CONTEXT)
    assert (output["status"], output["reason"], output["waits_for"]) == ("waiting", None, "next_phase")

    ended = wait(release_id)

    assert (ended["status"], ended["waits_for"]) == ("completed", None)


def test_a_phase_that_a_person_has_to_advance_is_an_outcome(
    in_phases: Callable[..., str], wait: Callable[..., Any]
) -> None:
    output = wait(in_phases("manual"))

    assert (output["status"], output["reason"], output["waits_for"]) == ("waiting", "waiting_phase_ended", "advance")


def test_whoever_waits_for_a_regression_alone_is_not_ended_by_another_wait(
    begin: Callable[..., str], emulator: EmulatorServer, wait: Callable[..., Any]
) -> None:
    emulator.switch(release_pauses="between_steps")
    healthy = begin(0.05, METRIC)
    emulator.clock.advance("P2D")
    assert wait(healthy)["waits_for"] == "person"  # a phase that waits, and LaunchDarkly does not say for what
    assert wait(healthy, ends_on=["completed", "regression"])["status"] == "completed"


def test_a_regression_ends_the_wait_for_one(begin: Callable[..., str], wait: Callable[..., Any]) -> None:
    output = wait(begin(-0.5, METRIC, rolls_back=False), ends_on=["completed", "regression"])

    assert (output["status"], output["waits_for"]) == ("waiting", "regression")


def test_without_waiting_the_sensor_waits_until_somebody_has_acted(
    begin: Callable[..., str], emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch, wait: Callable[..., Any]
) -> None:
    release_id = begin(-0.5, METRIC, rolls_back=False)
    polls = []

    async def turn(_: float) -> None:
        emulator.clock.advance("P1D")
        polls.append("a day")
        if len(polls) == 5:
            emulator.dismiss_regression(release_id)

    poll_alone(monkeypatch, turn)

    output = wait(release_id, ends_on=["completed", "reverted"])

    assert (output["status"], output["metrics"]) == ("completed", {METRIC: "regression_dismissed"})
    assert len(polls) > 5


class Heard:
    """A notifier that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def __call__(self, context: Any) -> None:
        self.told.append(context["ti"].task.handed_over)
        raise ConnectionError("no way to the messages")


def waits_on(sensor: LaunchDarklyReleaseSensor, *, polls: int = 40) -> tuple[Any, int]:
    """Run a sensor to its end, each time in a copy as in a process of its own; return its output and the deferrals."""
    context: Any = {"ti": SimpleNamespace(**vars(CONTEXT["ti"]))}
    fired, deferrals = None, 0
    while deferrals < polls:
        task = copy(sensor)
        context["ti"].task = task
        try:
            return (task.execute(context) if fired is None else task.execute_complete(context, fired)), deferrals
        except TaskDeferred as deferred:
            deferrals += 1
            path, arguments = deferred.trigger.serialize()
            assert json.loads(json.dumps(arguments)) == arguments, path
            fired = asyncio.run(anext(type(deferred.trigger)(**arguments).run())).payload
    raise AssertionError("it waits on")


def test_people_are_told_once_of_each_wait_for_one_of_them(
    begin: Callable[..., str], emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    release_id = begin(-0.5, METRIC, rolls_back=False)
    polls = []

    async def turn(_: float) -> None:
        emulator.clock.advance("PT12H")
        polls.append("a poll")
        if len(polls) == 12:
            emulator.dismiss_regression(release_id)

    poll_alone(monkeypatch, turn)
    heard = Heard()
    sensor = LaunchDarklyReleaseSensor(
        task_id="wait",
        flag_key=FLAG,
        release_id=release_id,
        ends_on=["completed", "reverted"],
        notifiers=[heard],
    )

    output, deferrals = waits_on(sensor)

    assert output["status"] == "completed"
    assert (len(heard.told), deferrals) == (1, 2)
    (told,) = heard.told
    assert told["why"] == (f"Release {release_id} of flag {FLAG} waits for a person: waiting_regression_detected")
    assert told["now"] == "50 % get 'bold', and the others 'classic'"
    (cure,) = told["do"]
    assert cure.startswith(f"Dismiss the regression of {METRIC}, or stop the release, in LaunchDarkly: http")
    assert f"/flags/{FLAG}/" in cure


@pytest.mark.parametrize("mode", [{}, {"deferrable": False, "mode": "poke", "poke_interval": 0.001}])
def test_a_phase_to_advance_is_told_too(
    in_phases: Callable[..., str], emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
) -> None:
    release_id, polls = in_phases("manual"), []

    async def turn(_: float) -> None:
        step()

    def step() -> None:
        emulator.clock.advance("PT12H")
        polls.append("a poll")
        if len(polls) == 8:
            emulator.advance_release(release_id)

    poll_alone(monkeypatch, turn)
    monkeypatch.setattr("time.sleep", lambda _seconds: step())
    heard = Heard()
    sensor = LaunchDarklyReleaseSensor(
        task_id="wait", flag_key=FLAG, release_id=release_id, ends_on=["completed"], notifiers=[heard], **mode
    )
    output, _ = waits_on(sensor)
    status = getattr(output, "xcom_value", output)["status"]
    assert status == "completed"
    (told,) = heard.told
    assert told["now"] == "what the phases of the release serve so far"
    assert told["do"][0].startswith("Advance the release to its next phase, or stop it, in LaunchDarkly: http")


def test_a_wait_that_ends_the_sensor_is_not_told(begin: Callable[..., str], wait: Callable[..., Any]) -> None:
    heard = Heard()
    assert wait(begin(-0.5, METRIC, rolls_back=False), notifiers=[heard])["status"] == "waiting"
    assert heard.told == []


def test_notifiers_do_not_go_with_a_process_for_each_poke() -> None:
    fields: Any = {"deferrable": False, "mode": "reschedule", "notifiers": [print]}
    with pytest.raises(ConfigurationError, match="notifiers go with deferrable=True or mode='poke'"):
        LaunchDarklyReleaseSensor(task_id="wait", flag_key=FLAG, release_id="r", **fields)


def test_an_end_that_is_not_wanted_fails_the_task(begin: Callable[..., str], wait: Callable[..., Any]) -> None:
    with pytest.raises(AirflowFailException, match="reverted_regression_detected"):
        wait(begin(-0.5, METRIC), ends_on=["completed"])


def test_a_metric_without_data_is_never_a_good_one(
    begin: Callable[..., str], wait: Callable[..., Any], emulator: EmulatorServer
) -> None:
    emulator.switch(release_without_data="complete")
    release_id = begin(0.05, METRIC, SILENT)

    with pytest.raises(AirflowFailException, match=f"no state of {SILENT}"):
        wait(release_id)
    output = wait(release_id, if_unmeasured="end")

    assert output["metrics"] == {METRIC: "ok", SILENT: "no_data"}
    assert output["unmeasured"] == [SILENT]


def test_a_release_reverted_for_want_of_data_says_so(begin: Callable[..., str], wait: Callable[..., Any]) -> None:
    output = wait(begin(0.05, METRIC, SILENT))

    assert (output["status"], output["reason"]) == ("reverted", "reverted_insufficient_data")


def test_a_release_that_has_ended_ends_at_once_in_each_mode(
    begin: Callable[..., str], emulator: EmulatorServer
) -> None:
    release_id = begin(0.05, METRIC)
    emulator.clock.advance("P3D")

    def run(**fields: Any) -> Any:
        sensor = LaunchDarklyReleaseSensor(task_id="wait", flag_key=FLAG, release_id=release_id, **fields)
        return sensor.execute(CONTEXT)

    assert run() == run(deferrable=False)


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"ends_on": []}, "ends_on"), ({"ends_on": ["done"]}, "done"), ({"if_unmeasured": "ignore"}, "if_unmeasured")],
)
def test_a_wrong_wait_is_refused_when_the_file_is_parsed(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        LaunchDarklyReleaseSensor(task_id="wait", flag_key=FLAG, release_id="r", **fields)


class Ti:
    """A task instance that keeps XComs, as Airflow's does."""

    dag_id, task_id, run_id, map_index = "ship", "wait", "run-1", -1

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.written = 0

    def xcom_pull(self, *, key: str, **_: Any) -> Any:
        return self.kept.get(key)

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.kept[key] = json.loads(json.dumps(value))
        self.written += 1


def test_the_pages_see_each_news_of_the_polls_and_a_wait_that_failed(
    begin: Callable[..., str], emulator: EmulatorServer
) -> None:
    ti: Any = Ti()
    context: Any = {"ti": ti}
    release_id = begin(-0.5, METRIC)
    sensor = LaunchDarklyReleaseSensor(
        task_id="wait", flag_key=FLAG, release_id=release_id, deferrable=False, ends_on=["completed"]
    )
    key = release_key("demo", "production", FLAG)

    assert not sensor.poke(context)
    assert not sensor.poke(context)
    assert ti.written == 1, "a poll without news writes nothing"
    found = read_release(ti.kept[key])
    assert found
    assert release_in_words(found).startswith("in progress: step 1 of 1, 50 % get the target")
    emulator.clock.advance("P3D")
    with pytest.raises(AirflowFailException, match="reverted_regression_detected"):
        sensor.execute(context)
    shown = read_release(ti.kept[key])
    assert shown
    assert shown.trouble
    assert "reverted_regression_detected" in shown.trouble
