"""Work of several calls, written once for the synchronous and the asynchronous client.

A procedure is a generator: it yields requests and receives responses; a call's error is thrown in at the yield.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from airflow_provider_launchdarkly.api.http.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")
S = TypeVar("S")

STRANGE_DATA: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""Errors of code that reads a response of an undocumented shape. A pydantic error is a ValueError."""

SETTLING: Final = (0.25, 1.0, 2.0)
"""Seconds before each further read of something that was just changed: a read may lag behind a write."""

APPEARING: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each further read of something that was just created: LaunchDarkly may answer 404 for a while."""


@dataclass(frozen=True, slots=True)
class Response(Generic[T_co]):
    """LaunchDarkly's response to one request.

    Attributes:
        value: The body, read.
        server_time: When, by LaunchDarkly's own clock (aware UTC); the local clock's time if the response had no date.
        status: HTTP status.
        request_id: What LaunchDarkly's support asks for; None when the response had none.
    """

    value: T_co
    server_time: datetime
    status: int
    request_id: str | None = None


class Sleep(NamedTuple):
    """A request to wait before going on.

    Attributes:
        seconds: How long.
        why: The reason, for the log; empty if it is logged elsewhere.
    """

    seconds: float
    why: str = ""


Procedure: TypeAlias = Generator[Request[Any] | Sleep, Any, R]


def read_until(
    read: Callable[[], Procedure[S]], found: Callable[[S], R], waits: Iterable[float], why: str
) -> Procedure[tuple[S, R]]:
    """Read again and again until a read shows what is looked for.

    Args:
        read: Reads the state.
        found: Picks what is looked for out of a state; None if it is not there. It may raise.
        waits: Seconds before each read after the first.
        why: The reason to wait, for the log.

    Returns:
        The last state, and what was found in it; None if the last read did not show it either.
    """
    left = list(waits)
    while True:
        state = yield from read()
        result = found(state)
        if result is not None or not left:
            return state, result
        yield Sleep(left.pop(0), why)
