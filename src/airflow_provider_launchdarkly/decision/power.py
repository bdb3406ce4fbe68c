"""Plan an experiment: how long it must run, how likely it finds an effect, and what each part of it costs.

:func:`plan_power` answers these for stages as a rollout has them, or for one policy, which is one stage. Every number
comes from :mod:`.forecast`, by integration.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_launchdarkly.decision.allocation import Allocation
from airflow_provider_launchdarkly.decision.boundaries import quantile
from airflow_provider_launchdarkly.decision.forecast import Plan
from airflow_provider_launchdarkly.decision.policy_parts import DAY, MOST_LOOKS, WEEK
from airflow_provider_launchdarkly.decision.sample_size import effect_to_find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.decision.forecast import Forecast
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_parts import Traffic

HORIZONS = (14, 28, 42, 56)
CORRELATIONS = (0.3, 0.5, 0.7)
MOST_WEEKS = 26


class Stage(NamedTuple):
    """A stage of the plan: an iteration with data of its own.

    Attributes:
        name: Its name.
        policy: Its policy; its `max_duration` is the stage's length.
        allocation: The shares in it.
        ships: Whether it can ship; else it only rolls back.
        judged: False if nothing is judged in it.
    """

    name: str
    policy: Policy
    allocation: Allocation
    ships: bool = True
    judged: bool = True


class Horizon(NamedTuple):
    """The deciding stage, if time alone ended it.

    Attributes:
        days: Its length.
        power: Probability that the effect ships; None where none is named.
        smallest_effect: The smallest relative effect that ships with the wanted power; None where none does, or where a
            margin is to be shown.
        mean_days: Expected length with the effect.
        mean_days_no_effect: Expected length without any.
    """

    days: float
    power: float | None
    smallest_effect: float | None
    mean_days: float | None
    mean_days_no_effect: float


class Cost(NamedTuple):
    """A part of the plan, and the power without it.

    Attributes:
        name: What it is.
        power_without: Power of the whole plan without it.
        days: Days that it takes; 0 for what takes no time of its own.
    """

    name: str
    power_without: float
    days: float = 0.0


class Saving(NamedTuple):
    """The saving by a covariate.

    Attributes:
        correlation: Its correlation with the metrics.
        power: Power of the whole plan with it.
        days: Whole weeks in which the deciding stage has the wanted power, in days; None if that takes too long.
    """

    correlation: float
    power: float
    days: float | None


class StageOutlook(NamedTuple):
    """The expected course of one stage.

    Attributes:
        name: Its name.
        days: Its length.
        allocation: The shares in it, in percent.
        units: Units that arrive in it.
        reached: Probability that it is reached.
        ship: Probability that it ships, if it is reached.
        rollback: Probability that it rolls back, if it is reached.
    """

    name: str
    days: float
    allocation: str
    units: float
    reached: float
    ship: float
    rollback: float


class PowerPlan(NamedTuple):
    """The answer to "how long must it run?".

    Attributes:
        effect: The relative effect to find, positive for better; None if none is named.
        wanted_power: The power that the plan should have.
        traffic: The expected traffic.
        longest_days: Longest length of all stages.
        planned_units: Units at which the last stage ends earlier; None if only time ends it.
        power: Probability that the effect ships; None if none is named.
        rollback: Probability that it is rolled back nevertheless.
        mean_days: Expected length with the effect.
        mean_days_no_effect: Expected length without any effect.
        false_ship: Probability that a treatment without any effect ships.
        needed_days: Whole weeks in which the last stage has the wanted power, in days; None without an effect, or if it
            takes more than half a year.
        smallest_effect: The smallest relative effect that the last stage finds with the wanted power; None where it
            finds none, or where a margin is to be shown.
        horizons: The last stage at several lengths.
        costs: What stages, guardrails and an uneven split cost.
        savings: What a covariate saves (CUPED).
        stages: The stages, if there are several.
        ship_by: Days and the probability to have shipped by then, of the last stage.
    """

    effect: float | None
    wanted_power: float
    traffic: Traffic
    longest_days: float
    planned_units: int | None
    power: float | None
    rollback: float | None
    mean_days: float | None
    mean_days_no_effect: float
    false_ship: float
    needed_days: float | None
    smallest_effect: float | None
    horizons: tuple[Horizon, ...]
    costs: tuple[Cost, ...]
    savings: tuple[Saving, ...]
    stages: tuple[StageOutlook, ...]
    ship_by: tuple[tuple[float, float], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain JSON."""
        rows = {name: [row._asdict() for row in getattr(self, name)] for name in ("horizons", "costs", "savings")}
        return {
            **self._asdict(),
            **rows,
            "traffic": self.traffic.model_dump(mode="json"),
            "stages": [stage._asdict() for stage in self.stages],
            "ship_by": [list(point) for point in self.ship_by],
        }


def plan_power(
    stages: Policy | Sequence[Stage],
    traffic: Traffic,
    *,
    effect: float | None = None,
    allocation: Allocation | None = None,
    horizons: Sequence[int] = HORIZONS,
    correlations: Sequence[float] = CORRELATIONS,
) -> PowerPlan:
    """Plan an experiment.

    Args:
        stages: The stages in their order, the last of which ships; or one policy.
        traffic: The expected traffic, with the baseline's values.
        effect: Relative effect to find, as a share of the baseline's mean, positive for better. None for the policy's.
        allocation: The shares, where one policy is given; None for an even split.
        horizons: Lengths of the last stage to compare, in days.
        correlations: Correlations of a covariate with the metrics, each from 0 to below 1.

    Returns:
        The plan. It is exact for one treatment, under even traffic, normal means and metrics that do not depend on each
        other. For several treatments, one of which has the effect, and for guardrails to be proven, it is close.

    Raises:
        ValueError: A policy has no boundaries to integrate, or the baseline's mean is 0.
    """
    chain = _as_stages(stages, allocation)
    last = chain[-1]
    if effect is None and not last.policy.primary.margin:
        effect = effect_to_find(last.policy)
    question = _Question(chain, traffic, effect)
    plan = question.plan(last)
    outlook = question.course(chain)
    nothing = question.course(chain, without_effect=True)
    return PowerPlan(
        effect=effect,
        wanted_power=last.policy.power,
        traffic=traffic,
        longest_days=sum(stage.policy.max_duration / DAY for stage in chain),
        planned_units=plan.schedule.planned_units,
        power=outlook.ship if question.changes else None,
        rollback=outlook.rollback if question.changes else None,
        mean_days=outlook.mean_days if question.changes else None,
        mean_days_no_effect=nothing.mean_days,
        false_ship=nothing.ship,
        needed_days=question.needed_days(last) if question.changes else None,
        smallest_effect=question.smallest_effect(plan),
        horizons=tuple(question.horizon(last, days) for days in sorted({*horizons, *question.own_length(last)})),
        costs=tuple(question.costs()) if question.changes else (),
        savings=tuple(question.saving(correlation) for correlation in correlations) if question.changes else (),
        stages=outlook.stages if len(chain) > 1 else (),
        ship_by=tuple(zip((look.days for look in plan.looks), question.forecast(plan).ship_by, strict=True)),
    )


class _Course(NamedTuple):
    ship: float
    rollback: float
    mean_days: float
    stages: tuple[StageOutlook, ...]


class _Question:
    """A question about some stages: the effect to find, under the expected traffic."""

    def __init__(self, stages: Sequence[Stage], traffic: Traffic, effect: float | None) -> None:
        self._stages, self._traffic, self._effect = stages, traffic, effect

    @property
    def changes(self) -> bool:
        """True if there is something to find: an effect, or that a margin is kept."""
        return self._effect is not None or self._stages[-1].policy.primary.margin > 0

    def plan(self, stage: Stage, correlation: float = 0.0) -> Plan:
        """Return the plan of a stage; its own traffic plans the units of the last one."""
        policy = stage.policy
        if stage.ships and policy.traffic is not None:
            policy = policy.model_copy(update={"traffic": self._traffic})
        return Plan(policy, stage.allocation, traffic=self._traffic, correlation=correlation, ships=stage.ships)

    def forecast(self, plan: Plan, *, without_effect: bool = False) -> Forecast:
        """Forecast a plan with the effect, or without any: then the whole margin is lost."""
        margin = plan.policy.primary.margin
        return plan.forecast(-margin if without_effect else self._effect or 0.0)

    def course(self, stages: Sequence[Stage], *, correlation: float = 0.0, without_effect: bool = False) -> _Course:
        """Return how all stages go: the next one follows where a stage neither ships nor rolls back."""
        reached, ship, rollback, mean_days, found = 1.0, 0.0, 0.0, 0.0, []
        for stage in stages:
            days = stage.policy.max_duration / DAY
            if stage.judged:
                plan = self.plan(stage, correlation)
                each = self.forecast(plan, without_effect=without_effect)
                goes, falls, takes, units = each.ship, each.rollback, each.mean_days, plan.looks[-1].units
                if without_effect:
                    goes = 1.0 - (1.0 - goes) ** plan.independent_ships
            else:
                goes, falls, takes, units = 0.0, 0.0, days, self._traffic.units_per_day * days
            found.append(StageOutlook(stage.name, days, str(stage.allocation), units, reached, goes, falls))
            ship += reached * goes
            rollback += reached * falls
            mean_days += reached * takes
            reached *= max(1.0 - goes - falls, 0.0)
        return _Course(ship, rollback, mean_days, tuple(found))

    def own_length(self, stage: Stage) -> tuple[int, ...]:
        """Return the stage's own length in days if it is whole."""
        days = stage.policy.max_duration / DAY
        return (int(days),) if days == int(days) else ()

    def horizon(self, stage: Stage, days: int) -> Horizon:
        """Return the stage at another length."""
        plan = self.plan(_lasting(stage, timedelta(days=days)))
        found = self.forecast(plan) if self.changes else None
        return Horizon(
            days=days,
            power=found.ship if found else None,
            smallest_effect=self.smallest_effect(plan),
            mean_days=found.mean_days if found else None,
            mean_days_no_effect=self.forecast(plan, without_effect=True).mean_days,
        )

    def smallest_effect(self, plan: Plan) -> float | None:
        """Return the smallest effect that a plan finds; None where a margin is to be shown, or where none is found."""
        return None if plan.policy.primary.margin else plan.smallest_effect(plan.policy.power)

    def needed_days(self, stage: Stage, correlation: float = 0.0) -> float | None:
        """Return the fewest whole weeks in which a stage has the wanted power, in days."""
        weeks = self._guess_weeks(stage, correlation)
        reached = self._reaches(stage, weeks, correlation)
        while reached and weeks > 1 and self._reaches(stage, weeks - 1, correlation):
            weeks -= 1
        while not reached:
            if weeks >= MOST_WEEKS:
                return None
            weeks += 1
            reached = self._reaches(stage, weeks, correlation)
        return 7.0 * weeks

    def _guess_weeks(self, stage: Stage, correlation: float) -> int:
        """Return about the weeks that are needed: the drift grows with the root of the time."""
        plan = self.plan(_lasting(stage, 4 * WEEK), correlation)
        power = min(max(self.forecast(plan).ship, 1e-6), 1.0 - 1e-6)
        drift = max(plan.drift(self._effect or 0.0), 1e-3)
        needed = drift + quantile(power) - quantile(stage.policy.power)
        return min(max(math.ceil(4.0 * (max(needed, 0.1) / drift) ** 2 - 0.1), 1), MOST_WEEKS)

    def _reaches(self, stage: Stage, weeks: int, correlation: float) -> bool:
        plan = self.plan(_lasting(stage, weeks * WEEK), correlation)
        return self.forecast(plan).ship >= stage.policy.power

    def saving(self, correlation: float) -> Saving:
        """Return what a covariate of this correlation saves."""
        power = self.course(self._stages, correlation=correlation).ship
        return Saving(correlation, power, self.needed_days(self._stages[-1], correlation))

    def costs(self) -> list[Cost]:
        """Return what each stage, each guardrail and an uneven split cost."""
        found = []
        for number, stage in enumerate(self._stages[:-1]):
            rest = [*self._stages[:number], *self._stages[number + 1 :]]
            power = self.course([_sharing(each, len(self._stages), len(rest)) for each in rest]).ship
            found.append(Cost(f"stage {stage.name}", power, stage.policy.max_duration / DAY))
        metrics = [guardrail.metric for guardrail in self._stages[-1].policy.guardrails]
        named = {f"guardrail {metric}": {metric} for metric in metrics}
        if len(metrics) > 1:
            named["both guardrails" if len(metrics) == 2 else f"all {len(metrics)} guardrails"] = set(metrics)
        for name, left_out in named.items():
            power = self.course([_without_guardrails(stage, left_out) for stage in self._stages]).ship
            found.append(Cost(name, power))
        last = self._stages[-1]
        even = Allocation.even(last.allocation.treatments)
        if max(abs(share - even.baseline) for share in (last.allocation.baseline, *last.allocation.challengers)) > 1e-3:
            power = self.course([*self._stages[:-1], last._replace(allocation=even)]).ship
            found.append(Cost(f"split {last.allocation} in place of {even}", power))
        return found


def _as_stages(stages: Policy | Sequence[Stage], allocation: Allocation | None) -> tuple[Stage, ...]:
    if isinstance(stages, (list, tuple)):
        return tuple(stages)
    return (Stage("1", stages, allocation or Allocation.even(2)),)  # type: ignore[arg-type]


def _lasting(stage: Stage, length: timedelta) -> Stage:
    """Return a stage of another length, which only time ends."""
    policy = stage.policy
    looks = policy.looks
    if looks.every is not None and length / looks.every > MOST_LOOKS:
        looks = looks.model_copy(update={"every": length / MOST_LOOKS})
    changed = {
        "max_duration": length,
        "min_duration": min(policy.min_duration, length),
        "planned_units": None,
        "traffic": None,
        "looks": looks,
    }
    return stage._replace(policy=policy.model_copy(update=changed))


def _sharing(stage: Stage, before: int, after: int) -> Stage:
    """Return a stage whose share of the error for harm is that of fewer stages."""
    return stage._replace(
        policy=stage.policy.model_copy(update={"alpha_harm": stage.policy.alpha_harm * before / after})
    )


def _without_guardrails(stage: Stage, metrics: set[str]) -> Stage:
    kept = tuple(guardrail for guardrail in stage.policy.guardrails if guardrail.metric not in metrics)
    return stage._replace(policy=stage.policy.model_copy(update={"guardrails": kept}))


def describe(plan: PowerPlan) -> str:
    """Return a plan as text for people, one screen of it."""
    return "\n".join((*_question_lines(plan), *_horizon_lines(plan), *_part_lines(plan)))


def _percent(share: float | None, digits: int = 1) -> str:
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def _lift(effect: float | None) -> str:
    return "-" if effect is None else f"{100 * effect:+.2f} %"


def _days(days: float | None) -> str:
    return "-" if days is None else f"{days:.1f}"


def _question_lines(plan: PowerPlan) -> list[str]:
    traffic, wanted = plan.traffic, f"{100 * plan.wanted_power:g} %"
    spread = "" if traffic.std_dev is None else f" with a standard deviation of {traffic.std_dev:g}"
    lines = [f"baseline {traffic.mean:g}{spread}, {traffic.units_per_day:,g} units a day"]
    longest = f"{plan.longest_days:g} days"
    if plan.power is not None:
        what = f"an effect of {_lift(plan.effect)}" if plan.effect is not None else "no loss beyond the margin"
        lines.append(
            f"{what}, in {longest}: power {_percent(plan.power)}, stops on day {_days(plan.mean_days)} on average"
        )
        needed = f"{plan.needed_days:g} days" if plan.needed_days else f"more than {7 * MOST_WEEKS} days"
        lines.append(f"power {wanted} takes {needed}")
    if plan.smallest_effect is not None:
        days = f"{plan.stages[-1].days if plan.stages else plan.longest_days:g} days"
        lines.append(f"the smallest effect found with power {wanted} in {days}: {_lift(plan.smallest_effect)}")
    if plan.planned_units is not None:
        lines.append(f"the plan ends at {plan.planned_units:,} units, or after {longest}")
    lines.append(
        f"without an effect it ships in {_percent(plan.false_ship)}, and ends on day {_days(plan.mean_days_no_effect)} "
        "on average"
    )
    return lines


def _horizon_lines(plan: PowerPlan) -> list[str]:
    name = ["", "the last stage, by its length:"] if plan.stages else [""]
    lines = [*name, f"{'days':>5}  {'power':>7}  {'smallest effect':>15}  {'mean stop':>9}  {'without effect':>14}"]
    lines += (
        f"{row.days:>5g}  {_percent(row.power):>7}  {_lift(row.smallest_effect):>15}  {_days(row.mean_days):>9}  "
        f"{_days(row.mean_days_no_effect):>14}"
        for row in plan.horizons
    )
    return lines


def _part_lines(plan: PowerPlan) -> list[str]:
    lines = []
    if plan.stages:
        lines += ["", f"{'stage':<24}{'days':>5}  {'split':<14}{'reached':>8}  {'ships':>7}  {'rolls back':>10}"]
        lines += (
            f"{row.name:<24}{row.days:>5g}  {row.allocation:<14}{_percent(row.reached):>8}  {_percent(row.ship):>7}  "
            f"{_percent(row.rollback):>10}"
            for row in plan.stages
        )
    if plan.costs and plan.power is not None:
        lines += ["", "power without it:"]
        for cost in plan.costs:
            # Plus 0, so that a rounded loss has no sign.
            gain = round(100 * (cost.power_without - plan.power), 1) + 0.0
            days = f", {cost.days:g} days less" if cost.days else ""
            lines.append(f"  {cost.name:<40}{_percent(cost.power_without):>7}  ({gain:+.1f} points{days})")
    if plan.savings:
        lines += ["", f"with a covariate (CUPED):{'power':>24}  {100 * plan.wanted_power:g} % in"]
        for saving in plan.savings:
            needed = "-" if saving.days is None else f"{saving.days:g} days"
            lines.append(f"  correlation {saving.correlation:<28g}{_percent(saving.power):>7}  {needed}")
    return lines
