"""The switches of releases: waits without a reason that end by themselves, and a plan that guards none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from unit.emulator.test_releases import (
    DAY,
    GERMANS,
    KIND,
    PROBLEM,
    RELEASES,
    TWO,
    WORLD,
    body,
    guard,
    phase,
    read,
    start,
    state,
    steps,
)

if TYPE_CHECKING:
    from support.emulator_caller import Caller, StartEmulator


@pytest.fixture
def shop(emulator_with: StartEmulator) -> Caller:
    return emulator_with(world=WORLD)


def test_a_switch_lets_a_release_wait_without_a_reason_between_its_phases(shop: Caller) -> None:
    shop.server.switch(release_pauses="between_phases")
    second = {"clauses": [KIND, GERMANS | {"negate": True}], "steps": steps(20)}
    release = start(shop, advancementMode="automatic", phases=[TWO["phases"][0], second])
    shop.server.clock.advance("P1D")
    waiting = read(shop, release)
    assert (state(waiting), waiting["currentPhaseIndex"]) == (("waiting", None), None)
    assert [each["status"] for each in waiting["phases"]] == ["completed", "pending"]
    shop.server.clock.advance("PT1H")
    assert state(read(shop, release)) == ("in_progress", None)
    shop.server.clock.advance("P1D")
    assert state(read(shop, release)) == ("completed", "completed_automatic")


@pytest.mark.parametrize(
    ("guards", "ends"),
    [([], "completed"), (guard(PROBLEM, rolls_back=True), "reverted"), (guard(PROBLEM), "waiting")],
)
def test_a_switch_lets_a_release_wait_without_a_reason_between_its_steps(
    shop: Caller, guards: list[dict[str, Any]], ends: str
) -> None:
    shop.server.switch(release_pauses="between_steps")
    steps_of = [{"allocation": 1, "durationMillis": DAY}, {"allocation": 50_000, "durationMillis": DAY}]
    release = start(shop, phases=[{**phase(GERMANS | {"negate": True}), "steps": steps_of}], metrics=guards)
    found = []
    for _ in range(52):
        shop.server.clock.advance("PT1H")
        found.append(state(read(shop, release)))
    assert ("waiting", None) in found
    assert found[-1][0] == ends


@pytest.mark.parametrize(("guards", "status"), [(guard("conversion"), 403), ([], 201)])
def test_a_switch_lets_the_plan_guard_no_releases(shop: Caller, guards: list[dict[str, Any]], status: int) -> None:
    shop.server.switch(guarded_releases="unavailable")
    response = shop.post(RELEASES, body(shop, metrics=guards))
    assert response.status_code == status
    assert len(shop.server.effects("release.started")) == (status == 201)
