"""The example whose winner ships through a release, through `dag.test()`: completed, regressed, and in a promotion."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly import rollout_dag
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.rollout.options import Ending
from airflow_provider_launchdarkly.testing import EmulatorServer
from dags.conftest import register
from dags.test_rollout_examples import states
from support.heard import HEARD, PATH
from support.lone_polls import poll_alone

FLAG = "checkout-button"


class World:
    """What is true of the button: it wins, and from the first release on the pages may load slower.

    Attributes:
        slower: The share by which pages load slower with the winner, from the first release on.
    """

    def __init__(self, emulator: EmulatorServer) -> None:
        self.emulator = emulator
        self.slower = 0.0

    async def sleep(self, seconds: float) -> None:
        """Turn the clock by the time that a trigger sleeps."""
        slower = self.slower if self.emulator.effects("release.started") else 0.0
        truth = {
            "people_per_day": 6_000,
            "metrics": {
                "checkout-conversion": {"baseline_rate": 0.10, "effects": {"Bold": {"relative": 0.3}}},
                "page-load-ms": {
                    "baseline_mean": 820,
                    "standard_deviation": 240,
                    "effects": {"Bold": {"relative": slower}},
                },
            },
        }
        self.emulator.call(lambda it: it.world.projects["demo"].truths.update({FLAG: GroundTruth.from_dict(truth)}))
        self.emulator.clock.advance(timedelta(seconds=seconds))


@pytest.fixture
def world(connection: str, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> World:
    found = World(emulator)
    poll_alone(monkeypatch, found.sleep)
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL", str(6 * 60 * 60))
    return found


def endings(run: Any, group: str = "rollout") -> list[str]:
    found = states(run)
    assert not {"failed", "upstream_failed"} & {state for each in found.values() for state in each}
    return [ending for ending in Ending if found[f"{group}.{ending}"] == ["success"]]


def served(environment: str = "production") -> tuple[str, int]:
    """What everyone gets, and how many rules stand before the default rule."""
    flag = LaunchDarklyHook(environment_key=environment).get_flag(FLAG)
    config = flag.environments[environment]
    assert config.fallthrough is not None
    variation = flag.variation_at(config.fallthrough.variation)
    return variation.name if variation else "split", len(config.rules)


@pytest.mark.parametrize(("slower", "ending", "gets"), [(0.0, "ship", "Bold"), (0.3, "regressed", "Classic")])
def test_a_release_takes_the_winner_to_everyone_or_back(
    world: World, load_dag: Callable[[str], Any], slower: float, ending: str, gets: str
) -> None:
    world.slower = slower
    run = load_dag("ship_by_release").test()
    assert run.state == "success"
    assert endings(run) == [ending]
    assert served() == (gets, 0)
    assert len(world.emulator.effects("iteration.stopped")) == len(world.emulator.effects("release.started")) == 1
    assert events(run.run_id)[-1] == ending


def promotion() -> dict[str, Any]:
    return {
        "experiment": {
            "key": "button",
            "flag": FLAG,
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [{"allocation": 50, "gate": "decision"}],
        "policy": {"min_duration": "2d", "max_duration": "7d", "guardrails": [{"metric": "page-load-ms"}]},
        "endings": {"ship": {"release": {"steps": [{"percent": 50, "duration": "2d"}]}}},
        "turn_flag_on": True,
        "environments": ["test", "production"],
    }


def test_people_are_told_that_the_release_runs_before_they_hear_how_it_ended(
    world: World, airflow_database: None
) -> None:
    HEARD.clear()
    told = {"through": PATH, "events": ["release_started", "ended"]}
    dag = rollout_dag({**promotion(), "environments": ["test"], "notify": [told]}, dag_id="told_of_a_release")
    register(dag)
    assert dag.test().state == "success"
    started, ended = HEARD
    assert started.startswith("Ships: button: Bold through a guarded release in steps of 50 % for 2d, guarded by ")
    assert "Bold step by step (50 % for 2d), and the others Classic" in started
    assert "If it goes back, everyone gets Classic, and the rollout ends regressed." in started
    assert ended.startswith("ship: ")


@pytest.mark.parametrize(("slower", "ends"), [(0.0, [["ship"], ["ship"]]), (0.3, [["regressed"], []])])
def test_the_next_environment_begins_once_the_release_before_has_completed(
    world: World, airflow_database: None, slower: float, ends: list[list[str]]
) -> None:
    world.slower = slower
    dag = rollout_dag(promotion(), dag_id="promotion_by_release")
    register(dag)
    run = dag.test()
    assert run.state == "success"
    assert [endings(run, place) for place in ("test", "production")] == ends
    begun = [effect["environment"] for effect in world.emulator.effects("iteration.started")]
    assert begun == ["test", "production"][: sum(map(bool, ends))]


def events(run_id: str) -> list[str]:
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(
            select(AssetEvent).where(AssetEvent.source_run_id == run_id).order_by(AssetEvent.timestamp, AssetEvent.id)
        )
        return [event.extra["event"] for event in found]
