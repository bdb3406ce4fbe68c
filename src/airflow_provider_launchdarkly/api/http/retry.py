"""After one attempt of one call: return, wait so long, read back, or raise. Pure: no clock, no randomness, no HTTP.

A read may be sent again at will. A write is sent again only when it surely did not happen: LaunchDarkly has no
idempotency key, so after anything else only a read can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

FLOOR = 0.5
"""Shortest wait, in seconds, after a 429, whatever its headers say."""

_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 10.0
_SHORTEST_BACKOFF = 0.05


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of one call.

    Attributes:
        number: 1 for the first.
        is_read: Whether the call changes nothing.
        elapsed: Seconds since the first attempt ended.
        budget: Seconds that all attempts after the first may take together, waits included.
    """

    number: int
    is_read: bool
    elapsed: float
    budget: float


class Body(Enum):
    """What became of an answer's body."""

    READ = "read"
    DAMAGED = "damaged"  # Cut short or mangled on the way: another try may bring it whole.
    STRANGE = "strange"  # Whole, but not what LaunchDarkly sends: another try brings the same.


@dataclass(frozen=True, slots=True)
class Answered:
    """There was an answer.

    Attributes:
        status: HTTP status.
        wait: Seconds that the answer asks to wait at least; None when it does not say.
        body: What became of the body.
    """

    status: int
    wait: float | None = None
    body: Body = Body.READ


@dataclass(frozen=True, slots=True)
class NotSent:
    """The request surely did not reach LaunchDarkly: the connection was never made.

    Attributes:
        why: What happened, for people.
        hopeless: Whether trying again cannot help, as with a certificate that is not trusted.
    """

    why: str
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """The request was sent, or a part of it, and no whole answer came back.

    Attributes:
        why: What happened, for people.
    """

    why: str


Outcome = Answered | NotSent | Broken


@dataclass(frozen=True, slots=True)
class Return:
    """The answer is the result."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Send again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ReadBack:
    """A write whose outcome is unknown: only a read can tell whether it happened."""


@dataclass(frozen=True, slots=True)
class Raise:
    """The answer, or the lack of one, is final."""


NextStep = Return | Wait | ReadBack | Raise


def next_step(attempt: Attempt, outcome: Outcome, chance: float) -> NextStep:
    """Decide what follows an attempt.

    Args:
        attempt: The attempt that just ended.
        outcome: How it ended.
        chance: A uniform random number in [0, 1), which spreads callers out.

    Returns:
        What to do. A wait never reaches beyond the budget; `Raise` takes its place.
    """
    at_least = 0.0
    if isinstance(outcome, NotSent):
        return Raise() if outcome.hopeless else _again(attempt, at_least, chance)
    if isinstance(outcome, Answered):
        at_least = outcome.wait or 0.0
        if outcome.status == 429:
            # Refused before it was looked at, so a write did not happen (LaunchDarkly REST docs, Rate limiting).
            return _within_budget(attempt, max(FLOOR, at_least) + chance * _backoff(attempt.number))
        if final := _final(attempt, outcome):
            return final
    return _again(attempt, at_least, chance) if attempt.is_read else ReadBack()


def _final(attempt: Attempt, answer: Answered) -> Return | Raise | None:
    """What an answer settles; None when it leaves open what happened."""
    if answer.status == 408 or answer.status >= 500:
        return None
    if answer.status >= 300:
        return Raise()
    if answer.body is Body.READ:
        return Return()
    return Raise() if answer.body is Body.STRANGE and attempt.is_read else None


def _again(attempt: Attempt, at_least: float, chance: float) -> Wait | Raise:
    """Full jitter: uniform from (almost) nothing to the backoff, so that callers who failed together part."""
    return _within_budget(attempt, max(at_least, _SHORTEST_BACKOFF, chance * _backoff(attempt.number)))


def _within_budget(attempt: Attempt, seconds: float) -> Wait | Raise:
    return Wait(seconds) if attempt.elapsed + seconds <= attempt.budget else Raise()


def _backoff(number: int) -> float:
    """Exponential, capped. The exponent is bounded so that a long life of attempts does not overflow."""
    return min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(number - 1, 10))
