"""Who wins, from what a DAG says: a treatment, the baseline, or the verdict of the sensor.

Pure, and deliberately unforgiving: stopping an iteration ships its winner to everyone, so only a `ship` verdict about
this very iteration names a treatment, and a verdict that is no ending names nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError

BASELINE = "baseline"


class WinnerError(LaunchDarklyError):
    """Nobody wins by what was given, so nothing may be stopped. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Winner:
    """Whom to stop the iteration with.

    Attributes:
        treatment: A treatment's id or name, or ``baseline``.
        reason: Why, for LaunchDarkly's record; None when the DAG gave none.
    """

    treatment: str
    reason: str | None = None


def choose_winner(winner: Any, *, experiment_key: str, iteration_id: str) -> Winner:
    """Read a DAG's ``winner``.

    Args:
        winner: A treatment's id or name, ``"baseline"``, or a verdict as the sensor returns it.
        experiment_key: The experiment about to be stopped.
        iteration_id: The iteration about to be stopped.

    Returns:
        The winner. ``ship`` names the verdict's treatment; ``rollback`` and ``inconclusive`` name the baseline.

    Raises:
        WinnerError: The verdict is ``invalid`` or ``wait``, is about something else, or is no verdict at all.
    """
    if isinstance(winner, str) and winner.strip():
        if winner.lstrip().startswith("{"):
            raise WinnerError(
                "winner is a verdict turned into text by a template; pass the sensor's output itself, "
                "as in winner=wait.output, or set render_template_as_native_obj=True on the DAG"
            )
        return Winner(winner.strip())
    if not isinstance(winner, Mapping) or "verdict" not in winner:
        raise WinnerError(
            f"winner is {winner!r}: name a treatment by id or name, write 'baseline', or pass the sensor's verdict"
        )
    for field, expected in (("experiment_key", experiment_key), ("iteration_id", iteration_id)):
        if winner.get(field) != expected:
            raise WinnerError(
                f"the verdict is about {field} {winner.get(field)!r}, but this task stops {expected!r}: "
                "nothing was stopped"
            )
    kind, summary = winner["verdict"], winner.get("summary")
    match kind:
        case "ship":
            treatment = winner.get("treatment_id")
            if not treatment:
                raise WinnerError("the verdict is ship but names no treatment_id: nothing was stopped")
            return Winner(str(treatment), summary)
        case "rollback" | "inconclusive":
            return Winner(BASELINE, summary)
        case "invalid":
            raise WinnerError(
                f"the verdict is invalid ({winner.get('reason')}): {summary}. Nothing was stopped, the flag is as it "
                "was. Find the cause, then stop with winner='baseline' or start a new iteration"
            )
        case _:
            raise WinnerError(f"the verdict is {kind!r}, which ends nothing: nothing was stopped")
