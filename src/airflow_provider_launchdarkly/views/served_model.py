"""The part of the reading model on how it is known who gets what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

WHILE_ON = "while the flag is on and its rule unchanged"


class KnownBy(StrEnum):
    """What it is known from who gets what."""

    FLAG = "flag"
    """The flag's configuration was read."""

    ALLOCATION = "allocation"
    """The iteration's allocation was read, and not its flag."""

    CHANGE = "change"
    """A task has set it; what became of it was not read since."""


@dataclass(frozen=True, slots=True)
class Served:
    """How it is known who gets what.

    Attributes:
        by: What it is known from.
        at: When that was read, or set; None where it is not known.
        now: True if it was read for this view.
    """

    by: KnownBy
    at: datetime | None = None
    now: bool = False
