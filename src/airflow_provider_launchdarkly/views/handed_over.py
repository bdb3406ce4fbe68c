"""A change that a person has to make in LaunchDarkly in a task's place, as people see it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A change that a person has to make in LaunchDarkly, or the approval request of a task that one has to review.

    Attributes:
        what: The change, as what follows ``to``: ``start the release of flag checkout-button``.
        details: How to make it; empty if there is nothing to choose.
        people: Who reviews it.
        until: When the task stops waiting; None where it is not known.
        harm: True if a harmful stage is served until then.
        release: True if it starts the winner's release, whose experiment has ended.
        requested: True if it is a request, which the task applies once it is approved. Else LaunchDarkly's API takes
            none.
    """

    what: str
    details: str = ""
    people: tuple[str, ...] = ()
    until: datetime | None = None
    harm: bool = False
    release: bool = False
    requested: bool = False

    @property
    def whole(self) -> str:
        """The change with its details, without a full stop."""
        return f"{self.what}: {self.details}" if self.details else self.what

    @property
    def to_do(self) -> str:
        """What to do, without a full stop: ``start the release of flag search in LaunchDarkly: from 'A' to 'B'``."""
        return f"{self.what} in LaunchDarkly{f': {self.details}' if self.details else ''}"

    @property
    def reviewers(self) -> str:
        """Who reviews it, as a sentence after a blank; empty where it is not known."""
        return f" Reviewers: {', '.join(self.people)}." if self.people else ""

    def follows(self) -> Iterator[str]:
        """Yield what has to happen, a sentence each."""
        yield f"A person has to {self.to_do}.{self.reviewers}"
        if self.harm:
            yield "People get the harmful stage until somebody does."
        if self.requested:
            yield "Once it is approved, the task applies it. If it is not in time, the task deletes it and fails."
        else:
            yield "The rollout goes on once LaunchDarkly shows the change. If it does not in time, the task fails."
