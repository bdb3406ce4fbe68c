"""A look reads the flag that its iteration runs on: whether it is on, and whether its rule serves the allocation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.models import FeatureFlag
from airflow_provider_launchdarkly.api.writes.flags import turn_flag
from airflow_provider_launchdarkly.checks.flag_seen import FlagSeen, compare_flag, see_flag
from airflow_provider_launchdarkly.checks.significance import SignificanceCheck
from airflow_provider_launchdarkly.decision.policy import Policy
from support.running_experiment import ENV, FLAG, Running

Run = Callable[..., Running]
GET_FLAG = "get_feature_flag"
DAY = timedelta(days=1)
CLASSIC, BOLD = ("Classic", 100.0, True), ("Bold", 100.0, False)
HALVES = (("Classic", 50.0, True), ("Bold", 50.0, False))


def sent(running: Running) -> dict[str, Any]:
    """The flag as LaunchDarkly sends it."""
    headers = {"Authorization": running.emulator.token}
    address = f"{running.emulator.url}/api/v2/flags/demo/{FLAG}"
    flag: dict[str, Any] = httpx.get(address, headers=headers, params={"env": "production"}).json()
    return flag


def weights(*parts: tuple[int, int], **more: Any) -> dict[str, Any]:
    variations = [{"variation": index, "weight": weight} for index, weight in parts]
    return {"fallthrough": {"rollout": {"variations": variations, **more}}}


OUTSIDE = {
    "fallthrough": {
        "rollout": {
            "variations": [
                {"variation": 0, "weight": 5000},
                {"variation": 1, "weight": 5000},
                {"variation": 0, "weight": 90000, "_untracked": True},
            ]
        }
    }
}


@pytest.mark.parametrize(
    ("change", "served", "differs"),
    [
        ({}, HALVES, ""),
        (OUTSIDE, HALVES, ""),
        (weights((1, 50000), (0, 50000), bucketBy="key"), HALVES, ""),
        ({"on": False}, (CLASSIC,), "flag checkout-button is off: everyone gets Classic"),
        ({"on": False, "offVariation": 1}, (BOLD,), "flag checkout-button is off: everyone gets Bold"),
        (
            {"on": False, "offVariation": None},
            (),
            "flag checkout-button is off: everyone gets the default that the code names, since it has no off variation",
        ),
        (
            {"fallthrough": {"variation": 1}},
            (BOLD,),
            "the default rule of flag checkout-button was changed: it serves Bold to everyone whom it matches",
        ),
        (
            weights((0, 80000), (1, 20000)),
            (("Classic", 80.0, True), ("Bold", 20.0, False)),
            "the default rule of flag checkout-button was changed: it serves 80 % Classic, 20 % Bold",
        ),
        ({"fallthrough": None}, (), "flag checkout-button has no longer the default rule, which the experiment is on"),
        ({"archived": True}, (), "flag checkout-button is archived"),
    ],
)
def test_a_flag_is_compared_with_the_iteration(
    run: Run, change: dict[str, Any], served: tuple[Any, ...], differs: str
) -> None:
    running = run()
    iteration = running.look().iteration
    assert iteration is not None
    flag = sent(running)
    flag["environments"]["production"] |= change
    found = compare_flag(ENV, FeatureFlag.model_validate(flag), iteration, running.look().at)
    assert (found.served, found.differs) == (served, differs)


def test_a_planned_look_reads_the_flag_once_and_no_other_poll_does(run: Run) -> None:
    running = run()
    check = SignificanceCheck(running.target, Policy(), poll_interval=timedelta(minutes=5))

    def poll_after(passed: timedelta) -> tuple[int, Any]:
        running.emulator.clock.advance(passed)
        before = len(running.emulator.requests())
        result = running.client.run(check())
        read = [line.operation for line in running.emulator.requests()[before:]]
        return read.count(GET_FLAG), result

    assert poll_after(timedelta())[0] == 0
    reads, result = poll_after(DAY)
    assert reads == 1
    assert result.output["flag"]["differs"] == ""
    assert "Flag checkout-button serves, as the newest look read it: Bold 50 %, Classic 50 %" in result.background
    assert poll_after(timedelta(hours=1))[0] == 0
    running.client.run(turn_flag(ENV, FLAG, on=False))
    reads, result = poll_after(DAY)
    assert reads == 1
    assert result.output["flag"]["treatments"] == [{"name": "Classic", "percent": 100.0, "baseline": True}]
    assert result.warning.startswith("flag checkout-button is off: everyone gets Classic. People do not get")
    assert "Flag checkout-button serves, as the newest look read it: Classic 100 %" in result.background


def test_a_flag_that_cannot_be_read_fails_no_look_and_is_said(run: Run) -> None:
    iteration = run().look().iteration
    assert iteration is not None
    reading = see_flag(ENV, iteration)
    next(reading)
    with pytest.raises(StopIteration) as stopped:
        reading.throw(ConfigurationError("no right"))
    found = stopped.value.value
    assert isinstance(found, FlagSeen)
    assert (found.to_json(), found.trouble) == (
        {},
        "flag checkout-button could not be read (no right), so it may be off or changed",
    )
