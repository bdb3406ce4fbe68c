"""Errors of tables that have not got, or not yet got, what a look needs."""

from __future__ import annotations

from airflow_provider_launchdarkly.api.errors import UnexpectedResponseError


class NoExposuresError(UnexpectedResponseError):
    """The tables have nothing of the iteration. A later batch may bring it; the message says where to look."""

    retryable = True


class StaleAnalysisError(UnexpectedResponseError):
    """LaunchDarkly's newest analysis in the warehouse is too old, or only half written. A later one may be there."""

    retryable = True
