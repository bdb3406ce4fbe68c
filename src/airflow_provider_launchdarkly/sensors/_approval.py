"""Wait for LaunchDarkly's approval in a task that is no sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_launchdarkly.api.errors import VersionMismatchError
from airflow_provider_launchdarkly.checks.approval import OVERDUE
from airflow_provider_launchdarkly.sensors._base import error_of
from airflow_provider_launchdarkly.triggers._poll_interval import configured_poll_interval

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.writes.approved import ApprovalPendingError
    from airflow_provider_launchdarkly.triggers._base import PollingTrigger


class Awaited(NamedTuple):
    """The request that a task has waited for.

    Attributes:
        flag_key: The flag of an approval request; empty if there was none.
        request_id: The request; None if there was none.
        until: When the waiting for a person ends who starts or stops something, in ISO 8601; None if that was not
            waited for.
        since: When it began, in ISO 8601, if a release is to be started; None for an iteration.
    """

    flag_key: str = ""
    request_id: str | None = None
    until: str | None = None
    since: str | None = None


NOTHING = Awaited()


def approval_trigger(launchdarkly_conn_id: str, pending: ApprovalPendingError, timeout: timedelta) -> PollingTrigger:
    """Return the trigger that waits for a request.

    Args:
        launchdarkly_conn_id: The Airflow connection.
        pending: The request.
        timeout: How long it may wait, from its creation.
    """
    from airflow_provider_launchdarkly.triggers.approvals import ApprovalTrigger

    return _checked(
        ApprovalTrigger,
        launchdarkly_conn_id,
        pending.env,
        flag_key=pending.flag_key,
        request_id=pending.request_id,
        timeout_seconds=timeout.total_seconds(),
    )


def handed_over_trigger(launchdarkly_conn_id: str, env: EnvironmentRef, wanted: Mapping[str, str]) -> PollingTrigger:
    """Return the trigger that waits for a person who starts or stops an iteration in LaunchDarkly.

    Args:
        launchdarkly_conn_id: The Airflow connection.
        env: Project and environment.
        wanted: ``experiment_key``, ``iteration_id``, ``status`` (``running`` or ``stopped``), and ``until``: when the
            waiting ends, by LaunchDarkly's clock, in ISO 8601.
    """
    from airflow_provider_launchdarkly.triggers.approvals import HandedOverTrigger

    return _checked(HandedOverTrigger, launchdarkly_conn_id, env, **wanted)


def release_handed_over_trigger(
    launchdarkly_conn_id: str, env: EnvironmentRef, wanted: Mapping[str, str]
) -> PollingTrigger:
    """Return the trigger that waits for a person who starts a release in LaunchDarkly.

    Args:
        launchdarkly_conn_id: The Airflow connection.
        env: Project and environment.
        wanted: ``flag_key``; ``design``, the release as JSON text; ``since`` and ``until``: when the waiting began and
            ends, by LaunchDarkly's clock, in ISO 8601.
    """
    from airflow_provider_launchdarkly.triggers.approvals import ReleaseHandedOverTrigger

    return _checked(ReleaseHandedOverTrigger, launchdarkly_conn_id, env, **wanted)


def trigger_for_a_part(arguments: Mapping[str, Any], until: datetime, due: datetime) -> PollingTrigger:
    """Return the trigger that waits for the same as another one, and ends earlier if nothing has come by then.

    Args:
        arguments: Arguments of the other one.
        until: When that one ends.
        due: When this one ends.
    """
    from airflow_provider_launchdarkly.triggers.approvals import ApprovalTrigger, HandedOverTrigger

    if "request_id" in arguments:
        shorter = arguments["timeout_seconds"] - (until - due).total_seconds()
        return ApprovalTrigger(**{**arguments, "timeout_seconds": shorter})
    return HandedOverTrigger(**{**arguments, "until": due.isoformat()})


def still_waits(event: Mapping[str, Any]) -> bool:
    """Return whether a trigger ended only because its time was over: nobody had decided until then.

    Args:
        event: The event of a finding.
    """
    found = event["finding"]
    return found["review"] == OVERDUE if "review" in found else not found["reached"]


def _checked(
    kind: type[PollingTrigger], launchdarkly_conn_id: str, env: EnvironmentRef | None, **arguments: Any
) -> PollingTrigger:
    trigger = kind(
        launchdarkly_conn_id=launchdarkly_conn_id,
        project_key=None if env is None else env.project_key,
        environment_key=None if env is None else env.environment_key,
        poll_interval=configured_poll_interval(),
        **arguments,
    )
    trigger.check()
    return trigger


def awaited_by(event: Mapping[str, Any] | None) -> Awaited:
    """Return what a trigger's event ends the waiting for.

    Raises:
        LaunchDarklyError: The trigger's own error.
        VersionMismatchError: It is no event of this version's triggers.
    """
    match event:
        case {"status": "error", "error": str(kind), "message": str(message)}:
            raise error_of(kind, message)
        case {"status": "finding", "finding": {"flag_key": str(flag_key), "request_id": str(request_id)}}:
            return Awaited(flag_key, request_id)
        case {"status": "finding", "finding": {"iteration_id": str(), "until": str(until)}}:
            return Awaited(until=until)
        case {"status": "finding", "finding": {"flag_key": str(flag_key), "since": str(since), "until": str(until)}}:
            return Awaited(flag_key, until=until, since=since)
        case _:
            raise VersionMismatchError(
                f"the trigger ended with {event!r}, which this version of the provider takes for neither a finding nor "
                "an error: run the same version on workers and triggerers"
            )
