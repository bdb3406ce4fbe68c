"""Decide on harm: at a planned look, and between two of them, where harm is all that may be decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.decision import summary
from airflow_provider_launchdarkly.decision.assessment import assess_harm
from airflow_provider_launchdarkly.decision.policy_parts import MismatchAction
from airflow_provider_launchdarkly.decision.releases import cautions, regressed_in_words, regressions
from airflow_provider_launchdarkly.decision.silent import unchecked
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason, Role, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_launchdarkly.decision.evidence import Evidence
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.verdict import MetricJudgement, Split


class Harm(NamedTuple):
    """The harm that is found.

    Attributes:
        reason: Its reason.
        text: Each harm in words.
        harmed: Each as `metric: treatment`, worst first.
    """

    reason: Reason
    text: str
    harmed: tuple[str, ...]


def find_harm(metrics: Iterable[MetricJudgement]) -> Harm | None:
    """Return the harm to the primary metric and guardrails; None if there is none."""
    found = [
        (compared.harmful.z or 0.0, metric, compared)
        for metric in metrics
        for compared in metric.comparisons
        if metric.role is not Role.SIGNAL and compared.harmful is not None
    ]
    if not found:
        return None
    found.sort(key=lambda harm: -harm[0])
    only_primary = all(metric.role is Role.PRIMARY for _, metric, _ in found)
    return Harm(
        Reason.PRIMARY_HARMED if only_primary else Reason.GUARDRAIL_HARMED,
        "; ".join(summary.harm(metric, compared) for _, metric, compared in found) + ": roll back",
        tuple(f"{metric.metric}: {compared.treatment}" for _, metric, compared in found),
    )


def find_regression(policy: Policy, evidence: Evidence) -> Harm | None:
    """Return the harm that LaunchDarkly found in a release which guards; None if there is none."""
    found = regressions(policy, evidence)
    if not found:
        return None
    return Harm(
        Reason.RELEASE_REGRESSED,
        f"{regressed_in_words(found)}: roll back",
        tuple(f"{metric}: the release of {release.flag}" for metric, release in found),
    )


def describe_mismatch(exposed: Split | None, metrics: Iterable[MetricJudgement]) -> str | None:
    """Return the broken split, of the exposed units or of a metric's, in words; None while all are as allocated."""
    tested = ((exposed, None), *((metric.split, metric.metric) for metric in metrics))
    return next((summary.split(split, key) for split, key in tested if split is not None and split.mismatch), None)


def decide_harm(policy: Policy, evidence: Evidence) -> Verdict:
    """Judge harm between two planned looks, by the tests that hold at any number of looks.

    Nothing else is decided, and none of the planned looks' error is spent. The evidence needs only some of the policy's
    metrics; the others are judged when their turn comes.

    Args:
        policy: The policy, with `harm_looks`; releases alone are judged without it, too.
        evidence: The measurements, with `only_harm`.

    Returns:
        ``rollback`` if a metric is harmed, or regressed in a release; ``invalid`` if units are not split as allocated
        and the policy stops on that; otherwise ``wait``, with the reason ``between_looks``.

    Raises:
        EvidenceError: The evidence cannot be true, lacks a direction, or has none of the metrics that roll back while
            the policy names no release; or it has metrics, and the policy has no `harm_looks`.
    """
    found = assess_harm(policy, evidence)
    times, elapsed = found.schedule.look_times, evidence.elapsed
    look = found.schedule.look_at(elapsed)
    kind, reason = Kind.WAIT, Reason.BETWEEN_LOOKS
    harm = find_harm(found.metrics) or find_regression(policy, evidence)
    broken = describe_mismatch(found.split, found.metrics)
    if broken is not None and policy.mismatch.action is MismatchAction.STOP:
        kind, reason, text = Kind.INVALID, Reason.MISMATCH, f"{broken}: invalid"
    elif harm is not None:
        kind, reason, text = Kind.ROLLBACK, harm.reason, harm.text
    else:
        text = _nothing_found(policy, found.metrics)
    return Verdict(
        kind=kind,
        reason=reason,
        summary=f"look for harm, day {summary.days(elapsed)}: {text}",
        elapsed=elapsed,
        looks=len(times),
        harmed=harm.harmed if harm is not None and kind is Kind.ROLLBACK else (),
        metrics=found.metrics,
        split=found.split,
        probability_of_mismatch=evidence.probability_of_mismatch,
        next_look=times[look] if kind is Kind.WAIT and look < len(times) else None,
        cautions=(*evidence.cautions, *unchecked(policy, found.metrics), *cautions(policy, evidence)),
    )


def _nothing_found(policy: Policy, metrics: Iterable[MetricJudgement]) -> str:
    """Return what was looked at without finding harm, and what could show none."""
    judged = [summary.no_harm(metric) for metric in metrics if not metric.constant]
    texts = [f"no harm to {', '.join(judged)}"] if judged else []
    texts += [summary.constant(metric) for metric in metrics if metric.constant]
    flags = ", ".join(part.flag for part in policy.release_guardrails)
    return f"{'; '.join(texts) or f'no regression in the releases of {flags}'}: wait"
