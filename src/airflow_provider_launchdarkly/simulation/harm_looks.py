"""Simulate looks for harm between the planned ones: thousands of moments, so the experiments are drawn in parts."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_launchdarkly.decision.allocation import Allocation
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.sampling import Draws, MetricDraws, draw
from airflow_provider_launchdarkly.simulation.vectorized_judge import Outcomes, judge, judge_harm

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.simulation.world import World

# Numbers of one metric that are held at once, over experiments, moments and treatments.
_NUMBERS = 1_000_000


def draw_and_judge(
    policy: Policy,
    world: World,
    experiments: int,
    random: np.random.Generator,
    *,
    started_at: datetime | None = None,
    most: int | None = None,
) -> tuple[Outcomes, Draws]:
    """Draw many experiments and judge them at the planned looks, and for harm between them.

    Every metric is looked at for harm at every interval of `harm_looks`, which is at least as often as a sensor does.

    Args:
        policy: The policy, with `harm_looks`.
        world: The truth.
        experiments: How many to draw.
        random: Random generator; the same state gives the same outcomes.
        started_at: Start of the iterations; only needed for looks at cron times.
        most: Looks for harm at most; a longer interval than the policy's is taken if there were more. None takes all.

    Returns:
        The endings, and the measurements at the planned looks. `look` of an ending is the index of the planned look, or
        of the next one after an ending between two.
    """
    schedule = schedule_looks(policy, started_at, Allocation.of_shares(world.planned_shares))
    moments = _moments(policy, schedule.look_times, most)
    size = max(_NUMBERS // (len(moments) * len(world.planned_shares)), 1)
    ended, seen = [], []
    for done in range(0, experiments, size):
        part = min(size, experiments - done)
        draws = draw(world, moments, schedule.end, part, random, burn_in=policy.burn_in, maturity=policy.maturity)
        outcomes, at_looks = judge_looks(policy, draws, world.planned_shares, started_at)
        ended.append(outcomes)
        seen.append(at_looks)
    columns = (np.concatenate([getattr(part, column.name) for part in ended]) for column in fields(Outcomes))
    return Outcomes(*columns), _together(seen)


def judge_looks(
    policy: Policy, draws: Draws, planned_shares: tuple[float, ...], started_at: datetime | None = None
) -> tuple[Outcomes, Draws]:
    """Judge experiments at the planned looks, and for harm at every moment between them.

    Args:
        policy: The policy, with `harm_looks`.
        draws: The measurements at the planned looks and at any moments between them, rising in time.
        planned_shares: The planned shares of the treatments, the baseline first.
        started_at: As for :func:`draw_and_judge`.

    Returns:
        As :func:`draw_and_judge`.

    Raises:
        ValueError: A planned look is not among the moments.
    """
    look_times = schedule_looks(policy, started_at, Allocation.of_shares(planned_shares)).look_times
    missing = sorted({*look_times} - {*draws.moments})
    if missing:
        raise ValueError(f"the planned look at {missing[0]} is not among the moments of the draws; add it")
    at_looks = draws.at([bisect_left(draws.moments, time) for time in look_times])
    planned = judge(policy, at_looks, planned_shares, started_at)
    return _earlier(planned, judge_harm(policy, draws, planned_shares), look_times), at_looks


def _together(parts: Sequence[Draws]) -> Draws:
    """Return the experiments of all parts, which were looked at at the same times."""

    def metric(drawn: Sequence[MetricDraws]) -> MetricDraws:
        units = [one.units for one in drawn if one.units is not None]
        return MetricDraws(
            np.concatenate([one.mean for one in drawn]),
            np.concatenate([one.variance for one in drawn]),
            np.concatenate(units) if units else None,
        )

    return Draws(
        moments=parts[0].moments,
        exposed=np.concatenate([part.exposed for part in parts]),
        primary=metric([part.primary for part in parts]),
        guardrails=tuple(metric(drawn) for drawn in zip(*(part.guardrails for part in parts), strict=True)),
        signals=tuple(metric(drawn) for drawn in zip(*(part.signals for part in parts), strict=True)),
        other_primaries=tuple(metric(drawn) for drawn in zip(*(part.other_primaries for part in parts), strict=True)),
    )


def _moments(policy: Policy, look_times: tuple[timedelta, ...], most: int | None) -> tuple[timedelta, ...]:
    if policy.harm_looks is None:
        raise ValueError("the policy has no harm_looks")
    end = look_times[-1]
    interval = policy.harm_looks if most is None else max(policy.harm_looks, end / most)
    between = (interval * number for number in range(1, int(end / interval) + 1))
    return tuple(sorted({*look_times, *between}))


def _earlier(planned: Outcomes, harm: Outcomes, look_times: tuple[timedelta, ...]) -> Outcomes:
    """Return the earlier ending of each experiment; at a planned look, that look's."""
    days = [time.total_seconds() / 86400.0 for time in look_times]
    first = ~harm.are(Kind.WAIT) & (harm.day < planned.day)
    return Outcomes(
        kind=np.where(first, harm.kind, planned.kind),
        look=np.where(first, np.searchsorted(days, harm.day), planned.look),
        day=np.where(first, harm.day, planned.day),
        futile=planned.futile & ~first,
        winner=np.where(first, 0, planned.winner),
        lift=np.where(first, harm.lift, planned.lift),
    )
