"""The part of the reading model on what nobody watches any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

NOT_WATCHED = "Nobody watches this experiment."


@dataclass(frozen=True, slots=True)
class Unwatched:
    """People get something new, and Airflow does not watch it.

    Attributes:
        since: When the waiting ended.
        why: Why, in a sentence.
        serves: Who gets what, in a sentence.
        cure: What a person has to do, in a sentence.
        task_id: The task to clear; None if there is none.
        what: What nobody watches, as a sentence.
    """

    since: datetime | None
    why: str
    serves: str
    cure: str
    task_id: str | None = None
    what: str = NOT_WATCHED
