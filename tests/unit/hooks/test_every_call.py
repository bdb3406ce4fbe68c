"""Every call of the hook, both ways, against the emulator; and the page that lists them."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.get_provider_info import get_provider_info
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from support.coverage_row import Case
from support.coverage_rows import CASES, ROWS
from support.coverage_table import PAGE, calls_of_the_hook, page, pages
from support.scene import Scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_launchdarkly.testing import EmulatorServer


@pytest.fixture
def scene(connection: str, emulator: EmulatorServer) -> Scene:
    return Scene(LaunchDarklyHook(connection), emulator)


def asked(emulator: EmulatorServer, case: Case, after: int) -> bool:
    """Whether the endpoint was called, and answered well."""
    method, path = case.endpoint.split(" ")
    pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))
    lines = [line for line in emulator.requests(after) if line.method == method and pattern.fullmatch(line.path)]
    return any(line.status is not None and line.status < 300 for line in lines)


async def gathered(found: Any) -> Any:
    if hasattr(found, "__aiter__"):
        items: AsyncIterator[Any] = found
        return [item async for item in items]
    return await found


# Running already is success without a write: the one call of the table that has nothing to do in its scene.
READS_ONLY = {"start_iteration"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.call)
@pytest.mark.parametrize("way", ["in a task", "on an event loop"])
def test_a_call_does_its_work_both_ways(scene: Scene, emulator: EmulatorServer, case: Case, way: str) -> None:
    after = emulator.requests()[-1].seq
    call = getattr(scene.hook, case.call)
    if way == "in a task":
        found = case.make(call, scene)
        found = list(found) if case.call.startswith("iter_") else found
    else:

        async def wait() -> Any:
            return await gathered(case.make(call.aio, scene))

        found = asyncio.run(wait())
    assert case.holds(found)
    assert asked(emulator, case, after) or case.call in READS_ONLY


def test_the_table_has_every_call_of_the_hook() -> None:
    assert {case.call for case in CASES} == calls_of_the_hook()


def test_every_operator_and_sensor_has_a_row_and_a_page() -> None:
    info = get_provider_info()
    modules = [module for kind in ("operators", "sensors") for module in info[kind][0]["python-modules"]]
    named = {name for row in ROWS for name in row.also if name.startswith("LaunchDarkly")}
    assert named == set(public_classes(modules))
    assert named - set(pages()) == set(), "no page below docs/ is named for these classes in kebab case"


def public_classes(modules: list[str]) -> list[str]:
    """Return the operators and sensors that a module defines for DAG authors."""
    from importlib import import_module

    found = []
    for module in map(import_module, modules):
        own = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
        found += [
            value.__name__ for value in own if isinstance(value, type) and value.__name__.startswith("LaunchDarkly")
        ]
    return found


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text() == page()


def test_a_walk_reads_a_page_only_when_it_is_reached(scene: Scene, emulator: EmulatorServer) -> None:
    for number in range(60):
        scene.hook.create_experiment(scene.post.model_copy(update={"key": f"e-{number}"}))
    after = emulator.requests()[-1].seq
    walk = scene.hook.iter_experiments()
    assert emulator.requests(after) == []
    assert next(walk).key
    assert len(emulator.requests(after)) == 1
    assert len(list(walk)) == 60
    assert len(emulator.requests(after)) == 2


def test_a_walk_ends_at_its_cap(scene: Scene) -> None:
    for number in range(5):
        scene.hook.create_experiment(scene.post.model_copy(update={"key": f"e-{number}"}))
    assert len(list(scene.hook.iter_experiments(max_items=4))) == 4
    assert len(scene.hook.list_experiments(max_items=4)) == 4


def test_a_dry_run_changes_nothing(scene: Scene) -> None:
    from airflow_provider_launchdarkly.api.models import TurnFlagOff

    before = scene.hook.get_flag("checkout-button")
    shown = scene.hook.patch_flag("checkout-button", [TurnFlagOff()], dry_run=True)
    assert shown.environments["production"].on is False
    assert scene.hook.get_flag("checkout-button") == before


def test_a_refused_token_in_a_walk_is_looked_up_again(scene: Scene, emulator: EmulatorServer) -> None:
    from airflow_provider_launchdarkly.api.errors import AuthenticationError

    emulator.fault("get_experiments", "status", status=401)

    async def walk() -> list[str]:
        hook = LaunchDarklyHook()
        with pytest.raises(AuthenticationError):
            await gathered(hook.iter_experiments.aio())
        return [item.key for item in await gathered(hook.iter_experiments.aio())]

    assert asyncio.run(walk()) == ["bold"]
