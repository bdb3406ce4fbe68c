"""Finds the time zones that a calendar names: IANA names, Windows names, and those that the file defines itself."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.change_windows.content_lines import ContentLine

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


class CalendarZones:
    """The time zones that the events of a calendar can name.

    A name is looked for among IANA's names, among Windows' names (the mapping of Unicode's CLDR, as Babel ships it),
    and among the file's VTIMEZONE components. Of a name with a prefix, such as ``/example.org/Europe/Berlin``, the IANA
    name at its end counts last.
    """

    def __init__(self, definitions: Mapping[str, tuple[ContentLine, ...]]) -> None:
        """Create the zones.

        Args:
            definitions: The lines of each VTIMEZONE, from BEGIN to END, by its TZID.
        """
        self._definitions = definitions
        self._found: dict[str, tzinfo] = {}

    def zone(self, line: ContentLine, name: str) -> tzinfo:
        """Return a zone by its name.

        Raises:
            CalendarError: No zone has this name, or its definition is wrong.
        """
        if name not in self._found:
            found = (
                _exact_zone(name)
                or _windows_zone(name)
                or iana_zone(name)
                or self._defined(name)
                or _prefixed_zone(name)
            )
            if found is None:
                raise line.error(
                    f"TZID {name!r} is no IANA name such as Europe/Berlin, no Windows name such as "
                    "'W. Europe Standard Time', and the file has no VTIMEZONE for it"
                )
            self._found[name] = found
        return self._found[name]

    def _defined(self, name: str) -> tzinfo | None:
        lines = self._definitions.get(name)
        if lines is None:
            return None
        from io import StringIO

        from dateutil.tz import tzical

        # dateutil refuses parameters and properties that it does not need.
        needed = {"BEGIN", "END", "DTSTART", "RRULE", "RDATE", "TZOFFSETFROM", "TZOFFSETTO"}
        text = "\n".join(
            f"{line.name}:{line.value.upper()}" if line.name != "TZID" else "TZID:file"
            for line in lines
            if line.name in {*needed, "TZID"}
        )
        try:
            zone = tzical(StringIO(text)).get("file")
            to_instant(datetime(2026, 1, 1), zone or UTC)  # noqa: DTZ001 - a wall clock of this zone
        except (ValueError, TypeError, OverflowError, AttributeError, LookupError) as error:
            raise lines[0].error(f"the VTIMEZONE {name!r} cannot be read: {error}") from None
        return zone


def iana_zone(name: str) -> ZoneInfo | None:
    """Return the IANA zone of this name, in whatever case, or None."""
    return _exact_zone(name) or _exact_zone(_iana_names().get(name.lower(), ""))


def _exact_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def to_instant(wall: datetime, zone: tzinfo) -> datetime:
    """Convert what a clock on the wall shows to UTC.

    A time that the clock skips counts by the offset before the change, a time that it shows twice is the first one
    (RFC 5545, 3.3.5). Times beyond the years 1 to 9999 become the first or the last instant there is.
    """
    local = wall.replace(tzinfo=zone, fold=0)
    try:
        if not isinstance(zone, ZoneInfo) and zone is not UTC:
            from dateutil.tz import resolve_imaginary

            local = resolve_imaginary(local)
        return local.astimezone(UTC)
    except OverflowError:
        return EARLIEST if wall.year < 5000 else LATEST


def to_wall(instant: datetime, zone: tzinfo) -> datetime:
    """Return what a clock on the wall shows at an instant, without its zone."""
    try:
        return instant.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return datetime.min if instant.year < 5000 else datetime.max  # noqa: DTZ901 - a wall clock has no zone


@lru_cache(maxsize=1)
def _iana_names() -> dict[str, str]:
    return {name.lower(): name for name in available_timezones()}


@lru_cache(maxsize=1)
def _windows_names() -> dict[str, str]:
    from babel.core import get_global

    return {name.lower(): iana for name, iana in get_global("windows_zone_mapping").items()}


def _windows_zone(name: str) -> ZoneInfo | None:
    found = _windows_names().get(name.lower())
    return _exact_zone(found) if found else None


def _prefixed_zone(name: str) -> ZoneInfo | None:
    if not name.startswith("/"):
        return None
    steps = name.strip("/").split("/")
    candidates = (iana_zone("/".join(steps[start:])) for start in range(max(1, len(steps) - 3), len(steps)))
    return next((zone for zone in candidates if zone), None)
