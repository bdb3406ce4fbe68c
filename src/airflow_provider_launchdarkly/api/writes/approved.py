"""Make a write through LaunchDarkly's approval where the environment demands one.

`through_approval` stands between a write of this package and the client. If LaunchDarkly refuses a request,
`through_approval` makes an approval request for the same change, and applies it once a person has approved it. The
write still reads before and after, so it is as safe to repeat as without approvals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_launchdarkly.api.endpoints.approvals import delete_approval_request, list_approval_requests
from airflow_provider_launchdarkly.api.endpoints.flags import get_flag
from airflow_provider_launchdarkly.api.endpoints.projects import get_member, list_members
from airflow_provider_launchdarkly.api.errors import (
    ApprovalRequiredError,
    ConfigurationError,
    LaunchDarklyError,
    NotFoundError,
    StateError,
)
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, FlagChange, Request
from airflow_provider_launchdarkly.api.models import ApprovalRequestPost
from airflow_provider_launchdarkly.api.writes.approvals import (
    ApprovalDeclinedError,
    NotApprovedYetError,
    apply_approval,
    asks_for,
    request_approval,
)

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from airflow_provider_launchdarkly.api.http.procedure import Procedure, Response
    from airflow_provider_launchdarkly.api.models import ApprovalRequest

R = TypeVar("R")

TEAM = "team:"
"""The prefix of a reviewer that is a team's key."""


class ApprovalPendingError(NotApprovedYetError):
    """The change is asked for in LaunchDarkly, and awaits a review. It is not made yet.

    Attributes:
        env: Project and environment.
        flag_key: The flag.
        request_id: The approval request.
        until: When the waiting ends, by LaunchDarkly's clock.
    """

    def __init__(
        self,
        message: str = "",
        *,
        env: EnvironmentRef | None = None,
        flag_key: str = "",
        request_id: str = "",
        until: datetime | None = None,
    ) -> None:
        super().__init__(message)
        self.env = env
        self.flag_key = flag_key
        self.request_id = request_id
        self.until = until


class ApprovalTimedOutError(StateError):
    """Nobody approved the change in LaunchDarkly in time. The request is deleted, and nothing was changed."""


class ApprovalWithdrawnError(StateError):
    """Somebody deleted the approval request while a task waited for it. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Approval:
    """How to ask for the approval of a write that LaunchDarkly refuses without one.

    Attributes:
        marker: Description of the request. It tells the requests of one task in one run from all others, so it has to
            be the same at each try, and no other's.
        reviewers: Members by e-mail or id, and teams as ``team:KEY``, whom LaunchDarkly notifies.
        timeout: How long the request stays open, from its creation.
        comment: Text for the reviewers and for LaunchDarkly's audit log.
        awaited: Id of the request that this task has waited for; None at first.
    """

    marker: str
    reviewers: tuple[str, ...]
    timeout: timedelta
    comment: str | None = None
    awaited: str | None = None


def through_approval(work: Procedure[R], approval: Approval) -> Procedure[R]:
    """Run a procedure whose writes of flags go through an approval where LaunchDarkly demands one.

    Safe to repeat, and after a kill at any point: a request is recognised by the marker and the instructions. One that
    is open is adopted, one that is approved is applied, and one with the marker that asks for something else is
    deleted.

    Args:
        work: The procedure. Its other calls, and writes that need no approval, are sent as they are.
        approval: How to ask.

    Raises:
        ApprovalPendingError: It is asked for, and not approved yet: wait, and run it again.
        ApprovalDeclinedError: Somebody declined it, or LaunchDarkly could not apply it.
        ApprovalTimedOutError: Nobody approved it in time.
        ApprovalWithdrawnError: The request that was waited for is gone.
        ApprovalRequiredError: The write is of a kind that LaunchDarkly's API has no approval requests for.
        LaunchDarklyError: As the procedure raises.
    """
    reply: Any = None
    failure: LaunchDarklyError | None = None
    try:
        while True:
            step = work.send(reply) if failure is None else work.throw(failure)
            reply, failure = None, None
            try:
                reply = yield step
            except ApprovalRequiredError as demanded:
                if not isinstance(step, Request) or step.change is None:
                    failure = demanded
                    continue
                request = yield from _own_request(step.change, step, approval)
                try:
                    reply = yield from _applied(step.change, request, approval)
                except LaunchDarklyError as error:
                    failure = error
            except LaunchDarklyError as error:
                failure = error
    except StopIteration as done:
        result: R = done.value
        return result
    finally:
        work.close()


def review_deadline(request: ApprovalRequest, timeout: timedelta, now: datetime) -> datetime:
    """Return until when a request waits for its review; from now if LaunchDarkly does not show when it was made."""
    return (request.creation_date or now) + timeout


def _own_request(change: FlagChange, refused: Request[Any], approval: Approval) -> Procedure[ApprovalRequest]:
    """Return the request for a refused write that is approved, or that a person applied meanwhile.

    Raises:
        ApprovalPendingError: There is one now, and it is not approved yet.
        ApprovalDeclinedError: It was declined, or could not be applied.
        ApprovalTimedOutError: It was not approved in time, and is deleted.
        ApprovalWithdrawnError: The one that was waited for is gone.
    """
    body: Any = refused.body
    asked = ApprovalRequestPost(description=approval.marker, instructions=tuple(body["instructions"]))
    found = yield from _requests(change, asked)
    if not found.open:
        applied = yield from _result(change, found, approval)
        if applied is not None:
            return applied
        post = yield from _with_reviewers(asked, approval)
        yield from request_approval(change.env, change.flag_key, post)
        # Another copy of this task may have asked at the same time: the oldest request counts for both.
        found = yield from _requests(change, asked)
    where = f"the change of flag {change.flag_key!r} in {change.env}"
    if not found.open:
        raise ApprovalWithdrawnError(f"{where} was asked for, and LaunchDarkly does not show the request: look there")
    request = found.open[0]
    if request.approved:
        return request
    until = review_deadline(request, approval.timeout, found.at)
    if found.at < until:
        raise ApprovalPendingError(
            f"{where} waits for an approval in LaunchDarkly until {until:%Y-%m-%d %H:%M} UTC: request {request.id!r}, "
            f"reviewers {', '.join(approval.reviewers)}",
            env=change.env,
            flag_key=change.flag_key,
            request_id=request.id,
            until=until,
        )
    yield from _delete(change, request)
    raise ApprovalTimedOutError(
        f"{where} was not approved by {until:%Y-%m-%d %H:%M} UTC, so request {request.id!r} is deleted, and this task "
        f"changed nothing. Reviewers were {', '.join(approval.reviewers)}. To ask again, clear the task"
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """A flag's requests with the marker.

    Attributes:
        all: All of the flag's requests.
        own: Those that ask for the same.
        open: Those of them that may still be applied, the oldest first. There is at most one.
        at: When, by LaunchDarkly's clock.
    """

    all: tuple[ApprovalRequest, ...]
    own: tuple[ApprovalRequest, ...]
    open: tuple[ApprovalRequest, ...]
    at: datetime


def _requests(change: FlagChange, asked: ApprovalRequestPost) -> Procedure[_Found]:
    """Read the requests with the marker, and delete those that must not be applied: outdated ones and doubles."""
    response: Response[Any] = yield list_approval_requests(change.env, change.flag_key)
    every: tuple[ApprovalRequest, ...] = response.value.items
    marked = [request for request in every if request.description == asked.description]
    own = tuple(request for request in marked if asks_for(request, asked))
    opened = sorted((one for one in own if one.open), key=lambda one: (_made(one, response.server_time), one.id))
    for request in marked:
        if request.open and request not in opened[:1]:
            yield from _delete(change, request)
    return _Found(every, own, tuple(opened[:1]), response.server_time)


def _made(request: ApprovalRequest, now: datetime) -> datetime:
    return request.creation_date or now


def _result(change: FlagChange, found: _Found, approval: Approval) -> Procedure[ApprovalRequest | None]:
    """Return the awaited request if it has been applied; None if there is none, so that the task may create one.

    Raises:
        ApprovalDeclinedError: It was declined, or could not be applied.
        ApprovalWithdrawnError: The one that was waited for is gone.
    """
    where = f"the change of flag {change.flag_key!r} in {change.env}"
    for request in found.own:
        if request.declined:
            who, why = yield from _said(request)
            raise ApprovalDeclinedError(
                f"{where} was declined by {who}{why}: request {request.id!r}. Nothing was changed. If it is approved "
                "after all, clear the task; to ask again, delete the request in LaunchDarkly first"
            )
    if approval.awaited is None:
        return None
    awaited = next((request for request in found.all if request.id == approval.awaited), None)
    if awaited is None:
        raise ApprovalWithdrawnError(
            f"{where} was not made: somebody deleted approval request {approval.awaited!r} while this task waited for "
            "it. To ask again, clear the task"
        )
    if awaited.failed:
        raise ApprovalDeclinedError(
            f"{where} was approved, and LaunchDarkly could not apply it: look at request {awaited.id!r} there"
        )
    return awaited if awaited.applied else None


def _said(request: ApprovalRequest) -> Procedure[tuple[str, str]]:
    """Return who declined a request, and why, in words."""
    review = next((one for one in reversed(request.all_reviews) if one.kind == "decline"), None)
    if review is None:
        return "somebody", ""
    who = review.member_id or f"service token {review.service_token_id}"
    if review.member_id:
        try:
            member = (yield get_member(review.member_id)).value
            who = member.email or who
        except LaunchDarklyError:
            who = f"member {review.member_id}"
    return who, f" ({review.comment})" if review.comment else ""


def _with_reviewers(asked: ApprovalRequestPost, approval: Approval) -> Procedure[ApprovalRequestPost]:
    """Return a request that names its reviewers.

    Raises:
        ConfigurationError: No member has the e-mail address of one.
    """
    members, teams = [], []
    for reviewer in approval.reviewers:
        if reviewer.startswith(TEAM):
            teams.append(reviewer.removeprefix(TEAM))
        elif "@" not in reviewer:
            members.append(reviewer)
        else:
            page = (yield list_members(filters=f"email:{reviewer}")).value
            fitting = [member.id for member in page.items if member.email.lower() == reviewer.lower()]
            if not fitting:
                raise ConfigurationError(
                    f"reviewers has {reviewer!r}: no member of the LaunchDarkly account has this e-mail address; name "
                    "a member by e-mail or id, or a team as team:KEY"
                )
            members.append(fitting[0])
    return asked.model_copy(
        update={
            "comment": approval.comment,
            "notify_member_ids": tuple(members) or None,
            "notify_team_keys": tuple(teams) or None,
        }
    )


def _applied(change: FlagChange, request: ApprovalRequest, approval: Approval) -> Procedure[Response[Any]]:
    """Apply a request, and read the flag, as the refused write would have shown it."""
    yield from apply_approval(change.env, change.flag_key, request.id, comment=approval.comment)
    flag: Response[Any] = yield get_flag(
        change.env.project_key, change.flag_key, environments=(change.env.environment_key,)
    )
    return flag


def withdraw(env: EnvironmentRef, flag_key: str, marker: str) -> Procedure[tuple[str, ...]]:
    """Delete the requests of a task that are not needed any more, and that somebody might apply later. Safe to repeat.

    Args:
        env: Project and environment.
        flag_key: The flag.
        marker: Description of the requests.

    Returns:
        Ids of the requests that were deleted. Those that were applied stay.
    """
    found = (yield list_approval_requests(env, flag_key)).value.items
    left = [request for request in found if request.description == marker and request.open]
    for request in left:
        yield from _delete(FlagChange(env, flag_key), request)
    return tuple(request.id for request in left)


def _delete(change: FlagChange, request: ApprovalRequest) -> Procedure[None]:
    try:
        yield delete_approval_request(change.env, change.flag_key, request.id)
    except NotFoundError:
        return
