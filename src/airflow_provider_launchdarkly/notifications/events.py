"""The events of a rollout that people are told of, and the message about one of them, before any markup. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

if TYPE_CHECKING:
    from collections.abc import Mapping


class Event(StrEnum):
    """The events of a rollout. Each is told once: see :attr:`Message.key`."""

    ASKED = "asked"
    """A person is asked: before a stage, before shipping, what to do without a winner, or to act in LaunchDarkly, also
    since the winner's release waits there."""

    REMINDED = "reminded"
    """A question is still open: at each multiple of `approval.remind_after`."""

    STARTED = "started"
    """The first stage runs."""

    STAGE_ENTERED = "stage_entered"
    """A later stage runs."""

    RELEASE_STARTED = "release_started"
    """The winner's release runs. Only where `endings.ship` asks for one."""

    HARM = "harm"
    """A metric is harmed. The rollback follows at once, and waits for no message."""

    ENDED = "ended"
    """The rollout has ended. ``ended.ship`` and so on is one of its endings."""

    RETIREMENT = "retirement"
    """The flag's retirement is proposed, or done. Only where `endings.retire` asks for it."""

    UNWATCHED = "unwatched"
    """Airflow has stopped watching while people may be served something new, or cannot roll back by itself."""

    RETIREMENT_FAILED = "retirement_failed"
    """A task that retires the flag after the end has failed: the flag stays. Only with `endings.retire`."""

    DRIFT = "drift"
    """Someone else has stopped or replaced the iteration in LaunchDarkly."""

    STOPPED = "stopped"
    """Of a rollout in waves: more targets failed than tolerated, or a wave was refused. Nothing further starts."""


class Severity(StrEnum):
    """How urgent a message is, in the words of PagerDuty's Events API."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Message:
    """The message about one event.

    Attributes:
        event: The event.
        headline: One line: the verdict or the event first, then the reason.
        key: Equal for each repeat of the same news (a retry, a clear, a restart) and for nothing else. PagerDuty and
            mail programs put messages of one key together.
        ending: The ending, if the event is ``ended``.
        runs: What runs: experiment, flag, iteration.
        now: Who gets what now.
        follows: What happens next, and when.
        actions: What a person can do, in words.
        links: Titles and addresses.
        verdict: The verdict whose numbers are shown beneath; None without numbers.
    """

    event: Event
    headline: str
    key: str
    ending: str | None = None
    runs: str = ""
    now: str = ""
    follows: str = ""
    actions: str = ""
    links: tuple[tuple[str, str], ...] = ()
    verdict: Mapping[str, Any] | None = None

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """The titles and texts of the parts that are there, in the order in which they are read."""
        parts = (
            ("Who gets what now", self.now),
            ("What follows", self.follows),
            ("What you can do", self.actions),
            ("What runs", self.runs),
        )
        return tuple((title, text) for title, text in parts if text)

    @property
    def severity(self) -> Severity:
        """How urgent the message is."""
        match self.event:
            case Event.HARM | Event.UNWATCHED:
                return Severity.CRITICAL
            case Event.DRIFT | Event.STOPPED | Event.RETIREMENT_FAILED:
                return Severity.WARNING
            case Event.ENDED:
                return Severity.INFO if self.ending == "ship" else Severity.WARNING
            case Event.ASKED | Event.REMINDED | Event.STARTED | Event.STAGE_ENTERED:
                return Severity.INFO
            case Event.RELEASE_STARTED | Event.RETIREMENT:
                return Severity.INFO
            case unknown:
                assert_never(unknown)


def names_of_events(endings: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names by which a channel asks for events: each event, and ``ended.`` with each ending."""
    return (*(event.value for event in Event), *(f"{Event.ENDED}.{ending}" for ending in endings))


def is_wanted(names: tuple[str, ...], event: Event, ending: str | None = None) -> bool:
    """Return whether a channel that asks for these names takes an event.

    Args:
        names: The names; none asks for all events.
        event: The event.
        ending: The ending, if it is known; without one, any ending of an ``ended`` event counts.
    """
    if not names or event.value in names:
        return True
    if event is not Event.ENDED:
        return False
    return any(name == f"{Event.ENDED}.{ending}" if ending else name.startswith(f"{Event.ENDED}.") for name in names)
