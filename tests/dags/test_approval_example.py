"""The example with an approval between the verdict and the ship, through `dag.test()`, while the data change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.rollout.options import Ending
from airflow_provider_launchdarkly.testing import EmulatorServer
from dags.conftest import dag_bag, register
from dags.test_experiment_rollout import xcom
from dags.test_rollout_examples import APPROVED, ended, states, time_flies
from support.heard import HEARD, PATH

pytestmark = pytest.mark.usefixtures(time_flies.__name__)

PRIMARY = "checkout-conversion"
# By these lifts Bold crosses after a week. The emulator's people are the same in each run, so a weaker lift a day later
# has the same z each time: it is below the boundary and still there, or gone.
CROSSING, NONE, HOPELESS, HARM = 0.15, 0.0, -0.08, -0.3


def make_true(emulator: EmulatorServer, effect: float) -> None:
    conversion = {"baseline_rate": 0.10, "effects": {"Bold": {"relative": effect}}}
    load = {"baseline_mean": 820, "standard_deviation": 240}
    truth = GroundTruth.from_dict({"people_per_day": 2_000, "metrics": {PRIMARY: conversion, "page-load-ms": load}})
    emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": truth}))


def served() -> str:
    flag = LaunchDarklyHook().get_flag("checkout-button")
    rule = flag.environments["production"].fallthrough
    assert rule is not None
    found = flag.variation_at(rule.variation)
    return found.name if found else "split"


@pytest.fixture
def answer_after(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A person who approves a day later, when the effect is another one."""
    from airflow.providers.standard.operators.hitl import HITLOperator

    def prepare(effect: float) -> None:
        def execute(self: Any, context: Any) -> Any:
            emulator.clock.advance(timedelta(days=1))
            make_true(emulator, effect)
            return APPROVED

        monkeypatch.setattr(HITLOperator, "execute", execute)

    make_true(emulator, CROSSING)
    return prepare


ROLLOUT = """
from airflow_provider_launchdarkly import rollout_dag

rollout_dag(
    {{
        "experiment": {{
            "key": "button",
            "flag": "checkout-button",
            "hypothesis": "Bold is better.",
            "treatments": [{{"variation": "Classic", "baseline": True}}, {{"variation": "Bold"}}],
            "primary_metric": "checkout-conversion",
        }},
        "stages": [{{"allocation": 50, "gate": "decision"}}],
        "turn_flag_on": True,
        **{more},
    }},
    dag_id="approved",
)
"""


@pytest.fixture
def rollout_dag(tmp_path: Path, airflow_database: None) -> Callable[[dict[str, Any]], Any]:
    """Write a rollout's DAG file, and load it."""

    def load(more: dict[str, Any]) -> Any:
        (tmp_path / "approved.py").write_text(ROLLOUT.format(more=more))
        bag = dag_bag(str(tmp_path))
        assert not bag.import_errors
        register(bag.dags["approved"])
        return bag.dags["approved"]

    return load


@pytest.mark.parametrize(
    ("then", "task", "said", "served_after"),
    [
        (0.03, "stop", "crossed and stands: ship", "Bold"),
        (HOPELESS, "tell", "crossed, but the effect is gone", "split"),
        (HARM, "stop", "roll back", "Classic"),
    ],
)
def test_plain_operators(
    emulator: EmulatorServer,
    load_dag: Callable[[str], Any],
    answer_after: Callable[[float], None],
    then: float,
    task: str,
    said: str,
    served_after: str,
) -> None:
    answer_after(then)
    run = load_dag("plain_approval").test()
    assert run.state == "success"
    found = states(run)
    assert [name for name in ("stop", "tell") if found[name] == ["success"]] == [task]
    assert said in xcom(run, "judge", "summary")
    assert served() == served_after


@pytest.mark.parametrize(
    ("then", "ending", "said", "served_after"),
    [
        (0.10, Ending.SHIP, "crossed and stands: ship", "Bold"),
        (NONE, Ending.INCONCLUSIVE, "crossed, but the effect is gone", "split"),
        (HOPELESS, Ending.INCONCLUSIVE, "inconclusive, though the plan has not ended", "split"),
        (HARM, Ending.ROLLBACK, "roll back", "Classic"),
    ],
)
def test_a_rollout(
    emulator: EmulatorServer,
    rollout_dag: Callable[[dict[str, Any]], Any],
    answer_after: Callable[[float], None],
    then: float,
    ending: Ending,
    said: str,
    served_after: str,
) -> None:
    answer_after(then)
    run = rollout_dag({"approval": {"before_ship": True}}).test()
    assert ended(run) == [ending]
    assert said in xcom(run, "rollout.verdict")["confirmation"]["verdict"]["summary"]
    assert served() == served_after


@pytest.mark.parametrize("at", ["ship", "stage_2.start"])
def test_harm_in_the_last_check_before_a_write_is_told_once_before_the_end(
    emulator: EmulatorServer,
    rollout_dag: Callable[[dict[str, Any]], Any],
    answer_after: Callable[[float], None],
    at: str,
) -> None:
    HEARD.clear()
    answer_after(HARM)
    stages = [{"allocation": 50, "dwell": "2d"}, {"allocation": 50, "gate": "decision", "approval": True}]
    more = {"approval": {"before_ship": True}} if at == "ship" else {"stages": stages}
    run = rollout_dag({**more, "notify": [{"through": PATH, "events": ["harm", "ended"]}]}).test()
    assert ended(run) == [Ending.ROLLBACK]
    assert states(run)[f"rollout.{at}"] == ["skipped"]
    harm, end = HEARD
    assert "What follows: The rollout stops the experiment" in harm
    assert harm.split("\n")[0].endswith("stage 1 of 1" if at == "ship" else "stage 1 of 2")
    assert "everyone gets Classic, the baseline" in end


def test_a_rollout_that_waits_for_its_change_window(
    emulator: EmulatorServer,
    rollout_dag: Callable[[dict[str, Any]], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow_provider_launchdarkly.sensors.change_window import LaunchDarklyChangeWindowSensor

    make_true(emulator, CROSSING)
    opened = LaunchDarklyChangeWindowSensor.execute

    def execute(self: Any, context: Any) -> Any:
        if "before_ship" in self.task_id:
            emulator.clock.advance(timedelta(days=1))
            make_true(emulator, 0.10)
        return opened(self, context)

    monkeypatch.setattr(LaunchDarklyChangeWindowSensor, "execute", execute)
    run = rollout_dag({"change_window": {"timezone": "UTC", "hours": "00:00-24:00"}}).test()
    assert ended(run) == [Ending.SHIP]
    assert "crossed and stands: ship" in xcom(run, "rollout.verdict")["confirmation"]["verdict"]["summary"]
    assert served() == "Bold"
