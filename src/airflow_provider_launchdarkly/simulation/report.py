"""Measure what a policy costs: run it on simulated experiments of known truth and count their endings."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from airflow_provider_launchdarkly.decision.allocation import Allocation
from airflow_provider_launchdarkly.decision.boundaries import quantile
from airflow_provider_launchdarkly.decision.policy_parts import Direction, Rule, Test, Traffic
from airflow_provider_launchdarkly.decision.schedule import LookSchedule, schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.effects import z_values
from airflow_provider_launchdarkly.simulation.estimates import estimate_stops
from airflow_provider_launchdarkly.simulation.harm_looks import draw_and_judge
from airflow_provider_launchdarkly.simulation.sampling import Draws, MetricDraws, draw
from airflow_provider_launchdarkly.simulation.vectorized_judge import Outcomes, judge
from airflow_provider_launchdarkly.simulation.world import Arrivals, MetricTruth, World

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_parts import Baseline

# The traffic of a simulation whose policy has none.
USUAL_TRAFFIC = Traffic.model_construct(units_per_day=2000.0, mean=0.1)

# Standard errors at the plan's end: what a fixed two-sided 5 % test finds with 80 % power, and a harm that it finds
# with 95 % one-sided power (Lan & DeMets's usual yardsticks).
USUAL_EFFECT = quantile(0.025) + quantile(0.2)
USUAL_HARM = quantile(0.05) + quantile(0.05)

# The share of all units by which a broken split is off.
BROKEN_SPLIT = 0.01

# Looks for harm that a simulation takes at most, to be done within a minute: more of them find harm minutes earlier.
MOST_HARM_LOOKS = 400

# Looks at cron times need a calendar: a Monday at midnight.
STARTED_AT = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scenario:
    """The settings of a simulation.

    Attributes:
        traffic: Units a day, and the baseline's values.
        effect: Relative lift of the last treatment; None for the one that the policy plans to find. If it names none,
            the one that a fixed two-sided 5 % test finds with 80 % power at the plan's end, or no lift where
            non-inferiority is to be shown.
        shares: Allocated shares of the treatments, the baseline first; only their ratios matter.
        arrivals: Pattern of the traffic over the plan.
        experiments: Number of experiments for each truth.
        seed: Seed of the random numbers; the same seed gives the same numbers.
    """

    traffic: Traffic = USUAL_TRAFFIC
    effect: float | None = None
    shares: tuple[float, ...] = (0.5, 0.5)
    arrivals: Arrivals = Arrivals.EVEN
    experiments: int = 10_000
    seed: int = 1

    @property
    def treatments(self) -> int:
        """Number of treatments, with the baseline."""
        return len(self.shares)

    @property
    def allocation(self) -> Allocation:
        """The shares as an allocation."""
        return Allocation.of_shares(self.shares)


@dataclass(frozen=True, slots=True)
class Report:
    """The measures of a simulation. A share is one of the simulated experiments.

    Attributes:
        experiments: Experiments for each truth.
        looks: Looks in the plan.
        planned_days: Longest length of the plan.
        planned_units: Units over all treatments at which it ends earlier; None if only time ends it.
        full_day: Mean day of the look at which those units have arrived; None if they never do, or none are planned.
        effect: True relative lift of the treatment that has one.
        harm: True relative change of the harmed metric, negative for worse.
        false_ship: Shipped although no treatment is better than the policy demands.
        false_rollback: Rolled back although nothing is worse than the policy tolerates.
        mismatch_false_alarm: Called invalid although units were split as allocated.
        mean_stop_day_no_effect: Mean length of an experiment without effect.
        futile_no_effect: Ended early as futile, without an effect.
        power: Shipped the treatment with the effect.
        futile: Ended early as futile, with the effect.
        mean_stop_day: Mean length of an experiment with the effect, in days.
        median_ship_day: Median day of the ship, of those that shipped it.
        winners_curse: Mean observed lift at shipping over the true one; None without an effect.
        bias_adjusted: Mean bias-adjusted lift at shipping over the true one.
        interval_coverage: Share of the experiments with the effect whose interval at the stop holds it, of those that
            shipped or ended inconclusive.
        interval_coverage_shipped: The same, of those that shipped.
        harm_found: Rolled back with the harm, if futility does not end the experiment before.
        median_harm_day: Median day of the rollback, of those.
        mismatch_found: Called invalid when the split was off by one percentage point, likewise.
    """

    experiments: int
    looks: int
    planned_days: float
    planned_units: int | None
    full_day: float | None
    effect: float
    harm: float
    false_ship: float
    false_rollback: float
    mismatch_false_alarm: float
    mean_stop_day_no_effect: float
    futile_no_effect: float
    power: float
    futile: float
    mean_stop_day: float
    median_ship_day: float | None
    winners_curse: float | None
    bias_adjusted: float | None
    interval_coverage: float | None
    interval_coverage_shipped: float | None
    harm_found: float
    median_harm_day: float | None
    mismatch_found: float

    def to_json(self) -> dict[str, Any]:
        """Return the measures as plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Simulation:
    """A report with the data of its picture.

    Attributes:
        report: The measures.
        schedule: The looks of the policy with their times.
        no_effect: Endings of the experiments without effect.
        with_effect: Endings of those with the effect.
        paths: z of the primary metric at each look of some experiments without effect, then of some with it; shape
            (2, experiments, looks).
        shares: Mean share of the plan that is over at each look.
    """

    report: Report
    schedule: LookSchedule
    no_effect: Outcomes
    with_effect: Outcomes
    paths: NDArray[np.float64]
    shares: NDArray[np.float64]


def simulate(policy: Policy, scenario: Scenario) -> Simulation:
    """Measure what a policy costs.

    Args:
        policy: The policy.
        scenario: The settings.

    Returns:
        The measures; the same for the same arguments.
    """
    run = _Run(policy, scenario)
    effect = scenario.effect if scenario.effect is not None else run.usual_effect()
    harm = run.harm()
    nothing, lifted = run.nothing(), run.lifted(effect)
    no_effect, no_effect_draws = run.outcomes(nothing)
    with_effect, with_effect_draws = run.outcomes(lifted)
    # Futility ends most of these on the baseline, often sooner; it would hide what the two tests find.
    to_the_end = policy.model_copy(update={"futility": None})
    harmed, _ = run.outcomes(run.harmed(harm), to_the_end)
    broken, _ = run.outcomes(run.broken(), to_the_end)
    shipped = with_effect.are(Kind.SHIP) & (with_effect.winner == scenario.treatments - 1)
    rolled_back = harmed.are(Kind.ROLLBACK)
    report = Report(
        experiments=scenario.experiments,
        looks=len(run.schedule.look_times),
        planned_days=run.days,
        planned_units=run.schedule.planned_units,
        full_day=run.full_day(no_effect_draws),
        effect=effect,
        harm=harm,
        false_ship=no_effect.share(Kind.SHIP),
        false_rollback=no_effect.share(Kind.ROLLBACK),
        mismatch_false_alarm=no_effect.share(Kind.INVALID),
        mean_stop_day_no_effect=float(no_effect.day.mean()),
        futile_no_effect=float(no_effect.futile.mean()),
        power=float(shipped.mean()),
        futile=float(with_effect.futile.mean()),
        mean_stop_day=float(with_effect.day.mean()),
        median_ship_day=_median(with_effect.day[shipped]),
        winners_curse=float(with_effect.lift[shipped].mean() / effect) if effect and shipped.any() else None,
        **run.at_the_stop(with_effect, with_effect_draws, shipped, effect),
        harm_found=float(rolled_back.mean()),
        median_harm_day=_median(harmed.day[rolled_back]),
        mismatch_found=broken.share(Kind.INVALID),
    )
    paths = np.stack([_paths(no_effect_draws, run.sign), _paths(with_effect_draws, run.sign)])
    return Simulation(report, run.schedule, no_effect, with_effect, paths, run.shares(no_effect_draws))


def exceeded(policy: Policy, report: Report) -> list[str]:
    """Return a sentence for each measure beyond the policy's budget."""
    budget = policy.budget
    if budget is None:
        return []
    found = []
    for name in ("false_ship", "false_rollback", "mismatch_false_alarm", "mean_stop_day"):
        allowed, measured = getattr(budget, name), getattr(report, name)
        if allowed is not None and measured > allowed:
            found.append(f"{name} is {measured:.4g}, more than the budget of {allowed:.4g}")
    if budget.power is not None and report.power < budget.power:
        found.append(f"power is {report.power:.4g}, less than the budget of {budget.power:.4g}")
    return found


class _Run:
    """The simulation of one policy in one scenario; each truth has a separate random stream."""

    def __init__(self, policy: Policy, scenario: Scenario) -> None:
        self.policy, self.scenario = policy, scenario
        self.schedule = schedule_looks(policy, STARTED_AT, scenario.allocation)
        self.days = self.schedule.end.total_seconds() / 86400.0
        self.sign = (policy.primary.direction or Direction.HIGHER).sign
        self._streams = iter(np.random.SeedSequence(scenario.seed).spawn(8))

    def outcomes(self, world: World, policy: Policy | None = None) -> tuple[Outcomes, Draws]:
        """Draw a world and judge it, by another policy if one is given."""
        random = np.random.default_rng(next(self._streams))
        judged = policy or self.policy
        if judged.harm_looks is not None:
            return draw_and_judge(
                judged, world, self.scenario.experiments, random, started_at=STARTED_AT, most=MOST_HARM_LOOKS
            )
        lags = {"burn_in": judged.burn_in, "maturity": judged.maturity}
        draws = draw(world, self.schedule.look_times, self.schedule.end, self.scenario.experiments, random, **lags)
        return judge(judged, draws, world.planned_shares, STARTED_AT), draws

    def shares(self, draws: Draws) -> NDArray[np.float64]:
        """Return the mean share of the plan that is over at each look."""
        units = draws.units_of(draws.primary).sum(axis=2).mean(axis=0)
        return np.array(
            [self.schedule.share(time, int(count)) for time, count in zip(draws.moments, units, strict=True)]
        )

    def full_day(self, draws: Draws) -> float | None:
        """Return the mean day on which the planned units are found to have arrived, of the experiments where they do.

        None if that is in fewer than half of them, or if no units are planned.
        """
        if self.schedule.planned_units is None:
            return None
        days = np.array([time.total_seconds() / 86400.0 for time in draws.moments])
        old_enough = days >= self.policy.min_duration.total_seconds() / 86400.0
        full = (draws.units_of(draws.primary).sum(axis=2) >= self.schedule.planned_units) & old_enough
        ever = full.any(axis=1)
        return float(days[full.argmax(axis=1)[ever]].mean()) if ever.mean() >= 0.5 else None

    def at_the_stop(
        self, outcomes: Outcomes, draws: Draws, shipped: NDArray[np.bool_], effect: float
    ) -> dict[str, float | None]:
        """Return how the estimates at the stop compare with the true effect."""
        names = ("bias_adjusted", "interval_coverage", "interval_coverage_shipped")
        stopped = shipped | (outcomes.are(Kind.INCONCLUSIVE) & (self.scenario.treatments == 2))
        if self.policy.rule is not Rule.GROUP_SEQUENTIAL or not shipped.any():
            return dict.fromkeys(names)
        found = estimate_stops(self.policy, draws, outcomes, self.scenario.shares, STARTED_AT)
        covered = found.covers(effect)
        worth = float(found.bias_adjusted[shipped].mean() / effect) if effect else None
        return dict(zip(names, (worth, float(covered[stopped].mean()), float(covered[shipped].mean())), strict=True))

    def nothing(self) -> World:
        """Return the least favourable world: each metric is as much worse as the policy tolerates."""
        policy, traffic = self.policy, self.scenario.traffic
        return World(
            primary=self._truth(traffic, policy.primary.direction, policy.primary.margin),
            units_per_day=traffic.units_per_day,
            other_primaries=tuple(
                self._truth(traffic.of(part.metric or ""), part.direction, part.margin)
                for part in policy.other_primaries
            ),
            guardrails=tuple(
                self._truth(traffic.of(part.metric), part.direction, part.margin) for part in policy.guardrails
            ),
            signals=tuple(self._truth(traffic.of(part.metric), part.direction, 0.0) for part in policy.signals),
            arrivals=self.scenario.arrivals,
            planned_shares=(self.scenario.allocation.baseline, *self.scenario.allocation.challengers),
        )

    def lifted(self, effect: float) -> World:
        """Return a world in which the last treatment has the effect on the primary metric.

        Where it must pass on all primary metrics, it has an effect on each: the policy's own, or one of the same size.
        """
        world = self.nothing().with_lifts(self.last(effect))
        if self.policy.ships_on_any:
            return world
        lifts = [
            (part.direction or Direction.HIGHER).sign * (part.minimum_detectable_effect or abs(effect))
            for part in self.policy.other_primaries
        ]
        others = (
            replace(truth, lifts=self.last(lift)) for truth, lift in zip(world.other_primaries, lifts, strict=True)
        )
        return replace(world, other_primaries=tuple(others))

    def harm(self) -> float:
        """Return the harm to be found: a change of the first guardrail, or of the primary metric without one."""
        guardrails, traffic = self.policy.guardrails, self.scenario.traffic
        return self.relative(-USUAL_HARM, traffic.of(guardrails[0].metric) if guardrails else traffic)

    def harmed(self, change: float) -> World:
        """Return a world in which the last treatment harms the first guardrail, or the primary metric without one."""
        world = self.nothing().without_effect()
        if not world.guardrails:
            return world.with_lifts(self.last(self.sign * (change - self.policy.primary.margin)))
        part = self.policy.guardrails[0]
        sign = (part.direction or Direction.HIGHER).sign
        first = replace(world.guardrails[0], lifts=self.last(sign * (change - part.margin)))
        return replace(world, guardrails=(first, *world.guardrails[1:]))

    def broken(self) -> World:
        """Return a world in which one percentage point of the units is in the last treatment, not in the baseline.

        A baseline that has less than two loses half of its units.
        """
        world = self.nothing()
        first, *middle, last = world.planned_shares
        moved = min(BROKEN_SPLIT, first / 2.0)
        return replace(world, true_shares=(first - moved, *middle, last + moved))

    def last(self, lift: float) -> tuple[float, ...]:
        """Return lifts of which only the last treatment's is not 0."""
        return (*(0.0,) * (self.scenario.treatments - 2), lift)

    def usual_effect(self) -> float:
        """Return the lift for a scenario that names none."""
        if self.policy.primary.test is Test.NON_INFERIORITY:
            return 0.0
        if self.policy.primary.minimum_detectable_effect is not None:
            return self.sign * self.policy.primary.minimum_detectable_effect
        return self.sign * self.relative(USUAL_EFFECT, self.scenario.traffic)

    def relative(self, standard_errors: float, measured: Baseline) -> float:
        """Return the relative change of a metric in the last treatment of so many standard errors at the plan's end."""
        days = self.days - self.policy.lag.total_seconds() / 86400.0
        arriving = self.scenario.traffic.units_per_day * days
        units = min(arriving, float(self.schedule.planned_units or math.inf))
        allocation = self.scenario.allocation
        lift = 0.0
        for _ in range(50):
            changed = measured.mean * (1.0 + lift)
            other = measured.std_dev**2 if measured.std_dev is not None else max(changed * (1.0 - changed), 0.0)
            variance = measured.deviation**2 / allocation.baseline + other / allocation.challengers[-1]
            error = math.sqrt(variance / units)
            lift = max(standard_errors * error / abs(measured.mean), -1.0)
        return lift

    def _truth(self, measured: Baseline, direction: Direction | None, margin: float) -> MetricTruth:
        lost = -(direction or Direction.HIGHER).sign * margin
        return MetricTruth(measured.mean, measured.std_dev, (lost,) * (self.scenario.treatments - 1))


def _median(days: NDArray[np.float64]) -> float | None:
    return float(np.median(days)) if len(days) else None


def _paths(draws: Draws, sign: int, count: int = 40) -> NDArray[np.float64]:
    primary = MetricDraws(draws.primary.mean[:count, :, [0, -1]], draws.primary.variance[:count, :, [0, -1]])
    return np.nan_to_num(z_values(primary, draws.units_of(draws.primary)[:count, :, [0, -1]], sign)[..., 0], nan=0.0)
