"""Decide what follows one attempt of one call: return, try again, read back, or raise. No clock, no HTTP.

A read may be sent again at will. A write is sent again only when it surely did not happen: LaunchDarkly has no
idempotency key, so after anything else only a read can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from airflow_provider_launchdarkly.api.http.procedure import Sleep

FLOOR = 0.5
"""Shortest wait, in seconds, after a 429, whatever its headers say."""

_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 10.0
_SHORTEST_BACKOFF = 0.05


class Attempt(NamedTuple):
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
    """State of a response's body."""

    READ = "read"
    DAMAGED = "damaged"  # Cut short or mangled on the way: another try may bring it whole.
    STRANGE = "strange"  # Whole, but not what LaunchDarkly sends: another try brings the same.


class Responded(NamedTuple):
    """LaunchDarkly, or something in between, responded.

    Attributes:
        status: HTTP status.
        wait: Seconds that the response asks to wait at least; None when it does not say.
        body: Whether the body could be read.
    """

    status: int
    wait: float | None = None
    body: Body = Body.READ


class NotSent(NamedTuple):
    """The request surely did not reach LaunchDarkly: the connection was never made.

    Attributes:
        why: What happened, for people.
        hopeless: Whether trying again cannot help, as with a certificate that is not trusted.
    """

    why: str
    hopeless: bool = False


class Broken(NamedTuple):
    """The request was sent, or a part of it, and no whole response came back.

    Attributes:
        why: What happened, for people.
    """

    why: str


Outcome = Responded | NotSent | Broken


@dataclass(frozen=True, slots=True)
class Return:
    """The response is the result."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """A write whose outcome is unknown: only a read can tell whether it happened."""


@dataclass(frozen=True, slots=True)
class Raise:
    """The response, or the lack of one, is final."""


NextStep = Return | Sleep | ReadBack | Raise


def next_step(attempt: Attempt, outcome: Outcome, chance: float) -> NextStep:
    """Decide what follows an attempt.

    Args:
        attempt: The attempt that just ended.
        outcome: How it ended.
        chance: A uniform random number in [0, 1), which spreads callers out.

    Returns:
        What to do; a `Sleep` is before the same request. It never reaches beyond the budget; `Raise` takes its place.
    """
    at_least = 0.0
    if isinstance(outcome, NotSent):
        return Raise() if outcome.hopeless else _again(attempt, at_least, chance)
    if isinstance(outcome, Responded):
        at_least = outcome.wait or 0.0
        if outcome.status == 429:
            # LaunchDarkly rejects the call before it acts on it: https://launchdarkly.com/docs/api#rate-limiting
            return _within_budget(attempt, max(FLOOR, at_least) + chance * _backoff(attempt.number))
        if final := _final(attempt, outcome):
            return final
    return _again(attempt, at_least, chance) if attempt.is_read else ReadBack()


def _final(attempt: Attempt, response: Responded) -> Return | Raise | None:
    """Return what a response settles; None when it leaves open what happened."""
    if response.status == 408 or response.status >= 500:
        return None
    if response.status >= 300:
        return Raise()
    if response.body is Body.READ:
        return Return()
    return Raise() if response.body is Body.STRANGE and attempt.is_read else None


def _again(attempt: Attempt, at_least: float, chance: float) -> Sleep | Raise:
    """Full jitter: uniform from (almost) nothing to the backoff, so that callers who failed together part."""
    return _within_budget(attempt, max(at_least, _SHORTEST_BACKOFF, chance * _backoff(attempt.number)))


def _within_budget(attempt: Attempt, seconds: float) -> Sleep | Raise:
    return Sleep(seconds) if attempt.elapsed + seconds <= attempt.budget else Raise()


def _backoff(number: int) -> float:
    """Exponential, capped. The exponent is bounded so that a long life of attempts does not overflow."""
    return min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(number - 1, 10))
