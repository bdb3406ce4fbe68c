"""The data model of approval requests: changes of a flag that are applied only after a reviewer has approved them.

LaunchDarkly REST docs, Approvals. Times are epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON


@dataclass(frozen=True, slots=True)
class Review:
    """One person's review of an approval request; `member_id` is None for a service token."""

    id: str
    kind: Literal["approve", "decline", "comment"]
    at: int
    comment: str | None = None
    member_id: str | None = None
    service_token_id: str | None = None


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A request to change a flag in an environment. Its `instructions` are as in a semantic patch."""

    id: str
    environment_key: str
    flag_key: str
    description: str
    instructions: tuple[Mapping[str, JSON], ...]
    created_at: int
    requestor_id: str | None = None
    comment: str | None = None
    notify_member_ids: tuple[str, ...] = ()
    notify_team_keys: tuple[str, ...] = ()
    reviews: tuple[Review, ...] = ()
    version: int = 1
    applied_at: int | None = None
    applied_by_member_id: str | None = None
    applied_by_service_token_id: str | None = None

    @property
    def review_status(self) -> Literal["approved", "declined", "pending"]:
        """The status by the reviews: the last word of each reviewer counts, and one that declines is enough."""
        words = {(r.member_id, r.service_token_id): r.kind for r in self.reviews if r.kind != "comment"}
        if "decline" in words.values():
            return "declined"
        return "approved" if words else "pending"

    @property
    def status(self) -> Literal["pending", "completed"]:
        """True if it was applied."""
        return "pending" if self.applied_at is None else "completed"
