"""The types of a verdict: the decision, its reason, and every number that it rests on."""

from __future__ import annotations

import math
from datetime import timedelta
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.evidence import Standing


class Kind(StrEnum):
    """The kinds of verdict, a closed set. Only `ship` ships; all but `wait` are endings."""

    SHIP = "ship"
    ROLLBACK = "rollback"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"
    WAIT = "wait"


class Reason(StrEnum):
    """The reasons of a verdict, a closed set.

    Decision records hold these values, and `replay` compares them: a renamed or divided reason makes each record that
    has the old one disagree. So a value is never renamed or reused within a schema of the record; see
    `audit_log.chain.SCHEMA`.
    """

    # ship
    BETTER = "better"
    NOT_WORSE = "not_worse"
    # rollback
    GUARDRAIL_HARMED = "guardrail_harmed"
    PRIMARY_HARMED = "primary_harmed"
    BASELINE_BEST = "baseline_best"
    RELEASE_REGRESSED = "release_regressed"
    # inconclusive: the plan's end; min_sample, signal, guardrail_unproven and effect_gone say what was missing then
    PLAN_ENDED = "plan_ended"
    # inconclusive before the plan's end
    FUTILE = "futile"
    # invalid
    MISMATCH = "mismatch"
    NO_TRAFFIC = "no_traffic"
    ITERATION_REPLACED = "iteration_replaced"
    ITERATION_STOPPED = "iteration_stopped"
    # wait
    MIN_DURATION = "min_duration"
    MIN_SAMPLE = "min_sample"
    NO_DATA = "no_data"
    RELEASE_UNKNOWN = "release_unknown"
    STALE_RESULTS = "stale_results"
    MORE_UNITS_THAN_EXPOSED = "more_units_than_exposed"
    BETWEEN_LOOKS = "between_looks"
    AWAITING_DATA = "awaiting_data"
    NOT_SIGNIFICANT = "not_significant"
    SIGNAL = "signal"
    GUARDRAIL_UNPROVEN = "guardrail_unproven"
    EFFECT_GONE = "effect_gone"


class Role(StrEnum):
    """The role of a metric in the policy."""

    PRIMARY = "primary"
    GUARDRAIL = "guardrail"
    SIGNAL = "signal"


class Bar(NamedTuple):
    """A boundary and the evidence compared with it.

    Attributes:
        z: The standardised evidence; None where there is none yet.
        boundary: The z value that it has to reach; None where nothing can be judged yet.
        alpha: One-sided error that this comparison may spend over the whole plan.
        alpha_spent: What it has spent by this look.
        reached: Whether z has reached the boundary.
    """

    z: float | None
    boundary: float | None
    alpha: float
    alpha_spent: float
    reached: bool

    @property
    def distance(self) -> float | None:
        """The z value that is missing; negative beyond the boundary."""
        return None if self.z is None or self.boundary is None else self.boundary - self.z


class Prospects(NamedTuple):
    """How likely a comparison is to reach the boundary of the plan's end.

    Attributes:
        conditional_power: The probability if the effect measured so far is the true one.
        planned_conditional_power: The probability if the planned effect is the true one; None without a planned effect.
        predictive_power: The probability given what was measured, with the uncertainty about the true effect.
        futile: Whether it is below what `Policy.futility` demands.
    """

    conditional_power: float
    planned_conditional_power: float | None
    predictive_power: float
    futile: bool = False


class Estimate(NamedTuple):
    """The estimate of an effect at the stop, as a lift, allowing for having stopped at a good moment.

    Attributes:
        bias_adjusted: The lift without the mean excess that lifts have among those that cross the boundary: what to
            expect of a shipped effect. None if the boundary was not crossed.
        median_unbiased: The lift that is too high as often as too low, over all stops.
        lower: Lower end of its interval.
        upper: Upper end.
        level: Two-sided confidence level of the interval, over all stops.
    """

    bias_adjusted: float | None
    median_unbiased: float
    lower: float | None
    upper: float | None
    level: float


class TreatmentEffect(NamedTuple):
    """One treatment against the baseline on one metric.

    Attributes:
        treatment_id: The treatment.
        treatment: Its name.
        units: Its units.
        mean: Its mean.
        std_dev: Its standard deviation per unit.
        baseline_units: The baseline's units.
        baseline_mean: The baseline's mean.
        baseline_std_dev: The baseline's standard deviation per unit.
        difference: Difference of the means.
        standard_error: Its standard error: the larger of the own and the pooled one.
        lift: Difference as a share of the baseline's mean.
        lift_lower: Lower end of the lift's interval at this look's boundary, which holds over all looks.
        lift_upper: Upper end.
        lift_level: Two-sided confidence level of that interval: 1 - 2 alpha, for the alpha of this comparison.
        z: The difference over its standard error, positive when the treatment is better, whatever the direction. For a
            0/1 metric with few or skewed counts, the z value of the exact test.
        p_value: Nominal one-sided p value of being better, uncorrected for looks.
        success: For the primary metric and guardrails to be proven: the bar for shipping.
        harm: For the primary metric and guardrails: the bar for rolling back, which holds at the planned looks.
        anytime_harm: The same at any moment, where the policy has `harm_looks`.
        p_best: Probability to be the best treatment.
        prospects: How likely it is to reach the bar for shipping by the plan's end; None once it has, before the
            first look, and at the plan's end.
        estimate: What the effect is worth, once a bar is reached, at the plan's end, and where it is futile.
    """

    treatment_id: str
    treatment: str
    units: int
    mean: float | None
    std_dev: float | None
    baseline_units: int
    baseline_mean: float | None
    baseline_std_dev: float | None
    difference: float | None = None
    standard_error: float | None = None
    lift: float | None = None
    lift_lower: float | None = None
    lift_upper: float | None = None
    lift_level: float | None = None
    z: float | None = None
    p_value: float | None = None
    success: Bar | None = None
    harm: Bar | None = None
    anytime_harm: Bar | None = None
    p_best: float | None = None
    prospects: Prospects | None = None
    estimate: Estimate | None = None

    @property
    def harmful(self) -> Bar | None:
        """The bar for rolling back that is reached, the planned look's before the one that holds at any moment."""
        return next((bar for bar in (self.harm, self.anytime_harm) if bar is not None and bar.reached), None)


class MetricJudgement(NamedTuple):
    """One metric of the policy and its comparisons.

    Attributes:
        metric: Its key.
        role: Its role in the policy.
        direction: `higher` or `lower` is better.
        margin: Share of the baseline's mean that may be lost.
        comparisons: One for each treatment but the baseline.
        split: The test of the split of the metric's own units; None where the policy leaves it out, shares are unknown,
            or a treatment has no units yet.
    """

    metric: str
    role: Role
    direction: str
    margin: float
    comparisons: tuple[TreatmentEffect, ...]
    split: Split | None = None

    @property
    def constant(self) -> bool:
        """True if it was measured, and is 0 for every unit of every treatment: it shows nothing."""
        return all(
            compared.difference == 0 and compared.z is None and not compared.mean for compared in self.comparisons
        )


class Split(NamedTuple):
    """The outcome of a test for a sample ratio mismatch, of the exposed units or of those of a metric.

    Attributes:
        treatments: Names of the treatments.
        units: Units of each.
        shares: Shares that they should have, summing to 1.
        log_bayes_factor: Natural logarithm of the evidence for a mismatch.
        p_value: Anytime-valid p value.
        alpha: Error over all looks.
        mismatch: Whether the split is wrong.
    """

    treatments: tuple[str, ...]
    units: tuple[int, ...]
    shares: tuple[float, ...]
    log_bayes_factor: float
    p_value: float
    alpha: float
    mismatch: bool


class Verdict(NamedTuple):
    """The verdict of one look.

    Attributes:
        kind: The decision.
        reason: Its reason.
        summary: One line for people.
        elapsed: Time since the iteration's start.
        look: Number of the look, from 1; 0 before the first; None where it never came to a look.
        looks: Looks in the plan.
        treatment_id: The treatment to ship.
        treatment: Its name.
        harmed: Each harm as `metric: treatment`, worst first.
        share: Share of the plan that is over, by the clock or by planned units, 0 to 1.
        units: Units on the primary metric, over all treatments.
        metrics: Every metric's numbers.
        split: The test of the exposed units' split; None where exposures are unknown.
        probability_of_mismatch: LaunchDarkly's own, beside it.
        next_look: Time of the next look after the iteration's start; None after an ending.
        cautions: A sentence for each thing that limits what the verdict means. They change nothing.
        standing: The crossing of the boundary that stands from here on; None if none does.
    """

    kind: Kind
    reason: Reason
    summary: str
    elapsed: timedelta
    look: int | None = None
    looks: int | None = None
    treatment_id: str | None = None
    treatment: str | None = None
    harmed: tuple[str, ...] = ()
    share: float | None = None
    units: int | None = None
    metrics: tuple[MetricJudgement, ...] = ()
    split: Split | None = None
    probability_of_mismatch: float | None = None
    next_look: timedelta | None = None
    cautions: tuple[str, ...] = ()
    standing: Standing | None = None

    @property
    def ends(self) -> bool:
        """True for an ending: any kind but `wait`."""
        return self.kind is not Kind.WAIT

    @classmethod
    def invalid(cls, reason: Reason, summary: str, elapsed: timedelta) -> Self:
        """Return the verdict on an iteration that someone else stopped or replaced.

        An iteration keeps its design under its id: LaunchDarkly lets no one edit the treatments, the allocation or the
        methodology of a running iteration (docs, "Editing and archiving experiments"); a change starts a new one.
        """
        return cls(Kind.INVALID, reason, summary, elapsed)

    @classmethod
    def wait(cls, reason: Reason, summary: str, elapsed: timedelta, **numbers: Any) -> Self:
        """Return a wait without results, for instance between two looks."""
        return cls(Kind.WAIT, reason, summary, elapsed, **numbers)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON: finite numbers or null, durations in days, the kind under `verdict`."""
        numbers = _fields(self)
        kind, elapsed, next_look = numbers.pop("kind"), numbers.pop("elapsed"), numbers.pop("next_look")
        return {"verdict": kind, "elapsed_days": elapsed, **numbers, "next_look_days": next_look}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, timedelta):
        return value / timedelta(days=1)
    if isinstance(value, Bar):
        return {**_fields(value), "distance": _plain(value.distance)}
    if isinstance(value, tuple):
        return _fields(value) if hasattr(value, "_fields") else [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _fields(value: Any) -> dict[str, Any]:
    return {name: _plain(part) for name, part in value._asdict().items()}
