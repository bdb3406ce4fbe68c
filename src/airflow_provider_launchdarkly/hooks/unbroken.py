"""Let a call finish although its caller is cancelled.

A trigger asks its supervisor for a connection, an XCom or a person's answer. On Airflow 3.1, a trigger that is
cancelled before the reply has come ends the whole triggerer: the reply is read as the answer to the next question, and
Airflow gives up. Airflow cancels a trigger when its task is cleared or marked. So all that asks Airflow from a trigger
goes through here. Read in ``airflow/jobs/triggerer_job_runner.py`` of 3.1; 3.2 reads replies in a task of its own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

# The event loop holds tasks by weak references only.
_UNDER_WAY: set[asyncio.Task[Any]] = set()


async def unbroken(work: Coroutine[Any, Any, T]) -> T:
    """Return what the work returns, or raise what it raises.

    If the caller is cancelled, it ends at once, and the work goes on alone: nobody gets its result then.

    Args:
        work: A coroutine that has not begun. It has to end by itself.
    """
    task = asyncio.create_task(work)
    _UNDER_WAY.add(task)
    task.add_done_callback(_UNDER_WAY.discard)
    return await asyncio.shield(task)
