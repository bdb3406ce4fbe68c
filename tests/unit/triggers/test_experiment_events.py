"""The watcher's trigger: each event fires once for each iteration, also after a restart, and the trigger never ends."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.models import ExperimentPost
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators._design import IterationDesign
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.triggers import _watcher
from airflow_provider_launchdarkly.triggers.experiment_events import ExperimentEventTrigger
from support.airflow_names import first_of
from support.counted import count_in
from support.watchers import Store, names, run_polls

# The second name is that of Airflow 3.1.
serialize = first_of("airflow.sdk.serde.serialize", "airflow.serialization.serde.serialize")

pytestmark = pytest.mark.usefixtures("connection")

KEY = "free-shipping"
DESIGN = IterationDesign(
    flag_key="checkout-button",
    hypothesis="Bold is better.",
    treatments=[
        {"variation": "Classic", "allocation_percent": 50, "baseline": True},
        {"variation": "Bold", "allocation_percent": 50},
    ],
    primary_metric="checkout-conversion",
)


class Person:
    """Someone who works in LaunchDarkly."""

    def __init__(self) -> None:
        self.hook = LaunchDarklyHook()

    def create(self) -> str:
        design = DESIGN.resolve(self.hook.get_flag("checkout-button"))
        post = {"key": KEY, "name": "Free shipping", "methodology": "bayesian", "iteration": design}
        return self.hook.create_experiment(ExperimentPost.checked(post)).iteration.id

    def create_another(self) -> str:
        design = DESIGN.resolve(self.hook.get_flag("checkout-button"))
        return self.hook.create_iteration(KEY, design).iteration.id

    def start(self, iteration_id: str) -> None:
        self.hook.start_iteration(KEY, iteration_id, turn_flag_on=True)

    def stop(self, iteration_id: str, winner: str = "baseline") -> None:
        self.hook.stop_iteration(KEY, iteration_id, winner=winner, reason="seen enough")


@pytest.fixture
def person() -> Person:
    return Person()


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> Any:
    return run_polls(monkeypatch)


def watcher(store: Store | None = None, **changes: Any) -> ExperimentEventTrigger:
    path, arguments = ExperimentEventTrigger(experiment_key=KEY, poll_interval=60.0, **changes).serialize()
    assert path.endswith("triggers.experiment_events.ExperimentEventTrigger")
    assert serialize(arguments)
    trigger = ExperimentEventTrigger(**json.loads(json.dumps(arguments)))
    vars(trigger)["asset_state_store"] = store
    return trigger


def test_it_fires_once_when_someone_starts_and_once_when_someone_stops_an_iteration(person: Person, polls: Any) -> None:
    iteration = person.create()
    steps = {1: lambda: person.start(iteration), 3: lambda: person.stop(iteration, "Bold")}
    started, stopped = polls(watcher(), 6, between=lambda poll: steps.get(poll, lambda: None)())
    assert (started["event"], stopped["event"]) == ("start", "stop")
    assert started["iteration_id"] == stopped["iteration_id"] == iteration
    assert (stopped["winning_treatment"], stopped["winning_reason"]) == ("Bold", "seen enough")


def test_both_events_between_two_polls_fire_in_their_order(person: Person, polls: Any) -> None:
    iteration = person.create()

    def start_and_stop(poll: int) -> None:
        if poll == 1:
            person.start(iteration)
            person.stop(iteration)

    assert names(polls(watcher(), 3, between=start_and_stop)) == ["start", "stop"]


def test_events_from_before_the_watcher_began_do_not_fire(person: Person, polls: Any) -> None:
    iteration = person.create()
    person.start(iteration)
    person.stop(iteration)
    assert polls(watcher(), 3) == []


def test_an_experiment_that_does_not_exist_yet_is_waited_for_and_said_once(
    person: Person, polls: Any, caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    steps = {3: lambda: person.start(person.create())}
    assert names(polls(watcher(), 5, between=lambda poll: steps.get(poll, lambda: None)())) == ["start"]
    said = caplog.text + capsys.readouterr().out
    assert said.count(f"has no experiment '{KEY}' in project 'demo' and environment 'production' yet") == 1


def test_a_verdict_fires_once_for_an_iteration_and_the_iteration_goes_on(
    person: Person, polls: Any, emulator: EmulatorServer
) -> None:
    iteration = person.create()

    def live(poll: int) -> None:
        if poll == 1:
            person.start(iteration)
        else:
            emulator.clock.advance(timedelta(days=1))

    (ship,) = polls(watcher(on=["verdict"]), 30, between=live)
    assert ship["event"] == ship["verdict"]["verdict"] == "ship"
    assert ship["iteration_id"] == iteration
    assert "Bold" in ship["verdict"]["summary"]
    assert emulator.effects("iteration.stopped") == []


def test_polls_looks_and_the_verdict_are_counted_and_the_watcher_is_shown_as_waiting(
    person: Person, polls: Any, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, gauges = count_in(monkeypatch)
    waiting: list[float] = []

    iteration = person.create()

    def between(wait: int) -> None:
        waiting.append(gauges["launchdarkly.waiting"])
        if wait == 1:
            person.start(iteration)
        else:
            emulator.clock.advance("P1D")

    fired = polls(watcher(on=["verdict"]), count=30, between=between)
    assert names(fired) == ["ship"]
    assert counts["launchdarkly.verdicts.ship"] == 1
    assert counts["launchdarkly.looks"] == fired[0]["verdict"]["look"] > 1
    assert counts["launchdarkly.polls"] >= 28
    assert waiting[0] >= 1
    assert gauges["launchdarkly.waiting"] == waiting[0] - 1


@pytest.mark.parametrize(("interval", "within"), [(60.0, 60.0), (300.0, 300.0), (3600.0, 300.0)])
def test_watchers_that_start_together_spread_their_first_polls(
    connection: str, monkeypatch: pytest.MonkeyPatch, interval: float, within: float
) -> None:
    firsts: list[float] = []

    async def sleep(seconds: float) -> None:
        firsts.append(seconds)
        raise asyncio.CancelledError

    async def first(trigger: ExperimentEventTrigger) -> None:
        await anext(aiter(trigger.run()))

    monkeypatch.setattr(_watcher, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
    for _ in range(200):
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(first(ExperimentEventTrigger(experiment_key=KEY, poll_interval=interval)))
    assert max(firsts) <= within
    quarters = Counter(int(4 * delay / within) for delay in firsts)
    assert all(quarters[number] >= 20 for number in range(4))


def test_a_verdict_that_was_there_before_the_watcher_does_not_fire(
    person: Person, polls: Any, emulator: EmulatorServer
) -> None:
    person.start(person.create())
    emulator.clock.advance(timedelta(days=21, hours=5))

    def next_day(poll: int) -> None:
        emulator.clock.advance(timedelta(days=1))

    assert polls(watcher(), 4, between=next_day) == []


def test_each_iteration_fires_its_own(person: Person, polls: Any) -> None:
    first = person.create()
    person.start(first)
    person.stop(first)
    steps = {1: lambda: person.start(person.create_another())}
    (again,) = polls(watcher(), 3, between=lambda poll: steps.get(poll, lambda: None)())
    assert (again["event"], again["iteration_id"] == first) == ("start", False)


def test_only_the_chosen_events_fire(person: Person, polls: Any) -> None:
    iteration = person.create()
    steps = {1: lambda: person.start(iteration), 2: lambda: person.stop(iteration)}
    assert names(polls(watcher(on=["stop"]), 4, between=lambda poll: steps.get(poll, lambda: None)())) == ["stop"]


def test_after_a_restart_with_a_store_only_new_events_fire(person: Person, polls: Any) -> None:
    store, iteration = Store(), person.create()
    steps = {1: lambda: person.start(iteration)}
    assert names(polls(watcher(store), 3, between=lambda poll: steps.get(poll, lambda: None)())) == ["start"]
    person.stop(iteration)
    assert names(polls(watcher(store), 3)) == ["stop"]
    assert polls(watcher(store), 3) == []


def fired_with(store: Store, person: Person, polls: Any, **changes: Any) -> list[str]:
    """Run a watcher for some polls; return the events that it fired."""
    return names(polls(watcher(store, **changes), 3))


def test_watchers_of_one_experiment_key_in_two_environments_share_no_mark(
    person: Person, polls: Any, emulator: EmulatorServer
) -> None:
    store, iteration = Store(), person.create()
    person.start(iteration)
    for environment in ("production", "test"):
        assert fired_with(store, person, polls, environment_key=environment) == []
    person.stop(iteration)
    assert fired_with(store, person, polls, environment_key="test") == []
    assert fired_with(store, person, polls, environment_key="production") == ["stop"]
    assert fired_with(store, person, polls, environment_key="production") == []


def test_watchers_by_two_policies_each_tell_their_own_verdict(person: Person, polls: Any) -> None:
    store, other = Store(), {"min_duration": "2d", "max_duration": "9d"}
    iteration = person.create()
    assert fired_with(store, person, polls) == []
    person.start(iteration)
    assert fired_with(store, person, polls) == ["start"]
    assert fired_with(store, person, polls, policy=other) == []
    own = {key for key in store.values if key.startswith(f"experiment demo/production/{KEY} ")}
    assert len(own) == len(store.values) == 3
    person.stop(iteration)
    assert fired_with(store, person, polls) == fired_with(store, person, polls, policy=other) == ["stop"]


@pytest.mark.parametrize(
    ("noted", "fires"),
    [
        (["start:{}"], ["stop"]),
        ([], ["start", "stop"]),
        (["start:6b3c1c9e-0000-4000-8000-000000000000"], []),
    ],
    ids=["its own", "of an experiment without iterations", "of another project"],
)
def test_the_mark_of_an_older_version_is_taken_over_if_it_is_this_watchers(
    person: Person, polls: Any, noted: list[str], fires: list[str]
) -> None:
    store, iteration = Store(), person.create()
    old = f"{KEY} start+stop+verdict"
    store.values[old] = json.dumps([name.format(iteration) for name in noted])
    person.start(iteration)
    person.stop(iteration)
    assert fired_with(store, person, polls) == fires
    del store.values[old]
    assert fired_with(store, person, polls) == []


def test_after_a_restart_without_a_store_nothing_fires_twice(person: Person, polls: Any) -> None:
    iteration = person.create()
    steps = {1: lambda: person.start(iteration)}
    assert names(polls(watcher(), 3, between=lambda poll: steps.get(poll, lambda: None)())) == ["start"]
    assert polls(watcher(), 3) == []


def test_errors_do_not_end_it_and_slow_it_down(person: Person, polls: Any, emulator: EmulatorServer) -> None:
    iteration = person.create()
    emulator.fault("get_experiment", "status", status=400, times=3)

    def live(poll: int) -> None:
        if poll == 4:
            person.start(iteration)

    trigger = watcher()
    assert names(polls(trigger, 6, between=live)) == ["start"]
    first, *pauses = vars(trigger)["slept"]
    assert first <= 60
    assert all(0.9 * minutes <= pause / 60 <= minutes for pause, minutes in zip(pauses, (2, 4, 8), strict=False))
    assert pauses[3:] == [60.0] * (len(pauses) - 3)


def test_a_policy_that_does_not_fit_still_lets_starts_and_stops_fire(
    person: Person, polls: Any, emulator: EmulatorServer
) -> None:
    iteration = person.create()

    def live(poll: int) -> None:
        if poll == 1:
            person.start(iteration)
        elif poll == 3:
            person.stop(iteration)
        emulator.clock.advance(timedelta(days=1))

    trigger = watcher(policy={"primary": {"metric": "no-such-metric"}})
    assert names(polls(trigger, 4, between=live)) == ["start", "stop"]


@pytest.mark.parametrize(
    "wrong", [{"on": []}, {"on": ["finish"]}, {"policy": {"alpha": 2}}, {"polcy": None}, {"poll_interval": 0}]
)
def test_wrong_arguments_are_refused_when_the_dag_file_is_serialized(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigurationError, match=rf"{name} is .*: "):
        ExperimentEventTrigger(experiment_key=KEY, **wrong).serialize()
