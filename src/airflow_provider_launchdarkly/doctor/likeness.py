"""The emulator's settings with which it behaves like the account."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Likeness:
    """The emulator's settings that checks have found so far.

    Attributes:
        switches: Positions of the emulator's switches, by name.
        role: Role of the token: ``reader``, ``writer``, ``admin`` or ``custom``; None where unknown.
        service: Whether it is a service token; None where unknown.
        clock_ahead: Seconds by which LaunchDarkly's clock is ahead of this machine's; None where unknown.
        warehouse: Settings of the emulator's warehouse, by name.
    """

    switches: dict[str, str] = field(default_factory=dict)
    role: str | None = None
    service: bool | None = None
    clock_ahead: int | None = None
    warehouse: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the settings for ``airflow-launchdarkly emulator --like``; what is unknown is left out."""
        token = {"role": self.role, "service": self.service}
        found: dict[str, Any] = {
            "switches": dict(sorted(self.switches.items())),
            "token": {name: value for name, value in token.items() if value is not None},
            "clock_ahead_seconds": self.clock_ahead,
            "warehouse": dict(self.warehouse),
        }
        return {name: value for name, value in found.items() if value not in (None, {})}
