"""The two judges on the same drawn experiments: `decide` for one look of one experiment, and the vectorised one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta
from itertools import product

import numpy as np

from airflow_provider_launchdarkly.decision.evidence import (
    EarlierLook,
    Evidence,
    Measurement,
    MetricEvidence,
    ReleaseEvidence,
    Spent,
    Standing,
    TreatmentEvidence,
    as_earlier,
)
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.standing import fingerprint
from airflow_provider_launchdarkly.decision.verdict import Kind, Verdict
from airflow_provider_launchdarkly.simulation.report import STARTED_AT
from airflow_provider_launchdarkly.simulation.sampling import Draws, MetricDraws, draw
from airflow_provider_launchdarkly.simulation.vectorized_judge import KINDS, VectorizedJudge, judge, judge_harm
from airflow_provider_launchdarkly.simulation.world import World

# The vectorised judge solves boundaries a little more coarsely, and histories have seven digits.
HAIRS_BREADTH = 5e-4


def drawn_evidence(policy: Policy, world: World, draws: Draws, experiment: int, look: int) -> Evidence:
    """Return what is measured at one look of one drawn experiment, as a source of evidence would bring it."""
    keys = [
        policy.primary.metric or "primary",
        *(part.metric or "" for part in policy.other_primaries),
        *(part.metric for part in policy.guardrails),
        *(part.metric for part in policy.signals),
    ]
    metrics = (*draws.primaries, *draws.guardrails, *draws.signals)
    return Evidence(
        elapsed=draws.moments[look],
        treatments=tuple(
            TreatmentEvidence(str(index), str(index), index == 0, share, int(draws.exposed[experiment, look, index]))
            for index, share in enumerate(world.planned_shares)
        ),
        metrics=tuple(_metric(key, drawn, draws, experiment, look) for key, drawn in zip(keys, metrics, strict=True)),
        primary_metric=keys[0],
        started_at=STARTED_AT,
        releases=tuple(
            ReleaseEvidence(part.flag, part.release or "newest", "in_progress", {"errors": "ok"})
            for part in policy.release_guardrails
        ),
    )


def with_history(looks: list[Evidence]) -> Iterator[Evidence]:
    """Yield each look with all looks before it as its history."""
    earlier: list[EarlierLook] = []
    for seen in looks:
        yield seen._replace(earlier=tuple(earlier))
        if not earlier or earlier[-1].elapsed < seen.elapsed:
            earlier.append(as_earlier(seen))


def is_close(verdict: Verdict) -> bool:
    """Return whether some comparison is so close to its boundary that both judges may differ."""
    bars = (
        bar
        for metric in verdict.metrics
        for compared in metric.comparisons
        for bar in (compared.success, compared.harm)
    )
    return any(bar is not None and bar.distance is not None and abs(bar.distance) < HAIRS_BREADTH for bar in bars)


def _metric(key: str, drawn: MetricDraws, draws: Draws, experiment: int, look: int) -> MetricEvidence:
    units = draws.exposed if drawn.units is None else drawn.units
    return MetricEvidence(
        key,
        tuple(
            Measurement(
                str(treatment),
                int(count),
                float(drawn.mean[experiment, look, treatment]),
                float(drawn.variance[experiment, look, treatment] ** 0.5),
            )
            for treatment, count in enumerate(units[experiment, look])
        ),
        Direction.HIGHER,
    )


def judge_twice(
    policy: Policy, world: World, *, experiments: int, seed: int, most_looks: int
) -> Iterator[tuple[tuple[Kind, int], tuple[Kind, int], Verdict]]:
    """Judge drawn experiments by both judges, at each look as if it were the first.

    The looks are those of the plan, thinned to `most_looks`, one before the first and one after the end. If the policy
    has `harm_looks`, each of them is also judged for harm alone. Looks within a hair's breadth of a boundary are left
    out.

    Yields:
        For each experiment and look the verdict's kind and the shipped treatment (0 for none), from the vectorised
        judge and from `decide`; and the latter's verdict.
    """
    plan = schedule_looks(policy, STARTED_AT, world.allocation)
    chosen = sorted({int(look) for look in np.linspace(0, len(plan.look_times) - 1, most_looks)})
    times = (plan.look_times[0] / 2, *(plan.look_times[look] for look in chosen), plan.end * 1.1)
    draws = draw(world, times, plan.end, experiments, np.random.default_rng(seed))
    for look, only_harm in product(range(len(times)), (False, True) if policy.harm_looks else (False,)):
        alone = draws.at([look])
        if only_harm:
            outcomes = judge_harm(policy, alone, world.planned_shares)
        else:
            outcomes = judge(policy, alone, world.planned_shares, STARTED_AT)
        for experiment in range(experiments):
            measured = drawn_evidence(policy, world, draws, experiment, look)._replace(only_harm=only_harm)
            verdict = decide(policy, measured)
            if is_close(verdict):  # of few units, an exact test may give a signal's very alpha
                continue
            quick = (KINDS[outcomes.kind[experiment]], int(outcomes.winner[experiment]))
            yield quick, (verdict.kind, int(verdict.treatment_id or 0)), verdict


def judge_to_the_end(
    policy: Policy, world: World, *, experiments: int, seed: int, missed: Collection[int] = ()
) -> Iterator[tuple[tuple[Kind, int, int], tuple[Kind, int, int], Verdict]]:
    """Judge drawn experiments by both judges, look after look until each has ended.

    The looks are those of the plan but for the missed ones, one before the first is due and one after the end. Each
    knows the looks before. Experiments that come within a hair's breadth of a boundary are left out.

    Yields:
        For each experiment the kind of its ending, the index of the look, and the shipped treatment (0 for none), from
        the vectorised judge and from `decide`; and the latter's verdict.
    """
    plan = schedule_looks(policy, STARTED_AT, world.allocation)
    taken = (time for look, time in enumerate(plan.look_times, start=1) if look not in missed)
    times = (plan.look_times[0] / 2, *taken, plan.end + timedelta(hours=5))
    draws = draw(world, times, plan.end, experiments, np.random.default_rng(seed))
    outcomes = judge(policy, draws, world.planned_shares, STARTED_AT)
    for experiment in range(experiments):
        seen = [drawn_evidence(policy, world, draws, experiment, look) for look in range(len(times))]
        verdicts = []
        for measured in with_history(seen):
            verdicts.append(decide(policy, measured))
            if verdicts[-1].ends:
                break
        if any(map(is_close, verdicts)):
            continue
        look, verdict = len(verdicts) - 1, verdicts[-1]
        quick = (KINDS[outcomes.kind[experiment]], int(outcomes.look[experiment]), int(outcomes.winner[experiment]))
        yield quick, (verdict.kind, look, int(verdict.treatment_id or 0)), verdict


def judge_spent_twice(
    policy: Policy, world: World, spent: Spent, *, experiments: int, seed: int, most_looks: int
) -> Iterator[tuple[Kind, Verdict]]:
    """Judge drawn experiments by both judges, where another policy and an earlier iteration came before.

    Yields:
        For each experiment and look the verdict's kind from the vectorised judge, and the verdict of `decide`.
    """
    plan = schedule_looks(policy, STARTED_AT, world.allocation)
    chosen = sorted({int(look) for look in np.linspace(0, len(plan.look_times) - 1, most_looks)})
    times = (*(plan.look_times[look] for look in chosen), plan.end * 1.1)
    draws = draw(world, times, plan.end, experiments, np.random.default_rng(seed))
    for look in range(len(times)):
        judge = VectorizedJudge(policy, draws.at([look]), world.planned_shares, STARTED_AT, spent=spent, repeats=1)
        for experiment, kind in enumerate(judge.kinds()[0][:, 0]):
            measured = drawn_evidence(policy, world, draws, experiment, look)
            verdict = decide(policy, measured._replace(spent=spent, repeats=1))
            if not is_close(verdict):
                yield KINDS[kind], verdict


def judge_standing_twice(
    policy: Policy, world: World, *, experiments: int, seed: int, most_looks: int
) -> Iterator[tuple[Kind, Verdict]]:
    """Judge drawn experiments by both judges, where the last treatment crossed the boundary at an earlier look.

    Yields:
        For each experiment and look the verdict's kind from the vectorised judge, and the verdict of `decide`.
    """
    plan = schedule_looks(policy, STARTED_AT, world.allocation)
    chosen = sorted({int(look) for look in np.linspace(0, len(plan.look_times) - 1, most_looks)})
    times = (*(plan.look_times[look] for look in chosen), plan.end * 1.1)
    draws = draw(world, times, plan.end, experiments, np.random.default_rng(seed))
    last = world.treatments - 1
    for look in range(len(times)):
        judge = VectorizedJudge(policy, draws.at([look]), world.planned_shares, STARTED_AT)
        for experiment, kind in enumerate(judge.kinds_if_standing(last)[:, 0]):
            measured = standing_evidence(policy, drawn_evidence(policy, world, draws, experiment, look), str(last))
            verdict = decide(policy, measured)
            if not is_close(verdict):
                yield KINDS[kind], verdict


def standing_evidence(policy: Policy, measured: Evidence, treatment_id: str) -> Evidence:
    """Return the evidence with a crossing of a treatment at the first look."""
    standing = Standing(treatment_id, 1, policy.primary.metric or "primary", fingerprint(policy))
    return measured._replace(standing=standing)
