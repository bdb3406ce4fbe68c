"""The watcher of releases: each event fires once, also after a restart, and the trigger never ends."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import aclosing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.models import FlagPost
from airflow_provider_launchdarkly.checks.release import release_output
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.triggers import _circuit
from airflow_provider_launchdarkly.triggers.release_events import ReleaseEventTrigger
from support.airflow_names import first_of
from support.surroundings import REPOSITORY
from support.watchers import Store, names, run_polls

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from airflow_provider_launchdarkly.api.models import Resolution
    from airflow_provider_launchdarkly.testing import EmulatorServer

# The second name is that of Airflow 3.1.
serialize = first_of("airflow.sdk.serde.serialize", "airflow.serialization.serde.serialize")

pytestmark = pytest.mark.usefixtures("connection")

FLAG, METRIC = "checkout-button", "checkout-conversion"
BACK: Resolution = "roll_back_all_phases_and_remove_pending_phases"
FORWARD: Resolution = "roll_forward_all_phases"
DAY = 86_400_000
PAGE = REPOSITORY / "docs" / "how-to" / "watch.md"
EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Person:
    """Someone who works in LaunchDarkly."""

    def __init__(self, emulator: EmulatorServer) -> None:
        self.hook = LaunchDarklyHook()
        self.emulator = emulator
        self.rules = 0
        self.hook.turn_flag(FLAG, on=True)

    def start(self, flag: str = FLAG, *, effect: float | None = None, rolls_back: bool = True, phases: int = 1) -> str:
        """Start a release of two days a phase; with an effect, it is guarded by the metric that changes so."""
        if effect is not None:
            rates = {"baseline_rate": 0.2, "effects": {"Bold": {"relative": effect}}}
            truth = GroundTruth.from_dict({"people_per_day": 5_000, "metrics": {METRIC: rates}})
            self.emulator.call(lambda it: it.world.projects["demo"].truths.update({flag: truth}))
        self.rules += 1  # no two rules of a flag may be the same
        original, target = (variation.id for variation in self.hook.get_flag(flag).variations)
        kind = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"]}
        found = self.emulator.start_release(
            flag,
            {
                "originalVariationId": original,
                "targetVariationId": target,
                "randomizationUnit": "user",
                "phases": [
                    {
                        "clauses": [kind, {**kind, "attribute": "country", "values": [f"{self.rules}-{number}"]}],
                        "steps": [{"allocation": 50_000, "durationMillis": 2 * DAY}],
                    }
                    for number in range(phases)
                ],
                **({"advancementMode": "manual"} if phases > 1 else {}),
                "metrics": [] if effect is None else [{"metricKey": METRIC, "autoRollback": rolls_back}],
                "bypassHealthChecks": ["metric_events_any", "metric_events_with_context"],
            },
        )
        return str(found["id"])

    def stop(self, release_id: str, resolution: Resolution = BACK, flag: str = FLAG) -> None:
        self.hook.stop_release(flag, release_id, resolution)

    def next_day(self) -> None:
        self.emulator.clock.advance("P1D")


@pytest.fixture
def person(emulator: EmulatorServer) -> Person:
    return Person(emulator)


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> Any:
    return run_polls(monkeypatch)


def watcher(store: Store | None = None, **changes: Any) -> ReleaseEventTrigger:
    given: dict[str, Any] = {"flag_key": FLAG, "poll_interval": 60.0, **changes}
    path, arguments = ReleaseEventTrigger(**given).serialize()
    assert path.endswith("triggers.release_events.ReleaseEventTrigger")
    assert serialize(arguments)
    trigger = ReleaseEventTrigger(**json.loads(json.dumps(arguments)))
    vars(trigger)["asset_state_store"] = store
    return trigger


def then(steps: Mapping[int, Any], otherwise: Any = lambda: None) -> Callable[[int], Any]:
    return lambda poll: steps.get(poll, otherwise)()


@pytest.mark.parametrize(
    ("resolution", "ending", "reason"),
    [(BACK, "reverted", "reverted_manual"), (FORWARD, "completed", "completed_manual")],
)
def test_a_release_that_a_person_starts_and_stops_fires_each_event_once(
    person: Person, polls: Any, resolution: Resolution, ending: str, reason: str
) -> None:
    steps = {1: person.start, 3: lambda: person.stop(person.hook.list_releases(FLAG)[0].id, resolution)}
    started, stopped, ended = polls(watcher(), 6, between=then(steps))
    assert names([started, stopped, ended]) == ["release_started", "release_stopped", f"release_{ending}"]
    assert (started["status"], stopped["reason"], ended["reason"]) == ("in_progress", reason, reason)


def test_an_event_has_the_fields_that_the_sensors_event_has(person: Person, polls: Any) -> None:
    (started,) = polls(watcher(), 2, between=then({1: person.start}))
    release = person.hook.list_releases(FLAG)[0]
    assert started == {"event": "release_started", **release_output(person.hook.environment(), release)}
    assert json.loads(json.dumps(started)) == started


def test_a_release_that_completes_by_itself_was_stopped_by_nobody(person: Person, polls: Any) -> None:
    fired = polls(watcher(), 5, between=then({1: lambda: person.start(effect=0.05)}, person.next_day))
    assert names(fired) == ["release_started", "release_completed"]
    assert fired[-1]["metrics"] == {METRIC: "ok"}


def test_a_regression_that_reverts_fires_as_both(person: Person, polls: Any) -> None:
    fired = polls(watcher(), 5, between=then({1: lambda: person.start(effect=-0.5)}, person.next_day))
    assert names(fired) == ["release_started", "release_regressed", "release_reverted"]
    assert fired[1]["regressed"] == [METRIC]


def test_a_regression_that_waits_fires_once_until_somebody_dismisses_it(person: Person, polls: Any) -> None:
    def dismiss() -> None:
        person.emulator.dismiss_regression(person.hook.list_releases(FLAG)[0].id)

    steps = {1: lambda: person.start(effect=-0.5, rolls_back=False), 5: dismiss}
    fired = polls(watcher(), 9, between=then(steps, person.next_day))
    assert names(fired) == ["release_started", "release_regressed", "release_waiting", "release_completed"]
    assert fired[2]["reason"] == "waiting_regression_detected"
    assert fired[-1]["metrics"] == {METRIC: "regression_dismissed"}


def test_each_phase_that_somebody_has_to_advance_fires_its_own_wait(person: Person, polls: Any) -> None:
    def advance() -> None:
        person.emulator.advance_release(person.hook.list_releases(FLAG)[0].id)

    steps = {1: lambda: person.start(phases=3), 5: advance, 9: advance}
    fired = polls(watcher(on=["waiting", "completed"]), 13, between=then(steps, person.next_day))
    assert names(fired) == ["release_waiting", "release_waiting", "release_completed"]
    assert {event["reason"] for event in fired[:2]} == {"waiting_phase_ended"}


def test_a_flag_that_is_turned_off_reverts_its_release_and_stops_nothing(person: Person, polls: Any) -> None:
    steps = {1: person.start, 2: lambda: person.hook.turn_flag(FLAG, on=False)}
    fired = polls(watcher(), 4, between=then(steps))
    assert [(event["event"], event["reason"]) for event in fired[1:]] == [("release_reverted", "reverted_discarded")]


def test_all_that_happened_between_two_polls_fires_in_its_order(person: Person, polls: Any) -> None:
    def two_releases() -> None:
        person.stop(person.start())
        person.start()

    fired = polls(watcher(), 3, between=then({1: two_releases}))
    assert names(fired) == ["release_started", "release_stopped", "release_reverted", "release_started"]
    assert fired[0]["release_id"] == fired[2]["release_id"] != fired[3]["release_id"]


def test_what_happened_before_the_watcher_began_does_not_fire(person: Person, polls: Any) -> None:
    person.stop(person.start())
    release_id = person.start(effect=-0.5, rolls_back=False)
    person.next_day()
    person.next_day()
    assert person.hook.get_release(FLAG, release_id).waiting
    assert polls(watcher(), 3) == []


def test_a_flag_that_does_not_exist_yet_is_waited_for(
    person: Person, polls: Any, caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    def create() -> None:
        variations = [{"value": "old", "name": "Old"}, {"value": "new", "name": "New"}]
        person.hook.create_flag(FlagPost.checked({"key": "later", "name": "later", "variations": variations}))
        person.hook.turn_flag("later", on=True)
        person.start("later")

    assert names(polls(watcher(flag_key="later"), 6, between=then({3: create}))) == ["release_started"]
    said = caplog.text + capsys.readouterr().out
    assert said.count("has no flag 'later' in project 'demo' and environment 'production' yet") == 1


def test_several_flags_are_watched_each_for_itself(person: Person, polls: Any, emulator: EmulatorServer) -> None:
    variations = [{"value": "old", "name": "Old"}, {"value": "new", "name": "New"}]
    person.hook.create_flag(FlagPost.checked({"key": "search", "name": "search", "variations": variations}))
    person.hook.turn_flag("search", on=True)

    def both() -> None:
        person.stop(person.start())
        person.start("search")

    store, both_flags = Store(), [FLAG, "search", "not-there-yet", "search"]
    fired = polls(watcher(store, flag_key=both_flags), 12, between=then({3: both}))
    assert sorted((event["flag_key"], event["event"]) for event in fired) == [
        (FLAG, "release_reverted"),
        (FLAG, "release_started"),
        (FLAG, "release_stopped"),
        ("search", "release_started"),
    ]
    assert len(store.values) == 3, "each flag is noted by itself"
    assert polls(watcher(store, flag_key=both_flags), 6) == []


def test_only_the_chosen_events_fire(person: Person, polls: Any) -> None:
    fired = polls(watcher(on=["stopped"]), 4, between=then({1: lambda: person.stop(person.start())}))
    assert names(fired) == ["release_stopped"]


def test_after_a_restart_with_a_store_what_happened_meanwhile_fires_and_nothing_twice(
    person: Person, polls: Any
) -> None:
    store = Store()
    first = polls(watcher(store), 3, between=then({1: lambda: person.start(effect=-0.5, rolls_back=False)}))
    assert names(first) == ["release_started"]
    person.next_day()
    person.next_day()
    assert names(polls(watcher(store), 3)) == ["release_regressed", "release_waiting"]
    person.stop(first[0]["release_id"])
    assert names(polls(watcher(store), 3)) == ["release_stopped", "release_reverted"]
    assert polls(watcher(store), 3) == []


def test_after_a_restart_without_a_store_nothing_fires_twice(person: Person, polls: Any) -> None:
    assert names(polls(watcher(), 3, between=then({1: person.start}))) == ["release_started"]
    assert polls(watcher(), 3) == []


def test_a_release_that_is_no_longer_listed_is_forgotten(person: Person, polls: Any) -> None:
    store = Store()
    steps = {1: lambda: person.stop(person.start()), 2: lambda: person.emulator.clock.advance("P91D"), 3: person.start}
    fired = polls(watcher(store), 5, between=then(steps))
    assert names(fired)[-1] == "release_started"
    ((noted),) = store.values.values()
    assert json.loads(noted) == [f"started:{fired[-1]['release_id']}"]


def test_errors_do_not_end_it_and_slow_it_down(person: Person, polls: Any, emulator: EmulatorServer) -> None:
    emulator.fault("list_environment_releases", "status", status=400, times=3)
    trigger = watcher()
    assert names(polls(trigger, 6, between=then({4: person.start}))) == ["release_started"]
    _, *pauses = vars(trigger)["slept"]
    assert all(0.9 * minutes <= pause / 60 <= minutes for pause, minutes in zip(pauses, (2, 4, 8), strict=False))
    assert pauses[3:] == [60.0] * (len(pauses) - 3)


def test_an_outage_is_waited_through_without_a_failed_poll(
    person: Person, polls: Any, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_circuit, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(_circuit, "LONGEST_PAUSE", 0.01)

    def away() -> None:
        person.start()
        emulator.fault("list_environment_releases", "status", status=503, times=8)

    trigger = watcher()
    assert names(polls(trigger, 4, between=then({1: away}))) == ["release_started"]
    assert vars(trigger)["slept"][1:] == [60.0] * 4, "no pause for a failure"


@pytest.mark.parametrize(
    "wrong",
    [{"flag_key": []}, {"flag_key": ""}, {"flag_key": [FLAG, ""]}, {"on": []}, {"on": ["finished"]}, {"on_": []}],
)
def test_wrong_arguments_are_refused_when_the_dag_file_is_serialized(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigurationError, match=rf"{name} is .*: "):
        ReleaseEventTrigger(**{"flag_key": FLAG, **wrong}).serialize()


def test_the_watcher_of_the_page_fires_what_its_dag_reads(
    person: Person, polls: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = [block for block in EXAMPLE.findall(PAGE.read_text()) if "ReleaseEventTrigger" in block]
    namespace: dict[str, Any] = {}
    exec(example, namespace)
    (its_watcher,) = namespace["released"].watchers
    trigger = ReleaseEventTrigger(**its_watcher.trigger.serialize()[1])
    fired = polls(trigger, 5, between=then({1: lambda: person.start(effect=-0.5)}, person.next_day))

    extras = [{"from_trigger": True, "payload": payload} for payload in fired]
    events = [SimpleNamespace(extra=extra, timestamp=f"2026-01-05T00:00:0{n}") for n, extra in enumerate(extras)]
    namespace["tell"].function({namespace["released"].uri: events})
    reason = "reverted_regression_detected"
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"release_regressed {reason} ['{METRIC}'] ",
        f"release_reverted {reason} ['{METRIC}'] ",
    ]


def test_watchers_of_one_flag_share_a_list_and_each_fires(person: Person, emulator: EmulatorServer) -> None:
    """Without any sleep of the test's own: the shared reader runs as in a triggerer."""
    interval, kinds = 1.0, (["started"], ["started", "reverted"], ["reverted"])
    fired: list[list[str]] = [[] for _ in kinds]

    async def watch(number: int) -> None:
        trigger = watcher(on=kinds[number], poll_interval=interval)
        async with aclosing(cast("AsyncGenerator[Any]", trigger.run())) as happened:
            async for event in happened:
                fired[number].append(event.payload["event"])

    async def run() -> int:
        watching = [asyncio.create_task(watch(number)) for number in range(len(kinds))]
        await asyncio.sleep(3 * interval)
        seen = emulator.requests()[-1].seq
        await asyncio.sleep(4 * interval)
        quiet = [line for line in emulator.requests(seen) if line.method == "GET"]
        release_id = await asyncio.to_thread(person.start)
        await asyncio.sleep(2.5 * interval)
        await asyncio.to_thread(person.stop, release_id)
        await asyncio.sleep(2.5 * interval)
        for one in watching:
            one.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        return len(quiet)

    quiet = asyncio.run(run())
    assert fired == [["release_started"], ["release_started", "release_reverted"], ["release_reverted"]]
    assert 3 <= quiet <= 6, "about one list an interval, not one for each watcher"
