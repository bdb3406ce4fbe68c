"""Promotions through `dag.test()`: the examples, and three environments to each of their endings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly import rollout_dag
from airflow_provider_launchdarkly.rollout.release_steps import ReleaseEnding
from airflow_provider_launchdarkly.testing import EmulatorServer
from dags.conftest import register
from dags.test_rollout_examples import APPROVED, states
from support.endings import ENDINGS
from support.lone_polls import poll_alone
from support.promotions import ENVIRONMENTS, changed_in, make_true, three_environments, truth
from support.release_rollouts import FLAG, GUARDED, RELEASE, started_in
from support.surroundings import REPOSITORY

PROMOTION: dict[str, Any] = {
    "experiment": {
        "key": "button",
        "flag": "checkout-button",
        "hypothesis": "A bold button brings more people through the checkout.",
        "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
        "primary_metric": "checkout-conversion",
    },
    "stages": [{"allocation": 10, "dwell": "1d"}, {"allocation": 50, "gate": "decision"}],
    "policy": {"min_duration": "2d", "max_duration": "7d"},
    "turn_flag_on": True,
    "environments": [{"key": "test", "stages": [{"allocation": 50, "gate": "decision"}]}, "staging", "production"],
}


class World:
    """What is true while the last environment that has begun runs.

    Attributes:
        effects: The effect of Bold in each environment; much good where none is named.
    """

    def __init__(self, emulator: EmulatorServer) -> None:
        self.emulator = emulator
        self.effects: dict[str, float] = {}

    async def sleep(self, seconds: float) -> None:
        """Turn the clock by the time that a trigger sleeps."""
        begun = changed_in(self.emulator, "iteration.started")
        make_true(self.emulator, self.effects.get(begun[-1], 0.3) if begun else 0.3)
        self.emulator.clock.advance(timedelta(seconds=seconds))


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer(world=three_environments()) as server:
        yield server


@pytest.fixture
def world(connection: str, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> World:
    found = World(emulator)
    poll_alone(monkeypatch, found.sleep)
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL", str(6 * 60 * 60))
    return found


@pytest.fixture
def promotion(airflow_database: None) -> Any:
    dag = rollout_dag(PROMOTION, dag_id="promotion")
    register(dag)
    return dag


def endings(found: dict[str, list[str]], *environments: str) -> list[list[str]]:
    return [[str(ending) for ending in ENDINGS if found[f"{place}.{ending}"] == ["success"]] for place in environments]


def test_three_environments_ship_in_order(world: World, promotion: Any) -> None:
    run = promotion.test()
    assert run.state == "success"
    assert endings(states(run), *ENVIRONMENTS) == [["ship"], ["ship"], ["ship"]]
    started = changed_in(world.emulator, "iteration.started")
    assert started == ["test", "staging", "staging", "production", "production"]


def test_the_second_harms_and_the_third_stays_untouched(world: World, promotion: Any) -> None:
    world.effects["staging"] = -0.5
    run = promotion.test()
    found = states(run)
    assert run.state == "success"
    assert endings(found, *ENVIRONMENTS) == [["ship"], ["rollback"], []]
    assert found["promote_to_production"] == ["success"]
    assert {state for task, each in found.items() if task.startswith("production.") for state in each} == {"skipped"}
    assert all("production" not in request.path for request in world.emulator.requests())


def test_a_task_that_fails_ends_the_run_and_only_its_environment_tells(world: World, promotion: Any) -> None:
    world.emulator.call(lambda inside: inside.world.projects["demo"].flags.pop("checkout-button"))
    run = promotion.test()
    found = states(run)
    assert run.state == "failed"
    assert found["test.unwatched"] == ["failed"]
    assert found["promote_to_staging"] == ["upstream_failed"]
    assert found["staging.unwatched"] == found["production.unwatched"] == ["skipped"]


@pytest.mark.parametrize("dag_id", ["promote", "fleet-search-by-meaning"])
def test_the_examples_ship_in_test_and_then_in_production(
    world: World, load_dag: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, dag_id: str
) -> None:
    from airflow.providers.standard.operators.hitl import HITLOperator

    monkeypatch.setattr(HITLOperator, "execute", lambda _self, _context: APPROVED)
    run = load_dag(dag_id).test()
    found = states(run)
    assert run.state == "success"
    (test,), production = endings(found, "test", "production")
    assert test == "ship"
    assert len(production) == 1
    assert found["production.before_ship.approve"] == (["success"] if production == ["ship"] else ["skipped"])


def test_the_pipeline_of_the_guide_ships_in_test_and_then_in_production(
    world: World, airflow_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.standard.operators.hitl import HITLOperator

    monkeypatch.setattr(HITLOperator, "execute", lambda _self, _context: APPROVED)
    guide = (REPOSITORY / "docs" / "how-to" / "from-launchdarkly-workflows.md").read_text()
    (shown,) = (block for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "pipeline = " in block)
    found: dict[str, Any] = {}
    exec(shown, found)
    register(found["pipeline"])
    pricing = truth(0.3, "New", metric="signup-form-opened")
    world.emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"pricing-page": pricing}))
    run = found["pipeline"].test()
    assert run.state == "success"
    assert endings(states(run), "test", "production") == [["ship"], ["ship"]]


def test_releases_complete_in_order_and_stop_where_one_goes_back(
    world: World, airflow_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

    async def sleep(seconds: float) -> None:
        begun = started_in(world.emulator)
        if begun[-1:] == ["production"]:
            hook = LaunchDarklyHook(environment_key="production")
            for release in hook.list_releases(FLAG):
                if not release.ended:
                    hook.stop_release(FLAG, release.id, "roll_back_all_phases_and_remove_pending_phases")
        world.emulator.clock.advance(timedelta(seconds=seconds))

    poll_alone(monkeypatch, sleep)
    dag = rollout_dag(RELEASE, dag_id="releases")
    register(dag)
    run = dag.test()
    found = states(run)
    assert run.state == "success"
    ended = [[str(each) for each in ReleaseEnding if found[f"{place}.{each}"] == ["success"]] for place in ENVIRONMENTS]
    assert ended == [["completed"], ["completed"], ["reverted"]]
    assert found["promote_to_production"] == ["success"]
    assert found["test.decide"] == ["skipped"]
    assert started_in(world.emulator) == list(ENVIRONMENTS)


def test_a_release_that_nobody_decides_about_in_time_fails_and_the_next_does_not_begin(
    world: World, airflow_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sleep(seconds: float) -> None:
        make_true(world.emulator, -0.6)
        world.emulator.clock.advance(timedelta(seconds=seconds))

    poll_alone(monkeypatch, sleep)
    spec = {**GUARDED, "decide_within": "1m", "environments": ["test", "production"]}
    dag = rollout_dag(spec, dag_id="undecided", retries=0)
    sensor: Any = dag.get_task("test.decide")
    sensor.timeout, sensor.deferrable, sensor.poke_interval = 0.1, False, 0.1
    register(dag)
    run = dag.test()
    found = states(run)
    assert run.state == "failed"
    assert found["test.watch"] == ["success"]
    assert found["test.decide"] == ["failed"]
    assert found["promote_to_production"] == ["upstream_failed"]
    assert started_in(world.emulator) == ["test"]
