"""People who were asked are reminded while the question is open, through `dag.test()`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.testing import EmulatorServer
from dags.test_approval_example import CROSSING, make_true, rollout_dag, served
from dags.test_experiment_rollout import xcom
from dags.test_rollout_examples import ended
from support.heard import HEARD, PATH
from support.open_question import OpenQuestion

pytestmark = pytest.mark.usefixtures("connection", "airflow_database")

__all__ = ["rollout_dag"]  # a fixture


def test_each_multiple_is_told_once_and_the_answer_counts(
    emulator: EmulatorServer,
    rollout_dag: Callable[[dict[str, Any]], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_true(emulator, CROSSING)
    HEARD.clear()
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL", str(6 * 60 * 60))
    asking = OpenQuestion(emulator, monkeypatch)
    # The trigger's sleeps turn the emulator's clock alone: one day to the first reminder, two to the second.
    asking.answer_after = timedelta(days=4)
    approval = {"before_ship": True, "timeout": "5d", "remind_after": "1d"}
    notify = [{"through": PATH, "events": ["asked", "reminded"]}]
    run = rollout_dag({"approval": approval, "notify": notify}).test()
    assert ended(run) == ["ship"]
    assert xcom(run, "rollout.before_ship.approve")["chosen_options"] == ["Approve"]
    assert served() == "Bold"
    asked, *reminded = [text for text in HEARD if "Ship the winner of button to everyone?" in text.split("\n")[0]]
    assert asked.startswith("Ship the winner of button to everyone?")
    question = "Ship the winner of button to everyone?"
    told = [text.split("\n")[0] for text in reminded]
    assert told == [f"Still open, reminder {number}: {question}" for number in range(1, len(told) + 1)]
    assert len(told) >= 2
    for text in reminded:
        assert "Approve: everyone gets Bold if the results still say so. Reject: " in text
        assert "What you can do: Answer the question in Airflow." in text
    assert len(asking.asked) == 1
