"""The vectorised judge and `decide` are two paths through the same rules: they must end at the same look, alike."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from airflow_provider_launchdarkly.decision.evidence import Evidence, Measurement, MetricEvidence, TreatmentEvidence
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Direction, Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.report import STARTED_AT
from airflow_provider_launchdarkly.simulation.sampling import draw
from airflow_provider_launchdarkly.simulation.vectorized_judge import KINDS, judge
from airflow_provider_launchdarkly.simulation.world import Arrivals, MetricTruth, World

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.simulation.sampling import Draws, MetricDraws

EXPERIMENTS = 60
RATE = MetricTruth(0.1)
MONEY = MetricTruth(40.0, 60.0)


def lifted(truth: MetricTruth, *lifts: float) -> MetricTruth:
    return MetricTruth(truth.mean, truth.std_dev, lifts)


SITUATIONS: dict[str, tuple[dict[str, Any], World]] = {
    "nothing": ({}, World(RATE, 400)),
    "an effect": ({}, World(lifted(RATE, 0.2), 400)),
    "a numeric metric": ({}, World(lifted(MONEY, 0.15), 300)),
    "lower is better": ({"primary": {"direction": "lower"}}, World(lifted(RATE, -0.2), 400)),
    "harm": ({}, World(lifted(RATE, -0.25), 400)),
    "hardly any traffic": ({"missing": {"action": "invalid"}}, World(RATE, 3)),
    "few units": ({"min_units_per_treatment": 2000}, World(lifted(RATE, 0.3), 200)),
    "growing traffic by units": ({"planned_units": 8000}, World(lifted(RATE, 0.2), 400, arrivals=Arrivals.GROWING)),
    "a lost day": ({}, World(lifted(RATE, 0.2), 400, arrivals=Arrivals.LOST_DAY)),
    "guardrails, one harmed": (
        {"guardrails": [{"metric": "g0"}, {"metric": "g1", "direction": "lower", "margin": 0.02}]},
        World(lifted(RATE, 0.1), 400, guardrails=(RATE, lifted(MONEY, 0.25))),
    ),
    "a guardrail to be proven": (
        {"guardrails": [{"metric": "g0", "margin": 0.1, "prove": True}]},
        World(lifted(RATE, 0.3), 400, guardrails=(RATE,)),
    ),
    "a signal that holds": (
        {"signals": [{"metric": "s0"}]},
        World(lifted(RATE, 0.25), 400, signals=(lifted(RATE, -0.1),)),
    ),
    "three treatments": (
        {"signals": [{"metric": "s0", "alpha": 0.3}]},
        World(lifted(RATE, 0.2, 0.25), 600, signals=(lifted(RATE, 0.0, 0.0),), planned_shares=(0.4, 0.3, 0.3)),
    ),
    "a broken split": ({}, World(lifted(RATE, 0.2), 2000, true_shares=(0.52, 0.48))),
    "a broken split that holds": (
        {"mismatch": {"action": "hold"}},
        World(lifted(RATE, 0.2), 1500, true_shares=(0.52, 0.48)),
    ),
    "a broken split that warns": (
        {"mismatch": {"action": "warn"}},
        World(lifted(RATE, 0.2), 1500, true_shares=(0.52, 0.48)),
    ),
    "non-inferiority": ({"preset": "do_no_harm", "primary": {"margin": 0.2}}, World(RATE, 400)),
    "one look": ({"preset": "frequentist_fixed"}, World(lifted(RATE, 0.15), 400)),
    "probability to be best": ({"preset": "launchdarkly"}, World(RATE, 400)),
    "probability to be best of three": (
        {"preset": "launchdarkly"},
        World(lifted(RATE, 0.1, -0.1), 600, planned_shares=(1.0, 1.0, 1.0)),
    ),
    "looks at cron times": (
        {"looks": {"cron": "0 9 * * mon-fri", "timezone": "America/New_York"}},
        World(lifted(RATE, 0.2), 400, arrivals=Arrivals.WEEKDAYS),
    ),
    "looks every twelve hours for two weeks": (
        {"looks": "12h", "max_duration": "14d"},
        World(lifted(RATE, 0.3), 400, arrivals=Arrivals.SHRINKING),
    ),
}


def metric(key: str, drawn: MetricDraws, draws: Draws, experiment: int, look: int) -> MetricEvidence:
    units = draws.units[experiment, look]
    return MetricEvidence(
        key,
        tuple(
            Measurement(
                str(treatment),
                int(count),
                float(drawn.mean[experiment, look, treatment]),
                float(drawn.variance[experiment, look, treatment] ** 0.5),
            )
            for treatment, count in enumerate(units)
        ),
        Direction.HIGHER,
    )


def seen(world: World, draws: Draws, experiment: int, look: int) -> Evidence:
    parts = {"primary": draws.primary}
    parts |= {f"g{index}": drawn for index, drawn in enumerate(draws.guardrails)}
    parts |= {f"s{index}": drawn for index, drawn in enumerate(draws.signals)}
    return Evidence(
        elapsed=draws.moments[look],
        treatments=tuple(
            TreatmentEvidence(str(index), str(index), index == 0, share, int(draws.units[experiment, look, index]))
            for index, share in enumerate(world.planned_shares)
        ),
        metrics=tuple(metric(key, drawn, draws, experiment, look) for key, drawn in parts.items()),
        primary_metric="primary",
        started_at=STARTED_AT,
    )


@pytest.mark.parametrize("situation", SITUATIONS)
def test_both_paths_end_at_the_same_look_with_the_same_verdict(situation: str) -> None:
    fields, world = SITUATIONS[situation]
    policy = Policy.from_json(fields)
    plan = schedule_looks(policy, STARTED_AT, world.treatments)
    # Looks on time, an early one before the first is due, and one after the end.
    moments = (plan.look_times[0] / 2, *plan.look_times, plan.end + timedelta(hours=5))
    draws = draw(world, moments, plan.end, EXPERIMENTS, np.random.default_rng(7))
    outcomes = judge(policy, draws, world.planned_shares, STARTED_AT)
    for experiment in range(EXPERIMENTS):
        verdicts = (decide(policy, seen(world, draws, experiment, look)) for look in range(len(moments)))
        look, verdict = next((look, verdict) for look, verdict in enumerate(verdicts) if verdict.ends)
        quick = (KINDS[outcomes.kind[experiment]], outcomes.look[experiment], outcomes.winner[experiment])
        assert quick == (verdict.kind, look, int(verdict.treatment_id or 0)), verdict.summary


def test_the_situations_reach_every_ending() -> None:
    reached = set()
    for fields, world in SITUATIONS.values():
        policy = Policy.from_json(fields)
        plan = schedule_looks(policy, STARTED_AT, world.treatments)
        draws = draw(world, plan.look_times, plan.end, EXPERIMENTS, np.random.default_rng(7))
        reached |= {KINDS[kind] for kind in judge(policy, draws, world.planned_shares, STARTED_AT).kind}
    assert reached == set(Kind) - {Kind.WAIT}
