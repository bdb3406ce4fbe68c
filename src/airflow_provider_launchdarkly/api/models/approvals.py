"""Approval requests for changes of flags.

https://launchdarkly.com/docs/api/approvals
"""

from typing import Annotated

from pydantic import Field, JsonValue

from airflow_provider_launchdarkly.api.models.base import Instant, Many, Read, Text, Write


class ApprovalReview(Read):
    """One person's review of a request. ``kind`` is ``approve``, ``decline`` or ``comment``."""

    id: Text = Field(default="", alias="_id")
    kind: Text = ""
    creation_date: Instant = None
    comment: Text = ""
    member_id: str | None = None
    service_token_id: str | None = None


class ApprovalRequest(Read):
    """A request to change a flag.

    ``review_status`` is ``pending``, ``approved`` or ``declined``; ``status`` is ``pending``, ``scheduled``,
    ``completed`` once it is applied, or ``failed``. ``instructions`` are those of a semantic patch.
    """

    id: str = Field(alias="_id")
    version: int | None = Field(default=None, alias="_version")
    creation_date: Instant = None
    service_kind: Text = ""
    requestor_id: str | None = None
    description: Text = ""
    review_status: Text = ""
    all_reviews: Many[ApprovalReview] = ()
    notify_member_ids: Many[str] = ()
    notify_team_keys: Many[str] = ()
    status: Text = ""
    instructions: Many[dict[str, JsonValue]] = ()
    applied_date: Instant = None
    applied_by_member_id: str | None = None
    applied_by_service_token_id: str | None = None

    @property
    def approved(self) -> bool:
        """True if it may be applied, or was."""
        return self.review_status == "approved" or self.applied

    @property
    def declined(self) -> bool:
        """True if somebody declined it."""
        return self.review_status == "declined" and not self.applied

    @property
    def applied(self) -> bool:
        """True if the flag was changed as asked."""
        return self.status == "completed"

    @property
    def failed(self) -> bool:
        """True if LaunchDarkly could not apply it."""
        return self.status == "failed"

    @property
    def open(self) -> bool:
        """True if it may still be applied."""
        return not (self.applied or self.declined or self.failed)


class ApprovalRequests(Read):
    """All approval requests for a flag in an environment; LaunchDarkly does not page them."""

    items: Many[ApprovalRequest] = ()


class ApprovalRequestPost(Write):
    """A new approval request. Its reviewers are members by id, and teams by key."""

    description: Annotated[str, Field(min_length=1)]
    instructions: Annotated[tuple[dict[str, JsonValue], ...], Field(min_length=1)]
    comment: str | None = None
    notify_member_ids: tuple[str, ...] | None = None
    notify_team_keys: tuple[str, ...] | None = None
