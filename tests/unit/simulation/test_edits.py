"""Policies that are edited while an experiment runs, and questions that are asked again: what they cost."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.audit_log.changes import spent_before
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.verdict import Kind, Verdict
from airflow_provider_launchdarkly.simulation.edits import Edit, judge_edited, judge_repeated
from airflow_provider_launchdarkly.simulation.report import STARTED_AT
from airflow_provider_launchdarkly.simulation.sampling import Draws, draw
from airflow_provider_launchdarkly.simulation.vectorized_judge import KINDS
from airflow_provider_launchdarkly.simulation.world import MetricTruth, World
from support.audit_records import decision
from support.two_judges import drawn_evidence, is_close, with_history

DAY = timedelta(days=1)
HALVES = (0.5, 0.5)
NOTHING = World(MetricTruth(0.1), 2000)
FORTNIGHT, MONTH = Policy(futility=None, max_duration="14d"), Policy(futility=None)


def drawn(world: World, days: int, experiments: int, seed: int = 5) -> Draws:
    times = [day * DAY for day in range(1, days + 1)]
    return draw(world, times, days * DAY, experiments, np.random.default_rng(seed))


@pytest.mark.parametrize("clock", ["information", "time"])
def test_an_edit_ends_as_the_real_judge_does_on_its_record(clock: str) -> None:
    policies = [Policy.from_json({**policy.to_json(), "clock": clock}) for policy in (FORTNIGHT, MONTH)]
    world = World(MetricTruth(0.1, None, (0.10,)), 1000)
    draws = drawn(world, 28, 25)
    outcomes = judge_edited([Edit(policies[0], 14 * DAY), Edit(policies[1], 28 * DAY)], draws, HALVES)
    for experiment in range(25):
        found = by_hand(policies, world, draws, experiment)
        quick = (KINDS[outcomes.kind[experiment]], int(outcomes.look[experiment]))
        assert found in (quick, None)


def by_hand(policies: list[Policy], world: World, draws: Draws, experiment: int) -> tuple[Kind, int] | None:
    """Judge by `decide` on a record, by the second policy from day 15 on; None within a hair's breadth of a bound."""
    entries: tuple[dict[str, object], ...] = ()
    seen = [drawn_evidence(MONTH, world, draws, experiment, look) for look in range(28)]
    for look, measured in enumerate(with_history(seen)):
        policy = policies[look >= 14]
        known = measured._replace(spent=spent_before(entries, policy), started_at=STARTED_AT)
        verdict: Verdict = decide(policy, known)
        if is_close(verdict):
            return None
        if verdict.ends and not (look < 14 and verdict.kind is Kind.INCONCLUSIVE):
            return verdict.kind, look
        entries = chain.append(entries, decision(policy, known, verdict))
    raise AssertionError("a plan has an end")


def test_extending_a_plan_again_and_again_keeps_the_error_unless_it_is_accepted() -> None:
    draws = drawn(NOTHING, 56, 1500)
    shares = {}
    for how in ("spend_left", "accept"):
        policies = [Policy(futility=None, max_duration=f"{14 * number}d", on_change=how) for number in (1, 2, 3, 4)]
        edits = [Edit(policy, policy.max_duration) for policy in policies]
        shares[how] = judge_edited(edits, draws, HALVES).share(Kind.SHIP)
    assert shares["spend_left"] <= 0.0557
    assert shares["accept"] >= 0.08


def test_repeating_a_question_costs_what_is_told_unless_alpha_is_divided() -> None:
    iterations = [drawn(NOTHING, 28, 1500, seed) for seed in (1, 2, 3)]
    accepted, divided = (
        judge_repeated(Policy(futility=None, on_repeat=how), iterations, HALVES).share(Kind.SHIP)
        for how in ("accept", "divide")
    )
    assert 0.10 <= accepted <= 1.0 - 0.95**3 + 0.02
    assert divided <= 0.0557


def test_a_refused_repeat_is_not_judged() -> None:
    iterations = [drawn(NOTHING, 28, 200, seed) for seed in (1, 2)]
    refusing = Policy(on_repeat="refuse")
    once = judge_repeated(refusing, iterations[:1], HALVES)
    assert np.array_equal(judge_repeated(refusing, iterations, HALVES).kind, once.kind)


def test_planned_units_are_refused() -> None:
    with pytest.raises(ValueError, match="planned_units"):
        judge_edited([Edit(Policy(planned_units=1000), 14 * DAY)], drawn(NOTHING, 14, 5), HALVES)
