"""Harm while a rollout asks a person or awaits its change window, through `dag.test()`: it is rolled back at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.testing import EmulatorServer
from dags.conftest import dag_bag, register
from dags.test_approval_example import make_true, served
from dags.test_experiment_rollout import xcom
from dags.test_rollout_examples import ended, states
from support.heard import HEARD, PATH
from support.open_question import APPROVED, OpenQuestion

pytestmark = pytest.mark.usefixtures("connection", "airflow_database")

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
        "stages": [{{"allocation": 50, "dwell": "1d"}}, {{"allocation": 50, "gate": "decision", "approval": {asks}}}],
        "turn_flag_on": True,
        "notify": [{{"through": "{path}", "events": ["asked", "harm", "ended"]}}],
        **{more},
    }},
    dag_id="guarded",
    poll_interval=900,
    retries=1,
    retry_delay=0,
)
"""
HARM = -0.6
# The emulator's first day is the fifth, and the first stage ends a day later.
SHUT = {"timezone": "UTC", "hours": "00:00-24:00", "blackout": ["2026-01-06/2026-01-08"]}


@pytest.fixture
def asking(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> OpenQuestion:
    make_true(emulator, 0.0)
    HEARD.clear()
    return OpenQuestion(emulator, monkeypatch)


@pytest.fixture
def guarded(tmp_path: Path) -> Callable[..., Any]:
    """Write a rollout's DAG file, and load it."""

    def load(*, asks: bool = True, **more: Any) -> Any:
        (tmp_path / "guarded.py").write_text(ROLLOUT.format(asks=asks, more=more, path=PATH))
        bag = dag_bag(str(tmp_path))
        assert not bag.import_errors
        register(bag.dags["guarded"])
        return bag.dags["guarded"]

    return load


def harmed_at_once(emulator: EmulatorServer, run: Any, waiting: str) -> None:
    """Check that harm ended a task's waiting within half a day, and everyone is back on the baseline."""
    assert ended(run) == ["rollback"]
    verdict = xcom(run, waiting)["ended_by"]
    assert (verdict["verdict"], verdict["reason"]) == ("rollback", "primary_harmed")
    assert verdict["elapsed_days"] < 1.5
    assert xcom(run, "rollout.rollback")["why"] == verdict["summary"]
    assert served() == "Classic"
    assert len(emulator.effects("iteration.stopped")) == 1
    # Not the question, nor what a notifier that another test has made slow says late.
    harm, end = [text for text in HEARD if text.startswith("rollback: ")]
    assert harm.startswith(f"rollback: {verdict['summary']}")
    assert end.startswith("rollback: ")


def test_during_an_approval(emulator: EmulatorServer, asking: OpenQuestion, guarded: Callable[..., Any]) -> None:
    asking.on_asked = lambda: make_true(emulator, HARM)
    run = guarded().test()
    harmed_at_once(emulator, run, "rollout.stage_2.approve")
    (question,) = asking.asked
    assert "**Guardrails are watched while this is open**: every 1h" in question["body"]
    assert states(run)["rollout.stage_2.start"] == ["skipped"]
    assert any("is closed. The rollout stops the experiment" in text for text in HEARD)
    assert "Approve: stage 2 of 2 starts, and 50 % get something new if the results still say so. Reject: " in "".join(
        HEARD
    )


def test_during_a_change_window(emulator: EmulatorServer, asking: OpenQuestion, guarded: Callable[..., Any]) -> None:
    asking.answer_after = timedelta(hours=1)
    asking.on_asked = lambda: make_true(emulator, HARM)
    dag = guarded(asks=False, change_window=SHUT)
    window = type(dag.get_task("rollout.stage_2.window"))
    watched = window.watched

    def harm_begins(self: Any, context: Any) -> Any:
        make_true(emulator, HARM)
        return watched(self, context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window, "watched", harm_begins)
        run = dag.test()
    harmed_at_once(emulator, run, "rollout.stage_2.window")
    assert asking.asked == []


def test_the_window_after_a_question_that_harm_closed_is_not_awaited(
    emulator: EmulatorServer, asking: OpenQuestion, guarded: Callable[..., Any]
) -> None:
    asking.on_asked = lambda: make_true(emulator, HARM)
    run = guarded(change_window=SHUT).test()
    harmed_at_once(emulator, run, "rollout.stage_2.approve")
    assert xcom(run, "rollout.stage_2.window") == {"opened": None}


def test_without_harm_an_approved_stage_goes_on(
    emulator: EmulatorServer, asking: OpenQuestion, guarded: Callable[..., Any]
) -> None:
    asking.answer_after = timedelta(days=1, hours=6)
    asking.on_asked = lambda: make_true(emulator, 0.3)
    run = guarded().test()
    assert ended(run) == ["ship"]
    answer = xcom(run, "rollout.stage_2.approve")
    assert answer["chosen_options"] == ["Approve"]
    assert "ended_by" not in answer
    assert served() == "Bold"
    assert [text for text in HEARD if text.startswith("rollback")] == []


def test_with_the_watch_off_harm_is_found_after_the_answer(
    emulator: EmulatorServer, asking: OpenQuestion, guarded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.standard.operators.hitl import HITLOperator

    def execute(self: Any, context: Any) -> Any:
        assert "Guardrails are watched" not in self.body
        make_true(emulator, HARM)
        emulator.clock.advance("P1D")
        return APPROVED

    monkeypatch.setattr(HITLOperator, "execute", execute)
    run = guarded(watch_while_waiting=False).test()
    assert ended(run) == ["rollback"]
    assert xcom(run, "rollout.stage_2.approve")["chosen_options"] == ["Approve"]
    assert xcom(run, "rollout.stage_2.start")["confirmation"]["verdict"]["verdict"] == "rollback"


def test_a_retry_after_harm_asks_nobody_and_comes_to_the_same_end(
    emulator: EmulatorServer, asking: OpenQuestion, guarded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that found harm dies before it has said so."""
    from airflow_provider_launchdarkly.rollout.questions import LaunchDarklyQuestionOperator

    asking.on_asked = lambda: make_true(emulator, HARM)
    complete = LaunchDarklyQuestionOperator.execute_complete
    died: list[str] = []

    def dies_once(self: Any, context: Any, event: Any) -> Any:
        found = complete(self, context, event)
        if not died:
            died.append(self.task_id)
            raise RuntimeError("the worker is gone")
        return found

    monkeypatch.setattr(LaunchDarklyQuestionOperator, "execute_complete", dies_once)
    run = guarded().test()
    assert died == ["rollout.stage_2.approve"]
    assert len(asking.asked) == 1
    harmed_at_once(emulator, run, "rollout.stage_2.approve")


def test_during_an_approval_in_the_second_environment_of_a_promotion(
    emulator: EmulatorServer, asking: OpenQuestion, guarded: Callable[..., Any]
) -> None:
    asking.on_asked = lambda: make_true(emulator, HARM)
    make_true(emulator, 0.3)
    at_once = {"key": "test", "stages": [{"allocation": 50, "gate": "decision"}]}
    dag = guarded(environments=[at_once, "production"])
    run = dag.test()
    found = states(run)
    assert found["test.ship"] == found["promote_to_production"] == ["success"]
    assert found["production.rollback"] == ["success"]
    verdict = xcom(run, "production.stage_2.approve")["ended_by"]
    assert (verdict["verdict"], verdict["environment_key"]) == ("rollback", "production")
    (question,) = asking.asked
    assert "**Guardrails are watched while this is open**: every 1h" in question["body"]
    assert found["production.stage_2.start"] == ["skipped"]
