"""The names, descriptions and questions of a rollout's tasks in Airflow's UI. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.rollout.ending_settings import counted
from airflow_provider_launchdarkly.rollout.options import Ending, Gate, RetireMode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.rollout.spec import Rollout

VERDICT = (
    "Says how the rollout ends, and why. Before a winner ships, the results are judged again if a person was asked or "
    "the change window was awaited. Writes nothing in LaunchDarkly."
)

ENDINGS: Mapping[Ending, str] = {
    Ending.SHIP: "A treatment won: it is stopped with the winner, and the flag serves the winner to everyone.",
    Ending.ROLLBACK: "A metric was harmed: the experiment is stopped, and everyone gets the baseline.",
    Ending.INCONCLUSIVE: "No treatment won. `endings.inconclusive` says whether the experiment stops on the baseline.",
    Ending.REFUSED: (
        "A person said no, or nobody answered in time. `endings.refused` and `approval.otherwise` say whether the "
        "experiment goes on as it is or stops on the baseline."
    ),
    Ending.INVALID: "The data cannot be judged. Nothing is changed; a person has to look.",
    Ending.REGRESSED: "The release of the winner went back, so everyone gets the baseline.",
}

RELEASE_START = (
    "Only with a winner: ends the iteration on its baseline, and starts the winner's release in its place. It does "
    "neither twice."
)
RELEASE_WATCH = (
    "Waits until the release has reached everyone, has gone back, or waits because a metric regressed. Goes on waiting "
    "while it is paused for any other reason."
)

UNWATCHED = (
    "Fails, and tells what runs and who gets what, if the rollout stopped before it came to an ending. Then no "
    "guardrail is watched. Skipped after every ending."
)


RETIRE_WAIT = (
    "Only if the experiment has ended: waits until the flag has served the same to everyone for long enough, by "
    "LaunchDarkly's clock. Ends at once if it does not serve it any more. Writes nothing."
)


def retire_flag(rollout: Rollout) -> str:
    """Return the description of the task that retires the flag."""
    return f"Judges the flag, then: {retirement_in_words(rollout)}. Else it stays, and the output says why."


def retirement_in_words(rollout: Rollout) -> str:
    """Return what becomes of the flag after the end, such as ``propose to retire flag button once …``; or nothing.

    Args:
        rollout: The rollout.
    """
    retire = rollout.retire
    if retire is None:
        return ""
    key = rollout.experiment.flag
    match retire.mode:
        case RetireMode.PROPOSE:
            what = f"propose to retire flag {key}"
        case RetireMode.ARCHIVE:
            what = f"archive flag {key} and its experiments"
        case unknown:
            assert_never(unknown)
    places = ", ".join(counted(retire.environments, rollout.environment or "the connection's environment"))
    where = f"in {places}" if places else "in all environments"
    known = ", and code references are known" if retire.require_code_references else ""
    return (
        f"{what} once everyone has got the same {where} for {format_duration(retire.served_for)}, if nothing uses "
        f"it{known}"
    )


def stage_tasks(rollout: Rollout, number: int) -> Mapping[str, dict[str, Any]]:
    """Return the display name and the description of each task of a stage, by the task's id within the stage.

    Args:
        rollout: The rollout.
        number: The stage's number, from 0.
    """
    stage, title = rollout.stages[number], rollout.title_of(number)
    share = f"{rollout.share_of_new(stage).normalize():f} %"
    longest = format_duration(stage.dwell or rollout.policy.max_duration)
    match stage.gate:
        case Gate.GUARDRAILS:
            watched = f"Watches the guardrails and the split for {longest}. Harm ends the rollout on the baseline."
        case Gate.DECISION:
            watched = f"Waits for a winner, harm, or the plan's end, for {longest} at most."
        case Gate.NONE:
            watched = f"Waits for {longest}. Nothing is judged."
        case unknown:
            assert_never(unknown)
    texts = {
        "approve": (f"approve {title}", f"Asks a person whether {title} may start: {share} get something new."),
        "window": (f"window for {title}", f"Waits for the change window before {title} starts."),
        "start": (
            f"start {title}: {share}",
            f"Creates and starts the iteration of {title}: {share} get something new.",
        ),
        "watch": (f"watch {title}", watched),
    }
    return {task: {"task_display_name": name, "doc_md": text} for task, (name, text) in texts.items()}


def ship_question(rollout: Rollout) -> str:
    """Return the question before shipping."""
    return f"Ship the winner of {rollout.experiment.key} to everyone?"


def stage_question(rollout: Rollout, number: int) -> str:
    """Return the question before a stage.

    Args:
        rollout: The rollout.
        number: The stage's number, from 0.
    """
    share = rollout.share_of_new(rollout.stages[number])
    return f"Start {rollout.title_of(number)} of {rollout.experiment.key}: {share.normalize():f} % get something new?"


def inconclusive_question(rollout: Rollout) -> str:
    """Return the question after an end without a winner."""
    return f"{rollout.experiment.key} ended without a winner. What now?"
