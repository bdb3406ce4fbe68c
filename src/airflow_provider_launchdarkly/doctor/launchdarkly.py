"""The checks of a LaunchDarkly account, in their order."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.doctor import access, answers, approvals, results
from airflow_provider_launchdarkly.doctor.finding import Finding, Status
from airflow_provider_launchdarkly.doctor.words import Told, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_provider_launchdarkly.api.errors import ConfigurationError
    from airflow_provider_launchdarkly.doctor.account import Account
    from airflow_provider_launchdarkly.doctor.likeness import Likeness


def checks(*, has_warehouse: bool) -> Mapping[str, Callable[[Account, Likeness], Iterator[Finding]]]:
    """Return the checks by name. Only reads.

    Args:
        has_warehouse: Whether a warehouse is examined too.
    """
    return {
        "connection": access.check_connection,
        "token": access.check_token,
        "clock": answers.check_clock,
        "beta header": answers.check_beta_header,
        "project": access.check_places,
        "rights": access.check_rights,
        "approvals": approvals.check_approvals,
        "pages": answers.check_pages,
        "experiment": results.check_experiment,
        "metrics": results.check_metrics,
        "results": partial(results.check_results, has_warehouse=has_warehouse),
        "generation": answers.check_generation,
        "rate limits": answers.check_rate_limits,
    }


def unusable(error: ConfigurationError) -> Finding:
    """Return the finding for a connection with which nothing can be sent."""
    return Finding(
        "connection",
        Status.MISSING,
        say("{error}", error=Told.of(error)),
        say("correct the connection as the message says; nothing was sent"),
    )
