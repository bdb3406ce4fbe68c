"""Judge simulated experiments whose policy is edited while they run, and iterations that repeat one question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_launchdarkly.decision.error_left import policy_left
from airflow_provider_launchdarkly.decision.evidence import Spent
from airflow_provider_launchdarkly.decision.information import spent_by
from airflow_provider_launchdarkly.decision.policy_parts import Clock, OnRepeat
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.vectorized_judge import CODES, Outcomes, VectorizedJudge, outcomes_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.schedule import LookSchedule
    from airflow_provider_launchdarkly.simulation.sampling import Draws


@dataclass(frozen=True, slots=True)
class Edit:
    """A policy, and how long it judges.

    Attributes:
        policy: The policy.
        until: Time of its latest look, after the start; the next policy judges from the look after.
    """

    policy: Policy
    until: timedelta


def judge_edited(
    edits: Sequence[Edit], draws: Draws, planned_shares: tuple[float, ...], started_at: datetime | None = None
) -> Outcomes:
    """Judge each experiment by one policy after the other, as an author does who edits it while it runs.

    An experiment that ends without a winner goes on if another policy follows: that is why people extend a plan.

    Args:
        edits: The policies in their order; each of them says by `on_change` what it spends.
        draws: The measurements at each look of all policies.
        planned_shares: The planned shares of the treatments, the baseline first.
        started_at: Start of the iterations; only needed for looks at cron times.

    Returns:
        The endings.

    Raises:
        ValueError: A policy plans its units, so that experiments spend differently.
    """
    experiments, looks = draws.exposed.shape[:2]
    ended, at = np.zeros(experiments, dtype=np.int64), np.full(experiments, looks - 1)
    winner, early = np.zeros(experiments, dtype=np.int64), np.zeros((experiments, looks), dtype=np.bool_)
    ship = harm = 0.0
    first, spent = 0, None
    for number, edit in enumerate(edits):
        judge = VectorizedJudge(edit.policy, draws, planned_shares, started_at, spent=spent)
        if judge.schedule.planned_units is not None:
            raise ValueError("planned_units: experiments with planned units spend differently, so leave them out")
        kind, best = judge.kinds()
        last = number == len(edits) - 1
        for look in range(first, looks):
            if draws.moments[look] > edit.until:
                break
            found = kind[:, look]
            goes_on = (found == CODES[Kind.WAIT]) | ((found == CODES[Kind.INCONCLUSIVE]) & (not last))
            ends = (ended == 0) & ~goes_on
            ended[ends], at[ends], winner[ends] = found[ends], look, best[ends, look]
            early[:, look] = judge.early[:, look]
            first = look + 1
        left = policy_left(edit.policy, spent, 0)
        ship += left.alpha * _share(edit.policy, judge.schedule, edit.until, left.ship_spending, ship=True)
        harm += left.alpha_harm * _share(edit.policy, judge.schedule, edit.until, left.harm_spending, ship=False)
        spent = Spent(ship, harm, edit.until)
    return outcomes_at(at, ended, np.where(ended == CODES[Kind.SHIP], winner, 0), early, draws)


def _share(policy: Policy, schedule: LookSchedule, until: timedelta, gamma: float, *, ship: bool) -> float:
    """Return the share of a plan's error that is spent by a time."""
    first = schedule.first_ship_look if ship else schedule.spends_from
    look = schedule.look_at(until)
    if look < first:
        return 0.0
    if policy.clock is Clock.TIME:
        boundary = schedule.ship_boundary(1.0, gamma) if ship else schedule.harm_boundary(1.0, gamma)
        return boundary.spent_at(schedule.share(until, 0))
    places = [0.0, *(schedule.progress(time) for time in schedule.look_times)]
    return spent_by(places[look], places[first - 1], 1.0, gamma)


def judge_repeated(
    policy: Policy, iterations: Sequence[Draws], planned_shares: tuple[float, ...], started_at: datetime | None = None
) -> Outcomes:
    """Judge one question in iteration after iteration, until one of them ships, as people do who do not give up.

    Args:
        policy: The policy, whose `on_repeat` says what the later iterations spend.
        iterations: The measurements of each iteration, for the same number of experiments.
        planned_shares: The planned shares of the treatments, the baseline first.
        started_at: Start of the iterations; only needed for looks at cron times.

    Returns:
        For each experiment the outcome of the first iteration that ships, or else of the last one.
    """
    chosen: Outcomes | None = None
    for repeats, draws in enumerate(iterations):
        if repeats and policy.on_repeat is OnRepeat.REFUSE:
            break
        judge = VectorizedJudge(policy, draws, planned_shares, started_at, repeats=repeats)
        found = judge.outcomes()
        if chosen is None:
            chosen = found
            continue
        shipped = chosen.are(Kind.SHIP)
        names = Outcomes.__dataclass_fields__
        chosen = Outcomes(**{name: np.where(shipped, getattr(chosen, name), getattr(found, name)) for name in names})
    if chosen is None:
        raise ValueError("iterations is empty: give the measurements of at least one iteration")
    return chosen
