"""Releases of a flag that is off: nothing is turned on before all is checked, and `plan` says what the start would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.endpoints import patch_flag
from airflow_provider_launchdarkly.api.errors import FlagOffError, StateError
from airflow_provider_launchdarkly.api.models import OtherFlagInstruction
from airflow_provider_launchdarkly.api.writes.flags import Serving
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.rollout.drift import Drift, DriftStatus
from airflow_provider_launchdarkly.rollout.release_checks import compare_release
from airflow_provider_launchdarkly.rollout.release_spec import ReleaseRollout
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.promotions import PromotionRunner, three_environments
from support.release_rollouts import FLAG, RELEASE, started_in

pytestmark = pytest.mark.usefixtures("connection")

EVERYONE = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"]}
SHUT = {"timezone": "UTC", "weekdays": ["thu"], "hours": "00:00-24:00"}


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer(world=three_environments()) as server:
        yield server


def hook() -> LaunchDarklyHook:
    return LaunchDarklyHook(environment_key="test")


def runner(emulator: EmulatorServer, **changes: Any) -> PromotionRunner:
    def wait(_task: str) -> None:
        emulator.clock.advance(timedelta(hours=12))

    spec = {**RELEASE, "environments": [{"key": "test", **changes}]}
    return PromotionRunner(rollout_dag(spec), wait=wait)


def planned() -> Drift:
    plain = {name: value for name, value in RELEASE.items() if name != "environments"}
    drift: Drift = hook().run(compare_release(ReleaseRollout.from_json(plain), hook().environment()))
    return drift


def is_on() -> bool:
    return hook().get_flag(FLAG).environments["test"].on


def variation(name: str) -> str:
    return next(each.id for each in hook().get_flag(FLAG).variations if each.name == name)


def change(kind: str, **fields: Any) -> None:
    hook().run(patch_flag(hook().environment(), FLAG, [OtherFlagInstruction.of(kind, **fields)]))


def a_persons_rule() -> None:
    """Add a rule for everyone, in front of the default rule: with the flag on, it serves Bold to all."""
    change("addRule", clauses=[EVERYONE], variationId=variation("Bold"), description="Everyone")


def all_serve_the_target() -> None:
    hook().serve(FLAG, Serving(variation_id=variation("Bold")))


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (a_persons_rule, "(Everyone) has the clauses of phases[0]"),
        (all_serve_the_target, "The flag is off, so nobody gets that: turn it on, and leave this environment out"),
    ],
)
def test_a_start_that_is_refused_turns_nothing_on(
    emulator: EmulatorServer, there: Callable[[], None], told: str
) -> None:
    there()
    done = runner(emulator).go_on("test.watch")
    assert done.states["test.start"] == "failed"
    assert told in done.reasons["test.start"]
    assert not is_on()
    assert not started_in(emulator)


def test_a_window_that_has_shut_meanwhile_turns_nothing_on(emulator: EmulatorServer) -> None:
    done = runner(emulator, change_window=SHUT)
    done.states["test.window"] = "success"  # it was open then
    done.go_on("test.watch")
    assert "the change window is shut" in done.reasons["test.start"]
    assert not is_on()


def test_a_flag_that_a_person_has_turned_off_under_the_release_stays_off(emulator: EmulatorServer) -> None:
    done = runner(emulator).go_on("test.watch")
    assert is_on()
    hook().turn_flag(FLAG, on=False)
    done.clear("test.start")
    done.go_on("test.watch")
    assert not is_on()
    assert started_in(emulator) == ["test"]


def test_plan_refuses_a_rule_that_the_start_refuses() -> None:
    a_persons_rule()
    with pytest.raises(StateError, match=r"\(Everyone\) has the clauses of phases\[0\]"):
        planned()


def test_plan_does_not_call_released_what_is_off() -> None:
    all_serve_the_target()
    found = planned()
    assert found.status is DriftStatus.DRIFTED
    assert found.iteration_status is None
    assert [str(each) for each in found.differences] == [
        "flag checkout-button: asked 'on, and rule fallthrough serves Classic', found 'off'"
    ]
    hook().turn_flag(FLAG, on=True)
    assert planned().iteration_status == "released"


def test_plan_refuses_an_archived_flag() -> None:
    change("archiveFlag")
    with pytest.raises(FlagOffError, match="is archived: nothing is released on it"):
        planned()


def test_plan_names_another_release_only_by_what_people_get(emulator: EmulatorServer) -> None:
    slower = {"steps": [{"percent": 5, "duration": "1d"}]}
    runner(emulator, release=slower).go_on("test.watch")
    found = planned()
    assert found.status is DriftStatus.DRIFTED
    assert [each.field for each in found.differences] == ["phases[0].steps"]
