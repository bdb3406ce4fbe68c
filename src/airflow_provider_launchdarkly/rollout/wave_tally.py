"""How the targets of waves stand: who has ended how, whether more failed than tolerated, and who gets what. Pure.

It rests on the states of the targets' tasks, so that counting reads nothing from LaunchDarkly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAILED_STATES = frozenset({"failed", "upstream_failed"})
_OVER = FAILED_STATES | {"success", "skipped", "removed"}


class Standing(StrEnum):
    """How one target stands. The first six are its rollout's endings."""

    SHIP = "ship"
    ROLLBACK = "rollback"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"
    INVALID = "invalid"
    REGRESSED = "regressed"
    FAILED = "failed"
    """A task failed for good, or a person marked it failed. What runs is unwatched, and the task `unwatched` tells."""

    OBSERVED = "observed"
    """It ended without an ending, as a rollout that only observes does."""

    UNDER_WAY = "under way"
    UNTOUCHED = "untouched"
    """It has not begun. Nothing in it was read or written."""


FAILURES = frozenset({Standing.ROLLBACK, Standing.REFUSED, Standing.INVALID, Standing.REGRESSED, Standing.FAILED})
"""The standings that always count as failed. ``inconclusive`` does if `waves.inconclusive_fails` says so."""


@dataclass(frozen=True, slots=True)
class TargetTasks:
    """Ids of a target's tasks.

    Attributes:
        key: The target.
        wave: The number of its wave, from 1.
        begin: The task that begins it.
        first: The first task of its rollout.
        endings: Its endings. Each task's id ends in the ending's name.
        starts: The tasks that start its stages, in their order.
        release: The task that starts its winner's release; None without a release.
    """

    key: str
    wave: int
    begin: str
    first: str
    endings: tuple[str, ...]
    starts: tuple[str, ...]
    release: str | None = None

    @property
    def telling(self) -> tuple[str, ...]:
        """The tasks whose states say how it stands."""
        return (self.begin, self.first, *self.endings)

    def ending(self, standing: Standing) -> str | None:
        """Return the ending at which a target that stands so has ended; None if that is none of its endings."""
        return next((task for task in self.endings if task.rsplit(".", 1)[-1] == standing), None)

    def standing(self, states: Mapping[str, str]) -> Standing:
        """Return how it stands.

        Args:
            states: The state of each task that has one.
        """
        begun = states.get(self.begin)
        if begun in FAILED_STATES:
            return Standing.FAILED
        if begun != "success":
            return Standing.UNTOUCHED
        ended = [states.get(task) for task in self.endings]
        for task, state in zip(self.endings, ended, strict=True):
            if state == "success":
                return Standing(task.rsplit(".", 1)[-1])
        if not all(state in _OVER for state in ended):
            return Standing.UNDER_WAY
        if FAILED_STATES.intersection(state for state in ended if state):
            return Standing.FAILED
        return Standing.UNTOUCHED if states.get(self.first) == "skipped" else Standing.OBSERVED


@dataclass(frozen=True, slots=True)
class Tally:
    """How all targets stand.

    Attributes:
        standings: How each target stands, by its key, in their order.
        tolerated: How many may fail.
        inconclusive_fails: True to count ``inconclusive`` as failed.
    """

    standings: Mapping[str, Standing] = field(default_factory=dict)
    tolerated: int = 0
    inconclusive_fails: bool = False

    @property
    def failed(self) -> tuple[str, ...]:
        """The targets that count as failed."""
        counted = FAILURES | ({Standing.INCONCLUSIVE} if self.inconclusive_fails else set())
        return tuple(key for key, standing in self.standings.items() if standing in counted)

    @property
    def exceeded(self) -> bool:
        """True if more targets have failed than tolerated, so that nothing further starts."""
        return len(self.failed) > self.tolerated

    @property
    def numbers(self) -> str:
        """The numbers in words: ``2 of 40 failed (1 tolerated): 5 ship, 2 rollback, 3 under way, 30 untouched``."""
        counts = {each: sum(standing is each for standing in self.standings.values()) for each in Standing}
        told = ", ".join(f"{count} {each.value}" for each, count in counts.items() if count)
        return f"{len(self.failed)} of {len(self.standings)} failed ({self.tolerated} tolerated): {told}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, for XCom."""
        return {
            "exceeded": self.exceeded,
            "failed": list(self.failed),
            "tolerated": self.tolerated,
            "targets": {key: standing.value for key, standing in self.standings.items()},
        }


def together(words: Sequence[tuple[str, str]]) -> str:
    """Return words about targets, those with the same words together: ``everyone gets Bold: berlin, rome``.

    Args:
        words: Each target and the words about it.
    """
    found: dict[str, list[str]] = {}
    for key, each in words:
        found.setdefault(each, []).append(key)
    return "; ".join(f"{each}: {', '.join(keys)}" for each, keys in found.items())


def stopped_news(tally: Tally, served: Sequence[tuple[str, str]], waves: int) -> dict[str, Any]:
    """Return what people are told once nothing further starts, as plain JSON.

    Args:
        tally: How the targets stand.
        served: Each target, and who gets what in it.
        waves: The number of waves.
    """
    under_way = [key for key, standing in tally.standings.items() if standing is Standing.UNDER_WAY]
    end = f" {', '.join(under_way)}: under way, watched, and ended by their own rules." if under_way else ""
    first = (
        "raise `waves.max_failed`, clear each `count_…` that succeeded, by itself, and then" if tally.exceeded else ""
    )
    cure = " ".join(filter(None, [first, "clear with all that follows"]))
    return {
        "event": "stopped",
        "runs": f"{len(tally.standings)} targets in {waves} waves",
        "why": "more targets failed than tolerated" if tally.exceeded else "a wave was refused",
        "headline": tally.numbers,
        "now": together(served),
        "follows": f"Nothing further starts.{end}",
        "actions": (
            f"To go on once all that is under way has ended, {cure}: each `approve_…` that was refused, the first "
            "`open_…` that withheld its wave, and each `begin_…` of an open wave that skipped its target."
        ),
        **tally.to_json(),
    }
