"""Faults: rules that make chosen calls fail. The engine applies them, and the server closes the connections."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Literal, assert_never, get_args

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

FaultKind = Literal["status", "status_after", "close_before", "close_after", "truncated", "slow", "stale", "hidden"]
FAULTS: dict[FaultKind, str] = {
    "status": "does nothing and responds with an error",
    "status_after": "performs the operation, then responds with an error",
    "close_before": "does nothing and closes the connection without a response",
    "close_after": "performs the operation, then closes the connection without a response",
    "truncated": "performs the operation and sends half of the response's JSON",
    "slow": "performs the operation and responds after `delay` real seconds",
    "stale": "returns results as they were `hours` before the fault was added, and keeps them there",
    "hidden": "responds with 404 to reads of a resource created after the fault was added: to its first `times` reads, "
    "or for `seconds` on the emulator's clock",
}
"""The effect of each kind of fault, for the generated page."""
RateLimitFamily = Literal["retry-after", "retry-after-date", "global", "route", "token"]
LIMITS: dict[RateLimitFamily, str] = {
    "retry-after": "`Retry-After` in seconds, as for an IP address",
    "retry-after-date": "`Retry-After` as an HTTP date",
    "global": "`X-Ratelimit-Global-Remaining` and `X-Ratelimit-Reset`",
    "route": "`X-Ratelimit-Route-Remaining` and `X-Ratelimit-Reset`",
    "token": "`X-Ratelimit-Auth-Token-Remaining` and `X-Ratelimit-Auth-Token-Reset`",
}
"""The families of rate-limit headers (LaunchDarkly REST docs, Overview, "Rate limiting"); resets are epoch
milliseconds."""
_LONGEST_DELAY = 60.0
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[ -~]*")
CODES = {
    400: "invalid_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "optimistic_locking_error",
    422: "patch_failed",
    429: "rate_limited",
    500: "internal_server_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}
GROUPS = ("*", "read", "write")


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that makes calls fail.

    Attributes:
        operation: The name of the operation that fails, `read` (every GET), `write` (all others) or `*`.
        fault: The kind, one of `FAULTS`.
        nth: The number of the one call that fails, counted from 1.
        times: The number of calls that fail, 1 by default. For `hidden`, the number of reads of each resource.
        probability: The probability that a call fails, from 0 to 1; it is drawn with the emulator's seed.
        status: The HTTP status of the response, 400 to 599.
        headers: Additional headers of the response.
        message: The message of the response.
        limit: The family of rate-limit headers of the response, one of `LIMITS`; the status is then 429.
        wait: Seconds from the response to the limit's reset, negative for the past; None omits the reset header.
        delay: Real seconds until the response, for `slow` and in addition to any other fault.
        hours: The age of `stale` results when the fault is added.
        seconds: How long `hidden` hides a created resource, on the emulator's clock.
    """

    operation: str
    fault: FaultKind
    nth: int | None = None
    times: int | None = None
    probability: float | None = None
    status: int = 500
    headers: tuple[tuple[str, str], ...] = ()
    message: str = "injected by the emulator"
    limit: RateLimitFamily | None = None
    wait: float | None = None
    delay: float = 0.0
    hours: float = 0.0
    seconds: float | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any], operations: Collection[str]) -> Fault:
        """Read a fault from the JSON of the control route.

        Args:
            data: The fields of the fault.
            operations: The names of the existing operations.

        Raises:
            ValueError: A field is unknown, missing or out of range.
        """
        known = set(cls.__dataclass_fields__)
        for name in data:
            if name not in known:
                raise ValueError(f"{name}: unknown field of a fault; use one of {', '.join(sorted(known))}")
        _check_texts(data, "operation", "fault", "limit", "message")
        operation = data.get("operation", "*")
        if operation not in GROUPS and operation not in operations:
            raise ValueError(f"no such operation: {operation!r}; there are {', '.join((*GROUPS, *sorted(operations)))}")
        kinds = get_args(FaultKind)
        if data.get("fault") not in kinds:
            raise ValueError(f"fault must be {', '.join(kinds)}, not {data.get('fault')!r}")
        if sum(data.get(name) is not None for name in ("nth", "times", "probability")) > 1:
            raise ValueError("nth, times, probability: a fault takes at most one of them")
        probability = data.get("probability")
        if probability is not None and not (_is_number(probability) and 0 <= probability <= 1):
            raise ValueError(f"probability must be between 0 and 1, not {probability!r}")
        limit = data.get("limit")
        if limit is not None and limit not in LIMITS:
            raise ValueError(f"limit must be {', '.join(LIMITS)}, not {limit!r}")
        if data["fault"] == "slow" and not data.get("delay"):
            raise ValueError("delay: a slow response needs its delay in seconds, such as 2")
        status = _status(data.get("status", 500 if limit is None else 429))
        if limit is not None and status != 429:
            raise ValueError(f"status: {status} does not go with limit; use 429 or leave status out")
        return cls(
            operation=operation,
            fault=data["fault"],
            nth=_positive(data, "nth"),
            times=_positive(data, "times"),
            probability=probability,
            status=status,
            headers=_headers(data.get("headers") or {}),
            message=str(data.get("message", cls.__dataclass_fields__["message"].default)),
            limit=limit,
            wait=_number(data, "wait", lowest=-1e6, highest=1e6),
            delay=_number(data, "delay", highest=_LONGEST_DELAY) or 0.0,
            hours=_number(data, "hours", highest=1e5) or 0.0,
            seconds=_number(data, "seconds", highest=1e9),
        )

    def headers_at(self, now: datetime) -> tuple[tuple[str, str], ...]:
        """Return the headers of the response at `now`, rate-limit headers included."""
        if self.limit is None:
            return self.headers
        return (*rate_limit_headers(self.limit, now, remaining=0, wait=self.wait), *self.headers)

    def applies_to(self, operation: str, method: str) -> bool:
        """Return whether the fault applies to a call."""
        return self.operation in ("*", operation, "read" if method in ("GET", "HEAD") else "write")


def rate_limit_headers(
    family: RateLimitFamily, now: datetime, *, remaining: int, wait: float | None
) -> tuple[tuple[str, str], ...]:
    """Return the headers of one family of rate limits.

    Args:
        family: One of `LIMITS`.
        now: The time of the response.
        remaining: The calls left, for the families that report it.
        wait: Seconds from `now` to the reset, negative for one in the past; None leaves out the reset header.
    """
    reset = None if wait is None else now + timedelta(seconds=wait)
    match family:
        case "retry-after":
            return () if wait is None else (("retry-after", f"{wait:g}"),)
        case "retry-after-date":
            return (
                () if reset is None else (("retry-after", format_datetime(reset.replace(microsecond=0), usegmt=True)),)
            )
        case "global" | "route":
            name, reset_name = f"x-ratelimit-{family}-remaining", "x-ratelimit-reset"
        case "token":
            name, reset_name = "x-ratelimit-auth-token-remaining", "x-ratelimit-auth-token-reset"
        case _:
            assert_never(family)
    headers = ((name, str(remaining)),)
    return headers if reset is None else (*headers, (reset_name, str(int(reset.timestamp() * 1000))))


@dataclass(slots=True)
class _ActiveFault:
    """A fault, the time at which it was added, and the number of calls to which it has applied."""

    fault: Fault
    active_since: datetime
    calls: int = 0

    def triggers(self, rng: random.Random) -> bool:
        self.calls += 1
        if self.fault.probability is not None:
            return rng.random() < self.fault.probability
        if self.fault.nth is not None:
            return self.calls == self.fault.nth
        if self.fault.fault == "hidden":
            return True
        return self.calls <= (self.fault.times or 1)

    @property
    def exhausted(self) -> bool:
        if self.fault.fault == "hidden":
            return False
        last = self.fault.nth or self.fault.times or 1
        return self.fault.probability is None and self.calls >= last


@dataclass(slots=True)
class _Created:
    """The creation time of a resource, and the number of its reads since."""

    at: datetime
    reads: int = 0


@dataclass(frozen=True, slots=True)
class TriggeredFault:
    """A fault that applies to a call, and the time at which it was added."""

    fault: Fault
    active_since: datetime


@dataclass(slots=True)
class Faults:
    """The active faults in the order in which they were added. The first that applies to a call is triggered."""

    seed: int
    _active: list[_ActiveFault] = field(default_factory=list)
    _created: dict[str, _Created] = field(default_factory=dict)
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.seed}/faults")  # noqa: S311 - repeatable on purpose

    def add(self, fault: Fault, now: datetime) -> None:
        """Add a fault at the time `now`."""
        self._active.append(_ActiveFault(fault, now))

    def trigger(self, operation: str, method: str, path: str, now: datetime) -> TriggeredFault | None:
        """Count a call and return the fault that it triggers, or None."""
        if not self._active:
            return None
        triggered = None
        for active in self._active:
            fault = active.fault
            if not fault.applies_to(operation, method):
                continue
            if fault.fault == "hidden" and (method != "GET" or not self._is_hidden(fault, path, now)):
                continue
            if active.triggers(self._rng):
                triggered = TriggeredFault(fault, active.active_since)
                break
        self._active = [active for active in self._active if not active.exhausted]
        return triggered

    def record_creation(self, path: str, now: datetime) -> None:
        """Record the path of a new resource, in case a `hidden` fault applies to it."""
        if any(active.fault.fault == "hidden" for active in self._active):
            self._created[path] = _Created(now)

    def _is_hidden(self, fault: Fault, path: str, now: datetime) -> bool:
        created = self._created.get(path)
        if created is None:
            return False
        if fault.seconds is not None:
            return now < created.at + timedelta(seconds=fault.seconds)
        created.reads += 1
        return created.reads <= (fault.times or 1)

    def clear(self) -> None:
        """Remove every fault."""
        self._active.clear()
        self._created.clear()

    def active(self) -> list[Fault]:
        """Return the faults that can still be triggered."""
        return [active.fault for active in self._active]


def _check_texts(data: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if not isinstance(data.get(name), str | None):
            raise ValueError(f"{name} must be a text, not {data[name]!r}")  # noqa: TRY004 - a wrong value to its caller


def _headers(headers: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(headers, dict):
        raise ValueError(f"headers must be an object of names and values, not {headers!r}")  # noqa: TRY004 - a wrong value to its caller
    for name, value in headers.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(str(value))):
            raise ValueError(f"headers: {name}: {value} is not a header; use printable ASCII characters")
    return tuple((name.lower(), str(value)) for name, value in headers.items())


def _positive(data: Mapping[str, Any], name: str) -> int | None:
    value = data.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{name} must be a whole number from 1, not {value!r}")
    return value


def _status(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 400 <= value <= 599:
        raise ValueError(f"status must be between 400 and 599, not {value!r}")
    return value


def _number(data: Mapping[str, Any], name: str, *, highest: float, lowest: float = 0.0) -> float | None:
    value = data.get(name)
    if value is not None and not (_is_number(value) and lowest <= value <= highest):
        raise ValueError(f"{name} must be a number from {lowest:g} to {highest:g}, not {value!r}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
