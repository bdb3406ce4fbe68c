"""Read the file that `airflow-launchdarkly doctor --write` wrote: how an emulator behaves like the account."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_launchdarkly.emulator.fields import Fields
from airflow_provider_launchdarkly.emulator.state.files import read_text
from airflow_provider_launchdarkly.emulator.state.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Role = Literal["reader", "writer", "admin", "custom"]
ROLES: tuple[Role, ...] = ("reader", "writer", "admin", "custom")
_LONGEST_SKEW = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Likeness:
    """How an account differs from the emulator's defaults.

    Attributes:
        switches: Positions of switches, by name.
        role: The role of the emulator's own token.
        service: Whether that token is a service token.
        clock_ahead: How far the emulator's clock starts ahead of this machine's; negative for behind.
        warehouse: Options of the warehouse, by name.
    """

    switches: Mapping[str, str] = field(default_factory=dict)
    role: Role = "admin"
    service: bool = False
    clock_ahead: timedelta = timedelta()
    warehouse: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Any) -> Likeness:
        """Read the report of a doctor.

        Raises:
            ValueError: It is no such report, or has a switch, a position or a field that this emulator does not know.
        """
        if not isinstance(data, dict) or data.get("doctor") != 1 or not isinstance(data.get("emulator"), dict):
            raise ValueError("no report of airflow-launchdarkly doctor --write")
        fields = Fields(data["emulator"], "emulator")
        switches = dict(fields.child("switches").entries())
        Settings().changed(switches)
        token = fields.child("token")
        role, service = token.text("role") or "admin", token.take("service")
        if role not in ROLES:
            raise ValueError(f"emulator.token.role: {role!r} is not one of {', '.join(ROLES)}")
        if not isinstance(service, bool | None):
            raise ValueError(f"emulator.token.service: {service!r} is not true or false")  # noqa: TRY004 - a wrong value
        token.finish()
        ahead = fields.number("clock_ahead_seconds", 0.0, low=-_LONGEST_SKEW, high=_LONGEST_SKEW)
        warehouse = dict(fields.child("warehouse").entries())
        fields.finish()
        return cls(switches, role, bool(service), timedelta(seconds=ahead), warehouse)


def read_likeness(path: str | Path) -> Likeness:
    """Read the report of a doctor from a file.

    Raises:
        ValueError: The file cannot be read, or is no such report. The message names it.
    """
    text = read_text(path)
    try:
        return Likeness.from_dict(json.loads(text))
    except (ValueError, RecursionError) as error:
        why = "it is not JSON" if isinstance(error, json.JSONDecodeError) else str(error)
        raise ValueError(f"{path}: {why}") from None
