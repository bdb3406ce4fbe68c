"""The part of a rollout that pages show, whichever of its tasks leaves the note. Pure; imports no Airflow."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.rollout.options import Autonomy
from airflow_provider_launchdarkly.rollout.serving import treatments_served
from airflow_provider_launchdarkly.rollout.words import retirement_in_words

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.change_windows.window import ChangeWindow
    from airflow_provider_launchdarkly.rollout.spec import Rollout


def shown_rollout(rollout: Rollout, group_id: str | None) -> dict[str, Any]:
    """Return the ladder of a rollout and who is asked, as plain JSON.

    Args:
        rollout: The rollout.
        group_id: Id of its task group; None where its tasks are in none.

    Returns:
        Shares are percentages. ``stage``, None here, is for the task: the number of its stage, from one.
    """
    stages = [
        {
            "name": each.name,
            "shares": treatments_served(rollout, number),
            "gate": each.gate.value,
            "days": (each.dwell or rollout.policy.max_duration) / timedelta(days=1),
            "asks": rollout.asks_before(number),
            "notes": each.notes,
        }
        for number, each in enumerate(rollout.stages)
    ]
    return {
        "group": group_id,
        "name": rollout.experiment.name,
        "flag": rollout.experiment.flag,
        "hypothesis": rollout.experiment.hypothesis,
        "stage": None,
        "stages": stages,
        "asks_before_ship": rollout.asks_before_ship,
        "observes": rollout.autonomy is Autonomy.OBSERVE,
        "users": list(rollout.approval.users),
        "otherwise": rollout.approval.otherwise.value,
        "days_to_answer": rollout.approval.timeout / timedelta(days=1),
        "inconclusive": rollout.endings.inconclusive.value,
        "afterwards": retirement_in_words(rollout) or None,
        "release": (
            None
            if rollout.release is None
            else {"kind": rollout.release.kind_in_words, "steps": rollout.release.steps_in_words}
        ),
        "reviewers": list(rollout.launchdarkly_approval.reviewers) if rollout.launchdarkly_approval else [],
        "window": window_in_words(rollout.change_window) if rollout.change_window else None,
    }


def window_in_words(window: ChangeWindow) -> str:
    """Return ``09:00-16:00 on mon, tue, Europe/Berlin``."""
    days = ", ".join(day.value for day in window.weekdays)
    return f"{', '.join(window.hours)} on {days}, {window.timezone}"
