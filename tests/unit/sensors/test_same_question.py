"""A policy that changes under a running iteration, and an iteration that repeats the question of an earlier one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.cli.main import main
from unit.sensors.conftest import KEY, Underway

LONGER = {"max_duration": "42d", "futility": None}


def entries(folder: Path, iteration_id: str) -> tuple[dict[str, Any], ...]:
    path = folder / "demo" / "production" / KEY / f"{iteration_id}.jsonl"
    return chain.read(path.read_text(encoding="utf-8"))


@pytest.fixture
def looked(underway: Underway, tmp_path: Path) -> Path:
    """A record with a look by the default policy on day 3; then a day passes."""
    underway.emulator.clock.advance("P3D")
    with pytest.raises(TaskDeferred):
        underway.sensor(record_path=str(tmp_path)).execute({})
    underway.emulator.clock.advance("P1D")
    return tmp_path


class TestAChangedPolicy:
    def test_is_in_the_evidence_and_told_and_follows_again(
        self, underway: Underway, looked: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(TaskDeferred):
            underway.sensor(record_path=str(looked), policy=LONGER).execute({})
        before, now = entries(looked, underway.iteration_id)
        assert before["evidence"]["spent"] is None
        assert "max_duration from 28d to 42d" in now["evidence"]["spent"]["changes"]
        assert any("judged by another policy before" in caution for caution in now["verdict"]["cautions"])
        path = looked / "demo" / "production" / KEY / f"{underway.iteration_id}.jsonl"
        assert main(["replay", str(path)]) == 0
        assert "Every verdict follows again." in capsys.readouterr().out

    def test_may_be_refused_with_what_changed_and_the_cure(self, underway: Underway, looked: Path) -> None:
        policy = LONGER | {"on_change": "refuse"}
        told = r"PolicyChangedError: .*max_duration from 28d to 42d.*write on_change: spend_left or accept"
        with pytest.raises(AirflowFailException, match=told):
            underway.sensor(record_path=str(looked), policy=policy).execute({})
        assert len(entries(looked, underway.iteration_id)) == 1

    def test_cannot_be_noticed_without_a_record(self, underway: Underway, looked: Path) -> None:
        with pytest.raises(TaskDeferred):
            underway.sensor(policy=LONGER | {"on_change": "refuse"}).execute({})


class TestARepeatedQuestion:
    @pytest.fixture
    def again(self, underway: Underway) -> Underway:
        """The same experiment in a second iteration, three days old."""
        underway.emulator.clock.advance("P3D")
        saved = underway.hook.save_and_start(KEY, underway.iteration_id, None, justification="once more", comment="")
        underway.emulator.clock.advance("P3D")
        return Underway(underway.emulator, underway.hook, saved.iteration.id, underway.treatments)

    def look(self, underway: Underway, folder: Path, **policy: Any) -> dict[str, Any]:
        with pytest.raises(TaskDeferred):
            underway.sensor(record_path=str(folder), policy=policy).execute({})
        return entries(folder, underway.iteration_id)[-1]

    def test_is_told_with_what_it_costs(self, again: Underway, tmp_path: Path) -> None:
        entry = self.look(again, tmp_path)
        assert entry["evidence"]["repeats"] == 1
        told = "this is iteration 2 on the same question: the chance of a false ship over all is up to 9.8 %"
        assert told in entry["verdict"]["cautions"]

    def test_may_be_divided(self, again: Underway, tmp_path: Path) -> None:
        entry = self.look(again, tmp_path, on_repeat="divide")
        (compared,) = entry["verdict"]["metrics"][0]["comparisons"]
        assert compared["success"]["alpha"] == pytest.approx(0.05 / 4)
        assert not any("same question" in caution for caution in entry["verdict"]["cautions"])

    def test_may_be_refused(self, again: Underway) -> None:
        told = r"QuestionRepeatedError: .*1 earlier iteration of this experiment"
        with pytest.raises(AirflowFailException, match=told):
            again.sensor(policy={"on_repeat": "refuse"}).execute({})

    def test_is_one_for_any_metric_that_both_iterations_measure(self, again: Underway, tmp_path: Path) -> None:
        entry = self.look(again, tmp_path, primary={"metric": "page-load-ms", "direction": "lower"})
        assert entry["evidence"]["repeats"] == 1

    def test_the_first_iteration_repeats_nothing(self, underway: Underway, tmp_path: Path) -> None:
        underway.emulator.clock.advance("P3D")
        assert self.look(underway, tmp_path)["evidence"]["repeats"] == 0
