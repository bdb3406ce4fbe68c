"""LaunchDarkly's rate limits: reading the headers, and one gate for all callers of a token in this process.

Pure but for the gate's own state; time and randomness come in as arguments. Header families, units and who shares
which limit: https://launchdarkly.com/docs/api#rate-limiting
"""

from __future__ import annotations

import hashlib
import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakValueDictionary

from airflow_provider_launchdarkly.api.http.dates import read_http_date

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

LONGEST_WINDOW: Final = 30.0
"""Most seconds over which callers are spaced while little is left. The windows are 10 s."""

LONGEST_PAUSE: Final = 3600.0
"""Most seconds that one answer closes a gate, whatever time it states: a wrong one must not stop all callers for long.

Until then nothing is sent before a time that LaunchDarkly states.
"""

_WINDOW = 10.0
_LOW = 2
_DEFAULT_GAP = 0.05


class Limit(NamedTuple):
    """One family of limits as a response shows it.

    Attributes:
        shared: Whether other routes count against it too; False for a limit of one route.
        limit: Calls a window; None when the response does not say.
        remaining: Calls left in this window; None when the response does not say.
        resets_in: Seconds until the window ends, from 0; None when the response does not say.
    """

    shared: bool
    limit: int | None
    remaining: int | None
    resets_in: float | None


class RateLimits(NamedTuple):
    """The rate limits that one response shows.

    Attributes:
        limits: The families that are present. Absence says nothing.
        retry_after: Seconds to wait at least; None when the response does not say.
    """

    limits: tuple[Limit, ...] = ()
    retry_after: float | None = None

    @property
    def blocking(self) -> tuple[Limit, ...]:
        """The limits that caused a 429: those with nothing left, else all, since LaunchDarkly need not show which."""
        return tuple(limit for limit in self.limits if limit.remaining == 0) or self.limits

    @property
    def wait(self) -> float | None:
        """Seconds to wait at least after a 429; None when no header does."""
        known = [limit.resets_in for limit in self.blocking if limit.resets_in is not None]
        if self.retry_after is not None:
            known.append(self.retry_after)
        return max(known, default=None)


# (limit, remaining, reset, shared with other routes). Global and route share one reset header.
_FAMILIES = (
    ("x-ratelimit-global-limit", "x-ratelimit-global-remaining", "x-ratelimit-reset", True),
    ("x-ratelimit-route-limit", "x-ratelimit-route-remaining", "x-ratelimit-reset", False),
    (
        "x-ratelimit-auth-token-limit",
        "x-ratelimit-auth-token-remaining",
        "x-ratelimit-auth-token-reset",
        True,
    ),
)


def read_limits(headers: Mapping[str, str], now: datetime) -> RateLimits:
    """Read the rate-limit headers of a response. Missing, negative and unreadable values are left out.

    Args:
        headers: Headers, names in lower case.
        now: When LaunchDarkly answered, by its own clock: resets are absolute, and the worker's clock may be off.

    Returns:
        The limits that it shows.
    """
    limits = []
    for limit_name, remaining_name, reset_name, shared in _FAMILIES:
        limit, remaining = _count(headers.get(limit_name)), _count(headers.get(remaining_name))
        resets_in = _seconds_until(headers.get(reset_name), now)
        if limit is not None or remaining is not None:
            limits.append(Limit(shared, limit, remaining, resets_in))
    if not limits:
        # Only resets: each may be the one that counts.
        for reset_name in ("x-ratelimit-reset", "x-ratelimit-auth-token-reset"):
            resets_in = _seconds_until(headers.get(reset_name), now)
            if resets_in is not None:
                limits.append(Limit(True, None, None, resets_in))
    return RateLimits(tuple(limits), _retry_after(headers.get("retry-after"), now))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _count(text: str | None) -> int | None:
    value = _number(text)
    return int(value) if value is not None and value >= 0 else None


def _seconds_until(text: str | None, now: datetime) -> float | None:
    value = _number(text)
    if value is None or value <= 0:
        return None
    # Epoch milliseconds as documented; a value too small for them is taken as epoch seconds.
    reset = value / 1000 if value > 1e11 else value
    return max(0.0, reset - now.timestamp())


def _retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds as LaunchDarkly documents, or an HTTP date as RFC 9110 section 10.2.3 also allows for proxies."""
    if not text:
        return None
    value = _number(text)
    if value is None:
        date = read_http_date(text)
        if date is None:
            return None
        value = (date - now).total_seconds()
    return max(0.0, value)


@dataclass(slots=True)
class _Lane:
    """The state of one limit: until when it is closed, and the gap between callers while it is low."""

    closed_until: float = -math.inf
    tickets: int = 0
    gap: float = _DEFAULT_GAP
    paced_until: float = -math.inf
    next_slot: float = -math.inf

    def close(self, until: float) -> None:
        if until > self.closed_until:
            self.closed_until = until
            self.tickets = 0

    def pace(self, until: float, gap: float) -> None:
        self.paced_until = until
        self.gap = gap

    def reserve(self, now: float, chance: float) -> float:
        if now < self.closed_until:
            # One place each behind the reopening, wrapped at a window's length so that every wait is bounded.
            place = (self.tickets + chance) * _DEFAULT_GAP % _WINDOW
            self.tickets += 1
            return self.closed_until - now + place
        if now < self.paced_until:
            slot = max(now, self.next_slot)
            self.next_slot = slot + self.gap
            return min(slot, self.paced_until) - now
        return 0.0


@dataclass(slots=True, weakref_slot=True)
class RateGate:
    """Gate that all callers of one token in this process pass: they wait for the same window, then spread out.

    A 429 closes the gate until the window's end for every caller, not just the one that met it. Low remaining counts
    space callers over what is left of the window, so that the 429 does not come. A route's limit closes that route
    only. Thread-safe.

    Attributes:
        answered: How many calls of the token LaunchDarkly has answered with success.
    """

    answered: int = 0
    _lanes: dict[str, _Lane] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reserve(self, route: str, now: float, chance: float) -> float:
        """Take a place in the queue.

        Args:
            route: The call's operation.
            now: Monotonic seconds.
            chance: A uniform random number in [0, 1).

        Returns:
            Seconds to wait before sending; 0 to send at once.
        """
        with self._lock:
            lanes = (lane for lane in (self._lanes.get(""), self._lanes.get(route)) if lane)
            return max((lane.reserve(now, chance) for lane in lanes), default=0.0)

    def closed_for(self, route: str, now: float) -> float:
        """Seconds until the gate opens, for a caller that had its place already; 0 when it is open."""
        with self._lock:
            lanes = (lane for lane in (self._lanes.get(""), self._lanes.get(route)) if lane)
            return max((max(0.0, lane.closed_until - now) for lane in lanes), default=0.0)

    def observe(self, route: str, limits: RateLimits, now: float, *, refused: float | None) -> None:
        """Update the gate from a response.

        Args:
            route: The call's operation.
            limits: The limits that the response shows.
            now: Monotonic seconds.
            refused: Seconds to wait at least if the response was a 429, else None.
        """
        with self._lock:
            if refused is not None:
                shared = not limits.blocking or any(limit.shared for limit in limits.blocking)
                lane = self._lane("" if shared or limits.retry_after is not None else route)
                lane.close(now + min(refused, LONGEST_PAUSE))
                return
            for limit in limits.limits:
                self._learn(limit, self._lane("" if limit.shared else route), now)

    def hold(self, route: str, now: float, seconds: float) -> None:
        """Close the gate for one route, of which a response other than a 429 states when to ask again.

        Args:
            route: The call's operation.
            now: Monotonic seconds.
            seconds: Seconds to wait at least.
        """
        with self._lock:
            self._lane(route).close(now + min(seconds, LONGEST_PAUSE))

    def _learn(self, limit: Limit, lane: _Lane, now: float) -> None:
        if limit.remaining is None or not limit.resets_in:
            return
        low = max(_LOW, (limit.limit or 0) // 20)
        # Nothing was refused, so an absurd time is no reason for a long pause.
        far = limit.resets_in > LONGEST_PAUSE
        window = min(limit.resets_in, LONGEST_WINDOW)
        if limit.remaining == 0:
            lane.close(now + (window if far else limit.resets_in))
        elif limit.remaining <= low:
            lane.pace(now + window, window / (limit.remaining + 1))

    def _lane(self, name: str) -> _Lane:
        return self._lanes.setdefault(name, _Lane())


_gates: WeakValueDictionary[tuple[str, str], RateGate] = WeakValueDictionary()
_gates_lock = threading.Lock()


def gate_of(base_url: str, token: str) -> RateGate:
    """The process's gate for a token. It lives as long as a client holds it; the token itself is not kept."""
    key = (base_url, hashlib.sha256(token.encode()).hexdigest())
    with _gates_lock:
        gate = _gates.get(key)
        if gate is None:
            gate = _gates[key] = RateGate()
        return gate
