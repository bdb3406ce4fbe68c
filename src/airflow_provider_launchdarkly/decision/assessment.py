"""Compute every number that a verdict rests on. The verdict itself is made in `judge`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_launchdarkly.decision.allocation import Allocation
from airflow_provider_launchdarkly.decision.anytime import judge_at_any_time
from airflow_provider_launchdarkly.decision.boundaries import quantile, tail
from airflow_provider_launchdarkly.decision.effects import Effect, effect, probabilities_to_be_best, standard_errors
from airflow_provider_launchdarkly.decision.error_left import policy_left, schedule_left
from airflow_provider_launchdarkly.decision.error_rates import ErrorRates
from airflow_provider_launchdarkly.decision.estimate import Path, estimate_lift
from airflow_provider_launchdarkly.decision.evidence import Evidence, EvidenceError, Measurement, MetricEvidence, check
from airflow_provider_launchdarkly.decision.futility import prospects
from airflow_provider_launchdarkly.decision.information import InformationClock
from airflow_provider_launchdarkly.decision.policy_parts import Clock, Direction, Rule
from airflow_provider_launchdarkly.decision.schedule import LookSchedule, schedule_looks
from airflow_provider_launchdarkly.decision.splits import exposed_split, measured_split
from airflow_provider_launchdarkly.decision.verdict import (
    Bar,
    Estimate,
    MetricJudgement,
    Prospects,
    Role,
    Split,
    TreatmentEffect,
)

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.boundaries import Boundary
    from airflow_provider_launchdarkly.decision.evidence import TreatmentEvidence
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_parts import Guardrail, Primary, Signal

# The mean of fewer units is not close enough to normal to judge harm by its z value.
FEWEST_UNITS_FOR_HARM = 50


class Assessment(NamedTuple):
    """The numbers of one look.

    Attributes:
        schedule: The looks of the policy with their times.
        look: Number of the look; 0 before the first.
        ended: Whether it is the last look of the plan.
        share: Share of the plan that is over.
        units: Units on the first primary metric, over all treatments.
        primaries: The metrics that decide, the policy's first one first.
        guardrails: The metrics that must not get worse.
        signals: The metrics that hold back a ship.
        split: The test of the exposed units' split; that of a metric's units is in its judgement.
        lacks_history: Whether the boundaries should rest on earlier looks, but none is known.
    """

    schedule: LookSchedule
    look: int
    ended: bool
    share: float
    units: int
    primaries: tuple[MetricJudgement, ...]
    guardrails: tuple[MetricJudgement, ...]
    signals: tuple[MetricJudgement, ...]
    split: Split | None
    lacks_history: bool

    @property
    def primary(self) -> MetricJudgement:
        """The first metric that decides; its units are those of the plan."""
        return self.primaries[0]


def assess(policy: Policy, evidence: Evidence) -> Assessment:
    """Compute every number of a look.

    Raises:
        EvidenceError: The evidence cannot be true, or lacks a metric of the policy or its direction.
    """
    check(evidence)
    schedule = schedule_left(
        schedule_looks(policy, evidence.started_at, Allocation.of(evidence)), policy, evidence.spent
    )
    policy = policy_left(policy, evidence.spent, evidence.repeats)
    key = policy.primary.metric or evidence.primary_metric
    if key is None:
        raise EvidenceError("neither the policy nor the evidence names a primary metric")
    metric = evidence.metric(key)
    units = metric.units
    clock = InformationClock(schedule, evidence, key) if policy.clock is Clock.INFORMATION else None
    at = _Moment(policy, schedule, evidence, schedule.share(evidence.elapsed, units), clock)
    return Assessment(
        schedule=schedule,
        look=schedule.look_at(evidence.elapsed),
        ended=schedule.ended(evidence.elapsed, units),
        share=at.share,
        units=units,
        primaries=tuple(
            at.split(part, at.primary(part, evidence.metric(part.metric or key))) for part in policy.primaries
        ),
        guardrails=tuple(
            at.split(part, at.guardrail(evidence.metric(part.metric), part.direction, part.margin, prove=part.prove))
            for part in policy.guardrails
        ),
        signals=tuple(
            at.split(part, at.signal(evidence.metric(part.metric), part.direction, part.alpha))
            for part in policy.signals
        ),
        split=exposed_split(policy, evidence),
        lacks_history=clock is not None and not evidence.only_harm and clock.lacks_history,
    )


class HarmAssessment(NamedTuple):
    """The numbers of a look for harm alone.

    Attributes:
        schedule: The planned looks.
        metrics: The primary metrics and the guardrails, as far as they were measured.
        split: The test of the split.
    """

    schedule: LookSchedule
    metrics: tuple[MetricJudgement, ...]
    split: Split | None


def assess_harm(policy: Policy, evidence: Evidence) -> HarmAssessment:
    """Compute the numbers of a look for harm between two planned ones.

    Raises:
        EvidenceError: The evidence cannot be true, lacks a direction, or has no metric that rolls back while the policy
            names no release; or it has metrics, and the policy has no `harm_looks`.
    """
    check(evidence)
    if policy.harm_looks is None and evidence.metrics:
        raise EvidenceError("the evidence is that of a look for harm alone, but the policy has no harm_looks")
    schedule = schedule_looks(policy, evidence.started_at, Allocation.of(evidence))
    # No share of the plan: the planned looks' boundaries judge nothing now.
    at = _Moment(policy_left(policy, evidence.spent, evidence.repeats), schedule, evidence, 0.0, None)
    measured = {metric.key: metric for metric in evidence.metrics}
    metrics = []
    for deciding in policy.primaries if policy.rule is Rule.GROUP_SEQUENTIAL else ():
        found = measured.get(deciding.metric or evidence.primary_metric or "")
        if found is not None:
            metrics.append(at.split(deciding, at.primary(deciding, found)))
    metrics += [
        at.split(part, at.guardrail(measured[part.metric], part.direction, part.margin, prove=part.prove))
        for part in policy.guardrails
        if part.metric in measured
    ]
    if not metrics and not policy.release_guardrails:
        names = ", ".join(measured) or "no metric"
        raise EvidenceError(f"the evidence has {names}, and the policy rolls back on none of them")
    return HarmAssessment(schedule, tuple(metrics), exposed_split(policy, evidence))


class _Moment(NamedTuple):
    """One look: it compares metrics by the boundaries of that look."""

    policy: Policy
    schedule: LookSchedule
    evidence: Evidence
    share: float
    clock: InformationClock | None

    def split(self, part: Primary | Guardrail | Signal, judged: MetricJudgement) -> MetricJudgement:
        """Add the test of the split of the metric's units, if the policy wants it."""
        if not part.test_split:
            return judged
        return judged._replace(split=measured_split(self.policy, self.evidence, self.evidence.metric(judged.metric)))

    def primary(self, primary: Primary, metric: MetricEvidence) -> MetricJudgement:
        direction = _direction(metric, primary.direction)
        best = self._best(metric, direction)
        comparisons = []
        for treatment in self.evidence.challengers:
            found = _effect(metric, treatment, self.evidence.baseline, direction)
            judged: dict[str, Any] = {"p_best": best.get(treatment.id)}
            risk = 1.0 - self.policy.threshold
            interval: Bar | None = Bar(None, quantile(risk), risk, risk, reached=False)
            if self.policy.rule is Rule.GROUP_SEQUENTIAL:
                z = found.z(primary.margin) if found else None
                success = self._success(z, metric, treatment)
                harm = self._harm(found, primary.margin, self._rates.primary_harm, metric, treatment)
                anytime = self._anytime_harm(found, primary.margin)
                interval = _decisive(success, harm, anytime)
                judged |= {"success": success, "harm": harm, "anytime_harm": anytime}
                wanted = primary.margin or primary.minimum_detectable_effect
                judged["prospects"] = self._prospects(found, success, primary.margin, wanted)
                judged["estimate"] = self._estimate(
                    found, metric, treatment, primary, success=success, harm=harm, hopes=judged["prospects"]
                )
            comparisons.append(self._comparison(metric, treatment, found, interval, **judged))
        return MetricJudgement(metric.key, Role.PRIMARY, direction.value, primary.margin, tuple(comparisons))

    def guardrail(
        self, metric: MetricEvidence, direction: Direction | None, margin: float, *, prove: bool
    ) -> MetricJudgement:
        which = _direction(metric, direction)
        comparisons = []
        for treatment in self.evidence.challengers:
            found = _effect(metric, treatment, self.evidence.baseline, which)
            harm = self._harm(found, margin, self._rates.guardrail_harm, metric, treatment)
            success = self._success(found.z(margin) if found else None, metric, treatment) if prove else None
            anytime = self._anytime_harm(found, margin)
            interval = _decisive(success or harm, harm, anytime)
            judged: dict[str, Any] = {"success": success, "harm": harm, "anytime_harm": anytime}
            judged["prospects"] = self._prospects(found, success, margin, margin) if success else None
            judged["estimate"] = self._estimate(found, metric, treatment, harm=harm)
            comparisons.append(self._comparison(metric, treatment, found, interval, **judged))
        return MetricJudgement(metric.key, Role.GUARDRAIL, which.value, margin, tuple(comparisons))

    def signal(self, metric: MetricEvidence, direction: Direction | None, alpha: float) -> MetricJudgement:
        which = _direction(metric, direction)
        comparisons = []
        for treatment in self.evidence.challengers:
            found = _effect(metric, treatment, self.evidence.baseline, which)
            z = found.z() if found else None
            boundary = quantile(alpha)
            worse = -z if z is not None else None
            harm = Bar(worse, boundary, alpha, alpha, worse is not None and worse >= boundary)
            comparisons.append(self._comparison(metric, treatment, found, harm, harm=harm))
        return MetricJudgement(metric.key, Role.SIGNAL, which.value, 0.0, tuple(comparisons))

    @property
    def _may_spend(self) -> bool:
        """True unless an earlier policy has spent its error at this look."""
        return (
            self.schedule.spends_from == 1 or self.schedule.look_at(self.evidence.elapsed) >= self.schedule.spends_from
        )

    @property
    def _rates(self) -> ErrorRates:
        return ErrorRates.of(self.policy, Allocation.of(self.evidence))

    @property
    def _ship_boundary(self) -> Boundary:
        """The boundary of the plan alone."""
        return self.schedule.ship_boundary(self._rates.ship, self.policy.ship_spending)

    def _success(self, z: float | None, metric: MetricEvidence, treatment: TreatmentEvidence) -> Bar:
        alpha, gamma = self._rates.ship, self.policy.ship_spending
        bound = self.clock.ship(metric, treatment.id, alpha, gamma) if self.clock else None
        needed, spent = (bound.z, bound.spent) if bound else self._planned(self._ship_boundary)
        may_ship = self.evidence.elapsed >= self.policy.min_duration and self.share > 0 and self._may_spend
        reached = may_ship and z is not None and needed is not None and z >= needed
        return Bar(z, needed, alpha, spent, reached)

    def _planned(self, boundary: Boundary) -> tuple[float | None, float]:
        """Return the plan's boundary at this look, and what it has spent."""
        return boundary.at(self.share) if self.share > 0 else None, boundary.spent_at(self.share)

    def _harm(
        self, found: Effect | None, margin: float, alpha: float, metric: MetricEvidence, treatment: TreatmentEvidence
    ) -> Bar:
        gamma = self.policy.harm_spending
        bound = self.clock.harm(metric, treatment.id, alpha, gamma) if self.clock else None
        needed, spent = (bound.z, bound.spent) if bound else self._planned(self.schedule.harm_boundary(alpha, gamma))
        z = found.z(margin) if found and _enough(found) else None
        worse = -z if z is not None else None
        # Before the first look the plan judges no units.
        may_judge = self.schedule.look_at(self.evidence.elapsed) > 0 and self._may_spend
        reached = may_judge and worse is not None and needed is not None and worse >= needed
        return Bar(worse, needed, alpha, spent, reached)

    def _anytime_harm(self, found: Effect | None, margin: float) -> Bar | None:
        alpha = self._rates.anytime_harm
        if not alpha:
            return None
        return judge_at_any_time(found, margin, alpha) if found else Bar(None, None, alpha, alpha, reached=False)

    def _comparison(
        self,
        metric: MetricEvidence,
        treatment: TreatmentEvidence,
        found: Effect | None,
        interval: Bar | None,
        **judged: Any,
    ) -> TreatmentEffect:
        measured, baseline = _raw(metric, treatment.id), _raw(metric, self.evidence.baseline.id)
        comparison = TreatmentEffect(
            treatment_id=treatment.id,
            treatment=treatment.name,
            units=measured.units,
            mean=measured.mean,
            std_dev=measured.std_dev,
            baseline_units=baseline.units,
            baseline_mean=baseline.mean,
            baseline_std_dev=baseline.std_dev,
            **judged,
        )
        if found is None:
            return comparison
        boundary = interval.boundary if interval is not None else None
        limits = found.lift_interval(boundary) if boundary is not None else None
        z = found.z()
        return comparison._replace(
            difference=found.difference,
            standard_error=found.standard_error,
            lift=found.lift,
            lift_lower=limits[0] if limits else None,
            lift_upper=limits[1] if limits else None,
            lift_level=1.0 - 2.0 * interval.alpha if limits and interval else None,
            z=z,
            p_value=tail(z) if z is not None else None,
        )

    def _prospects(self, found: Effect | None, bar: Bar, margin: float, wanted: float | None) -> Prospects | None:
        """Return how likely a bar is to be reached by the plan's end, where `wanted` is the planned effect."""
        if found is None or bar.z is None or bar.reached or not self.schedule.look_at(self.evidence.elapsed):
            return None
        if self.evidence.only_harm:
            return None
        planned = found.expected_z(wanted, margin) if wanted is not None else None
        hopes = prospects(bar.z, planned, self.share, self._ship_boundary)
        futility = self.policy.futility if self.policy.rule is Rule.GROUP_SEQUENTIAL else None
        return hopes._replace(futile=futility.ends(hopes)) if hopes and futility else hopes

    def _estimate(
        self,
        found: Effect | None,
        metric: MetricEvidence,
        treatment: TreatmentEvidence,
        primary: Primary | None = None,
        *,
        success: Bar | None = None,
        harm: Bar,
        hopes: Prospects | None = None,
    ) -> Estimate | None:
        """Return what the effect is worth if the comparison stops at this look."""
        ship = not harm.reached
        bar = success if ship else harm
        if found is None or bar is None or bar.z is None or bar.boundary is None or not self.share > 0:
            return None
        if ship and primary and hopes is not None and hopes.futile and self.policy.futility is not None:
            wanted = primary.margin or primary.minimum_detectable_effect or 0.0
            planned = (found.expected_z(wanted, primary.margin) or 0.0) / math.sqrt(self.share)
            lower = self.policy.futility.mirrored(self._ship_boundary, planned)
            path = Path.of(lower, self.share, lower.at(self.share))
            return estimate_lift(found, path, -bar.z, harm=True, crossed=False)
        if not bar.reached and self.share < 1.0:
            return None
        gamma = self.policy.ship_spending if ship else self.policy.harm_spending
        side = (self.clock.ship if ship else self.clock.harm) if self.clock else None
        bound = side(metric, treatment.id, bar.alpha, gamma) if side else None
        boundary = self._ship_boundary if ship else self.schedule.harm_boundary(bar.alpha, gamma)
        path = Path.of(boundary, self.share, bar.boundary, bound.taken if bound else None)
        return estimate_lift(found, path, bar.z, harm=not ship, crossed=bar.reached)

    def _best(self, metric: MetricEvidence, direction: Direction) -> dict[str, float]:
        """Return each treatment's probability to be the best: the platform's, or one with a flat prior."""
        measured = [metric.of(treatment.id) for treatment in self.evidence.treatments]
        complete = [part for part in measured if part is not None]
        given = {part.treatment_id: part.p_best for part in complete if part.p_best is not None}
        if self.policy.rule is not Rule.PROBABILITY_TO_BE_BEST or len(given) == len(measured):
            return given
        if len(complete) < len(measured):
            return {}
        means, errors = [part.mean or 0.0 for part in complete], standard_errors(complete)
        if not all(errors):
            return {}
        found = probabilities_to_be_best(means, errors, direction.sign)
        return {part.treatment_id: value for part, value in zip(complete, found, strict=True)}


def _decisive(usual: Bar, harm: Bar, anytime: Bar | None) -> Bar | None:
    """Return the bar by which the treatment is judged, so that the interval agrees with it.

    That of harm if it is reached, else the usual one; between planned looks only the one that holds at any moment.
    """
    bars = [harm, *([anytime] if anytime else [])]
    reached = [bar for bar in bars if bar.reached]
    return next(iter(reached or [bar for bar in (usual, *bars) if bar.boundary is not None]), None)


def _direction(metric: MetricEvidence, wanted: Direction | None) -> Direction:
    direction = wanted or metric.direction
    if direction is None:
        raise EvidenceError(
            f"metric {metric.key}: neither the policy nor the metric's successCriteria gives a direction; set "
            "direction: higher or lower in the policy"
        )
    return direction


def _raw(metric: MetricEvidence, treatment_id: str) -> Measurement:
    for measured in metric.measurements:
        if measured.treatment_id == treatment_id:
            return measured
    return Measurement(treatment_id, 0, None, None)


def _effect(
    metric: MetricEvidence, treatment: TreatmentEvidence, baseline: TreatmentEvidence, direction: Direction
) -> Effect | None:
    left, right = metric.of(treatment.id), metric.of(baseline.id)
    return effect(left, right, direction) if left and right else None


def _enough(found: Effect) -> bool:
    return min(found.treatment.units, found.baseline.units) >= FEWEST_UNITS_FOR_HARM
