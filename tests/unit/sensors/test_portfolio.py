"""A policy with a share of a portfolio: taken at the first poll, from the decision records, and never twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.audit_log.ledger import SHARE
from airflow_provider_launchdarkly.audit_log.replay import replay
from unit.audit_log.test_ledger import policy as policy_of
from unit.audit_log.test_ledger import take
from unit.sensors.conftest import Fire, Underway, wait

POLICY = {"portfolio": {"name": "2026Q4", "alpha": 0.06, "experiments": 3}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "decisions"


def record(folder: Path, underway: Underway) -> tuple[dict[str, Any], ...]:
    file = folder / "demo" / "production" / "bold-checkout-button" / f"{underway.iteration_id}.jsonl"
    return chain.read(file.read_text(encoding="utf-8"))


def shares(entries: tuple[dict[str, Any], ...]) -> list[int]:
    return [entry["verdict"][SHARE] for entry in entries if SHARE in entry["verdict"]]


def test_a_share_is_taken_at_the_first_poll_and_the_looks_are_judged_by_it(
    underway: Underway, fire: Fire, folder: Path
) -> None:
    take(folder, "another")
    verdict, _ = wait(underway, fire, policy=POLICY, record_path=str(folder))
    entries = record(folder, underway)
    assert shares(entries) == [2]
    assert entries[0]["verdict"]["elapsed_days"] == 0
    looks = [entry["verdict"]["look"] for entry in entries if entry["evidence"] is not None]
    assert looks == list(range(1, verdict["look"] + 1))
    assert {entry["policy"]["alpha"] for entry in entries} == {0.02}
    assert verdict["metrics"][0]["comparisons"][0]["success"]["alpha"] == pytest.approx(0.02)
    assert replay(entries).agrees


def test_a_retry_and_a_clear_spend_nothing_more(underway: Underway, folder: Path) -> None:
    for _ in range(3):
        with pytest.raises(TaskDeferred):
            underway.sensor(policy=POLICY, record_path=str(folder)).execute({})
    assert shares(record(folder, underway)) == [1]
    underway.emulator.clock.advance("P28D")
    first = underway.sensor(policy=POLICY, record_path=str(folder)).execute({})
    assert underway.sensor(policy=POLICY, record_path=str(folder)).execute({}) == first
    assert take(folder, "another") == 2


def test_without_a_share_the_task_fails_at_its_first_poll(underway: Underway, folder: Path) -> None:
    for key in "abc":
        take(folder, key)
    with pytest.raises(AirflowFailException, match="portfolio '2026Q4' has no share left: its 3 are taken"):
        underway.sensor(policy=POLICY, record_path=str(folder)).execute({})
    assert shares(record(folder, underway)) == []


def test_other_numbers_under_the_same_name_fail_the_task(underway: Underway, folder: Path) -> None:
    take(folder, "another", policy_of(30))
    with pytest.raises(AirflowFailException, match=r"alpha 0.06 for 3 experiments here and alpha 0.06 for 30"):
        underway.sensor(policy=POLICY, record_path=str(folder)).execute({})


def test_a_portfolio_needs_decision_records(underway: Underway) -> None:
    with pytest.raises(AirflowFailException, match=r"policy.portfolio needs decision records"):
        underway.sensor(policy=POLICY).execute({})


def test_a_process_for_each_poke_takes_one_share(underway: Underway, folder: Path) -> None:
    for _ in range(3):
        underway.sensor(policy=POLICY, record_path=str(folder), deferrable=False, mode="reschedule").poke({})
        underway.emulator.clock.advance("PT1M")
    assert shares(record(folder, underway)) == [1]


BOUNDED = {"portfolio": {"name": "2026Q4", "false_discovery_rate": 0.2}}


def test_a_bound_on_false_ships_takes_no_share_and_needs_the_records(
    underway: Underway, fire: Fire, folder: Path
) -> None:
    with pytest.raises(AirflowFailException, match=r"policy.portfolio needs decision records"):
        underway.sensor(policy=BOUNDED).execute({})
    verdict, _ = wait(underway, fire, policy=BOUNDED, record_path=str(folder))
    entries = record(folder, underway)
    assert shares(entries) == []
    assert {entry["policy"]["alpha"] for entry in entries} == {0.05}
    assert verdict["verdict"] == "ship"
    assert any("portfolio 2026Q4 bounds the share of false ships at 20 %" in told for told in verdict["cautions"])
    assert replay(entries).agrees
