"""A thousand random flags: none is archived that varies or is used, as readings of its own say.

What is served is evaluated from the published JSON; what uses a flag is read from the emulator's world.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.retirement.reasons import RetirementRule
from airflow_provider_launchdarkly.retirement.retire import retire_flag
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.flag_evaluation import contexts, evaluate
from support.flag_uses import uses
from support.promotions import ENVIRONMENTS, three_environments
from support.random_flags import COUNTRIES, DAY, KEYS, RandomFlags
from support.scene import Scene

WORLDS, FLAGS = 20, 50
FEWEST = 5
"""The least number of flags in each world that are archived, and that are kept."""


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    """An emulator with three environments."""
    with EmulatorServer(world=three_environments()) as server:
        yield server


def build(scene: Scene, seed: int) -> tuple[RandomFlags, list[str]]:
    holdout = scene.holdout()

    def add(inside: Any) -> tuple[RandomFlags, list[str]]:
        project = inside.world.projects["demo"]
        running = project.experiments["production", "bold"]
        draft = replace(running, iterations=tuple(replace(i, status="not_started") for i in running.iterations))
        made = RandomFlags(
            seed, draft, project.holdouts["production", holdout.base_experiment.key], inside.clock.milliseconds()
        )
        return made, made.add(inside.world, FLAGS)

    return scene.emulator.call(add)


def shown(emulator: EmulatorServer, client: LaunchDarklyClient) -> dict[str, Any]:
    """The flags' JSON, by key."""
    import httpx

    places = "&".join(f"env={key}" for key in ENVIRONMENTS)
    url = f"{emulator.url}/api/v2/flags/demo?{places}&summary=0&limit=100"
    answer = httpx.get(url, headers={"Authorization": emulator.token}).json()
    assert answer["totalCount"] == len(answer["items"])
    return {flag["key"]: flag for flag in answer["items"]}


def used_now(emulator: EmulatorServer, flag_key: str) -> list[str]:
    return emulator.call(lambda inside: uses(inside.world, "demo", flag_key))


def drawn_rule(chance: random.Random, flag: dict[str, Any]) -> RetirementRule:
    """Return the default, or any other rule."""
    if chance.random() < 0.5:
        return RetirementRule()
    return RetirementRule(
        timedelta(days=chance.choice((0, 10, 30, 60))),
        tuple(chance.sample(ENVIRONMENTS, chance.randrange(4))),
        require_code_references=chance.random() < 0.5,
        require_approval_requests=chance.random() < 0.5,
        variation_id=chance.choice((None, *(variation["_id"] for variation in flag["variations"]))),
    )


@pytest.mark.parametrize("seed", range(WORLDS))
def test_no_flag_is_archived_that_varies_or_is_used(connection: str, emulator: EmulatorServer, seed: int) -> None:
    scene, chance = Scene(LaunchDarklyHook(connection), emulator), random.Random(seed)
    made, keys = build(scene, seed)
    everyone, archived = contexts(KEYS, COUNTRIES, seed), []
    with LaunchDarklyClient(emulator.url, emulator.token) as client:
        before = shown(emulator, client)
        for key in keys:
            rule = drawn_rule(chance, before[key])
            used = used_now(emulator, key)
            retired = client.run(retire_flag("demo", key, rule))
            assert (retired.outcome == "kept") == bool(retired.reasons)
            assert rule != RetirementRule() or key not in made.clean or not retired.reasons, (
                f"{key} is kept: nothing odd"
            )
            if retired.outcome == "archived":
                archived.append(key)
                assert used == []
                assert retired.variation
                assert rule.variation_id in {None, retired.variation.id}
                index = [variation["_id"] for variation in before[key]["variations"]].index(retired.variation.id)
                places = rule.environments or ENVIRONMENTS
                got = {evaluate(before, key, env, someone) for env in places for someone in everyone}
                assert got == {index}, f"{key} varies"
                for place in places:
                    changed = before[key]["environments"][place]["lastModified"]
                    assert changed <= made.now - rule.served_for / timedelta(days=1) * DAY
        after = emulator.call(lambda inside: {k: f.archived for k, f in inside.world.projects["demo"].flags.items()})
        used_after = [key for key in archived if used_now(emulator, key)]
    assert [key for key in keys if after[key]] == archived
    assert used_after == []
    assert FEWEST <= len(archived) <= FLAGS - FEWEST
