"""Durations as people write them: ``7d``, ``12h``, ``P7D``. A bare number has no unit and is refused."""

from __future__ import annotations

import re
from datetime import timedelta

from airflow_provider_launchdarkly.config.problems import shown

# Longer ones leave the range of dates when they are added to one.
LONGEST = timedelta(days=36_500)

_SHORT = re.compile(r"(?:(?P<weeks>\d+)w)?(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?")
_ISO = re.compile(
    r"P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)


def parse_duration(value: object) -> timedelta:
    """Read a duration.

    Args:
        value: A timedelta, text such as ``7d``, ``36h``, ``1d12h``, ``90m``, or ISO 8601 such as ``P7D`` or ``PT12H``.

    Returns:
        The duration.

    Raises:
        ValueError: The value is no duration; the message shows how to write one.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        text = value.strip()
        match = _SHORT.fullmatch(text.lower()) or _ISO.fullmatch(text.upper())
        if match and any(match.groupdict().values()):
            try:
                duration = timedelta(**{unit: float(number) for unit, number in match.groupdict().items() if number})
            except OverflowError:
                duration = timedelta.max
            if duration > LONGEST:
                raise ValueError(f"{shown(value)} is longer than 100 years; write a shorter duration")
            return duration
    raise ValueError(f"{shown(value)} is no duration; write for instance 7d, 12h, 1d12h or P7D")


def format_duration(duration: timedelta) -> str:
    """Write a duration as text that :func:`parse_duration` reads back without loss."""
    seconds = duration.total_seconds()
    if seconds and seconds % 60 == 0:
        days, rest = divmod(int(seconds), 86400)
        hours, rest = divmod(rest, 3600)
        parts = ((days, "d"), (hours, "h"), (rest // 60, "m"))
        return "".join(f"{number}{unit}" for number, unit in parts if number)
    return f"PT{seconds:.6f}".rstrip("0").rstrip(".") + "S"


def describe_span(span: timedelta) -> str:
    """Return a span of time as text, rounded: ``12 days``, ``14 h`` or ``5 min``."""
    if span >= timedelta(days=2):
        return f"{span / timedelta(days=1):.0f} days"
    if span >= timedelta(hours=2):
        return f"{span / timedelta(hours=1):.0f} h"
    return f"{max(span / timedelta(minutes=1), 0):.0f} min"
