"""Create, review and apply approval requests for flags.

LaunchDarkly REST docs, Approvals: a request holds the instructions of a semantic patch. One member approves; nobody
reviews a request of their own; an approved one is applied as it is, also where flags may not be changed otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

from airflow_provider_launchdarkly.emulator.errors import ApiError, forbidden, invalid_request, not_found
from airflow_provider_launchdarkly.emulator.rules import flag_patch
from airflow_provider_launchdarkly.emulator.rules.lifecycle import check_member
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.state.approval_models import ApprovalRequest, Review

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.emulator.state.models import Token
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def requests_of(transaction: Transaction, environment_key: str, flag_key: str) -> list[ApprovalRequest]:
    """Return the approval requests for a flag in an environment, newest first."""
    transaction.environment(environment_key)
    transaction.flag(flag_key)
    found = transaction.approval_requests.values()
    return [r for r in reversed(found) if (r.environment_key, r.flag_key) == (environment_key, flag_key)]


def request(transaction: Transaction, environment_key: str, flag_key: str, request_id: str) -> ApprovalRequest:
    """Return one approval request, or raise a 404."""
    for found in requests_of(transaction, environment_key, flag_key):
        if found.id == request_id:
            return found
    raise not_found(f"approval request {request_id!r} not found for flag {flag_key!r}")


def create(
    transaction: Transaction, environment_key: str, flag_key: str, body: RequestBody, scratch: Transaction
) -> ApprovalRequest:
    """Create an approval request. Its instructions are tried in a transaction that is not stored."""
    instructions = body.objects("instructions")
    if not instructions:
        raise invalid_request("instructions must not be empty")
    members = body.texts("notifyMemberIds")
    for member in members:
        check_member(transaction, member)
    made = ApprovalRequest(
        id=transaction.world.new_id("approval"),
        environment_key=environment_key,
        flag_key=flag_key,
        description=body.text("description"),
        instructions=tuple({name: one.raw(name) for name in one.names()} for one in instructions),
        created_at=transaction.now,
        requestor_id=transaction.member_id,
        comment=body.optional_text("comment"),
        notify_member_ids=members,
        notify_team_keys=body.texts("notifyTeamKeys"),
    )
    flag_patch.apply_patch(scratch, flag_key, _patch(made), approved=True)
    transaction.approval_requests = {**transaction.approval_requests, made.id: made}
    _record(transaction, "created", made)
    return made


def check_conflicts(transaction: Transaction, flag_key: str, scratch: Callable[[], Transaction]) -> None:
    """Raise a 400 if a change of a flag would make a request fail that waits to be approved or applied.

    Args:
        transaction: Has made the change, and is not stored yet.
        flag_key: The flag.
        scratch: Makes a transaction that is not stored.
    """
    for waiting in transaction.approval_requests.values():
        if waiting.flag_key != flag_key or waiting.status != "pending" or waiting.review_status == "declined":
            continue
        changed = scratch()
        changed.put_flag(transaction.flag(flag_key))
        # One that cannot be applied anyway does not fail because of this change.
        if (reason := _hindrance(changed, waiting)) and not _hindrance(scratch(), waiting):
            raise invalid_request(
                f"this change would make approval request {waiting.id!r} fail: {reason}; to make it all the same, send "
                "ignoreConflicts"
            )


def _hindrance(transaction: Transaction, waiting: ApprovalRequest) -> str | None:
    """Return why a request cannot be applied; None if it can. The transaction must not be stored."""
    try:
        flag_patch.apply_patch(transaction, waiting.flag_key, _patch(waiting), approved=True)
    except ApiError as error:
        return error.message
    return None


def review(transaction: Transaction, found: ApprovalRequest, body: RequestBody, token: Token) -> ApprovalRequest:
    """Add a review. Nobody reviews a request of their own (403), and nothing is reviewed once it is applied (400)."""
    if found.status == "completed":
        raise invalid_request(f"approval request {found.id!r} was applied already")
    kind = body.choice("kind", ("approve", "decline", "comment"), "comment")
    if kind != "comment" and token.member_id == found.requestor_id:
        raise forbidden("you cannot review your own approval request")
    added = Review(
        id=transaction.world.new_id("review"),
        kind=cast('Literal["approve", "decline", "comment"]', kind),
        at=transaction.now,
        comment=body.optional_text("comment"),
        member_id=token.member_id,
        service_token_id=token.id if token.member_id is None else None,
    )
    return _store(transaction, replace(found, reviews=(*found.reviews, added)), "reviewed")


def apply(transaction: Transaction, found: ApprovalRequest, token: Token) -> ApprovalRequest:
    """Apply an approved request: its instructions change the flag, all of them or none."""
    if found.status == "completed":
        raise invalid_request(f"approval request {found.id!r} was applied already")
    if found.review_status != "approved":
        raise invalid_request(f"approval request {found.id!r} is {found.review_status}, not approved")
    flag_patch.apply_patch(transaction, found.flag_key, _patch(found), approved=True)
    applied = replace(
        found,
        applied_at=transaction.now,
        applied_by_member_id=token.member_id,
        applied_by_service_token_id=token.id if token.member_id is None else None,
    )
    return _store(transaction, applied, "applied")


def delete(transaction: Transaction, found: ApprovalRequest) -> None:
    """Delete an approval request at the commit."""
    transaction.approval_requests = {
        key: kept for key, kept in transaction.approval_requests.items() if key != found.id
    }
    _record(transaction, "deleted", found)


def _patch(found: ApprovalRequest) -> RequestBody:
    return RequestBody({"environmentKey": found.environment_key, "instructions": list(found.instructions)})


def _store(transaction: Transaction, found: ApprovalRequest, what: str) -> ApprovalRequest:
    newer = replace(found, version=found.version + 1)
    transaction.approval_requests = {**transaction.approval_requests, newer.id: newer}
    _record(transaction, what, newer)
    return newer


def _record(transaction: Transaction, what: str, found: ApprovalRequest) -> None:
    transaction.record(
        f"approval_request.{what}", environment=found.environment_key, flag=found.flag_key, approval_request=found.id
    )
