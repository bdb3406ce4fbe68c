"""Words on a rollout's questions: what each answer does, and what happens without one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, assert_never

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.rollout.options import ApprovalOption, Fallback, InconclusiveOption

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_launchdarkly.rollout.spec import Rollout


class Answer(NamedTuple):
    """An answer, or no answer by some time, and what it does.

    Attributes:
        answer: The option, or that there is no answer.
        does: What follows, as a sentence.
    """

    answer: str
    does: str

    @property
    def text(self) -> str:
        """Both, for a message."""
        return f"{self.answer}: {self.does}"

    @property
    def markdown(self) -> str:
        """Both, for the question's card."""
        return f"**{self.answer}**: {self.does}"


def approval_answers(
    rollout: Rollout, until: datetime, *, running: bool, number: int | None = None, winner: str = ""
) -> tuple[Answer, ...]:
    """Return what each answer to an approval does.

    Args:
        rollout: The rollout.
        until: The time to which an answer counts.
        running: True if an iteration is running.
        number: The number of the stage that would start, from 0; None for shipping.
        winner: The treatment that would be shipped.
    """
    if number is None:
        then = f"everyone gets {winner}"
    else:
        share = rollout.share_of_new(rollout.stages[number])
        then = f"{rollout.title_of(number)} starts, and {share.normalize():f} % get something new"
    again = " if the results still say so" if running else ""
    window = "once the change window is open, " if rollout.change_window else ""
    unanswered = _refused(rollout.when_refused(by_person=False), running=running)
    return (
        Answer(ApprovalOption.APPROVE, f"{window}{then}{again}."),
        Answer(ApprovalOption.REJECT, _refused(rollout.when_refused(by_person=True), running=running)),
        Answer(_no_answer(until), f"{unanswered} An answer after that does not count."),
    )


def inconclusive_answers(rollout: Rollout, until: datetime, *, last: bool) -> tuple[Answer, ...]:
    """Return what each answer does after an end without a winner.

    Args:
        rollout: The rollout.
        until: The time to which an answer counts.
        last: True if the last stage ended; only that one can be extended.
    """
    baseline = rollout.experiment.baseline.label
    longer = format_duration(rollout.endings.extension)
    extend = f"the experiment runs {longer} longer." if last else "not possible after this stage; it is left running."
    return (
        Answer(InconclusiveOption.TO_BASELINE, f"everyone gets {baseline}."),
        Answer(InconclusiveOption.EXTEND, extend),
        Answer(InconclusiveOption.LEAVE, "the experiment goes on as it is, and no guardrail is watched."),
        Answer(_no_answer(until), f"as for “{rollout.default_inconclusive_option}”."),
    )


def _refused(action: Fallback, *, running: bool) -> str:
    if not running:
        return "nothing starts, and the rollout ends."
    match action:
        case Fallback.HOLD:
            return "the rollout ends, the experiment goes on as it is, and no guardrail is watched."
        case Fallback.BASELINE:
            return "the experiment stops, and everyone gets the baseline."
        case unknown:
            assert_never(unknown)


def _no_answer(until: datetime) -> str:
    return f"No answer by {until:%Y-%m-%d %H:%M} UTC"
