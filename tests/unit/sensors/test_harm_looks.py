"""Harm in minutes: looks between the planned ones, which find harm, ship nothing, and at most double the requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.evidence.sql_config import SqlResults
from support.lone_polls import poll_alone
from support.warehouse import Warehouse
from unit.sensors.conftest import Underway

MINUTES_PER_POLL = 5
EVERY_QUARTER = Policy.from_json({"harm_looks": "15m"})
RESULTS = "get_experiment_results"


class PolledEnough(BaseException):
    """The trigger has polled often enough."""


@pytest.fixture
def minutes(underway: Underway, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Wait as Airflow does, each sleep of the trigger turning the clock instead; return the verdict."""
    left = [10_000]

    async def sleep(seconds: float) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise PolledEnough
        underway.emulator.clock.advance(timedelta(seconds=seconds))

    poll_alone(monkeypatch, sleep)

    def fire(deferred: TaskDeferred) -> dict[str, Any]:
        async def first() -> Any:
            return await anext(aiter(deferred.trigger.run()))

        payload: dict[str, Any] = asyncio.run(first()).payload
        return payload

    def wait(polls: int = 10_000, **arguments: Any) -> Any:
        left[0] = polls
        arguments = {"poke_interval": MINUTES_PER_POLL * 60, **arguments}
        try:
            return underway.sensor(**arguments).execute({})
        except TaskDeferred as first:
            deferred = first
        while True:
            event = fire(deferred)
            try:
                return underway.sensor(**arguments).execute_complete({}, event)
            except TaskDeferred as again:
                deferred = again

    return wait


def lose(underway: Underway, conversion: float, **others: Any) -> None:
    """Let the treatment change the conversion by this share, among 2,000 people a day who convert in 10 %."""
    metrics = {"checkout-conversion": {"baseline_rate": 0.1, "effects": {"Bold": {"relative": conversion}}}, **others}
    metrics.setdefault("page-load-ms", {"baseline_mean": 820, "standard_deviation": 240})
    truth = GroundTruth.from_dict({"people_per_day": 2_000, "metrics": metrics})
    underway.emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": truth}))


def reads(underway: Underway, before: int = 0) -> Counter[str]:
    return Counter(line.operation for line in underway.emulator.requests(after=before))


def test_a_drop_of_half_is_found_within_hours(underway: Underway, minutes: Callable[..., Any]) -> None:
    lose(underway, -0.5)
    verdict = minutes(policy=EVERY_QUARTER)
    assert (verdict["verdict"], verdict["reason"]) == ("rollback", "primary_harmed")
    assert verdict["elapsed_days"] < 1.0
    assert verdict["look"] is None
    bar = verdict["metrics"][0]["comparisons"][0]["anytime_harm"]
    assert bar["reached"]
    assert bar["z"] >= bar["boundary"]
    assert "look for harm, day 0." in verdict["summary"]


def test_without_harm_looks_it_is_found_at_a_planned_look(underway: Underway, minutes: Callable[..., Any]) -> None:
    lose(underway, -0.5)
    verdict = minutes(policy=Policy())
    assert verdict["verdict"] == "rollback"
    assert verdict["elapsed_days"] >= 1.0
    assert verdict["metrics"][0]["comparisons"][0]["anytime_harm"] is None


def test_harm_to_a_guardrail_is_found_too(underway: Underway, minutes: Callable[..., Any]) -> None:
    slow = {"baseline_mean": 820, "standard_deviation": 240, "effects": {"Bold": {"relative": 0.2}}}
    lose(underway, 0.0, **{"page-load-ms": slow})
    verdict = minutes(policy=Policy.from_json({"harm_looks": "15m", "guardrails": [{"metric": "page-load-ms"}]}))
    assert (verdict["reason"], verdict["harmed"]) == ("guardrail_harmed", ["page-load-ms: Bold"])
    assert verdict["elapsed_days"] < 0.5


def test_a_look_for_harm_ships_nothing(underway: Underway, minutes: Callable[..., Any]) -> None:
    lose(underway, 0.6)
    verdict = minutes(policy=Policy.from_json({"harm_looks": "1h", "min_duration": "1d", "max_duration": "7d"}))
    assert verdict["verdict"] == "ship"
    assert verdict["look"] >= 1
    assert verdict["elapsed_days"] % 1 < MINUTES_PER_POLL / (24 * 60)


@pytest.mark.parametrize(
    ("guardrails", "harm_looks", "recorded"),
    [([], "5m", True), ([], "15m", False), ([{"metric": "page-load-ms"}], "5m", False)],
)
def test_requests_are_at_most_doubled_over_a_day(
    underway: Underway,
    minutes: Callable[..., Any],
    tmp_path: Path,
    guardrails: list[Any],
    harm_looks: str,
    recorded: bool,
) -> None:
    lose(underway, 0.0)
    policy = Policy.from_json({"harm_looks": harm_looks, "guardrails": guardrails, "looks": "7d"})
    before, polls = len(underway.emulator.requests()), 24 * 60 // 5
    with pytest.raises(PolledEnough):
        minutes(polls, policy=policy, record_path=str(tmp_path) if recorded else None)
    found = reads(underway, before)
    # One poll is the worker's. A metric's definition is read once.
    assert found["get_experiment"] == polls + 1
    assert found["get_metric"] == 1 + len(guardrails)
    assert found[RESULTS] == pytest.approx(24 * 4 * (1 + len(guardrails)) if harm_looks == "15m" else 24 * 12, rel=0.03)
    assert sum(found.values()) - found["get_metric"] <= 2 * found["get_experiment"]


def test_harm_that_the_trigger_finds_is_on_record_and_follows_again(
    underway: Underway, minutes: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lose(underway, -0.5)
    verdict = minutes(policy=EVERY_QUARTER, record_path=str(tmp_path))
    (path,) = tmp_path.rglob("*.jsonl")
    (entry,) = chain.read(path.read_text())
    assert entry["verdict"]["verdict"] == verdict["verdict"] == "rollback"
    assert entry["evidence"]["only_harm"] is True
    assert main(["replay", str(path), "--head", verdict["record"]["head"]]) == 0
    other = tmp_path / "policy.yaml"
    other.write_text("alpha: 0.01\n")
    capsys.readouterr()
    main(["replay", str(path), "--policy", str(other)])
    assert "no look of this policy" in capsys.readouterr().out


def test_looks_that_find_nothing_are_neither_recorded_nor_logged(
    underway: Underway, minutes: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lose(underway, 0.0)
    with pytest.raises(PolledEnough):
        minutes(200, policy=EVERY_QUARTER, record_path=str(tmp_path))
    assert not list(tmp_path.rglob("*.jsonl"))
    assert reads(underway)[RESULTS] > 50
    assert "look for harm" not in capsys.readouterr().out


def test_without_results_a_look_for_harm_warns_and_the_waiting_goes_on(
    underway: Underway, minutes: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    underway.emulator.switch(results="gone")
    with pytest.raises(PolledEnough):
        minutes(8, policy=EVERY_QUARTER)
    assert capsys.readouterr().out.count("harm to checkout-conversion could not be looked at") == 2


def test_a_process_for_each_poke_finds_harm_as_well(underway: Underway) -> None:
    lose(underway, -0.5)

    def pokes() -> Iterator[Any]:
        for _ in range(400):
            underway.emulator.clock.advance("PT5M")
            task = underway.sensor(policy=EVERY_QUARTER, deferrable=False, mode="reschedule", poke_interval=300)
            yield task.poke({})

    found = next(poke for poke in pokes() if poke.is_done)
    assert found.xcom_value["reason"] == "primary_harmed"
    assert found.xcom_value["elapsed_days"] < 1.0


def test_by_sql_a_worker_takes_each_look_for_harm(
    underway: Underway, warehouse: Warehouse, minutes: Callable[..., Any]
) -> None:
    ids = underway.treatments
    rates = {ids["Classic"]: 0.10, ids["Bold"]: 0.02}
    warehouse.fill(underway.iteration_id, underway.emulator.clock.now(), rates)
    policy = Policy.from_json({"harm_looks": "2h", "looks": "7d"})
    verdict = minutes(policy=policy, results=SqlResults("warehouse", warehouse.query))
    assert verdict["reason"] == "primary_harmed"
    assert verdict["elapsed_days"] < 7
    assert (verdict["elapsed_days"] * 24) % 2 <= MINUTES_PER_POLL / 60 + 1e-9
    assert reads(underway)[RESULTS] == 0


def test_an_interval_shorter_than_the_polls_is_refused(underway: Underway) -> None:
    with pytest.raises(InvalidSettingError, match=r"harm_looks 15m is shorter than poke_interval 1800 s"):
        underway.sensor(policy=EVERY_QUARTER, poke_interval=1800)
