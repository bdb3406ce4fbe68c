"""The metrics of LaunchDarkly's releases as guardrails: LaunchDarkly judges them, and the policy decides what follows.

No statistic of ours is in it: a release spends none of the policy's error, and no error rate of the policy covers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_launchdarkly.decision.evidence import Evidence, ReleaseEvidence
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_parts import ReleaseGuardrail

REGRESSED = "regressed"
# A regression that a person dismissed in LaunchDarkly is, by that person's word, no harm.
_NO_HARM = frozenset({"ok", "regression_dismissed"})


def regressions(policy: Policy, evidence: Evidence) -> tuple[tuple[str, ReleaseEvidence], ...]:
    """Return the metrics that regressed in a release which guards, each with the release."""
    return tuple(
        (metric, release)
        for part in policy.release_guardrails
        for release in _of(part, evidence)
        for metric, state in release.metrics.items()
        if state == REGRESSED
    )


def without_state(policy: Policy, evidence: Evidence) -> str | None:
    """Return why the newest release of a guardrail shows no harm nor its absence, in words; None if all are known.

    A release that somebody rolled back guards no longer, nor does one without metrics.
    """
    for part in policy.release_guardrails:
        newest = next(iter(_of(part, evidence)), None)
        if newest is None:
            named = f"release {part.release} of flag {part.flag}" if part.release else f"flag {part.flag}"
            return f"{named} has not been released since the experiment began to run, so it guards nothing"
        if not newest.metrics:
            return f"{_named(newest)} has no metrics, so it guards nothing"
        unknown = [metric for metric, state in newest.metrics.items() if state not in _NO_HARM]
        if unknown:
            return f"LaunchDarkly has no state of {', '.join(unknown)} in {_named(newest)}"
        if newest.status == "reverted":
            return f"{_named(newest)} is reverted, so it guards nothing any more"
    return None


def regressed_in_words(found: Sequence[tuple[str, ReleaseEvidence]]) -> str:
    """Return `LaunchDarkly judges that checkout-conversion regressed in release r1 of flag search (reverted)`."""
    return "; ".join(f"LaunchDarkly judges that {metric} regressed in {_named(release)}" for metric, release in found)


def cautions(policy: Policy, evidence: Evidence) -> Iterator[str]:
    """Yield what each release says, and that no error rate of the policy covers it."""
    for release in (release for part in policy.release_guardrails for release in _of(part, evidence)):
        states = ", ".join(f"{metric} {state.replace('_', ' ')}" for metric, state in release.metrics.items())
        yield (
            f"{_named(release)}, as LaunchDarkly judges it: {states or 'no metrics'}; alpha_harm does not cover that "
            "judgement"
        )


def _of(part: ReleaseGuardrail, evidence: Evidence) -> tuple[ReleaseEvidence, ...]:
    """Return the releases of a guardrail, newest first."""
    return tuple(
        release
        for release in evidence.releases
        if release.flag == part.flag and part.release in (None, release.release_id)
    )


def _named(release: ReleaseEvidence) -> str:
    return f"release {release.release_id} of flag {release.flag} ({release.status})"
