"""A piece of work of several calls, written once for the synchronous and the asynchronous client.

A procedure is a generator: it yields requests and is sent answers; a call's error is thrown in at the yield.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

from airflow_provider_launchdarkly.api.http.request import Request

if TYPE_CHECKING:
    from datetime import datetime

T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """What LaunchDarkly answered to one request.

    Attributes:
        value: The body, read.
        server_time: When, by LaunchDarkly's own clock (aware UTC); the local clock's time if the answer had no date.
        status: HTTP status.
        request_id: What LaunchDarkly's support asks for; None when the answer had none.
    """

    value: T_co
    server_time: datetime
    status: int
    request_id: str | None = None


class Pause(NamedTuple):
    """A wish of a procedure to wait."""

    seconds: float
    why: str


Procedure: TypeAlias = Generator[Request[Any] | Pause, Any, R]
