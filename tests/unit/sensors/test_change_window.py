"""Sensors on LaunchDarkly's clock: they wake in time, and only the worker decides that a change window is open."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.sensors.change_window import LaunchDarklyChangeWindowSensor
from support.failing import fails_at_once
from support.lone_polls import poll_alone
from support.scene import Scene
from support.surroundings import CONNECTION, connection_json
from unit.sensors.test_waiting import CONTEXT, deferred, dwell

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.testing import EmulatorServer

HOUR = 3600


@pytest.fixture
def night(connection: str, emulator: EmulatorServer) -> EmulatorServer:
    """Eight o'clock in the evening: the window opens in thirteen hours."""
    emulator.clock.set("2026-03-02T20:00:00Z")
    return emulator


def window(**fields: Any) -> LaunchDarklyChangeWindowSensor:
    return LaunchDarklyChangeWindowSensor(task_id="window", **({"window": {"hours": ["09:00-10:00"]}} | fields))


def fires(trigger: Any, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[float]]:
    """Run a trigger whose sleeps turn the emulator's clock; return its event, and how long it slept each time."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        emulator.clock.advance(timedelta(seconds=seconds))

    monkeypatch.setattr("random.uniform", lambda _, most: most)  # the first poll comes after a whole interval
    poll_alone(monkeypatch, sleep)

    async def first() -> Any:
        return (await anext(trigger.run())).payload

    return asyncio.run(first()), slept


def test_an_open_window_is_not_waited_for(night: EmulatorServer) -> None:
    night.clock.set("2026-03-03T09:30:00Z")
    assert window().execute(CONTEXT) == {"opened": "2026-03-03T09:30:00+00:00"}


def test_the_trigger_wakes_when_the_window_opens_and_not_a_poll_later(
    night: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    event, slept = fires(deferred(window(poke_interval=8 * HOUR)).trigger, night, monkeypatch)
    assert slept == [8 * HOUR, 5 * HOUR]
    assert window().execute_complete(CONTEXT, event) == {"opened": "2026-03-03T09:00:00+00:00"}


def test_a_window_that_has_shut_again_is_waited_for_anew(
    night: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    event, _ = fires(deferred(window()).trigger, night, monkeypatch)
    night.clock.advance("PT3H")
    again = deferred(window(), lambda sensor: sensor.execute_complete(CONTEXT, event))
    assert again.trigger.serialize()[1]["until"] == "2026-03-04T09:00:00+00:00"


def test_a_window_needs_no_project(night: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONNECTION, connection_json(night, project_key=None, environment_key=None))
    event, _ = fires(deferred(window()).trigger, night, monkeypatch)
    assert window().execute_complete(CONTEXT, event)["opened"].startswith("2026-03-03T09:")


def test_the_trigger_is_plain_json_and_rebuilds_itself(night: EmulatorServer) -> None:
    trigger = deferred(window()).trigger
    path, arguments = trigger.serialize()
    assert json.loads(json.dumps(arguments)) == arguments
    assert night.token not in json.dumps(arguments)
    assert type(trigger)(**arguments).serialize() == (path, arguments)


@pytest.mark.parametrize("how", [{}, {"deferrable": False, "mode": "poke"}])
def test_a_window_that_never_opens_is_an_error_at_once(night: EmulatorServer, how: dict[str, Any]) -> None:
    shut = {"hours": ["09:00-10:00"], "blackout": ["2026-01-01/2036-01-01"]}
    with fails_at_once(ConfigurationError, match="does not open"):
        window(window=shut, **how).execute(CONTEXT)


def test_the_end_of_a_dwell_time_is_polled_once(
    connection: str, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # LaunchDarkly's clock is read in whole seconds: two days after such a start, 0.7 of one seem to be left.
    emulator.clock.advance(timedelta(seconds=0.7))
    scene = Scene(LaunchDarklyHook(connection), emulator)
    event, slept = fires(deferred(dwell(scene, "2d", poke_interval=12 * HOUR)).trigger, emulator, monkeypatch)
    assert slept == [12 * HOUR, 1]
    verdict = dwell(scene, "2d").execute_complete(CONTEXT, event)
    assert (verdict["verdict"], verdict["reason"]) == ("inconclusive", "plan_ended")


def test_an_iteration_that_someone_else_stopped_ends_the_dwell_time(
    connection: str, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(LaunchDarklyHook(connection), emulator)
    sensor = dwell(scene)
    trigger = deferred(sensor).trigger
    scene.stop()
    event, _ = fires(trigger, emulator, monkeypatch)
    verdict = sensor.execute_complete(CONTEXT, event)
    assert (verdict["verdict"], verdict["reason"]) == ("invalid", "iteration_stopped")


def test_a_stop_after_the_trigger_fired_counts(
    connection: str, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The DAG was paused after the trigger had fired: days go by, and then someone stops the iteration."""
    scene = Scene(LaunchDarklyHook(connection), emulator)
    event, _ = fires(deferred(dwell(scene, "2d")).trigger, emulator, monkeypatch)
    emulator.clock.advance("P5D")
    assert dwell(scene, "2d").execute_complete(CONTEXT, event)["elapsed_days"] > 6
    scene.stop()
    assert dwell(scene, "2d").execute_complete(CONTEXT, event)["verdict"] == "invalid"
