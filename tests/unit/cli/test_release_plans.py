"""`plan` and `validate` of releases, against the emulator: every environment is shown, and what is missing is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_provider_launchdarkly.api.writes.flags import Serving
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.promotions import three_environments
from support.release_rollouts import FLAG, GUARDED, RELEASE
from unit.cli.conftest import Run

Command = Callable[..., Run]
pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer(world=three_environments()) as server:
        yield server


@pytest.fixture
def plan(run: Command, tmp_path: Path) -> Callable[..., Run]:
    def planned(command: str = "plan", **changes: Any) -> Run:
        file = tmp_path / "releases.yaml"
        file.write_text(yaml.safe_dump({"rollouts": {"bold": {**RELEASE, **changes}}}, sort_keys=False))
        return run(command, file)

    return planned


def hook(environment: str) -> LaunchDarklyHook:
    found = LaunchDarklyHook(environment_key=environment)
    found.turn_flag(FLAG, on=True)
    return found


def variation(environment: str, name: str) -> str:
    return next(each.id for each in hook(environment).get_flag(FLAG).variations if each.name == name)


def test_all_environments_are_shown_and_nothing_is_sent(plan: Callable[..., Run], emulator: EmulatorServer) -> None:
    before = len(emulator.effects())
    planned = plan(
        approval={"before_start": True},
        change_window={"timezone": "UTC", "hours": "09:00-17:00", "weekdays": ["mon"]},
        release=GUARDED["release"],
    )
    assert planned.code == 2
    for environment in ("test", "staging", "production"):
        assert f"+ create   bold/{environment}  " in planned.out
    told = "    releases checkout-button from Classic to Bold, in steps of 10 % for 1d, 50 % for 1d, guarded by"
    unknown = "no read says whether LaunchDarkly's plan allows it: doctor --sandbox tries it"
    assert f"{told} checkout-conversion; {unknown}" in planned.out
    assert "    asks a person in Airflow before it starts" in planned.out
    assert "    starts only 09:00-17:00 on mon, UTC" in planned.out
    assert "3 create, 0 change, 0 drifted, 0 equal" in planned.out
    assert len(emulator.effects()) == before


def test_what_is_under_way_released_or_otherwise_served_is_told_apart(plan: Callable[..., Run]) -> None:
    from airflow_provider_launchdarkly.operators._release_design import ReleaseArguments
    from airflow_provider_launchdarkly.rollout.release_promotion import ReleasePromotion
    from airflow_provider_launchdarkly.rollout.release_spec import arguments_of

    release = ReleasePromotion.from_json(RELEASE).releases[0].release
    post = ReleaseArguments(
        before_rule_id=None, release_plan_key=None, advancement_mode=None, **arguments_of(release)
    ).post(variation("test", "Classic"), variation("test", "Bold"), run="an earlier run")
    hook("test").start_release(FLAG, post)
    hook("staging").serve(FLAG, Serving(variation_id=variation("staging", "Bold")))
    weights = {variation("production", "Classic"): 50_000, variation("production", "Bold"): 50_000}
    hook("production").serve(FLAG, Serving(weights=weights))

    planned = plan()

    assert "= equal    bold/test (release in_progress)" in planned.out
    assert "= equal    bold/staging (released)" in planned.out
    assert "! drifted  bold/production" in planned.out
    assert "rule fallthrough: file '100 % Classic', LaunchDarkly '50 % Classic, 50 % Bold'" in planned.out


def test_another_active_release_is_told_with_what_differs(plan: Callable[..., Run]) -> None:
    test_what_is_under_way_released_or_otherwise_served_is_told_apart(plan)
    planned = plan(release={**RELEASE["release"], "steps": [{"percent": 20, "duration": "1d"}]})
    assert "! drifted  bold/test (release in_progress)" in planned.out
    assert "phases[0].steps: file [(20000, 86400000)]" in planned.out


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"environments": ["test", "tset"]}, "environment 'tset' does not exist in project 'demo'"),
        (
            {"environments": ["test"], "release": {**RELEASE["release"], "target": "Bald"}},
            "variation 'Bald' is not one",
        ),
        ({"environments": [{"key": "test", "rule": "Beta users"}]}, "has no rule 'Beta users'"),
        (
            {"environments": ["test"], "release": {**GUARDED["release"], "metrics": ["nothing-such"]}},
            "nothing-such",
        ),
        (
            {"environments": ["test"], "release": {**RELEASE["release"], "target": "classic"}},
            "are one variation of flag",
        ),
    ],
)
def test_what_is_missing_in_one_environment_is_named(
    plan: Callable[..., Run], changes: dict[str, Any], told: str
) -> None:
    planned = plan(**changes)
    assert planned.code == 1
    assert told in planned.err


def test_an_environment_whose_flag_is_off_is_warned_of(plan: Callable[..., Run]) -> None:
    planned = plan(environments=["test"], turn_flag_on=False)
    assert "warning: turn_flag_on: flag 'checkout-button' is off in demo/test" in planned.out


def test_validate_counts_a_release(plan: Callable[..., Run]) -> None:
    assert plan("validate").out == "valid rollouts: 1\n"
