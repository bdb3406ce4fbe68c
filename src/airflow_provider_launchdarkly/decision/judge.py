"""Decide: one policy and one piece of evidence in, one verdict out. No clock, no I/O, and no memory.

The order of judgement protects users: first whether the numbers are valid, then harm, which no gate delays, then the
gates of time and sample size, then a boundary that was crossed before, then success, then the plan's end.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.decision import error_left, releases, summary
from airflow_provider_launchdarkly.decision.assessment import Assessment, assess
from airflow_provider_launchdarkly.decision.evidence import Standing
from airflow_provider_launchdarkly.decision.harm import decide_harm, describe_mismatch, find_harm, find_regression
from airflow_provider_launchdarkly.decision.policy_parts import Direction, MismatchAction, MissingAction, Rule, Test
from airflow_provider_launchdarkly.decision.silent import unchecked, without_events
from airflow_provider_launchdarkly.decision.splits import is_selected, partly_measured, units_beyond_exposed
from airflow_provider_launchdarkly.decision.standing import find_standing, fingerprint, still_there, why_void
from airflow_provider_launchdarkly.decision.verdict import Kind, MetricJudgement, Reason, TreatmentEffect, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.decision.evidence import Evidence
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_parts import Guardrail, Primary


def decide(policy: Policy, evidence: Evidence) -> Verdict:
    """Judge what was measured.

    The evidence is judged at the latest look that has come due. What it has of earlier looks counts, other than of this
    look itself, so repeats give the same verdict.
    Call it only when :func:`due_look` finds a look: judging new data between looks is looking more often than planned.
    Evidence with `only_harm` may come at any time: it is judged by :func:`decide_harm`.

    Args:
        policy: The policy.
        evidence: The measurements.

    Returns:
        The verdict, with every number that it rests on.

    Raises:
        EvidenceError: The evidence cannot be true, or lacks a metric of the policy or its direction. The message names
            the metric.
        ValueError: The policy looks at cron times and the evidence has no start.
    """
    return decide_harm(policy, evidence) if evidence.only_harm else _Judge(policy, evidence).verdict()


class _Judge:
    def __init__(self, policy: Policy, evidence: Evidence) -> None:
        self._policy = policy
        self._evidence = evidence
        self._assessment: Assessment = assess(policy, evidence)
        # What crossed before is known of one metric, so with several primary metrics all are judged afresh.
        alone = not policy.other_primaries
        self._standing = find_standing(policy, evidence, self._assessment.primary) if alone else None

    def verdict(self) -> Verdict:
        protective = self._invalid() or self._harm() or self._gates() or self._baseline_wins()
        return protective or self._stands() or self._success() or self._end()

    @property
    def _metrics(self) -> tuple[MetricJudgement, ...]:
        return (*self._assessment.primaries, *self._assessment.guardrails, *self._assessment.signals)

    def _split_tested(self) -> Iterator[str]:
        """Yield the metrics whose units are compared with the exposed ones."""
        for part, metric in zip(self._policy.parts, self._metrics, strict=True):
            if part.test_split:
                yield metric.metric

    @cached_property
    def _mismatch(self) -> str | None:
        """The broken split, of the exposed units or of a metric's, in words; None while all are as allocated."""
        return describe_mismatch(self._assessment.split, self._metrics)

    def _invalid(self) -> Verdict | None:
        if self._mismatch is not None and self._policy.mismatch.action is MismatchAction.STOP:
            return self._make(Kind.INVALID, Reason.MISMATCH, f"{self._mismatch}: invalid")
        if self._policy.missing.action is MissingAction.INVALID:
            return self._missing(Kind.INVALID)
        return None

    def _harm(self) -> Verdict | None:
        found = find_harm((*self._assessment.guardrails, *self._assessment.primaries))
        found = found or find_regression(self._policy, self._evidence)
        return None if found is None else self._make(Kind.ROLLBACK, found.reason, found.text, harmed=found.harmed)

    def _gates(self) -> Verdict | None:
        assessment, policy, elapsed = self._assessment, self._policy, self._evidence.elapsed
        if assessment.look == 0:
            first = summary.days(assessment.schedule.look_times[0])
            return self._make(Kind.WAIT, Reason.BETWEEN_LOOKS, f"the first look is on day {first}: wait")
        kind = Kind.INVALID if assessment.ended else Kind.WAIT
        if self._mismatch is not None and policy.mismatch.action is MismatchAction.HOLD:
            return self._make(kind, Reason.MISMATCH, f"{self._mismatch}: {_word(kind)}")
        impossible = units_beyond_exposed(self._evidence, tuple(self._split_tested()))
        if impossible is not None:
            return self._make(kind, Reason.MORE_UNITS_THAN_EXPOSED, f"{impossible}: {_word(kind)}")
        missing = self._missing(kind) or self._release_unknown(kind)
        if missing is not None:
            return missing
        if elapsed < policy.min_duration:
            shortest = summary.days(policy.min_duration)
            return self._make(
                Kind.WAIT, Reason.MIN_DURATION, f"{self._leader()}; nothing ships before day {shortest}: wait"
            )
        return self._small_sample()

    def _small_sample(self) -> Verdict | None:
        needed = self._policy.min_units_per_treatment
        units, name, metric = min(self._counts())
        if units >= needed:
            return None
        kind = Kind.INCONCLUSIVE if self._assessment.ended else Kind.WAIT
        text = f"{name} has {units} units on {metric}, fewer than {needed}: {_word(kind)}"
        return self._make(kind, Reason.MIN_SAMPLE, text)

    def _counts(self) -> Iterator[tuple[int, str, str]]:
        """Yield units, treatment and metric of each measurement that a ship depends on."""
        for metric in (*self._assessment.primaries, *self._assessment.guardrails):
            yield metric.comparisons[0].baseline_units, self._evidence.baseline.name, metric.metric
            for compared in metric.comparisons:
                yield compared.units, compared.treatment, metric.metric

    def _missing(self, kind: Kind) -> Verdict | None:
        """Return the verdict on missing or stale data; before the grace period ends it is never invalid."""
        missing, elapsed = self._policy.missing, self._evidence.elapsed
        unchanged = self._evidence.unchanged_for
        absent = self._absent()
        if absent is not None:
            if kind is Kind.INVALID and elapsed <= self._policy.lag + missing.grace and not self._assessment.ended:
                return None
            reason = Reason.NO_TRAFFIC if kind is Kind.INVALID else Reason.NO_DATA
            return self._make(kind, reason, f"{absent}: {_word(kind)}")
        if unchanged is not None and unchanged > missing.stale_after:
            text = f"the counts have not moved for {summary.days(unchanged)} days: {_word(kind)}"
            return self._make(kind, Reason.STALE_RESULTS, text)
        return None

    def _release_unknown(self, kind: Kind) -> Verdict | None:
        unknown = releases.without_state(self._policy, self._evidence)
        return None if unknown is None else self._make(kind, Reason.RELEASE_UNKNOWN, f"{unknown}: {_word(kind)}")

    def _absent(self) -> str | None:
        for judged in (*self._assessment.primaries, *self._assessment.guardrails):
            metric = self._evidence.metric(judged.metric)
            for treatment in self._evidence.treatments:
                if metric.of(treatment.id) is None:
                    return f"{metric.key} has no data for {treatment.name}"
        for judged in self._assessment.primaries:
            if any(compared.z is None for compared in judged.comparisons):
                return f"{judged.metric} is the same for every unit"
        return None

    def _baseline_wins(self) -> Verdict | None:
        if self._policy.rule is not Rule.PROBABILITY_TO_BE_BEST or not self._baseline_best():
            return None
        text = f"the baseline is best on {self._assessment.primary.metric} with probability {self._p_baseline():.3f}"
        return self._make(Kind.ROLLBACK, Reason.BASELINE_BEST, f"{text}: roll back")

    def _stands(self) -> Verdict | None:
        """Return the verdict on a treatment that crossed the boundary before: only that one can ship."""
        compared, standing = self._standing, self._evidence.standing
        if compared is None or standing is None:
            return None
        if still_there(compared.success, compared.z):
            return self._blocked(compared) or self._ship(compared)
        kind = Kind.INCONCLUSIVE if self._assessment.ended else Kind.WAIT
        gone = summary.gone(self._assessment.primary, compared, standing)
        return self._futile() or self._make(kind, Reason.EFFECT_GONE, f"{gone}: {_word(kind)}")

    def _success(self) -> Verdict | None:
        winners = [compared for compared in self._assessment.primary.comparisons if self._won(compared)]
        winners.sort(key=self._merit)
        held: Verdict | None = None
        for compared in winners:
            blocked = self._blocked(compared)
            if blocked is None:
                return self._ship(compared)
            held = held or blocked
        return self._futile() or held

    def _won(self, treatment: TreatmentEffect) -> tuple[MetricJudgement, ...]:
        """Return the primary metrics on which a treatment has shown what the policy asks; empty if it does not win."""
        primaries = self._assessment.primaries
        won = tuple(metric for metric in primaries if self._wins(_of(metric, treatment)))
        return won if self._policy.ships_on_any or len(won) == len(primaries) else ()

    def _merit(self, winner: TreatmentEffect) -> tuple[int, float]:
        """Return the order of a winner: by the first metric that it won, then by its mean there."""
        first = self._won(winner)[0]
        mean = _of(first, winner).mean or 0.0
        return self._assessment.primaries.index(first), -Direction(first.direction).sign * mean

    def _claim(self, winner: TreatmentEffect) -> str:
        """Return what a winner has shown, in words; of one that crossed before, what it shows now."""
        shown = self._won(winner) or self._assessment.primaries
        return "; ".join(summary.success(metric, _of(metric, winner)) for metric in shown)

    def _wins(self, compared: TreatmentEffect) -> bool:
        if self._policy.rule is Rule.PROBABILITY_TO_BE_BEST:
            return compared.p_best is not None and compared.p_best >= self._policy.threshold
        return compared.success is not None and compared.success.reached

    def _p_baseline(self) -> float:
        measured = self._evidence.metric(self._assessment.primary.metric).of(self._evidence.baseline.id)
        if measured is not None and measured.p_best is not None:
            return measured.p_best
        return 1.0 - sum(compared.p_best or 0.0 for compared in self._assessment.primary.comparisons)

    def _baseline_best(self) -> bool:
        known = all(compared.p_best is not None for compared in self._assessment.primary.comparisons)
        return known and self._p_baseline() >= self._policy.threshold

    def _blocked(self, winner: TreatmentEffect) -> Verdict | None:
        """Return the verdict that holds back a treatment which has passed on the primary metric, if there is one."""
        kind = Kind.INCONCLUSIVE if self._assessment.ended else Kind.WAIT
        start = self._claim(winner)
        for metric in self._assessment.guardrails:
            compared = _of(metric, winner)
            if compared.success is not None and not self._proven(compared, winner):
                missing = f"{metric.metric} is not shown to be within its margin ({summary.bar(compared.success)})"
                return self._make(kind, Reason.GUARDRAIL_UNPROVEN, f"{start}; but {missing}: {_word(kind)}")
        if self._policy.mismatch.action is not MismatchAction.WARN:
            for part, metric in self._shipping_metrics():
                if part.test_split and is_selected(
                    self._evidence, self._evidence.metric(metric.metric), winner.treatment_id
                ):
                    text = f"{start}; but {winner.treatment} seems to change on whom {metric.metric} is measured"
                    return self._make(kind, Reason.MISMATCH, f"{text}: {_word(kind)}")
        for signal, metric in zip(self._policy.signals, self._assessment.signals, strict=True):
            compared = _of(metric, winner)
            if signal.required and compared.difference is None:
                return self._make(kind, Reason.NO_DATA, f"{start}; but {metric.metric} has no data: {_word(kind)}")
            if compared.harm is not None and compared.harm.reached:
                text = f"{start}; but {metric.metric} points the wrong way ({summary.lift(compared)})"
                return self._make(kind, Reason.SIGNAL, f"{text}: {_word(kind)}")
        silent = next(iter(without_events(self._policy, self._metrics)), None)
        if silent is None:
            return None
        return self._make(kind, Reason.NO_DATA, f"{start}; but {summary.constant(silent)}: {_word(kind)}")

    def _shipping_metrics(self) -> Iterator[tuple[Primary | Guardrail, MetricJudgement]]:
        """Yield the metrics on whose means a ship rests."""
        yield from zip(self._policy.primaries, self._assessment.primaries, strict=True)
        for part, metric in zip(self._policy.guardrails, self._assessment.guardrails, strict=True):
            if part.prove:
                yield part, metric

    def _proven(self, guarded: TreatmentEffect, winner: TreatmentEffect) -> bool:
        """Return whether a guardrail's margin is shown to hold; one that was shown at a crossing stands with it."""
        if winner is self._standing:
            return still_there(guarded.success, guarded.z)
        return guarded.success is not None and guarded.success.reached

    def _ship(self, winner: TreatmentEffect) -> Verdict:
        claimed = self._won(winner) or self._assessment.primaries
        better = any(
            part.test is Test.SUPERIORITY
            for part, metric in zip(self._policy.primaries, self._assessment.primaries, strict=True)
            if metric in claimed
        )
        primary, before = self._assessment.primary, self._evidence.standing if winner is self._standing else None
        crossed = Standing(winner.treatment_id, self._assessment.look, primary.metric, fingerprint(self._policy))
        return self._make(
            Kind.SHIP,
            Reason.BETTER if better else Reason.NOT_WORSE,
            f"{self._claim(winner)}{summary.stands(before, winner)}{summary.worth(winner.estimate)}: ship",
            treatment_id=winner.treatment_id,
            treatment=winner.treatment,
            standing=None if self._policy.other_primaries else before or crossed,
        )

    def _futile(self) -> Verdict | None:
        """Return the verdict on an experiment in which no treatment is likely to ship any more."""
        futile = [self._hopeless(compared) for compared in self._assessment.primary.comparisons]
        if self._assessment.ended or not all(futile):
            return None
        text = f"{self._leader()}; {self._hopeless(self._leading()[1])}: inconclusive, though the plan has not ended"
        return self._make(Kind.INCONCLUSIVE, Reason.FUTILE, text)

    def _hopeless(self, compared: TreatmentEffect) -> str | None:
        """Return why a treatment is unlikely to ship, if it is."""
        primaries = self._assessment.primaries
        if self._policy.ships_on_any:
            # One metric with a chance is enough.
            hopeful = (metric for metric in primaries if not self._is_futile(_of(metric, compared)))
            primaries = () if next(hopeful, None) is not None else primaries[:1]
        for metric in (*primaries, *self._assessment.guardrails):
            hopes = _of(metric, compared).prospects
            if hopes is not None and hopes.futile and self._policy.futility is not None:
                return summary.futile(metric, hopes, self._policy.futility)
        return None

    @staticmethod
    def _is_futile(compared: TreatmentEffect) -> bool:
        return compared.prospects is not None and compared.prospects.futile

    def _end(self) -> Verdict:
        if self._assessment.ended:
            worth = summary.worth(self._leading()[1].estimate)
            text = f"{self._leader()}{worth}; the plan has ended without a winner: inconclusive"
            return self._make(Kind.INCONCLUSIVE, Reason.PLAN_ENDED, text)
        leader = self._leading()[1]
        hope = f"; {summary.prospects(leader.prospects)}" if leader.prospects else ""
        return self._make(Kind.WAIT, Reason.NOT_SIGNIFICANT, f"{self._leader()}{hope}: wait")

    def _leading(self) -> tuple[MetricJudgement, TreatmentEffect]:
        """Return the comparison that is closest to a ship: where all must pass, a treatment is as close as its last."""
        closest = max if self._policy.ships_on_any else min
        each = (
            closest(((metric, _of(metric, compared)) for metric in self._assessment.primaries), key=_evidence_for)
            for compared in self._assessment.primary.comparisons
        )
        return max(each, key=_evidence_for)

    def _leader(self) -> str:
        return summary.success(*self._leading())

    def _cautions(self) -> Iterator[str]:
        """Yield a sentence for each thing that limits what the verdict means."""
        yield from self._evidence.cautions
        yield from partly_measured(self._evidence, tuple(metric.metric for metric in self._metrics))
        yield from unchecked(self._policy, self._metrics)
        if self._assessment.lacks_history:
            yield "no earlier look is known, so the boundaries follow the plan alone: set record_path to keep the looks"
        yield from error_left.cautions(self._policy, self._evidence)
        yield from releases.cautions(self._policy, self._evidence)
        standing = self._evidence.standing
        void = why_void(self._policy, standing, self._assessment.primary) if standing else None
        if standing and void:
            yield f"the crossing of look {standing.look} counts for nothing: {void}"

    def _make(self, kind: Kind, reason: Reason, text: str, **more: Any) -> Verdict:
        assessment, evidence = self._assessment, self._evidence
        times = assessment.schedule.look_times
        if kind is Kind.WAIT and reason is not Reason.EFFECT_GONE and self._standing is not None:
            more["standing"] = evidence.standing
        return Verdict(
            kind=kind,
            reason=reason,
            summary=f"{summary.opening(assessment, evidence.elapsed)}: {text}",
            elapsed=evidence.elapsed,
            look=assessment.look,
            looks=len(times),
            share=assessment.share,
            units=assessment.units,
            metrics=self._metrics,
            split=assessment.split,
            probability_of_mismatch=evidence.probability_of_mismatch,
            next_look=times[assessment.look] if kind is Kind.WAIT and assessment.look < len(times) else None,
            cautions=(*self._cautions(), *_of_portfolio(self._policy, kind)),
            **more,
        )


def _of_portfolio(policy: Policy, kind: Kind) -> Iterator[str]:
    portfolio = policy.portfolio
    if kind is Kind.SHIP and portfolio is not None and portfolio.false_discovery_rate is not None:
        rate = portfolio.false_discovery_rate
        yield (
            f"portfolio {portfolio.name} bounds the share of false ships at {100 * rate:g} %: ship once `portfolio "
            f"--false-discovery-rate {rate:g}` says at the quarter's end that this one stands"
        )


def _evidence_for(found: tuple[MetricJudgement, TreatmentEffect]) -> float:
    return found[1].z or 0.0


def _of(metric: MetricJudgement, like: TreatmentEffect) -> TreatmentEffect:
    return next(compared for compared in metric.comparisons if compared.treatment_id == like.treatment_id)


def _word(kind: Kind) -> str:
    return {Kind.ROLLBACK: "roll back"}.get(kind, kind.value)
