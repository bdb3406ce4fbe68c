"""A ship that a person rejects, or to which nobody answers, through `dag.test()`: its ending is `refused`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.testing import EmulatorServer
from dags.test_approval_example import CROSSING, make_true, rollout_dag, served
from dags.test_experiment_rollout import xcom
from dags.test_rollout_examples import ended, states
from support.heard import HEARD, PATH
from support.open_question import NOBODY, REJECTED, OpenQuestion

pytestmark = pytest.mark.usefixtures("connection", "airflow_database")

__all__ = ["rollout_dag"]  # a fixture


@pytest.fixture
def asking(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> OpenQuestion:
    """A person who answers six hours after the question, while Bold goes on to win."""
    make_true(emulator, CROSSING)
    HEARD.clear()
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL", str(6 * 60 * 60))
    question = OpenQuestion(emulator, monkeypatch)
    question.answer_after = timedelta(hours=6)
    return question


@pytest.mark.parametrize(
    ("answer", "settings", "who", "serves"),
    [
        (REJECTED, {}, "grace", "split"),
        (REJECTED, {"endings": {"refused": "baseline"}}, "grace", "Classic"),
        (NOBODY, {"endings": {"refused": "baseline"}}, None, "split"),
        (NOBODY, {"approval": {"before_ship": True, "otherwise": "baseline"}}, None, "Classic"),
    ],
    ids=["rejected", "rejected, to the baseline", "no answer", "no answer, to the baseline"],
)
def test_a_refused_ship(
    emulator: EmulatorServer,
    asking: OpenQuestion,
    rollout_dag: Callable[[dict[str, Any]], Any],
    answer: dict[str, Any],
    settings: dict[str, Any],
    who: str | None,
    serves: str,
) -> None:
    asking.answer = answer
    notify = {"notify": [{"through": PATH, "events": ["asked", "ended.refused"]}]}
    run = rollout_dag({"approval": {"before_ship": True}, **settings, **notify}).test()
    assert ended(run) == ["refused"]
    assert states(run)["rollout.ship"] == states(run)["rollout.unwatched"] == ["skipped"]
    found = xcom(run, "rollout.refused")
    assert (found["ending"], found["refused_by"]) == ("refused", who)
    assert found["verdict"]["iteration_id"] == found["iteration_id"]
    assert served() == serves
    asked, end = [text for text in HEARD if text.startswith(("Ship ", "refused: "))]
    assert asked.startswith("Ship the winner of button to everyone?")
    assert end.startswith(f"refused: {f'rejected by {who}' if who else 'nobody answered in time'}")
    if serves == "Classic":
        assert found["unwatched"] is None
        assert "everyone gets Classic, the baseline" in end
    else:
        assert found["stopped"] is None
        assert "No guardrail is watched" in found["unwatched"]["text"]
        assert "watches neither guardrails nor the split" in end
