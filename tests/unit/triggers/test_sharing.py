"""Triggers of one event loop and connection share their reading, and each ends by its own experiment or release."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.api.models import ExperimentPost, FlagPost, ReleasePost
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.triggers import _base
from airflow_provider_launchdarkly.triggers._listed import ListedReleases
from airflow_provider_launchdarkly.triggers.experiments import IterationStatusTrigger
from airflow_provider_launchdarkly.triggers.releases import ReleaseTrigger
from support.counted import Counted, count_in
from support.scene import Scene

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import Resolution
    from airflow_provider_launchdarkly.triggers._base import PollingTrigger

KEYS = [f"experiment-{number}" for number in range(6)]
INTERVAL = 2.0


@pytest.fixture
def iterations(emulator: EmulatorServer, connection: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The running iteration of each experiment; each has a flag of its own."""
    monkeypatch.setattr(_base, "SECONDS_BEFORE_FIRST_POLL", 0.2)  # no scheduler here that could be overtaken
    hook = LaunchDarklyHook()
    found = {}
    for key in KEYS:
        variations = [{"value": "classic", "name": "Classic"}, {"value": "bold", "name": "Bold"}]
        hook.create_flag(FlagPost.checked({"key": key, "name": key, "variations": variations}))
        design = Scene.design(flag_key=key).resolve(hook.get_flag(key))
        post = {"key": key, "name": key, "methodology": "bayesian", "iteration": design}
        found[key] = hook.create_experiment(ExperimentPost.checked(post)).iteration.id
        hook.start_iteration(key, found[key], turn_flag_on=True)
    return found


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """What Airflow's metrics would get."""
    return count_in(monkeypatch)


def trigger(key: str, iteration_id: str) -> IterationStatusTrigger:
    return IterationStatusTrigger(
        launchdarkly_conn_id="launchdarkly_default",
        project_key="demo",
        environment_key="production",
        poll_interval=INTERVAL,
        experiment_key=key,
        iteration_id=iteration_id,
        status="stopped",
    )


async def event_of(waiting: PollingTrigger) -> dict[str, Any]:
    payload: dict[str, Any] = (await anext(aiter(waiting.run()))).payload
    return payload


def reads(emulator: EmulatorServer, after: int) -> Counter[str]:
    lines = emulator.requests(after)
    lists = ("/experiments", "/releases")
    return Counter("list" if line.path.endswith(lists) else "single" for line in lines if line.method == "GET")


def test_six_waits_read_one_list_and_each_ends_with_its_own_experiment(
    emulator: EmulatorServer, iterations: dict[str, str], counted: tuple[Counter[str], dict[str, float]]
) -> None:
    hook = LaunchDarklyHook()
    polls = counted[0]
    seen = emulator.requests()[-1].seq

    async def run() -> dict[str, dict[str, Any]]:
        waits = {key: asyncio.create_task(event_of(trigger(key, iterations[key]))) for key in KEYS}
        await asyncio.sleep(4 * INTERVAL)
        assert not any(wait.done() for wait in waits.values())
        assert polls["launchdarkly.polls"] >= 3 * len(KEYS)
        assert reads(emulator, seen).total() <= polls["launchdarkly.polls"] / 2
        for key in KEYS[:2]:
            await asyncio.to_thread(hook.stop_iteration, key, iterations[key], winner="baseline", reason="by hand")
        ended = await asyncio.gather(*(waits[key] for key in KEYS[:2]))
        assert not any(waits[key].done() for key in KEYS[2:])
        for key in KEYS[2:]:
            waits[key].cancel()
        return dict(zip(KEYS[:2], ended, strict=True))

    for key, event in asyncio.run(run()).items():
        assert event["status"] == "finding", event
        assert event["finding"]["experiment_key"] == key


def test_where_lists_are_refused_each_wait_reads_alone(emulator: EmulatorServer, iterations: dict[str, str]) -> None:
    emulator.fault("get_experiments", "status", status=400, times=1000)

    async def run() -> list[dict[str, Any]]:
        waits = [asyncio.create_task(event_of(trigger(key, iterations[key]))) for key in KEYS]
        await asyncio.sleep(2 * INTERVAL)
        for key in KEYS:
            await asyncio.to_thread(
                LaunchDarklyHook().stop_iteration, key, iterations[key], winner="baseline", reason="by hand"
            )
        return await asyncio.gather(*waits)

    assert [event["finding"]["experiment_key"] for event in asyncio.run(run())] == KEYS


def test_waits_polls_and_refusals_are_in_airflows_metrics(
    emulator: EmulatorServer, iterations: dict[str, str], counted: tuple[Counter[str], dict[str, float]]
) -> None:
    counts, gauges = counted
    key = KEYS[0]

    async def run() -> None:
        wait = asyncio.create_task(event_of(trigger(key, iterations[key])))
        await asyncio.sleep(2 * INTERVAL)
        assert gauges["launchdarkly.waiting"] == 1
        emulator.fault("get_experiment", "status", status=503, times=1)
        await asyncio.sleep(2 * INTERVAL)
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)

    asyncio.run(run())
    assert counts["launchdarkly.polls"] >= 1
    assert counts["launchdarkly.refusals"] == 1
    assert gauges == {"launchdarkly.waiting": 0, "launchdarkly.circuit_open.launchdarkly_default": 1}


FLAG = "checkout-button"


@pytest.fixture
def release_id(connection: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A release that runs for a day."""
    monkeypatch.setattr(_base, "SECONDS_BEFORE_FIRST_POLL", 0.2)
    hook = LaunchDarklyHook(connection)
    hook.turn_flag(FLAG, on=True)
    classic, bold = (variation.id for variation in hook.get_flag(FLAG).variations)
    clause = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"]}
    post = {
        "originalVariationId": classic,
        "targetVariationId": bold,
        "randomizationUnit": "user",
        "phases": [{"clauses": [clause], "steps": [{"allocation": 50_000, "durationMillis": 86_400_000}]}],
    }
    return hook.start_release(FLAG, ReleasePost.checked(post)).release.id


def release_trigger(release_id: str, *ends_on: str) -> ReleaseTrigger:
    return ReleaseTrigger(
        launchdarkly_conn_id="launchdarkly_default",
        project_key="demo",
        environment_key="production",
        poll_interval=INTERVAL,
        flag_key=FLAG,
        release_id=release_id,
        ends_on=list(ends_on),
    )


def test_the_waits_on_a_flags_release_read_one_list_and_each_ends_with_a_reading_of_its_own(
    emulator: EmulatorServer, release_id: str, counted: tuple[Counter[str], dict[str, float]]
) -> None:
    polls = counted[0]
    seen = emulator.requests()[-1].seq

    async def run() -> list[dict[str, Any]]:
        wanted = [("reverted",), ("completed", "reverted"), ("waiting",), ("reverted", "waiting")]
        waits = [asyncio.create_task(event_of(release_trigger(release_id, *ends_on))) for ends_on in wanted]
        await asyncio.sleep(4 * INTERVAL)
        assert not any(wait.done() for wait in waits)
        assert polls["launchdarkly.polls"] >= 3 * len(waits)
        assert reads(emulator, seen).total() <= polls["launchdarkly.polls"] / 2
        assert reads(emulator, seen)["list"] >= 2
        back: Resolution = "roll_back_all_phases_and_remove_pending_phases"
        await asyncio.to_thread(LaunchDarklyHook().stop_release, FLAG, release_id, back)
        return await asyncio.gather(*waits)

    events = asyncio.run(run())
    assert [event["status"] for event in events] == ["finding", "finding", "error", "finding"]
    assert {event["finding"]["status"] for event in events if "finding" in event} == {"reverted"}
    assert events[2]["error"] == "ReleaseEndedError", "an end that it does not want fails it, from its own reading"


def test_a_release_that_the_list_does_not_show_whole_is_read_alone() -> None:
    page = ListedReleases.model_validate_json(
        b'{"items": [{"id": "bare"}, {"id": "whole", "phases": [{"id": "p"}]}], "totalCount": 2, '
        b'"_links": {"self": {"href": "/releases?_snapshot=17"}}}'
    )
    assert [key for key in page.contents.keys if key] == ["whole"]
    assert page.contents.total_count == len(page.contents.keys) == 2
    later = ListedReleases.model_validate_json(page.text.replace(b"_snapshot=17", b"_snapshot=19"))
    assert later.mark == page.mark, "the moment of a response is no change"
    other = ListedReleases.model_validate_json(page.text.replace(b"bare", b"more"))
    assert other.mark != page.mark
