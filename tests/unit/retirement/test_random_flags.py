"""A thousand random flags: none is archived that varies or is used, as an evaluation of its own says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.retirement.reasons import RetirementRule
from airflow_provider_launchdarkly.retirement.retire import retire_flag
from support.flag_evaluation import contexts, evaluate
from support.random_flags import COUNTRIES, DAY, KEYS, RandomFlags
from support.scene import Scene

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.testing import EmulatorServer

WORLDS, FLAGS = 20, 50
FEWEST = 5
"""The least number of flags in each world that are archived, and that are kept."""


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

    url = f"{emulator.url}/api/v2/flags/demo?env=production&env=test&summary=0&limit=100"
    answer = httpx.get(url, headers={"Authorization": emulator.token}).json()
    assert answer["totalCount"] == len(answer["items"])
    return {flag["key"]: flag for flag in answer["items"]}


@pytest.mark.parametrize("seed", range(WORLDS))
def test_no_flag_is_archived_that_varies_or_is_used(connection: str, emulator: EmulatorServer, seed: int) -> None:
    scene = Scene(LaunchDarklyHook(connection), emulator)
    made, keys = build(scene, seed)
    everyone, archived = contexts(KEYS, COUNTRIES, seed), []
    with LaunchDarklyClient(emulator.url, emulator.token) as client:
        before = shown(emulator, client)
        for key in keys:
            retired = client.run(retire_flag("demo", key, RetirementRule()))
            assert (retired.outcome == "kept") == bool(retired.reasons)
            assert key not in made.clean or not retired.reasons, f"{key} has nothing odd, and is kept"
            if retired.outcome == "archived":
                archived.append(key)
                assert retired.variation
                index = [variation["_id"] for variation in before[key]["variations"]].index(retired.variation.id)
                got = {evaluate(before, key, env, someone) for env in ("production", "test") for someone in everyone}
                assert got == {index}, f"{key} varies"
                assert key not in made.used, f"{key} is used"
                for config in before[key]["environments"].values():
                    assert config["lastModified"] <= made.now - 30 * DAY
        after = emulator.call(lambda inside: {k: f.archived for k, f in inside.world.projects["demo"].flags.items()})
    assert [key for key in keys if after[key]] == archived
    assert FEWEST <= len(archived) <= FLAGS - FEWEST
