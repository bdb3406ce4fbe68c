"""Ask for the approval of a flag's change, and apply it once it is approved: for environments that demand it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.endpoints.approvals import (
    apply_approval_request,
    create_approval_request,
    get_approval_request,
    list_approval_requests,
)
from airflow_provider_launchdarkly.api.errors import StateError, UnclearOutcomeError
from airflow_provider_launchdarkly.api.writes.ensure import DesiredState, Ensured, Written, ensure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import ApprovalRequest, ApprovalRequestPost


class ApprovalDeclinedError(StateError):
    """Somebody declined the change in LaunchDarkly, or LaunchDarkly could not apply it."""


class NotApprovedYetError(StateError):
    """Nobody has approved the change in LaunchDarkly yet. A later try of the task may find it approved."""

    retryable = True


def request_approval(
    env: EnvironmentRef, flag_key: str, post: ApprovalRequestPost
) -> Procedure[Ensured[ApprovalRequest]]:
    """Ask for the approval of a flag's change, or adopt the open request that asks for the same.

    Safe to repeat: before each try the flag's requests are read, and one that is not applied, declined or failed, with
    this description and these instructions, is adopted. So give each occasion a description of its own.

    Args:
        env: Project and environment.
        flag_key: The flag.
        post: The request.

    Raises:
        UnclearOutcomeError: LaunchDarkly accepted the request, and does not show it.
        NotFoundError: There is no such flag.
        LaunchDarklyError: As the calls raise.
    """

    def read() -> Procedure[tuple[ApprovalRequest, ...]]:
        items: tuple[ApprovalRequest, ...] = (yield list_approval_requests(env, flag_key)).value.items
        return items

    def same(found: tuple[ApprovalRequest, ...]) -> ApprovalRequest | None:
        return next((request for request in found if request.open and asks_for(request, post)), None)

    def confirmed(
        found: tuple[ApprovalRequest, ...], written: Written[tuple[ApprovalRequest, ...]]
    ) -> ApprovalRequest | None:
        made = written.response.id
        return next((request for request in found if request.id == made), None)

    def unconfirmed(
        _found: tuple[ApprovalRequest, ...], _written: Written[tuple[ApprovalRequest, ...]]
    ) -> UnclearOutcomeError:
        return UnclearOutcomeError(
            f"LaunchDarkly accepted the approval request for flag {flag_key!r} in {env}, and does not show it: look at "
            "the flag's approvals there"
        )

    return ensure(
        DesiredState(
            what=f"the approval of a change of flag {flag_key!r} in {env} is asked for",
            read=read,
            reached=same,
            write=lambda _found: create_approval_request(env, flag_key, post),
            confirmed=confirmed,
            unconfirmed=unconfirmed,
            response_is_state=False,
        )
    )


def apply_approval(
    env: EnvironmentRef, flag_key: str, request_id: str, *, comment: str | None = None
) -> Procedure[Ensured[ApprovalRequest]]:
    """Apply an approved request, which changes the flag as it asks.

    Safe to repeat: a request that is applied is left alone.

    Args:
        env: Project and environment.
        flag_key: The flag.
        request_id: The request.
        comment: Text for LaunchDarkly's audit log.

    Raises:
        NotApprovedYetError: Nobody has approved it.
        ApprovalDeclinedError: Somebody declined it, or LaunchDarkly could not apply it.
        NotFoundError: There is no such request; somebody may have deleted it.
        LaunchDarklyError: As the calls raise.
    """
    where = f"approval request {request_id!r} for flag {flag_key!r} in {env}"

    def read() -> Procedure[ApprovalRequest]:
        found: ApprovalRequest = (yield get_approval_request(env, flag_key, request_id)).value
        return found

    def reached(request: ApprovalRequest) -> ApprovalRequest | None:
        if request.applied:
            return request
        if request.declined:
            raise ApprovalDeclinedError(f"{where} was declined{_why(request)}: ask for another change, or ask again")
        if request.failed:
            raise ApprovalDeclinedError(f"{where} could not be applied: look at it in LaunchDarkly, and ask again")
        if not request.approved:
            raise NotApprovedYetError(f"{where} is not approved yet: wait until somebody approves it in LaunchDarkly")
        return None

    def unconfirmed(_request: ApprovalRequest, _written: Written[ApprovalRequest]) -> UnclearOutcomeError:
        return UnclearOutcomeError(f"LaunchDarkly accepted to apply {where}, and does not show that it did")

    return ensure(
        DesiredState(
            what=f"{where} is applied",
            read=read,
            reached=reached,
            write=lambda _request: apply_approval_request(env, flag_key, request_id, comment=comment),
            confirmed=lambda request, _written: request if request.applied else None,
            unconfirmed=unconfirmed,
        )
    )


def asks_for(request: ApprovalRequest, post: ApprovalRequestPost) -> bool:
    """Return whether a request has this description and these instructions."""
    if request.description != post.description or len(request.instructions) != len(post.instructions):
        return False
    return all(map(_has, request.instructions, post.instructions))


def _has(found: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue]) -> bool:
    """Return whether an instruction is the one asked for; LaunchDarkly may add fields, such as ids of what it adds."""
    return all(name in found and found[name] == value for name, value in wanted.items())


def _why(request: ApprovalRequest) -> str:
    said = next((review.comment for review in reversed(request.all_reviews) if review.kind == "decline"), "")
    return f" ({said})" if said else ""
