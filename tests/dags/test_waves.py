"""Waves through `dag.test()`: the examples, and six targets of which more fail than tolerated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly import rollout_dag
from airflow_provider_launchdarkly.testing import EmulatorServer
from dags.conftest import register
from dags.test_rollout_examples import APPROVED, states
from support.endings import ENDINGS
from support.lone_polls import poll_alone
from support.promotions import changed_in, make_true, truth
from support.waves import ROLLOUT, TARGETS, an_environment_for_each_target


class World:
    """What is true while the target that began last runs.

    Attributes:
        effects: The effect of Bold in each target; much good where none is named.
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
    with EmulatorServer(world=an_environment_for_each_target()) as server:
        yield server


@pytest.fixture
def world(connection: str, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> World:
    found = World(emulator)
    poll_alone(monkeypatch, found.sleep)
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL", str(6 * 60 * 60))
    pricing = truth(0.3, "New", metric="signup-form-opened")
    emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"pricing-page": pricing}))
    return found


def endings(found: dict[str, list[str]], wave: int, *targets: str) -> list[list[str]]:
    places = (f"wave_{wave}.{target}" for target in targets)
    return [[str(ending) for ending in ENDINGS if found[f"{place}.{ending}"] == ["success"]] for place in places]


def test_all_stop_once_more_targets_failed_than_tolerated(world: World, airflow_database: None) -> None:
    asked = {"size": "34%", "pause": "3d"}
    settings = {"order": [1, asked, "rest"], "max_under_way": 1, "max_failed": 1}
    dag = rollout_dag({**ROLLOUT, "waves": settings}, dag_id="six")
    register(dag)
    world.effects = {"berlin": -0.5, "rome": -0.5}
    run = dag.test()
    found = states(run)
    assert run.state == "success"
    assert endings(found, 1, "berlin") == [["rollback"]]
    assert endings(found, 2, "paris", "rome") == [["ship"], ["rollback"]]
    assert endings(found, 3, *TARGETS[3:]) == [[], [], []]
    assert found["stopped"] == found["summary"] == found["pause_wave_2"] == ["success"]
    rest = {
        state
        for task, several in found.items()
        if task.startswith("wave_3.") and ".begin_" not in task
        for state in several
    }
    assert rest == {"skipped"}
    assert set(changed_in(world.emulator, "iteration.started")) == {"berlin", "paris", "rome"}


def test_a_target_whose_task_fails_fails_the_run_and_the_others_go_on(world: World, airflow_database: None) -> None:
    targets = [{**ROLLOUT["targets"][0], "experiment": {"flag": "not-there"}}, *ROLLOUT["targets"][1:3]]
    settings = {"order": [1, "rest"], "max_under_way": 2, "max_failed": 1}
    dag = rollout_dag({**ROLLOUT, "targets": targets, "waves": settings}, dag_id="three")
    register(dag)
    run = dag.test()
    found = states(run)
    assert run.state == "failed"
    assert found["wave_1.berlin.unwatched"] == ["failed"]
    assert endings(found, 2, "paris", "rome") == [["ship"], ["ship"]]
    assert found["stopped"] == ["skipped"]
    assert found["summary"] == ["success"]


@pytest.mark.parametrize(
    ("dag_id", "waves"),
    [
        ("waves", [["testers-germany"], ["testers-elsewhere"], ["germany", "elsewhere"]]),
        ("fleet-new-pricing", [["testers"], ["germany", "elsewhere"]]),
    ],
)
def test_the_examples_ship_everywhere(
    world: World, load_dag: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, dag_id: str, waves: list[list[str]]
) -> None:
    from airflow.providers.standard.operators.hitl import HITLOperator

    monkeypatch.setattr(HITLOperator, "execute", lambda _self, _context: APPROVED)
    run = load_dag(dag_id).test()
    found = states(run)
    assert run.state == "success"
    for number, targets in enumerate(waves, start=1):
        assert endings(found, number, *targets) == [["ship"]] * len(targets)
    assert found["stopped"] == ["skipped"]
