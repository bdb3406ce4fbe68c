"""What a decision record says about its experiment."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.audit_log.chain import Decision
from airflow_provider_launchdarkly.audit_log.store import store_decision
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason, Verdict
from airflow_provider_launchdarkly.portfolio.reading import Outcome, Period, RecordsError, read_records
from support.quarter import STARTED_AT, TRIALS, Trial, target, write_quarter


def by_key(*places: Path, period: Period | None = None) -> dict[str, Outcome]:
    return {one.experiment: one for one in read_records(map(str, places), period)}


def test_each_iteration_counts_once_by_its_last_look(records: Path) -> None:
    found = by_key(records)
    assert set(found) == {trial.key for trial in TRIALS}
    bold = found["bold-checkout-button"]
    entries = chain.read(Path(bold.record).read_text())
    last = entries[-1]["verdict"]["metrics"][0]["comparisons"][0]
    assert (bold.kind, bold.treatment, bold.lift) == (Kind.SHIP, "Bold", last["lift"])
    assert bold.at == datetime.fromisoformat(entries[-1]["at"])
    assert bold.estimate is not None
    assert bold.estimate.effect / bold.estimate.error == pytest.approx(last["z"], rel=1e-3)


def test_a_lift_counts_in_the_good_direction(records: Path) -> None:
    fewer = by_key(records)["fewer-steps"]
    assert fewer.lift is not None
    assert fewer.lift < 0
    assert fewer.estimate is not None
    assert fewer.estimate.effect == -fewer.lift


def test_of_several_treatments_the_best_is_shown_and_all_teach(records: Path) -> None:
    headlines = by_key(records)["two-headlines"]
    assert len(headlines.all_estimates) == 2
    assert headlines.estimate == max(headlines.all_estimates)


def test_of_several_treatments_the_shipped_one_is_shown(tmp_path: Path) -> None:
    write_quarter(tmp_path, [Trial("headlines", (0.2, 0.0))])
    found = by_key(tmp_path)["headlines"]
    assert (found.kind, found.treatment) == (Kind.SHIP, "Bold")


def test_what_a_broken_split_measured_is_not_used(records: Path) -> None:
    broken = by_key(records)["broken-split"]
    assert (broken.kind, broken.estimate, broken.all_estimates) == (Kind.INVALID, None, ())
    assert broken.unusable == "invalid: mismatch"


def stop(folder: Path, key: str, day: float) -> None:
    """Record that someone else stopped the iteration."""
    verdict = Verdict.invalid(Reason.ITERATION_STOPPED, "someone else stopped it", timedelta(days=day))
    at = (STARTED_AT + verdict.elapsed).isoformat()
    decision = Decision(at, target(key), "launchdarkly", Policy().to_json(), None, verdict.to_json())
    store_decision(decision, str(folder), Path)


def test_a_ship_that_was_carried_out_is_still_a_ship(tmp_path: Path) -> None:
    write_quarter(tmp_path, [TRIALS[0]])
    before = by_key(tmp_path)
    stop(tmp_path, TRIALS[0].key, 40)
    assert by_key(tmp_path) == before


def test_an_iteration_that_someone_stopped_is_invalid_and_teaches(tmp_path: Path) -> None:
    write_quarter(tmp_path, [Trial("stopped", days=5)])
    stop(tmp_path, "stopped", 6)
    found = by_key(tmp_path)["stopped"]
    assert (found.kind, found.reason) == (Kind.INVALID, "iteration_stopped")
    assert found.estimate is not None
    stop(tmp_path, "never-seen", 1)
    assert by_key(tmp_path)["never-seen"].unusable == "it was never looked at"


def test_one_iteration_with_two_records_counts_once_by_the_earlier_ending(tmp_path: Path) -> None:
    write_quarter(tmp_path / "short", [Trial("button", (0.1,), days=3)])
    write_quarter(tmp_path / "whole", [Trial("button", (0.1,))])
    assert by_key(tmp_path)["button"].kind is Kind.SHIP


@pytest.mark.parametrize(
    "place",
    [
        lambda folder: folder,
        lambda folder: folder / "demo" / "production" / "*" / "*.jsonl",
        lambda folder: folder / "**" / "*.jsonl",
        lambda folder: f"file://{folder}",
        lambda folder: f"file://{folder}/demo/production/*/*.jsonl",
    ],
)
def test_records_are_found_by_folder_pattern_and_url(records: Path, place: Callable[[Path], object]) -> None:
    assert len(read_records([str(place(records))])) == len(TRIALS)


def test_a_file_given_twice_counts_once(records: Path) -> None:
    file = next(records.rglob("*.jsonl"))
    assert len(read_records([str(file), str(file), str(file.parent)])) == 1


def test_a_file_that_was_being_written_is_no_record(tmp_path: Path) -> None:
    write_quarter(tmp_path, [TRIALS[0]])
    file = next(tmp_path.rglob("*.jsonl"))
    shutil.copy(file, file.with_name(f".{file.name}"))
    file.with_name(".half.jsonl").write_text("{")
    assert len(read_records([str(tmp_path)])) == 1


def test_a_broken_record_is_named_with_its_line(tmp_path: Path) -> None:
    write_quarter(tmp_path, TRIALS[:2])
    file = min(tmp_path.rglob("*.jsonl"))
    lines = file.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace("0.1", "0.2", 1)
    file.write_text("".join(lines))
    with pytest.raises(RecordsError, match=f"{file}: broken at line 3"):
        read_records([str(tmp_path)])


@pytest.mark.parametrize(
    ("place", "told"),
    [("{folder}", "no decision record"), ("{folder}/no.jsonl", "No such file"), ("{folder}/*.jsonl", "no decision")],
)
def test_a_place_without_records_is_an_error(place: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match=told):
        read_records([place.format(folder=tmp_path)])


def rewrite(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write a record as another version of this package would have written it."""
    entries: list[dict[str, Any]] = []
    for entry in map(json.loads, file.read_text().splitlines()):
        change(entry)
        entry["previous"] = entries[-1]["hash"] if entries else None
        entries.append({**entry, "hash": chain.hash_of(entry)})
    file.write_text(chain.write(entries))


def test_an_entry_of_another_shape_is_an_error_that_names_it(tmp_path: Path) -> None:
    write_quarter(tmp_path, [TRIALS[0]])
    file = next(tmp_path.rglob("*.jsonl"))
    rewrite(file, lambda entry: entry["verdict"].update(verdict="perhaps"))
    with pytest.raises(RecordsError, match=r"not of this schema: .*perhaps"):
        read_records([str(file)])


def test_a_lift_corrected_for_the_stop_is_taken_where_the_record_has_it(tmp_path: Path) -> None:
    write_quarter(tmp_path, [TRIALS[0]])
    file = next(tmp_path.rglob("*.jsonl"))

    def corrected(entry: dict[str, Any]) -> None:
        entry["verdict"]["metrics"][0]["comparisons"][0]["estimate"] = {"median_unbiased": 0.071}

    def without(entry: dict[str, Any]) -> None:
        entry["verdict"]["metrics"][0]["comparisons"][0].pop("estimate", None)

    rewrite(file, corrected)
    assert read_records([str(file)])[0].unbiased == 0.071
    rewrite(file, without)
    assert read_records([str(file)])[0].unbiased is None


def test_a_quarter_is_three_months_in_utc() -> None:
    fourth = Period.of_quarter("2026Q4")
    assert (fourth.since, fourth.until) == (datetime(2026, 10, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert Period.of_quarter("2026-q1").until == datetime(2026, 4, 1, tzinfo=UTC)


def test_a_span_of_dates_has_both_its_days() -> None:
    span = Period.between("2026-10-16", "2026-10-17")
    assert [span.has(datetime(2026, 10, day, 23, tzinfo=UTC)) for day in (15, 16, 17, 18)] == [False, True, True, False]


def test_only_the_endings_of_a_period_count(records: Path) -> None:
    everything = by_key(records)
    day = f"{everything['bold-checkout-button'].at:%Y-%m-%d}"
    found = by_key(records, period=Period.between(day, day))
    assert found == {key: one for key, one in everything.items() if f"{one.at:%Y-%m-%d}" == day}
    assert len(found) < len(everything)
    assert read_records([str(records)], Period.of_quarter("2026Q3")) == ()


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [("2026-13-01", None, "no date"), (None, "soon", "no date"), ("2026-12-02", "2026-12-01", "before --since")],
)
def test_a_span_that_is_none_is_refused(since: str | None, until: str | None, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Period.between(since, until)


@pytest.mark.parametrize("text", ["2026", "2026Q5", "Q4", "26Q4"])
def test_a_quarter_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write for instance 2026Q4"):
        Period.of_quarter(text)


def test_the_judge_s_own_unbiased_lift_is_read(records: Path) -> None:
    bold = by_key(records)["bold-checkout-button"]
    assert bold.lift is not None
    assert bold.unbiased is not None
    assert 0 < bold.unbiased < bold.lift


def test_of_several_primary_metrics_the_one_that_passed_is_shown_and_all_teach(tmp_path: Path) -> None:
    write_quarter(tmp_path, [TRIALS[0]])
    file = next(tmp_path.rglob("*.jsonl"))
    before = read_records([str(file)])[0]

    def another(entry: dict[str, Any]) -> None:
        missed = json.loads(json.dumps(entry["verdict"]["metrics"][0]))
        missed["metric"] = "add-to-basket"
        missed["comparisons"][0]["success"]["reached"] = False
        missed["comparisons"][0]["z"] += 1.0
        entry["verdict"]["metrics"].insert(0, missed)

    rewrite(file, another)
    found = read_records([str(file)])[0]
    assert (found.metric, found.estimate) == (before.metric, before.estimate)
    assert len(found.all_estimates) == 2
    assert found.p_value == pytest.approx(2 * before.p_value)
