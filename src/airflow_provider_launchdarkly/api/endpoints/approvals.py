"""Approval requests for changes of flags: list, read, create, review, apply, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request, path_of
from airflow_provider_launchdarkly.api.models import ApprovalRequest, ApprovalRequests
from airflow_provider_launchdarkly.api.models.base import NoContent

if TYPE_CHECKING:
    from pydantic import JsonValue

    from airflow_provider_launchdarkly.api.models import ApprovalRequestPost


def list_approval_requests(env: EnvironmentRef, flag_key: str) -> Request[ApprovalRequests]:
    """Read the approval requests for a flag in an environment."""
    return Request(
        operation="list_approval_requests",
        method="GET",
        path=_requests(env, flag_key),
        response_model=ApprovalRequests,
    )


def get_approval_request(env: EnvironmentRef, flag_key: str, request_id: str) -> Request[ApprovalRequest]:
    """Read an approval request."""
    return Request(
        operation="get_approval_request",
        method="GET",
        path=_request(env, flag_key, request_id),
        response_model=ApprovalRequest,
    )


def create_approval_request(env: EnvironmentRef, flag_key: str, post: ApprovalRequestPost) -> Request[ApprovalRequest]:
    """Ask for the approval of a change. Not safe to repeat blindly: a repeat makes a second request."""
    return Request(
        operation="create_approval_request",
        method="POST",
        path=_requests(env, flag_key),
        response_model=ApprovalRequest,
        body=post.to_wire(),
    )


def review_approval_request(
    env: EnvironmentRef,
    flag_key: str,
    request_id: str,
    kind: Literal["approve", "decline", "comment"],
    *,
    comment: str | None = None,
) -> Request[ApprovalRequest]:
    """Review an approval request as the token's member or service token.

    Args:
        env: Project and environment.
        flag_key: The flag.
        request_id: The request.
        kind: What to say.
        comment: Text for the requestor.
    """
    return Request(
        operation="review_approval_request",
        method="POST",
        path=f"{_request(env, flag_key, request_id)}/reviews",
        response_model=ApprovalRequest,
        body={"kind": kind, **_commented(comment)},
    )


def apply_approval_request(
    env: EnvironmentRef, flag_key: str, request_id: str, *, comment: str | None = None
) -> Request[ApprovalRequest]:
    """Apply an approved request, which changes the flag."""
    return Request(
        operation="apply_approval_request",
        method="POST",
        path=f"{_request(env, flag_key, request_id)}/apply",
        response_model=ApprovalRequest,
        body=_commented(comment),
    )


def delete_approval_request(env: EnvironmentRef, flag_key: str, request_id: str) -> Request[NoContent]:
    """Delete an approval request."""
    return Request(
        operation="delete_approval_request",
        method="DELETE",
        path=_request(env, flag_key, request_id),
        response_model=NoContent,
    )


def _requests(env: EnvironmentRef, flag_key: str, *more: str, **keys: str) -> str:
    return path_of(
        *("projects", "{project_key}", "flags", "{flag_key}", "environments", "{environment_key}", "approval-requests"),
        *more,
        project_key=env.project_key,
        flag_key=flag_key,
        environment_key=env.environment_key,
        **keys,
    )


def _request(env: EnvironmentRef, flag_key: str, request_id: str) -> str:
    return _requests(env, flag_key, "{request_id}", request_id=request_id)


def _commented(comment: str | None) -> dict[str, JsonValue]:
    return {"comment": comment} if comment else {}
