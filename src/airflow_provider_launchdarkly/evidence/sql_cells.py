"""Reads single cells of a query's result: numbers, moments and keys, in the types that database drivers return. Pure.

A number keeps its exact value. A float stays a float, so that whoever calculates with it can allow for its rounding.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.evidence.moments import Number

# A power of ten beyond which no number is taken, and a length beyond which no text is read as one.
LARGEST_POWER = 300
_LARGEST, _SMALLEST = 10**LARGEST_POWER, Fraction(1, 10**LARGEST_POWER)
_LONGEST = 400
_PLAIN_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)

# An epoch's unit follows from its size, as it must lie between these moments: no two units overlap.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_UNITS_PER_SECOND = (1, 10**3, 10**6, 10**9)

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:(?:T| +)(\d\d:\d\d(?::\d\d(?:\.\d+)?)?) *(\S*))?", re.ASCII | re.IGNORECASE)
_OFFSET = re.compile(r"[+-]\d\d(?::?\d\d){0,2}", re.ASCII)


class CellError(ValueError):
    """A cell that cannot be what its column says. The message shows the value."""


def shown(value: Any) -> str:
    """Return a cell's value for a message, cut where it is long."""
    text = repr(bytes(value) if isinstance(value, memoryview) else str(value) if isinstance(value, UUID) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def read_number(value: Any) -> Number:
    """Return a cell's number.

    Args:
        value: An int, float, Decimal or another real number of any library, or a plain decimal text, as some drivers
            return NUMERIC.

    Raises:
        CellError: It is no number, is not finite, or is too large or too small to calculate with.
    """
    if isinstance(value, str) and len(value) <= _LONGEST and _PLAIN_NUMBER.fullmatch(value.strip()):
        value = Decimal(value.strip())
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise CellError(f"{shown(value)} is no number")
    if not (value.is_finite() if isinstance(value, Decimal) else isinstance(value, Rational) or math.isfinite(value)):
        raise CellError(f"{shown(value)} is not finite")
    # Before an exponent of millions becomes as many digits.
    in_range = not isinstance(value, Decimal) or value == 0 or abs(value.adjusted()) <= LARGEST_POWER
    number = _plain(value) if in_range else 0
    if not in_range or (number != 0 and not _SMALLEST <= abs(Fraction(number)) <= _LARGEST):
        raise CellError(
            f"{shown(value)} is beyond 1e{LARGEST_POWER} or closer to 0 than 1e-{LARGEST_POWER}; give the metric in "
            "another unit"
        )
    return number


def _plain(value: Real | Decimal) -> Number:
    """Return the same number in Python's types, of whatever library it is."""
    if isinstance(value, Integral):
        return int(value)
    return Fraction(value) if isinstance(value, Rational | Decimal) else float(value)


def read_count(value: Any) -> int:
    """Return a cell's count.

    Raises:
        CellError: It is no whole number from 0 up.
    """
    number = read_number(value)
    if number < 0 or number != int(number):
        raise CellError(f"{shown(value)} is no count")
    return int(number)


def read_moment(value: Any) -> datetime:
    """Return a cell's moment, aware.

    Args:
        value: A timestamp (UTC if it has no zone); a date, which is its first moment in UTC; ISO 8601 text with ``T``
            or blanks between its parts and an offset, ``Z``, ``UTC`` or the IANA name of a zone at its end; or an epoch
            in seconds, milliseconds, microseconds or nanoseconds, as a number or text.

    Raises:
        CellError: It is none of these.
    """
    if isinstance(value, str):
        text = value.strip()
        return _from_epoch(text) if _PLAIN_NUMBER.fullmatch(text) else _from_text(text)
    if type(value).__name__ == "datetime64":  # numpy's, which is no datetime
        value = value.astype("datetime64[us]").item()
    if isinstance(value, datetime) and value == value:  # noqa: PLR0124 - pandas' "not a time" is a datetime
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    if isinstance(value, Real | Decimal) and not isinstance(value, bool):
        return _from_epoch(value)
    raise CellError(f"{shown(value)} is no time: give a timestamp, ISO 8601 text or epoch")


def _from_text(text: str) -> datetime:
    problem = CellError(f"{shown(text)} is no ISO 8601 time, such as 2026-01-05 09:00:00+00:00")
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise problem
    day, clock, zone = found[1], found[2] or "00:00", found[3] or "UTC"
    try:
        if _OFFSET.fullmatch(zone):
            return datetime.fromisoformat(f"{day}T{clock}{zone}")
        moment = datetime.fromisoformat(f"{day}T{clock}")
        if zone.upper() in ("Z", "UTC", "GMT"):
            return moment.replace(tzinfo=UTC)
        # An abbreviation such as CST stands for several zones; a name with a slash for one.
        if "/" in zone:
            return moment.replace(tzinfo=ZoneInfo(zone))
    except (ValueError, LookupError, OSError):
        raise problem from None
    raise problem


def _from_epoch(value: Any) -> datetime:
    number = Fraction(read_number(value))
    for units in _UNITS_PER_SECOND:
        seconds = number / units
        if (_EARLIEST - _EPOCH).total_seconds() <= seconds < (_LATEST - _EPOCH).total_seconds():
            return _EPOCH + timedelta(microseconds=int(seconds * 10**6))
    raise CellError(
        f"{shown(value)} is no time between {_EARLIEST.year} and {_LATEST.year} as an epoch in seconds, milliseconds, "
        "microseconds or nanoseconds; where there is no event, return NULL"
    )


def read_key(value: Any) -> str:
    """Return a cell's key as text, without the blanks with which ``char(n)`` fills it up.

    Raises:
        CellError: It is no key, or empty.
    """
    texts = _texts(value)
    if not texts or not texts[0].rstrip():
        raise CellError(f"{shown(value)} is no key; return text")
    return texts[0].rstrip()


def find_key(value: Any, known: Sequence[str]) -> str | None:
    """Return the one of the known keys that a cell names; None if it names none of them.

    The same text wins; then the same text without the blanks at its end; then the same letters in another case.

    Args:
        value: Text, UUID, bytes (text, the digits of a hexadecimal id, or a UUID's 16), or a whole number.
        known: The keys.

    Raises:
        CellError: In another case it could be either of two.
    """
    texts = _texts(value)
    for same in (str, str.rstrip, _folded):
        wanted = {same(text) for text in texts}
        found = [key for key in known if same(key) in wanted]
        if len(found) > 1:
            raise CellError(f"{shown(value)} may be {' or '.join(found)}; return it in the case in which it is written")
        if found:
            return found[0]
    return None


def _folded(text: str) -> str:
    return text.rstrip().casefold()


def _texts(value: Any) -> tuple[str, ...]:
    """Return the texts that a cell may stand for, the likeliest first."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, UUID):
        return str(value), value.hex
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value)
        uuid = (str(UUID(bytes=raw)),) if len(raw) == 16 else ()
        return raw.decode(errors="replace").rstrip("\0"), raw.hex(), *uuid
    if isinstance(value, Integral) and not isinstance(value, bool):
        return (str(int(value)),)
    return ()
