"""The vectorised judge and `decide` are two paths through the same rules: they must end at the same look, alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.effects import effect
from airflow_provider_launchdarkly.decision.evidence import Measurement
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.effects import z_values
from airflow_provider_launchdarkly.simulation.report import STARTED_AT
from airflow_provider_launchdarkly.simulation.sampling import MetricDraws, draw
from airflow_provider_launchdarkly.simulation.vectorized_judge import KINDS, judge
from airflow_provider_launchdarkly.simulation.world import Arrivals, MetricTruth, World
from support.two_judges import judge_to_the_end

EXPERIMENTS = 12
# `decide` takes a second for an experiment with many looks, so all are compared with Hypothesis's full profile alone.
COMPARED = EXPERIMENTS if settings.default and settings.default.max_examples >= 150 else 4
RATE = MetricTruth(0.1)
MONEY = MetricTruth(40.0, 60.0)
RARE = MetricTruth(0.003)


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
    "a guardrail without events": (
        {"guardrails": [{"metric": "g0", "direction": "lower"}]},
        World(lifted(RATE, 0.3), 400, guardrails=(MetricTruth(0.0),)),
    ),
    "a guardrail whose first events are late": (
        {"guardrails": [{"metric": "g0", "direction": "lower"}]},
        World(lifted(RATE, 0.4), 400, guardrails=(MetricTruth(0.0002),)),
    ),
    "a guardrail that may have no events": (
        {"guardrails": [{"metric": "g0", "direction": "lower", "needs_events": False}]},
        World(lifted(RATE, 0.3), 400, guardrails=(MetricTruth(0.0),)),
    ),
    "a signal without events": (
        {"signals": [{"metric": "s0"}]},
        World(lifted(RATE, 0.3), 400, signals=(MetricTruth(0.0),)),
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
    "a treatment that changes who is measured": (
        {},
        World(MetricTruth(40.0, 20.0, (0.2,), (0.5, 0.4)), 2000),
    ),
    "a treatment that seems to change who is measured": (
        {"signals": [{"metric": "s0"}]},
        World(
            MetricTruth(40.0, 20.0, (0.2,), (0.1, 0.09)), 600, signals=(MetricTruth(0.1, None, (0.0,), (0.01, 0.01)),)
        ),
    ),
    "a signal that hardly anybody has": (
        {"signals": [{"metric": "s0"}]},
        World(lifted(RATE, 0.3), 300, signals=(MetricTruth(0.1, None, (0.0,), (0.0005, 0.0005)),)),
    ),
    "non-inferiority": ({"preset": "do_no_harm", "primary": {"margin": 0.2}}, World(RATE, 400)),
    "one look": ({"preset": "frequentist_fixed"}, World(lifted(RATE, 0.15), 400)),
    "probability to be best": ({"preset": "launchdarkly"}, World(RATE, 400)),
    "probability to be best of three": (
        {"preset": "launchdarkly"},
        World(lifted(RATE, 0.1, -0.1), 600, planned_shares=(1.0, 1.0, 1.0)),
    ),
    "a small treatment": ({}, World(lifted(RATE, 0.5), 400, planned_shares=(0.95, 0.05))),
    "a small baseline": ({}, World(lifted(RATE, -0.5), 400, planned_shares=(0.05, 0.95))),
    "a small treatment with rare conversions": (
        {"guardrails": [{"metric": "g0", "direction": "lower"}]},
        World(lifted(MetricTruth(0.005), 3.0), 2000, guardrails=(lifted(RARE, 4.0),), planned_shares=(0.95, 0.05)),
    ),
    "a small treatment with rare errors to be proven": (
        {"guardrails": [{"metric": "g0", "margin": 0.5, "direction": "lower", "prove": True}]},
        World(lifted(RATE, 0.3), 2000, guardrails=(RARE,), planned_shares=(0.8, 0.2)),
    ),
    "a small treatment that is not worse": (
        {"preset": "do_no_harm", "primary": {"margin": 0.2}},
        World(MetricTruth(0.97), 400, planned_shares=(0.9, 0.1)),
    ),
    "from no conversions to all": (
        {"primary": {"direction": "lower"}},
        World(MetricTruth(1.0, None, (-1.0,)), 30),
    ),
    "from all conversions to none": ({}, World(MetricTruth(1.0, None, (-1.0,)), 30)),
    "nobody ever converts": ({}, World(MetricTruth(0.0), 400)),
    "futile for the planned effect": (
        {"primary": {"minimum_detectable_effect": 0.15}, "futility": {"conditional_power": 0.2}},
        World(lifted(RATE, 0.02), 400),
    ),
    "futile for the planned effect, on a metric of half of the units": (
        {"primary": {"minimum_detectable_effect": 0.15}, "futility": {"conditional_power": 0.2}},
        World(MetricTruth(0.1, None, (0.05,), (0.5, 0.5)), 800),
    ),
    "futile for a guardrail on a part of the units": (
        {
            "primary": {"minimum_detectable_effect": 0.15},
            "guardrails": [{"metric": "g0", "margin": 0.1, "prove": True}],
            "futility": {"conditional_power": 0.2},
        },
        World(lifted(RATE, 0.3), 1200, guardrails=(MetricTruth(0.1, None, (-0.03,), (0.3, 0.3)),)),
    ),
    "a guardrail that will hardly be proven": (
        {"guardrails": [{"metric": "g0", "margin": 0.1, "prove": True}]},
        World(lifted(RATE, 0.3), 400, guardrails=(lifted(RATE, -0.08),)),
    ),
    "never futile": ({"futility": "off"}, World(RATE, 400)),
    "looks at cron times": (
        {"looks": {"cron": "0 9 * * mon-fri", "timezone": "America/New_York"}},
        World(lifted(RATE, 0.2), 400, arrivals=Arrivals.WEEKDAYS),
    ),
    "looks every twelve hours for two weeks": (
        {"looks": "12h", "max_duration": "14d"},
        World(lifted(RATE, 0.3), 400, arrivals=Arrivals.SHRINKING),
    ),
}


@pytest.mark.hypothesis
@pytest.mark.parametrize("situation", SITUATIONS)
def test_both_paths_end_at_the_same_look_with_the_same_verdict(situation: str) -> None:
    fields, world = SITUATIONS[situation]
    agree(Policy.from_json(fields), world, COMPARED, 7)


def agree(policy: Policy, world: World, experiments: int, seed: int) -> None:
    for quick, slow, verdict in judge_to_the_end(policy, world, experiments=experiments, seed=seed):
        assert quick == slow, verdict.summary


RATES = st.sampled_from((0.0, 0.0005, 0.002, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0))
LIFTS = st.sampled_from((-1.0, -0.5, -0.1, 0.0))
SHARES = st.sampled_from(((0.5, 0.5), (0.9, 0.1), (0.98, 0.02), (0.02, 0.98), (0.6, 0.3, 0.1)))
DIRECTIONS = st.sampled_from(("higher", "lower"))


@st.composite
def truths(draw: st.DrawFn, challengers: int) -> MetricTruth:
    """A 0/1 metric, often rare, or a numeric one; no treatment is above a rate of 1."""
    lifts = tuple(draw(LIFTS) for _ in range(challengers))
    if draw(st.integers(0, 3)):
        return MetricTruth(draw(RATES), None, lifts)
    return MetricTruth(40.0, draw(st.sampled_from((0.0, 1.0, 60.0))), lifts)


@st.composite
def designs(draw: st.DrawFn) -> tuple[Policy, World]:
    """A policy and a world: small treatments, rare metrics, either direction, margins, proofs."""
    shares, direction, margin = draw(SHARES), draw(DIRECTIONS), draw(st.sampled_from((0.0, 0.02, 0.3)))
    prove = margin > 0 and draw(st.booleans())
    guardrail = {"metric": "g0", "direction": direction, "margin": margin, "prove": prove}
    primary: dict[str, Any] = {"direction": draw(DIRECTIONS)}
    if draw(st.booleans()):
        primary |= {"test": "non_inferiority", "margin": 0.1}
    fields = {"looks": "4d", "guardrails": [guardrail], "primary": primary, "min_units_per_treatment": 2}
    of = truths(len(shares) - 1)
    world = World(draw(of), draw(st.sampled_from((10.0, 300.0, 5000.0))), (draw(of),), planned_shares=shares)
    return Policy.from_json(fields), world


@given(designs(), st.integers(0, 2**32))
def test_both_paths_agree_on_any_design(design: tuple[Policy, World], seed: int) -> None:
    agree(*design, experiments=4, seed=seed)


@st.composite
def measurements(draw: st.DrawFn) -> tuple[int, float, float]:
    """Units, mean and variance of a 0/1 metric or of any other."""
    units = draw(st.integers(0, 300) | st.integers(0, 10**7))
    if draw(st.booleans()):
        ones = draw(st.integers(0, min(units, 50)) | st.integers(max(0, units - 50), units) | st.integers(0, units))
        rate = ones / max(units, 1)
        return units, rate, rate * (1.0 - rate)
    return units, draw(st.floats(-100.0, 100.0)), draw(st.just(0.0) | st.floats(1e-6, 1e4))


@given(measurements(), measurements(), st.sampled_from(Direction), st.sampled_from((0.0, 0.01, 0.3)))
def test_both_paths_have_the_same_z(
    baseline: tuple[int, float, float], treatment: tuple[int, float, float], direction: Direction, margin: float
) -> None:
    units, means, variances = (np.array([[pair]]) for pair in zip(baseline, treatment, strict=True))
    (quick,) = z_values(MetricDraws(means, variances), units, direction.sign, margin).ravel()
    if units.min() == 0:
        assert np.isnan(quick)
        return
    left, right = (
        Measurement(name, count, mean, variance**0.5)
        for name, (count, mean, variance) in {"treatment": treatment, "baseline": baseline}.items()
    )
    z = effect(left, right, direction).z(margin)
    assert quick == pytest.approx(np.nan if z is None else z, rel=1e-6, abs=1e-6, nan_ok=True)


def test_the_situations_reach_every_ending() -> None:
    reached = set()
    for fields, world in SITUATIONS.values():
        policy = Policy.from_json(fields)
        plan = schedule_looks(policy, STARTED_AT, world.allocation)
        draws = draw(world, plan.look_times, plan.end, EXPERIMENTS, np.random.default_rng(7))
        reached |= {KINDS[kind] for kind in judge(policy, draws, world.planned_shares, STARTED_AT).kind}
    assert reached == set(Kind) - {Kind.WAIT}


def test_of_held_back_winners_the_free_one_ships_where_lower_is_better() -> None:
    policy = Policy.from_json(
        {
            "primary": {"metric": "latency", "direction": "lower"},
            "signals": [{"metric": "revenue", "direction": "higher"}],
            "looks": {"only_at_end": True},
        }
    )
    # The second treatment is the fastest but loses revenue; of the two others the third is faster.
    world = World(
        MetricTruth(100.0, 20.0, (-0.10, -0.30, -0.20)),
        units_per_day=4000.0,
        signals=(MetricTruth(50.0, 20.0, (0.0, -0.2, 0.0)),),
        planned_shares=(0.25, 0.25, 0.25, 0.25),
    )
    shipped = set()
    for quick, slow, verdict in judge_to_the_end(policy, world, experiments=10, seed=5):
        assert quick == slow, verdict.summary
        shipped.add(quick[2])
    assert shipped == {3}


def test_where_all_winners_are_held_back_nothing_ships_where_lower_is_better() -> None:
    policy = Policy.from_json(
        {
            "primary": {"metric": "latency", "direction": "lower"},
            "signals": [{"metric": "revenue", "direction": "higher"}],
            "looks": {"only_at_end": True},
        }
    )
    world = World(
        MetricTruth(100.0, 20.0, (-0.10, -0.30)),
        units_per_day=4000.0,
        signals=(MetricTruth(50.0, 20.0, (-0.2, -0.2)),),
        planned_shares=(0.4, 0.3, 0.3),
    )
    for quick, slow, verdict in judge_to_the_end(policy, world, experiments=5, seed=6):
        assert quick == slow, verdict.summary
        assert quick[0] is Kind.INCONCLUSIVE
