"""The winner of an iteration: a treatment, the baseline, or the choice of a verdict.

Pure, and strict on purpose: stopping an iteration ships its winner to everyone. So only a ``ship`` verdict about this
very iteration names a treatment, and ``wait`` and ``invalid`` name no winner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.config.problems import shown

BASELINE = "baseline"


class WinnerError(LaunchDarklyError):
    """``winner`` names no winner, so nothing is stopped. The message gives the reason and the cure."""


@dataclass(frozen=True, slots=True)
class Winner:
    """The winner of an iteration.

    Attributes:
        treatment: A treatment's id or name, or ``baseline``.
        reason: The verdict's summary; None if the DAG names the winner.
    """

    treatment: str
    reason: str | None = None


def choose_winner(winner: Any, *, experiment_key: str | None, iteration_id: str | None) -> Winner:
    """Read the ``winner`` argument.

    Args:
        winner: A treatment's id or name, ``"baseline"``, or the sensor's verdict.
        experiment_key: Key of the experiment to stop; None while it is not known.
        iteration_id: Id of the iteration to stop, likewise.

    Returns:
        The winner. ``ship`` names the verdict's treatment; ``rollback`` and ``inconclusive`` name the baseline.

    Raises:
        WinnerError: The verdict is ``invalid`` or ``wait``, is about another iteration, or is not a verdict.
    """
    if isinstance(winner, str) and winner.strip():
        if winner.lstrip().startswith("{"):
            raise WinnerError(
                "winner is a verdict turned into text by a template; pass the sensor's output itself, "
                "as in winner=wait.output, or set render_template_as_native_obj=True on the DAG"
            )
        return Winner(winner.strip())
    if not isinstance(winner, Mapping) or "verdict" not in winner:
        given = dict(winner) if isinstance(winner, Mapping) else winner
        raise WinnerError(
            f"winner is {shown(given)}: name a treatment by id or name, write 'baseline', or pass the sensor's verdict"
        )
    for field, expected in (("experiment_key", experiment_key), ("iteration_id", iteration_id)):
        if not isinstance(winner.get(field), str):
            raise WinnerError(
                f"winner has {field} {shown(winner.get(field))}, and a verdict names what it is about: pass the "
                "sensor's output as it is"
            )
        if expected is not None and winner[field] != expected:
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
                f"the verdict is invalid ({winner.get('reason')}): {summary}. Nothing was stopped, and the "
                "flag is unchanged. Find the cause, then stop with winner='baseline' or start a new iteration"
            )
        case _:
            raise WinnerError(
                f"the verdict is {kind!r}, which names no winner: nothing was stopped. Wait for another verdict, or "
                "name a treatment"
            )
