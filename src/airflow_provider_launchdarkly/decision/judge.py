"""The decision: one policy and one piece of evidence in, one verdict out. No clock, no history, no I/O.

The order of judgement is protective: what makes the numbers worthless comes first, then harm, which waits for no gate,
then the gates of time and sample, then success, then the plan's end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.decision import summary
from airflow_provider_launchdarkly.decision.assessment import Assessment, assess
from airflow_provider_launchdarkly.decision.policy import Direction, MismatchAction, MissingAction, Policy, Rule, Test
from airflow_provider_launchdarkly.decision.verdict import Kind, MetricJudgement, Reason, TreatmentEffect, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.decision.evidence import Evidence


def decide(policy: Policy, evidence: Evidence) -> Verdict:
    """Judge what was measured.

    The evidence is judged as the look whose time came last; it takes no history, so any number of repeats gives the
    same verdict. Whether a look is due at all is :func:`due_look`'s to say: judging between looks too, on data that
    moved, is looking more often than planned.

    Args:
        policy: What is asked.
        evidence: What was measured.

    Returns:
        The verdict, with every number that it rests on.

    Raises:
        EvidenceError: The evidence cannot be true, or lacks a metric of the policy or its direction; it is named.
        ValueError: The policy looks at cron times and the evidence has no start.
    """
    return _Judge(policy, evidence).verdict()


class _Judge:
    def __init__(self, policy: Policy, evidence: Evidence) -> None:
        self._policy = policy
        self._evidence = evidence
        self._seen: Assessment = assess(policy, evidence)

    def verdict(self) -> Verdict:
        return self._invalid() or self._harm() or self._gates() or self._success() or self._end()

    def _invalid(self) -> Verdict | None:
        split, action = self._seen.split, self._policy.mismatch.action
        if split is not None and split.mismatch and action is MismatchAction.STOP:
            return self._say(Kind.INVALID, Reason.MISMATCH, f"{summary.split(split)}: invalid")
        if self._policy.missing.action is MissingAction.INVALID:
            return self._missing(Kind.INVALID)
        return None

    def _harm(self) -> Verdict | None:
        harmed = [
            (compared.harm.z or 0.0, metric, compared)
            for metric in (*self._seen.guardrails, self._seen.primary)
            for compared in metric.comparisons
            if compared.harm is not None and compared.harm.reached
        ]
        if not harmed:
            return None
        harmed.sort(key=lambda found: -found[0])
        only_primary = all(metric is self._seen.primary for _, metric, _ in harmed)
        return self._say(
            Kind.ROLLBACK,
            Reason.PRIMARY_HARMED if only_primary else Reason.GUARDRAIL_HARMED,
            "; ".join(summary.harm(metric, compared) for _, metric, compared in harmed) + ": roll back",
            harmed=tuple(f"{metric.metric}: {compared.treatment}" for _, metric, compared in harmed),
        )

    def _gates(self) -> Verdict | None:
        seen, policy, elapsed = self._seen, self._policy, self._evidence.elapsed
        if seen.look == 0:
            first = summary.days(seen.schedule.look_times[0])
            return self._say(Kind.WAIT, Reason.BETWEEN_LOOKS, f"the first look is on day {first}: wait")
        if seen.split is not None and seen.split.mismatch and policy.mismatch.action is MismatchAction.HOLD:
            kind = Kind.INVALID if seen.ended else Kind.WAIT
            return self._say(kind, Reason.MISMATCH, f"{summary.split(seen.split)}: {_word(kind)}")
        missing = self._missing(Kind.INVALID if seen.ended else Kind.WAIT)
        if missing is not None:
            return missing
        if elapsed < policy.min_duration:
            shortest = summary.days(policy.min_duration)
            return self._say(
                Kind.WAIT, Reason.MIN_DURATION, f"{self._leader()}; nothing ships before day {shortest}: wait"
            )
        return self._small_sample()

    def _small_sample(self) -> Verdict | None:
        needed = self._policy.min_units_per_treatment
        units, name, metric = min(self._counts())
        if units >= needed:
            return None
        kind = Kind.INCONCLUSIVE if self._seen.ended else Kind.WAIT
        text = f"{name} has {units} units on {metric}, fewer than {needed}: {_word(kind)}"
        return self._say(kind, Reason.MIN_SAMPLE, text)

    def _counts(self) -> Iterator[tuple[int, str, str]]:
        """Units, treatment and metric, of everything that must be judged before anything ships."""
        for metric in (self._seen.primary, *self._seen.guardrails):
            yield metric.comparisons[0].baseline_units, self._evidence.baseline.name, metric.metric
            for compared in metric.comparisons:
                yield compared.units, compared.treatment, metric.metric

    def _missing(self, kind: Kind) -> Verdict | None:
        """Data that do not arrive; before the grace period is over that is never more than a wait."""
        missing, elapsed = self._policy.missing, self._evidence.elapsed
        unchanged = self._evidence.unchanged_for
        absent = self._absent()
        if absent is not None:
            if kind is Kind.INVALID and elapsed <= missing.grace and not self._seen.ended:
                return None
            reason = Reason.NO_TRAFFIC if kind is Kind.INVALID else Reason.NO_DATA
            return self._say(kind, reason, f"{absent}: {_word(kind)}")
        if unchanged is not None and unchanged > missing.stale_after:
            text = f"the counts have not moved for {summary.days(unchanged)} days: {_word(kind)}"
            return self._say(kind, Reason.STALE_RESULTS, text)
        return None

    def _absent(self) -> str | None:
        for judged in (self._seen.primary, *self._seen.guardrails):
            metric = self._evidence.metric(judged.metric)
            for treatment in self._evidence.treatments:
                if metric.of(treatment.id) is None:
                    return f"{metric.key} has no data for {treatment.name}"
        if any(compared.z is None for compared in self._seen.primary.comparisons):
            return f"{self._seen.primary.metric} is the same for every unit"
        return None

    def _success(self) -> Verdict | None:
        if self._policy.rule is Rule.PROBABILITY_TO_BE_BEST and self._baseline_best():
            text = f"the baseline is best on {self._seen.primary.metric} with probability {self._p_baseline():.3f}"
            return self._say(Kind.ROLLBACK, Reason.BASELINE_BEST, f"{text}: roll back")
        sign = Direction(self._seen.primary.direction).sign
        winners = [compared for compared in self._seen.primary.comparisons if self._wins(compared)]
        winners.sort(key=lambda compared: -sign * (compared.mean or 0.0))
        held: Verdict | None = None
        for compared in winners:
            blocked = self._blocked(compared)
            if blocked is None:
                return self._ship(compared)
            held = held or blocked
        return held

    def _wins(self, compared: TreatmentEffect) -> bool:
        if self._policy.rule is Rule.PROBABILITY_TO_BE_BEST:
            return compared.p_best is not None and compared.p_best >= self._policy.threshold
        return compared.success is not None and compared.success.reached

    def _p_baseline(self) -> float:
        measured = self._evidence.metric(self._seen.primary.metric).of(self._evidence.baseline.id)
        if measured is not None and measured.p_best is not None:
            return measured.p_best
        return 1.0 - sum(compared.p_best or 0.0 for compared in self._seen.primary.comparisons)

    def _baseline_best(self) -> bool:
        known = all(compared.p_best is not None for compared in self._seen.primary.comparisons)
        return known and self._p_baseline() >= self._policy.threshold

    def _blocked(self, winner: TreatmentEffect) -> Verdict | None:
        """What holds a treatment back that has passed on the primary metric."""
        kind = Kind.INCONCLUSIVE if self._seen.ended else Kind.WAIT
        start = summary.success(self._seen.primary, winner)
        for metric in self._seen.guardrails:
            compared = _of(metric, winner)
            if compared.success is not None and not compared.success.reached:
                missing = f"{metric.metric} is not shown to be within its margin ({summary.bar(compared.success)})"
                return self._say(kind, Reason.GUARDRAIL_UNPROVEN, f"{start}; but {missing}: {_word(kind)}")
        for metric in self._seen.signals:
            compared = _of(metric, winner)
            if compared.harm is not None and compared.harm.reached:
                text = f"{start}; but {metric.metric} points the wrong way ({summary.lift(compared)})"
                return self._say(kind, Reason.SIGNAL, f"{text}: {_word(kind)}")
        return None

    def _ship(self, winner: TreatmentEffect) -> Verdict:
        better = self._policy.primary.test is Test.SUPERIORITY
        return self._say(
            Kind.SHIP,
            Reason.BETTER if better else Reason.NOT_WORSE,
            f"{summary.success(self._seen.primary, winner)}: ship",
            treatment_id=winner.treatment_id,
            treatment=winner.treatment,
        )

    def _end(self) -> Verdict:
        if self._seen.ended:
            text = f"{self._leader()}; the plan has ended without a winner: inconclusive"
            return self._say(Kind.INCONCLUSIVE, Reason.PLAN_ENDED, text)
        leader = self._leading()
        hope = "" if leader.days_to_ship is None else f", {leader.days_to_ship:.0f} more days would do at this rate"
        return self._say(Kind.WAIT, Reason.NOT_SIGNIFICANT, f"{self._leader()}{hope}: wait")

    def _leading(self) -> TreatmentEffect:
        return max(self._seen.primary.comparisons, key=lambda compared: compared.z or 0.0)

    def _leader(self) -> str:
        return summary.success(self._seen.primary, self._leading())

    def _say(self, kind: Kind, reason: Reason, text: str, **more: Any) -> Verdict:
        seen, evidence = self._seen, self._evidence
        times = seen.schedule.look_times
        return Verdict(
            kind=kind,
            reason=reason,
            summary=f"{summary.opening(seen, evidence.elapsed)}: {text}",
            elapsed=evidence.elapsed,
            look=seen.look,
            looks=len(times),
            share=seen.share,
            units=seen.units,
            metrics=(seen.primary, *seen.guardrails, *seen.signals),
            split=seen.split,
            probability_of_mismatch=evidence.probability_of_mismatch,
            next_look=times[seen.look] if kind is Kind.WAIT and seen.look < len(times) else None,
            **more,
        )


def _of(metric: MetricJudgement, like: TreatmentEffect) -> TreatmentEffect:
    return next(compared for compared in metric.comparisons if compared.treatment_id == like.treatment_id)


def _word(kind: Kind) -> str:
    return {Kind.ROLLBACK: "roll back"}.get(kind, kind.value)
