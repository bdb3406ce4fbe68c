"""Looks at an experiment that LaunchDarkly's releases guard, against the emulator: a list a flag beside the metrics."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.api import writes
from airflow_provider_launchdarkly.api.errors import NotFoundError, ResultsUnavailableError
from airflow_provider_launchdarkly.decision.evidence_json import evidence_from_json, evidence_to_json
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason
from airflow_provider_launchdarkly.evidence.source import Target
from support.guarding_release import METRIC, OTHER, SILENT, OtherFlag
from support.running_experiment import ENV, KEY, Running, experiment

if TYPE_CHECKING:
    from collections.abc import Callable


POLICY = Policy.from_json({"release_guardrails": [{"flag": OTHER}], "min_duration": "1d"})


@pytest.fixture
def running(run: Callable[..., Running]) -> Running:
    return run()


@pytest.fixture
def other(running: Running) -> OtherFlag:
    return OtherFlag(running.client.run, running.emulator)


def test_a_regression_on_another_flag_rolls_back_at_the_next_look(running: Running, other: OtherFlag) -> None:
    release_id = other.release(-0.5, METRIC)
    found = running.look_daily(POLICY)
    assert (found.verdict.kind, found.verdict.reason) == (Kind.ROLLBACK, Reason.RELEASE_REGRESSED)
    assert f"regressed in release {release_id} of flag {OTHER}" in found.summary
    assert found.evidence
    assert evidence_from_json(evidence_to_json(found.evidence)) == found.evidence, "the record replays it"


def test_a_good_release_lets_the_winner_ship(running: Running, other: OtherFlag) -> None:
    other.release(0.1, METRIC)
    found = running.look_daily(POLICY)
    assert found.verdict.kind is Kind.SHIP
    assert f"{METRIC} ok" in " ".join(found.verdict.cautions)


def test_a_metric_without_data_holds_what_would_ship(running: Running, other: OtherFlag) -> None:
    other.release(0.1, METRIC, SILENT, days=60)
    assert running.look_daily(POLICY.model_copy(update={"release_guardrails": ()})).verdict.kind is Kind.SHIP
    found = running.look_daily(POLICY)
    assert (found.verdict.kind, found.verdict.reason) == (Kind.INVALID, Reason.RELEASE_UNKNOWN)
    assert SILENT in found.summary


def test_a_release_that_ended_before_the_experiment_began_does_not_count(run: Callable[..., Running]) -> None:
    running = run(start=False)
    OtherFlag(running.client.run, running.emulator).release(-0.5, METRIC)
    running.emulator.clock.advance("P3D")
    running.client.run(
        writes.start_iteration(ENV, running.target.experiment_key, running.target.iteration_id, turn_flag_on=True)
    )
    running.emulator.clock.advance("P2D")
    found = running.look(POLICY)
    assert found.verdict.reason is Reason.RELEASE_UNKNOWN
    assert f"flag {OTHER} has not been released since the experiment began to run" in found.summary


def next_stage(running: Running) -> Running:
    """Start another iteration; one that runs ends without a winner, as a rollout's stages do."""
    design = experiment(running.emulator, hypothesis="Another stage.").iteration
    second = running.client.run(writes.create_iteration(ENV, KEY, design)).iteration.id
    running.client.run(writes.start_iteration(ENV, KEY, second, justification="the next stage"))
    return replace(running, target=Target(ENV, KEY, second))


@pytest.mark.parametrize(
    ("effect", "ending"),
    [(0.1, (Kind.SHIP, Reason.BETTER)), (-0.5, (Kind.ROLLBACK, Reason.RELEASE_REGRESSED))],
    ids=["completed", "reverted"],
)
def test_a_release_that_ended_in_an_earlier_stage_counts_in_the_later_ones(
    running: Running, other: OtherFlag, effect: float, ending: tuple[Kind, Reason]
) -> None:
    release_id = other.release(effect, METRIC, days=1)
    running.emulator.clock.advance("P4D")
    later = next_stage(running)
    later.emulator.clock.advance("P1D")
    later = next_stage(later)
    found = later.look_daily(POLICY)
    assert (found.verdict.kind, found.verdict.reason) == ending
    assert found.evidence
    (release,) = found.evidence.releases
    assert (release.release_id, release.status) == (release_id, "completed" if effect > 0 else "reverted")


def test_a_release_from_before_a_stop_with_a_winner_does_not_count(running: Running, other: OtherFlag) -> None:
    other.release(-0.5, METRIC)
    running.emulator.clock.advance("P4D")
    iteration = running.target.iteration_id
    running.client.run(writes.stop_iteration(ENV, KEY, iteration, winner="baseline", reason="rolled back"))
    again = next_stage(running)
    again.emulator.clock.advance("P2D")
    assert again.look(POLICY).verdict.reason is Reason.RELEASE_UNKNOWN


def test_a_look_between_two_looks_finds_the_regression(running: Running, other: OtherFlag) -> None:
    policy = Policy.from_json({"release_guardrails": [{"flag": OTHER}], "harm_looks": "1h", "looks": "7d"})
    other.release(-0.5, METRIC)
    look = running.look(policy)
    for _ in range(6 * 24):
        if look.ends:
            break
        running.emulator.clock.advance("PT1H")
        look = running.look(policy, previous=look.verdict.elapsed)
    assert look.verdict.reason is Reason.RELEASE_REGRESSED
    assert look.evidence is not None
    assert look.evidence.only_harm


def test_a_look_between_two_looks_reads_releases_alone_if_no_metric_rolls_back(
    running: Running, other: OtherFlag
) -> None:
    fields = {"preset": "launchdarkly", "harm_looks": "1h", "looks": "7d"}
    policy = Policy.from_json({**fields, "release_guardrails": [{"flag": OTHER}]})
    running.emulator.switch(results="gone")
    other.release(-0.5, METRIC)
    waiting = running.look(policy)
    looks = []
    for _ in range(6 * 24):
        if waiting.ends:
            break
        running.emulator.clock.advance("PT1H")
        waiting = running.look(policy, previous=waiting.verdict.elapsed)
        looks.append(waiting)
    assert f"no regression in the releases of {OTHER}: wait" in looks[0].summary
    assert (waiting.verdict.kind, waiting.verdict.reason) == (Kind.ROLLBACK, Reason.RELEASE_REGRESSED)
    assert not any(look.trouble for look in looks), "LaunchDarkly is not asked for results"


@pytest.mark.parametrize("between", [{}, {"harm_looks": "1h"}], ids=["planned look", "look for harm"])
def test_a_regression_is_seen_though_launchdarkly_serves_no_results(
    running: Running, other: OtherFlag, between: dict[str, str]
) -> None:
    policy = POLICY.model_copy(update={"harm_looks": Policy.from_json(between).harm_looks})
    release_id = other.release(-0.5, METRIC)
    running.emulator.clock.advance("P2DT1H")
    running.emulator.switch(results="gone")
    found = running.look(policy, previous=timedelta(days=2 if between else 1, minutes=30 if between else 0))
    assert (found.verdict.kind, found.verdict.reason) == (Kind.ROLLBACK, Reason.RELEASE_REGRESSED)
    assert release_id in found.summary
    assert "the metrics could not be read: ResultsUnavailableError" in " ".join(found.verdict.cautions)
    assert found.evidence
    again = decide(policy, evidence_from_json(evidence_to_json(found.evidence)))
    assert again == found.verdict, "the record replays it"


def test_without_a_regression_the_look_fails_as_the_metrics_do(running: Running, other: OtherFlag) -> None:
    other.release(0.1, METRIC)
    running.emulator.clock.advance("P2D")
    running.emulator.switch(results="gone")
    with pytest.raises(ResultsUnavailableError):
        running.look(POLICY)


@pytest.mark.usefixtures("other")
@pytest.mark.parametrize("part", [{"flag": "no-such-flag"}, {"flag": OTHER, "release": "no-such-release"}])
def test_a_flag_or_release_that_is_not_there_fails_the_look(running: Running, part: dict[str, Any]) -> None:
    running.emulator.clock.advance("P2D")
    with pytest.raises(NotFoundError):
        running.look(Policy.from_json({"release_guardrails": [part]}))
