"""Judge an iteration at once, at a planned look or between two of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_launchdarkly.checks.significance_result import SignificanceResult
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import Source, Target
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

# A poll interval so long that the latest look always counts as due.
ANY_TIME = timedelta(days=366)


def judge_now(
    hook: LaunchDarklyHook,
    experiment_key: str,
    iteration_id: str,
    policy: Policy,
    record_path: str | None = None,
    *,
    source: Source,
    standing: Mapping[str, Any] | None = None,
    warn: Callable[..., object],
) -> SignificanceResult:
    """Judge an iteration on its results now. Only reads.

    Args:
        hook: The hook, with the project and environment.
        experiment_key: The experiment.
        iteration_id: The pinned iteration.
        policy: The policy.
        record_path: Folder of the decision records, with the earlier looks. Default: ``[launchdarkly] record_path``.
        source: Where evidence comes from.
        standing: An earlier verdict on the iteration as plain JSON; if it crossed the boundary, that stands.
        warn: Writes a warning to the task's log.

    Returns:
        The verdict, with its evidence.

    Raises:
        ConfigurationError: ``standing`` is no verdict.
    """
    from airflow_provider_launchdarkly.checks.crossing import read_crossing
    from airflow_provider_launchdarkly.checks.significance import check_significance
    from airflow_provider_launchdarkly.evidence.source import Target

    target = Target(hook.environment(), experiment_key, iteration_id)
    crossing = read_crossing(standing, target)
    if crossing.warning:
        warn("%s", crossing.warning)
    from airflow_provider_launchdarkly.audit_log.changes import spent_before
    from airflow_provider_launchdarkly.audit_log.store import looks_in

    entries = _record(target, record_path)
    check = check_significance(
        target,
        policy,
        poll_interval=ANY_TIME,
        source=source,
        looks=lambda: looks_in(entries),
        standing=crossing.standing,
        spent=spent_before(entries, policy),
    )
    return hook.run(check)


def _record(target: Target, record_path: str | None) -> tuple[dict[str, Any], ...]:
    """Read the iteration's decision record; empty if none is kept."""
    folder = record_path or conf.get("launchdarkly", "record_path", fallback="")
    if not folder:
        return ()
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_launchdarkly.audit_log.store import read_record

    return read_record(target.to_json(), folder, ObjectStoragePath)
