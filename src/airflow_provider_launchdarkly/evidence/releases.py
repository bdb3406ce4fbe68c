"""Read the releases that guard an experiment beside its metrics: one list for each flag, with each look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.endpoints.releases import get_release, list_releases
from airflow_provider_launchdarkly.decision.evidence import Evidence, ReleaseEvidence
from airflow_provider_launchdarkly.decision.releases import regressions

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import EnvironmentRelease
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import LookContext, Source


def measure(source: Source, look_context: LookContext, policy: Policy) -> Procedure[Evidence]:
    """Get the evidence of a look, with the releases that guard it.

    A regression is harm whatever the metrics say. So it is seen where they cannot be read, too: the evidence then has
    no metric, and is that of a look for harm alone.

    Args:
        source: Where the metrics' evidence comes from.
        look_context: The look. A release that ended before the experiment began to run does not count.
        policy: Names the metrics and the releases.

    Raises:
        NotFoundError: A flag that the policy names is not there, or has no such release.
        LaunchDarklyError: As the calls raise.
    """
    alone = Evidence(
        elapsed=look_context.elapsed,
        treatments=look_context.treatments(None),
        metrics=(),
        started_at=look_context.started_at,
        only_harm=True,
        releases=(yield from _releases(look_context, policy)),
    )
    if look_context.harm_of == ():
        return alone
    try:
        evidence = yield from source(look_context, policy)
    except Exception as error:  # whatever a driver raises undoes no regression
        if not regressions(policy, alone):
            raise
        return alone._replace(cautions=(f"the metrics could not be read: {type(error).__name__}: {error}",))
    return evidence._replace(releases=alone.releases)


def _releases(look_context: LookContext, policy: Policy) -> Procedure[tuple[ReleaseEvidence, ...]]:
    env, began = look_context.target.environment, look_context.unbroken_since or look_context.started_at
    found: list[ReleaseEvidence] = []
    for part in policy.release_guardrails:
        if part.release is None:
            response = yield list_releases(env, part.flag)
            releases: tuple[EnvironmentRelease, ...] = response.value.items
        else:
            response = yield get_release(env, part.flag, part.release)
            releases = (response.value,)
        found += [
            ReleaseEvidence(part.flag, release.id, release.status, release.metric_states)
            for release in releases
            if release.ended_at is None or release.ended_at > began
        ]
    return tuple(found)
