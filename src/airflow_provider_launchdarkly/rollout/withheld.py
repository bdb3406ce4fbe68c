"""A ship that was withheld: what its task leaves for the endings that follow, and what a clear finds of it later.

The task ``ship`` checks the results once more before it writes. If they are not those of a winner any more, it skips
itself, and leaves the new outcome as the XCom ``withheld``. The ending of that outcome follows by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.rollout.options import Ending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.rollout.spec import Rollout

WITHHELD = "withheld"
"""Key of the XCom with the new :class:`.Outcome` as plain JSON, ``policy`` and ``confirmation``."""

ENDINGS = (Ending.ROLLBACK, Ending.INCONCLUSIVE, Ending.INVALID)
"""The endings that a withheld ship can lead to."""


def outcome_now(context: Context, outcome: Mapping[str, Any], ship: str | None) -> Mapping[str, Any]:
    """Return the outcome by which a rollout ends: the one of ``verdict``, or of its ship if that was withheld.

    Args:
        context: The task's.
        outcome: The output of ``verdict``.
        ship: Id of the task that ships; None if no ship is withheld there.
    """
    if ship is None or outcome.get("ending") != Ending.SHIP:
        return outcome
    ti: Any = context["ti"]
    withheld = ti.xcom_pull(task_ids=ship, key=WITHHELD, map_indexes=ti.map_index)
    # A verdict that was cleared by itself may be about another iteration by now.
    same = bool(withheld) and withheld.get("iteration_id") == outcome.get("iteration_id")
    return withheld if same else outcome


def verdict_of_rollback(
    rollout: Rollout, verdict: Mapping[str, Any], context: Context, *, ship: str | None, rollback: str | None
) -> Mapping[str, Any] | None:
    """Return the verdict by which this run has rolled an iteration back before; None if it has not.

    After a clear: what is stopped has no results to judge any more. What a task has left outlives a clear until the
    task runs again.

    Args:
        rollout: The rollout.
        verdict: The verdict that would ship.
        context: The task's.
        ship: Id of the task that ships.
        rollback: Id of the ending ``rollback``.

    Raises:
        LaunchDarklyError: The experiment could not be read.
    """
    from airflow_provider_launchdarkly.rollout.judging import is_stopped

    ti: Any = context["ti"]
    for task, key in ((rollback, "return_value"), (ship, WITHHELD)):
        known = None if task is None else ti.xcom_pull(task_ids=task, key=key, map_indexes=ti.map_index)
        if not known or known.get("ending") != Ending.ROLLBACK:
            continue
        if known.get("iteration_id") == verdict.get("iteration_id") and is_stopped(rollout, verdict):
            found: Mapping[str, Any] | None = known["verdict"]
            return found
    return None
