"""Sensors on iterations and flags: no event is missed, an impossible state is an error, every mode runs one check."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_launchdarkly.api.errors import (
    AuthenticationError,
    ConfigurationError,
    IterationNotFoundError,
    IterationStoppedError,
    MetricNotMeasuredError,
    ResultsUnavailableError,
    VersionMismatchError,
)
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.sensors.experiments import (
    LaunchDarklyDwellSensor,
    LaunchDarklyIterationStatusSensor,
    LaunchDarklyTrafficSensor,
)
from airflow_provider_launchdarkly.sensors.flags import LaunchDarklyFlagStateSensor
from support.failing import fails_at_once
from support.fresh_process import forget_answers
from support.lone_polls import poll_alone
from support.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.sensors._base import LaunchDarklyBaseSensor
    from airflow_provider_launchdarkly.testing import EmulatorServer

CONTEXT: Any = {"ti": SimpleNamespace(dag_id="rollout", task_id="wait", run_id="run-1")}


@pytest.fixture
def scene(connection: str, emulator: EmulatorServer) -> Scene:
    return Scene(LaunchDarklyHook(connection), emulator)


def status(scene: Scene, wanted: str = "stopped", **fields: Any) -> LaunchDarklyIterationStatusSensor:
    given = {"experiment_key": "bold", "iteration_id": scene.iteration_id} | fields
    return LaunchDarklyIterationStatusSensor(task_id="wait", status=wanted, **given)


def traffic(scene: Scene, units: Any = 10_000, **fields: Any) -> LaunchDarklyTrafficSensor:
    given = {"experiment_key": "bold", "iteration_id": scene.iteration_id} | fields
    return LaunchDarklyTrafficSensor(task_id="wait", units_per_treatment=units, **given)


def dwell(scene: Scene, time: str = "7d", **fields: Any) -> LaunchDarklyDwellSensor:
    given = {"experiment_key": "bold", "iteration_id": scene.iteration_id} | fields
    return LaunchDarklyDwellSensor(task_id="wait", dwell=time, **given)


def flag(_scene: Scene, **fields: Any) -> LaunchDarklyFlagStateSensor:
    return LaunchDarklyFlagStateSensor(task_id="wait", **({"flag_key": "checkout-button"} | fields))


@dataclass(frozen=True)
class Waiting:
    """A sensor with something to wait for, and what brings it about."""

    sensor: Callable[..., LaunchDarklyBaseSensor]
    happen: Callable[[Scene], Any]


WAITING = {
    "status": Waiting(status, lambda scene: scene.stop()),
    "traffic": Waiting(traffic, lambda scene: scene.emulator.clock.advance("P20D")),
    "flag": Waiting(
        lambda scene, **fields: flag(scene, on=False, **fields),
        lambda scene: scene.hook.turn_flag("checkout-button", on=False),
    ),
    "dwell": Waiting(dwell, lambda scene: scene.emulator.clock.advance("P20D")),
}


@pytest.fixture(params=WAITING)
def waiting(request: pytest.FixtureRequest) -> Waiting:
    return WAITING[request.param]


def deferred(
    sensor: LaunchDarklyBaseSensor, act: Callable[[Any], Any] = lambda sensor: sensor.execute(CONTEXT)
) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as deferral:
        act(sensor)
    return deferral.value


def events(
    trigger: Any, monkeypatch: pytest.MonkeyPatch, happen: Callable[[], Any], after: int = 3
) -> tuple[list[dict[str, Any]], list[float]]:
    """Run a trigger; what it waits for happens during its nth sleep."""
    delays: list[float] = []

    async def sleep(delay: float) -> None:
        delays.append(delay)
        if len(delays) == after:
            await asyncio.to_thread(happen)
        assert len(delays) < 50, "the trigger never ended"

    poll_alone(monkeypatch, sleep)

    async def collect() -> list[dict[str, Any]]:
        return [event.payload async for event in trigger.run()]

    return asyncio.run(collect()), delays


def test_a_state_from_before_the_sensor_started_is_found_without_deferring(scene: Scene, waiting: Waiting) -> None:
    waiting.happen(scene)
    output = waiting.sensor(scene).execute(CONTEXT)
    assert json.loads(json.dumps(output)) == output
    assert output["project_key"] == "demo"


def test_it_polls_once_and_defers_until_the_state_is_reached(
    scene: Scene, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = waiting.sensor(scene)
    trigger = deferred(sensor).trigger
    (event,), delays = events(trigger, monkeypatch, lambda: waiting.happen(scene))
    assert len(delays) == 3
    assert event["status"] == "finding"
    assert waiting.sensor(scene).execute_complete(CONTEXT, event) == waiting.sensor(scene).execute(CONTEXT)


def test_the_first_poll_comes_ten_seconds_after_the_deferral_at_the_earliest(
    scene: Scene, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = deferred(waiting.sensor(scene, poke_interval=1)).trigger
    _, delays = events(trigger, monkeypatch, lambda: waiting.happen(scene))
    assert delays[0] == 10
    assert all(0.9 <= delay <= 1 for delay in delays[1:])


def test_poking_runs_the_same_check(scene: Scene, waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: waiting.happen(scene))
    sensor = waiting.sensor(scene, deferrable=False, mode="poke", poke_interval=60)
    assert sensor.execute(CONTEXT) == waiting.sensor(scene).execute(CONTEXT)


def test_a_sensor_that_pokes_makes_no_trigger(scene: Scene, waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = waiting.sensor(scene, deferrable=False, mode="reschedule")
    monkeypatch.setattr(sensor, "trigger_class", lambda: pytest.fail("a trigger was made"))
    assert not sensor.poke(CONTEXT).is_done
    waiting.happen(scene)
    assert sensor.poke(CONTEXT).is_done


def test_the_line_of_a_poll_begins_with_the_state(scene: Scene, waiting: Waiting) -> None:
    sensor = waiting.sensor(scene)
    line = sensor._poll(CONTEXT).summary
    assert line.startswith("waiting")
    assert len(line) <= 120
    waiting.happen(scene)
    line = sensor._poll(CONTEXT).summary
    assert "waiting" not in line
    assert len(line) <= 120


def test_the_trigger_is_plain_json_without_a_secret_and_rebuilds_itself(scene: Scene, waiting: Waiting) -> None:
    trigger = deferred(waiting.sensor(scene)).trigger
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    assert (module, name) == (type(trigger).__module__, type(trigger).__name__)
    assert json.loads(json.dumps(arguments)) == arguments
    assert scene.emulator.token not in json.dumps(arguments)
    assert type(trigger)(**arguments).serialize() == (path, arguments)


def test_a_refused_token_ends_the_waiting_on_the_worker(
    scene: Scene, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = waiting.sensor(scene)
    trigger = deferred(sensor).trigger
    forget_answers()
    scene.emulator.fault("read", "status", status=401)
    (event,), _ = events(trigger, monkeypatch, lambda: None)
    with fails_at_once(AuthenticationError):
        sensor.execute_complete(CONTEXT, event)


@pytest.mark.parametrize(
    "event", [None, {}, {"status": "finding"}, {"status": "finding", "finding": {}}, {"status": 1}]
)
def test_an_unknown_event_is_an_error(scene: Scene, waiting: Waiting, event: Any) -> None:
    with pytest.raises(VersionMismatchError, match=r"takes for neither a \w+ nor an error"):
        waiting.sensor(scene).execute_complete(CONTEXT, event)


def test_an_iteration_that_is_over_has_been_running(scene: Scene) -> None:
    scene.stop()
    output = status(scene, "running").execute(CONTEXT)
    assert (output["status"], output["winning_treatment"]) == ("stopped", "Classic")
    assert output["started_at"] < output["ended_at"]


def test_an_iteration_that_runs_is_not_stopped(scene: Scene) -> None:
    assert status(scene, "running").execute(CONTEXT)["status"] == "running"
    deferred(status(scene, "stopped"))


def test_a_draft_is_waited_for_until_it_is_started(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.stop()
    draft = scene.hook.create_iteration("bold", scene.iteration).iteration.id
    trigger = deferred(status(scene, "running", iteration_id=draft)).trigger
    (event,), _ = events(trigger, monkeypatch, lambda: scene.hook.start_iteration("bold", draft))
    assert event["finding"]["status"] == "running"


def test_an_iteration_that_does_not_exist_is_an_error_at_once(scene: Scene) -> None:
    with fails_at_once(IterationNotFoundError, match="no-such"):
        status(scene, iteration_id="no-such").execute(CONTEXT)


def test_every_treatment_has_to_have_the_units(scene: Scene) -> None:
    output = traffic(scene, 1).execute(CONTEXT)
    assert set(output["units"]) == {"Classic", "Bold"}
    assert output["least"] == min(output["units"].values())
    deferred(traffic(scene, output["least"] + 1))
    assert traffic(scene, output["least"]).execute(CONTEXT) == output


def test_units_may_be_counted_by_a_metric_group(scene: Scene) -> None:
    assert traffic(scene, 1, metric_key="signup-funnel").execute(CONTEXT)["least"] > 0


def test_a_draft_has_no_traffic_yet(scene: Scene) -> None:
    scene.stop()
    draft = scene.hook.create_iteration("bold", scene.iteration).iteration.id
    deferred(traffic(scene, 1, iteration_id=draft))


def test_a_stopped_iteration_with_too_few_units_will_never_have_them(scene: Scene) -> None:
    scene.stop()
    with fails_at_once(IterationStoppedError, match="will never come"):
        traffic(scene).execute(CONTEXT)


def test_a_stop_during_the_waiting_ends_it_with_the_error(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = traffic(scene)
    (event,), delays = events(deferred(sensor).trigger, monkeypatch, scene.stop)
    assert len(delays) == 3
    with fails_at_once(IterationStoppedError):
        sensor.execute_complete(CONTEXT, event)


def test_results_that_are_gone_are_an_error_and_not_zero_traffic(scene: Scene) -> None:
    scene.emulator.switch(results="gone")
    with fails_at_once(ResultsUnavailableError):
        traffic(scene).execute(CONTEXT)


def test_a_metric_that_is_not_measured_is_an_error(scene: Scene) -> None:
    with fails_at_once(MetricNotMeasuredError):
        traffic(scene, metric_key="revenue-per-user").execute(CONTEXT)


def test_a_flag_serves_a_variation_only_if_everyone_gets_it(scene: Scene) -> None:
    # The experiment splits people between the two.
    deferred(flag(scene, variation="Bold"))
    scene.hook.stop_iteration("bold", scene.iteration_id, winner="Bold", reason="better")
    assert flag(scene, on=True, variation="Bold").execute(CONTEXT)["serves"] == {scene.bold: 100.0}


def test_a_flag_that_is_off_serves_its_off_variation(scene: Scene) -> None:
    scene.stop()
    scene.hook.turn_flag("checkout-button", on=False)
    served = flag(scene, on=False).execute(CONTEXT)["serves"]
    assert len(served) == 1
    other = scene.classic if scene.bold in served else scene.bold
    deferred(flag(scene, variation=other))


def test_a_variation_the_flag_does_not_have_is_an_error_at_once(scene: Scene) -> None:
    with fails_at_once(ConfigurationError, match="'Classic', 'Bold'"):
        flag(scene, variation="Loud").execute(CONTEXT)


@pytest.mark.parametrize(
    "make",
    [
        lambda scene: status(scene, "paused"),
        lambda scene: traffic(scene, 0),
        lambda scene: traffic(scene, 1.5),
        lambda scene: traffic(scene, True),
        flag,
        lambda scene: flag(scene, on="yes"),
    ],
)
def test_a_state_that_cannot_come_is_refused_when_the_dag_file_is_parsed(
    make: Callable[[Any], LaunchDarklyBaseSensor],
) -> None:
    with pytest.raises(ConfigurationError):
        make(SimpleNamespace(iteration_id="i"))


def test_units_may_come_from_a_template(scene: Scene) -> None:
    sensor = traffic(scene, "{{ params.units }}")
    vars(sensor)["units_per_treatment"] = "1"  # as Airflow sets it after rendering
    assert sensor.execute(CONTEXT)["least"] > 0
