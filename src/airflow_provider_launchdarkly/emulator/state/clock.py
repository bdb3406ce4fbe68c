"""The emulator's clock. A test sets it, advances it, stops it or runs it fast; it never goes back.

Every time in the emulator comes from it, the `Date` header included.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_DURATION = re.compile(
    r"P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)

LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""The end of the clock, early enough that times computed from it are still datetimes."""


class Clock:
    """A clock that goes forward at a chosen rate, and stops in the year 9000.

    Args:
        start: The first time, aware.
        rate: Emulated seconds per real second, 0 to 1e6; 1 is real time, 0 stops the clock.
        monotonic: Returns the real seconds that the clock follows.
    """

    def __init__(self, start: datetime, rate: float = 1.0, monotonic: Callable[[], float] = time.monotonic):
        self._monotonic = monotonic
        self._rate = _checked_rate(rate)
        self._since = monotonic()
        self._then = start.astimezone(UTC)
        self._date_second = -1
        self._date_header = b""

    @property
    def rate(self) -> float:
        """Emulated seconds per real second."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        checked = _checked_rate(rate)
        self._move_to(self.now())
        self._rate = checked

    def now(self) -> datetime:
        """Return the time in UTC."""
        if self._rate == 0:
            return self._then
        return min(self._then + timedelta(seconds=(self._monotonic() - self._since) * self._rate), LATEST)

    def milliseconds(self) -> int:
        """Return the time in epoch milliseconds."""
        return to_milliseconds(self.now())

    def set(self, to: datetime) -> None:
        """Set the clock to an aware time.

        Raises:
            ValueError: The time is in the past or after the clock's end, or has no offset from UTC.
        """
        if to.tzinfo is None:
            raise ValueError(f"a time needs its offset from UTC, such as 2026-01-05T09:00:00Z, not {to.isoformat()}")
        now = self.now()
        if to < now:
            raise ValueError(
                f"the clock never goes back: set it to {now.isoformat()} or later, not to {to.isoformat()}"
            )
        if to > LATEST:
            raise ValueError(f"the clock ends in the year 9000: set it to an earlier time, not to {to.isoformat()}")
        self._move_to(to.astimezone(UTC))

    def advance(self, by: timedelta) -> None:
        """Advance the clock by a duration.

        Raises:
            ValueError: The duration is negative, or leads past the clock's end.
        """
        if by < timedelta(0):
            raise ValueError(f"the clock never goes back: advance it by a duration of 0 or more, not by {by}")
        if by > LATEST - self.now():
            raise ValueError(f"advancing by {by} leads past the clock's end in the year 9000; advance by less")
        self._move_to(self.now() + by)

    def date_header(self) -> bytes:
        """Return the time in the form of the HTTP `Date` header, to the second."""
        now = self.now()
        second = int(now.timestamp())
        if second != self._date_second:
            self._date_second = second
            self._date_header = format_datetime(now.replace(microsecond=0), usegmt=True).encode()
        return self._date_header

    def _move_to(self, then: datetime) -> None:
        self._since, self._then = self._monotonic(), then


def to_milliseconds(moment: datetime) -> int:
    """Return an aware time in epoch milliseconds, rounded down."""
    return int(moment.timestamp() * 1000)


def from_milliseconds(milliseconds: int) -> datetime:
    """Return the time in UTC of epoch milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def parse_duration(text: str) -> timedelta:
    """Read an ISO 8601 duration in weeks, days, hours, minutes and seconds, such as `P10D` or `PT1H30M`.

    Raises:
        ValueError: The text is no such duration. Months and years are rejected, since their length varies.
    """
    match = _DURATION.fullmatch(text)
    parts = {unit: float(number) for unit, number in match.groupdict().items() if number} if match else {}
    if not parts:
        raise ValueError(f"not a duration such as P10D or PT1H30M: {text!r}")
    try:
        return timedelta(**parts)
    except OverflowError:
        raise ValueError(f"too long a duration: {text!r}") from None


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time with its offset from UTC.

    Raises:
        ValueError: The text is no such time.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"not an ISO 8601 time such as 2026-01-05T09:00:00Z: {text!r}") from None
    raise ValueError(f"a time needs its offset from UTC, such as 2026-01-05T09:00:00Z, not {text!r}")


def _checked_rate(rate: float) -> float:
    if not 0 <= rate <= 1e6:
        raise ValueError(f"the clock's rate must be between 0 (frozen) and 1e6, not {rate}")
    return float(rate)
