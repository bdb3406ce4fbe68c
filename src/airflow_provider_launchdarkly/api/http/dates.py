"""Read the dates of HTTP headers."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

# Dates outside are mistakes, and adding a plan's length to one near year 9999 would overflow.
_YEARS = range(1990, 2200)


# A server's date changes once a second, and reading one costs as much as all other headers.
@lru_cache(maxsize=16)
def read_http_date(text: str) -> datetime | None:
    """Return a header's date in UTC; None if it is no date, or none of this age.

    The format: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7
    """
    try:
        date = parsedate_to_datetime(text)
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        return None
    return date if date.year in _YEARS else None
