"""The retirement of a rollout's flag through `dag.test()`: the page's example, and flags archived or left alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly import rollout_dag
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from dags.conftest import register
from dags.test_experiment_rollout import xcom
from dags.test_rollout_examples import ended, states
from support.lone_polls import poll_alone
from support.open_question import NOBODY
from support.promotions import truth
from support.surroundings import REPOSITORY

FLAG = "checkout-button"
PAGE = (REPOSITORY / "docs" / "how-to" / "retire-a-flag.md").read_text()
(EXAMPLE,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "experiment_rollout" in block)


class World:
    """What Bold does, and a clock that each trigger's sleep turns.

    Attributes:
        while_polling: Called before each sleep.
    """

    def __init__(self, emulator: EmulatorServer) -> None:
        self.emulator = emulator
        self.while_polling: Callable[[], None] = lambda: None

    def let_bold(self, effect: float) -> None:
        metrics = {"checkout-conversion": {"baseline_rate": 0.10, "effects": {"Bold": {"relative": effect}}}}
        truth = GroundTruth.from_dict({"people_per_day": 6_000, "metrics": metrics})
        self.emulator.call(lambda inside: inside.world.projects["demo"].truths.update({FLAG: truth}))

    async def sleep(self, seconds: float) -> None:
        self.while_polling()
        self.emulator.clock.advance(timedelta(seconds=seconds))


@pytest.fixture
def world(connection: str, airflow_database: None, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> World:
    found = World(emulator)
    poll_alone(monkeypatch, found.sleep)
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL", str(24 * 60 * 60))
    return found


def rollout(**changes: Any) -> dict[str, Any]:
    return {
        "experiment": {
            "key": "button",
            "flag": FLAG,
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [{"allocation": 50, "gate": "decision"}],
        "policy": {"min_duration": "7d", "max_duration": "14d", "futility": "off"},
        "endings": {"retire": {"mode": "archive", "served_for": "30d", "environments": ["production"]}},
        "turn_flag_on": True,
    } | changes


def run_of(spec: dict[str, Any], name: str) -> Any:
    dag = rollout_dag(spec, dag_id=name)
    register(dag)
    return dag.test()


@pytest.mark.parametrize(("effect", "ending", "stays"), [(0.3, "ship", "Bold"), (-0.5, "rollback", "Classic")])
def test_the_example_of_the_page_proposes_once_the_time_has_passed(
    world: World, tmp_path: Path, effect: float, ending: str, stays: str
) -> None:
    world.let_bold(effect)
    found: dict[str, Any] = {}
    file = tmp_path / "checkout_button.py"
    file.write_text(EXAMPLE)
    exec(compile(EXAMPLE, str(file), "exec"), found)
    register(found["dag"])
    run = found["dag"].test()
    assert ended(run) == [ending]
    retired = xcom(run, "rollout.retire.flag")
    assert (retired["outcome"], retired["variation"]["name"], retired["changed"]) == ("proposed", stays, False)
    assert f"The branch that stays is the one for `{stays}`" in retired["card"]
    assert states(run)["open_pull_request"] == ["success"]
    flag = LaunchDarklyHook().get_flag(FLAG)
    assert not flag.archived
    last_change = flag.environments["production"].last_modified
    waited = datetime.fromisoformat(xcom(run, "rollout.retire.wait")["now"])
    assert last_change is not None
    assert timedelta(days=30) <= waited - last_change < timedelta(days=31)


def test_a_flag_is_archived_after_the_last_environment_of_a_promotion(world: World) -> None:
    world.let_bold(0.3)
    run = run_of(rollout(environments=["test", "production"]), "promoted")
    assert [ended(run, place) for place in ("test", "production")] == [["ship"], ["ship"]]
    assert xcom(run, "production.retire.flag")["outcome"] == "archived"
    assert not [task for task in states(run) if task.startswith("test.retire")]
    flag = LaunchDarklyHook().get_flag(FLAG)
    assert flag.archived


def test_an_experiment_without_a_winner_that_runs_on_keeps_its_flag(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.standard.operators.hitl import HITLOperator

    left = {**NOBODY, "chosen_options": ["Leave it running"]}
    monkeypatch.setattr(HITLOperator, "execute", lambda _self, _context: left)
    world.let_bold(0.0)
    endings = {**rollout()["endings"], "inconclusive": "ask"}
    run = run_of(rollout(endings=endings), "left_running")
    assert ended(run) == ["inconclusive"]
    found = states(run)
    assert found["rollout.retire.wait"] == found["rollout.retire.flag"] == ["skipped"]
    assert LaunchDarklyHook().get_experiment("button", expand=("previousIterations",)).running is not None
    assert not LaunchDarklyHook().get_flag(FLAG).archived


def test_an_experiment_that_someone_else_ended_keeps_its_flag(world: World) -> None:
    def stop_by_hand() -> None:
        experiment = LaunchDarklyHook().get_experiment("button", expand=("previousIterations",))
        if experiment.running is not None:
            LaunchDarklyHook().stop_iteration("button", str(experiment.running.id), winner="baseline", reason="by hand")

    world.let_bold(0.3)
    world.while_polling = stop_by_hand
    run = run_of(rollout(), "invalid")
    assert ended(run) == ["invalid"]
    found = states(run)
    assert found["rollout.unwatched"] == found["rollout.retire.wait"] == found["rollout.retire.flag"] == ["skipped"]


def test_each_target_of_waves_retires_its_flag_unless_another_rule_still_serves_something_else(world: World) -> None:
    world.let_bold(0.3)
    pricing = truth(0.3, "New", metric="signup-form-opened")
    world.emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"pricing-page": pricing}))
    other = {
        "key": "pricing",
        "flag": "pricing-page",
        "treatments": [{"variation": "Present", "baseline": True}, {"variation": "New"}],
        "primary_metric": "signup-form-opened",
    }
    targets = ["button", {"key": "pricing", "experiment": other}]
    run = run_of(rollout(targets=targets, waves={"order": [1, "rest"]}), "retiring_waves")
    groups = ["wave_1.button", "wave_2.pricing"]
    assert [ended(run, group) for group in groups] == [["ship"], ["ship"]]
    button, page = (xcom(run, f"{group}.retire.flag") for group in groups)
    assert button["outcome"] == "archived"
    assert (page["outcome"], page["reasons"][0]["against"]) == ("kept", "varies")
    assert states(run)["summary"] == ["success"]
