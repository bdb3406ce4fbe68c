"""Deleting flags, metrics and metric groups, so that a repeat finds nothing to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import NotFoundError, UnclearOutcomeError
from airflow_provider_launchdarkly.api.writes.ensure import DesiredState, Ensured, ensure

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import Request
    from airflow_provider_launchdarkly.api.models.base import NoContent


def delete_flag(project_key: str, flag_key: str) -> Procedure[Ensured[str]]:
    """Delete a flag in all environments, for good.

    Safe to repeat: a flag that does not exist is left alone.

    Args:
        project_key: The project.
        flag_key: The flag.

    Returns:
        The key, and whether this call deleted the flag.

    Raises:
        ConflictError: LaunchDarkly needs the flag, for an experiment or as a prerequisite.
        LaunchDarklyError: As the calls raise.
    """
    find = endpoints.get_flag(project_key, flag_key)
    return _delete(f"flag {flag_key!r}", flag_key, find, endpoints.delete_flag(project_key, flag_key))


def delete_metric(project_key: str, metric_key: str) -> Procedure[Ensured[str]]:
    """Delete a metric, for good. Safe to repeat; raises as `delete_flag` does."""
    find = endpoints.get_metric(project_key, metric_key)
    return _delete(f"metric {metric_key!r}", metric_key, find, endpoints.delete_metric(project_key, metric_key))


def delete_metric_group(project_key: str, metric_group_key: str) -> Procedure[Ensured[str]]:
    """Delete a metric group, for good; its metrics stay. Safe to repeat; raises as `delete_flag` does."""
    find = endpoints.get_metric_group(project_key, metric_group_key)
    delete = endpoints.delete_metric_group(project_key, metric_group_key)
    return _delete(f"metric group {metric_group_key!r}", metric_group_key, find, delete)


def _delete(what: str, key: str, find: Request[Any], delete: Request[NoContent]) -> Procedure[Ensured[str]]:
    def read() -> Procedure[bool]:
        """Return whether it exists."""
        try:
            yield find
        except NotFoundError:
            return False
        return True

    return ensure(
        DesiredState(
            what=f"{what} does not exist",
            read=read,
            reached=lambda exists: None if exists else key,
            write=lambda _exists: delete,
            confirmed=lambda exists, _written: None if exists else key,
            unconfirmed=lambda _exists, _written: UnclearOutcomeError(f"{what} was deleted and still shows"),
            response_is_state=False,
        )
    )
