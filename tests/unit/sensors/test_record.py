"""The decision record: each look once, written by the worker, and named in the log and the XCom."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.audit_log.chain import BrokenRecordError
from airflow_provider_launchdarkly.cli.main import main
from unit.sensors.conftest import Fire, Underway, wait


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "decisions"


def place(folder: Path, underway: Underway) -> Path:
    return folder / "demo" / "production" / "bold-checkout-button" / f"{underway.iteration_id}.jsonl"


def entries(folder: Path, underway: Underway) -> tuple[dict[str, Any], ...]:
    return chain.read(place(folder, underway).read_text(encoding="utf-8"))


def test_each_look_is_on_record_with_its_evidence(underway: Underway, fire: Fire, folder: Path) -> None:
    verdict, _ = wait(underway, fire, record_path=str(folder))
    found = entries(folder, underway)
    assert [entry["verdict"]["look"] for entry in found] == list(range(1, verdict["look"] + 1))
    assert all(entry["evidence"]["metrics"][0]["measurements"] for entry in found)
    assert [entry["repeats"] for entry in found] == [None] * len(found)


def test_the_verdict_says_where_it_is_on_record(underway: Underway, fire: Fire, folder: Path) -> None:
    verdict, _ = wait(underway, fire, record_path=f"file://{folder}")
    found = entries(folder, underway)
    assert verdict["record"]["entries"] == len(found)
    assert verdict["record"]["head"] == found[-1]["hash"]
    assert verdict["record"]["path"].endswith(f"bold-checkout-button/{underway.iteration_id}.jsonl")


def test_looks_that_are_recorded_are_taken_on_the_worker(underway: Underway, fire: Fire, folder: Path) -> None:
    _, events = wait(underway, fire, record_path=str(folder))
    assert {event["status"] for event in events} == {"look"}


def test_the_record_can_be_replayed(
    underway: Underway, fire: Fire, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict, _ = wait(underway, fire, record_path=str(folder))
    path = str(place(folder, underway))
    assert main(["replay", path, "--head", verdict["record"]["head"]]) == 0
    assert "Every verdict follows again." in capsys.readouterr().out


def test_the_times_on_record_are_launchdarkly_s(underway: Underway, fire: Fire, folder: Path) -> None:
    wait(underway, fire, record_path=str(folder))
    assert [entry["at"] for entry in entries(folder, underway)][:2] == [
        "2026-01-06T09:00:00+00:00",
        "2026-01-07T09:00:00+00:00",
    ]


def test_the_path_may_be_set_for_all_sensors(underway: Underway, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__RECORD_PATH", str(folder))
    underway.emulator.clock.advance("P28D")
    underway.sensor().execute({})
    assert len(entries(folder, underway)) == 1


def test_a_retry_of_the_last_look_changes_nothing(underway: Underway, folder: Path) -> None:
    underway.emulator.clock.advance("P28D")
    first = underway.sensor(record_path=str(folder)).execute({})
    assert underway.sensor(record_path=str(folder)).execute({}) == first
    assert len(entries(folder, underway)) == 1


def test_a_process_for_each_poke_looks_once_at_each_look(underway: Underway, folder: Path) -> None:
    def poke() -> None:
        underway.sensor(record_path=str(folder), deferrable=False, mode="reschedule").poke({})

    for _ in range(2):
        underway.emulator.clock.advance("P1D")
        for _ in range(3):
            poke()
            underway.emulator.clock.advance("PT1M")
    assert [entry["verdict"]["look"] for entry in entries(folder, underway)] == [1, 2]


def test_a_clear_that_finds_new_data_is_recorded_as_a_repeat(underway: Underway, folder: Path) -> None:
    underway.emulator.clock.advance("P28D")
    underway.sensor(record_path=str(folder)).execute({})
    underway.emulator.clock.advance("P1D")
    underway.sensor(record_path=str(folder)).execute({})
    assert [(entry["seq"], entry["repeats"]) for entry in entries(folder, underway)] == [(1, None), (2, 1)]


def test_a_stopped_iteration_is_on_record_without_evidence(underway: Underway, folder: Path) -> None:
    underway.stop()
    underway.sensor(record_path=str(folder)).execute({})
    (entry,) = entries(folder, underway)
    assert (entry["verdict"]["reason"], entry["evidence"]) == ("iteration_stopped", None)


def test_polls_between_looks_are_not_on_record(underway: Underway, folder: Path) -> None:
    with pytest.raises(TaskDeferred):
        underway.sensor(record_path=str(folder)).execute({})
    assert not folder.exists()


def test_a_record_that_was_changed_fails_the_task_and_nothing_is_decided_off_it(
    underway: Underway, folder: Path
) -> None:
    underway.emulator.clock.advance("P28D")
    underway.sensor(record_path=str(folder)).execute({})
    path = place(folder, underway)
    path.write_text(path.read_text().replace("ship", "wait"))
    with pytest.raises(BrokenRecordError, match="line 1"):
        underway.sensor(record_path=str(folder)).execute({})


def test_without_a_path_the_log_has_the_entry(
    underway: Underway, fire: Fire, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict, events = wait(underway, fire)
    assert [event["status"] for event in events] == ["verdict"]
    assert (verdict["record"]["path"], verdict["record"]["entries"]) == (None, 1)
    logged = re.search(r"No record_path is set\. This look's entry:.*\n.*?(\{.*\})", capsys.readouterr().out)
    assert logged
    (entry,) = chain.read(logged[1] + "\n")
    assert entry["hash"] == verdict["record"]["head"]
    assert entry["evidence"]["elapsed_seconds"] == verdict["elapsed_days"] * 86400
    assert entry["at"] == underway.emulator.clock.now().isoformat()


def test_the_verdict_stays_plain_json(underway: Underway, folder: Path) -> None:
    underway.emulator.clock.advance("P28D")
    verdict = underway.sensor(record_path=str(folder)).execute({})
    assert json.loads(json.dumps(verdict, allow_nan=False)) == verdict


def test_the_evidence_says_how_long_launchdarkly_s_counts_have_stood_still(underway: Underway, folder: Path) -> None:
    def stop_traffic_after_ten_days(emulator: Any) -> None:
        truths = emulator.world.projects["demo"].truths
        truths["checkout-button"] = dataclasses.replace(truths["checkout-button"], no_traffic_from_day=10)

    underway.emulator.call(stop_traffic_after_ten_days)
    for days in ("P5D", "P10D"):
        underway.emulator.clock.advance(days)
        underway.sensor(record_path=str(folder), deferrable=False).poke({})
    fresh, stale = (entry["evidence"]["unchanged_for_seconds"] for entry in entries(folder, underway))
    assert fresh <= 3600
    assert stale == pytest.approx(5 * 86400, abs=2 * 3600)
    assert entries(folder, underway)[-1]["verdict"]["reason"] == "stale_results"


def test_deferring_again_does_not_extend_airflow_s_timeout(underway: Underway, folder: Path) -> None:
    begun: Any = SimpleNamespace(start_date=datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(TaskDeferred) as deferred:
        underway.sensor(record_path=str(folder), timeout=3 * 3600).execute({"ti": begun})
    assert timedelta(hours=1, minutes=59) < deferred.value.timeout <= timedelta(hours=2)
