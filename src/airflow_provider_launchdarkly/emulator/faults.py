"""What goes wrong on purpose: rules that say which calls fail, and how. Cutting connections is the server's part."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

FaultKind = Literal["status", "status_after", "close_before", "close_after"]
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
    """One rule.

    Attributes:
        operation: the operation that fails, `read` (every GET), `write` (everything else) or `*`.
        fault: `status` answers with an error and does nothing; `status_after` does what was asked, then answers with
            the error; `close_before` and `close_after` close the connection without an answer, before or after doing
            what was asked.
        nth: fail only the nth call from now on, counted from 1.
        times: fail that many calls from now on; 1 unless `nth` or `probability` is given.
        probability: fail each call with this probability, drawn from the emulator's seed.
        status: the status to answer with.
        headers: more headers for that answer.
        message: its message.
    """

    operation: str
    fault: FaultKind
    nth: int | None = None
    times: int | None = None
    probability: float | None = None
    status: int = 500
    headers: tuple[tuple[str, str], ...] = ()
    message: str = "injected by the emulator"

    @classmethod
    def from_json(cls, data: Mapping[str, Any], operations: Collection[str]) -> Fault:
        """Read a rule as the control route takes it.

        Raises:
            ValueError: a field is unknown, missing or out of range.
        """
        known = set(cls.__dataclass_fields__)
        for name in data:
            if name not in known:
                raise ValueError(f"a fault has no field {name!r}; it has {', '.join(sorted(known))}")
        operation = data.get("operation", "*")
        if operation not in GROUPS and operation not in operations:
            raise ValueError(f"no such operation: {operation!r}; there are {', '.join((*GROUPS, *sorted(operations)))}")
        kinds = get_args(FaultKind)
        if data.get("fault") not in kinds:
            raise ValueError(f"fault must be {', '.join(kinds)}, not {data.get('fault')!r}")
        if sum(data.get(name) is not None for name in ("nth", "times", "probability")) > 1:
            raise ValueError("a fault has one of nth, times and probability")
        probability = data.get("probability")
        if probability is not None and not (_is_number(probability) and 0 <= probability <= 1):
            raise ValueError(f"probability must be between 0 and 1, not {probability!r}")
        headers = data.get("headers") or {}
        if not isinstance(headers, dict):
            raise ValueError("headers must be an object of names and values")  # noqa: TRY004 - a wrong value to its caller
        return cls(
            operation=operation,
            fault=data["fault"],
            nth=_positive(data, "nth"),
            times=_positive(data, "times"),
            probability=probability,
            status=_status(data.get("status", 500)),
            headers=tuple((str(name).lower(), str(value)) for name, value in headers.items()),
            message=str(data.get("message", cls.__dataclass_fields__["message"].default)),
        )

    @property
    def code(self) -> str:
        """The error code that goes with its status."""
        return CODES.get(self.status, "error")

    def concerns(self, operation: str, method: str) -> bool:
        """Whether a call falls under this rule."""
        return self.operation in ("*", operation, "read" if method in ("GET", "HEAD") else "write")


@dataclass(slots=True)
class _Armed:
    fault: Fault
    seen: int = 0

    def strikes(self, chance: random.Random) -> bool:
        self.seen += 1
        if self.fault.probability is not None:
            return chance.random() < self.fault.probability
        if self.fault.nth is not None:
            return self.seen == self.fault.nth
        return self.seen <= (self.fault.times or 1)

    @property
    def spent(self) -> bool:
        last = self.fault.nth or self.fault.times or 1
        return self.fault.probability is None and self.seen >= last


@dataclass(slots=True)
class Faults:
    """The rules in force, in the order they were set; of several that apply the first strikes."""

    seed: int
    _armed: list[_Armed] = field(default_factory=list)
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(f"{self.seed}/faults")  # noqa: S311 - repeatable on purpose

    def add(self, fault: Fault) -> None:
        """Put a rule in force."""
        self._armed.append(_Armed(fault))

    def strike(self, operation: str, method: str) -> Fault | None:
        """Count a call against the rules, and say how it fails, if it does."""
        if not self._armed:
            return None
        struck = None
        for armed in self._armed:
            if armed.fault.concerns(operation, method) and armed.strikes(self._chance):
                struck = armed.fault
                break
        self._armed = [armed for armed in self._armed if not armed.spent]
        return struck

    def clear(self) -> None:
        """Take every rule back."""
        self._armed.clear()

    def in_force(self) -> list[Fault]:
        """The rules that can still strike."""
        return [armed.fault for armed in self._armed]


def _positive(data: Mapping[str, Any], name: str) -> int | None:
    value = data.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{name} must be a whole number from 1, not {value!r}")
    return value


def _status(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 400 <= value <= 599:
        raise ValueError(f"status must be between 400 and 599, not {value!r}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
