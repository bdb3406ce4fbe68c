"""The question before a wave.

Airflow's human-in-the-loop operator takes a seventh of a second to import, so only waves that ask import this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.rollout.answers import Answer
from airflow_provider_launchdarkly.rollout.options import ApprovalOption
from airflow_provider_launchdarkly.rollout.reminded_question import RemindedQuestionOperator
from airflow_provider_launchdarkly.rollout.wave_tally import together

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.rollout.wave_steps import Board
    from airflow_provider_launchdarkly.rollout.wave_tally import Tally


class LaunchDarklyApproveWaveOperator(RemindedQuestionOperator):
    """Ask whether a wave may start, and show how the targets before it stand. Internal.

    Nothing is under way then, so nothing is watched. Safe to repeat: a retry or a clear asks again.

    Args:
        board: What the tasks of the waves know of each other.
        targets: The targets of the wave.
        notes: Notes for the person.
        kwargs: As for :class:`RemindedQuestionOperator`.

    Returns:
        The answer, as Airflow's human-in-the-loop operator returns it.
    """

    ui_color = "#fff3d6"
    ui_fgcolor = "#1a1f36"

    def __init__(self, *, board: Board, targets: Sequence[str], notes: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.board = board
        self.targets = list(targets)
        self.notes = notes
        self.offered = (
            Answer(ApprovalOption.APPROVE, "the wave starts."),
            Answer(ApprovalOption.REJECT, "nothing further starts. So it is without an answer in time."),
        )

    @override
    def execute(self, context: Context) -> Any:
        """Ask."""
        tally = self.board.tally(context, *self.board.rollouts)
        texts = [
            f"**So far**: {tally.numbers}.",
            f"**Who gets what now**: {self._now(context, tally)}.",
            f"**This wave**: {', '.join(self.targets)}.",
            "\n".join(f"- {answer.markdown}" for answer in self.offered),
            self.notes,
        ]
        self.body = "\n\n".join(filter(None, texts))
        self.log.info("%s\n\n%s", self.subject, self.body)
        return super().execute(context)

    @override
    def remind(self, context: Context, number: int, until: datetime | None) -> None:
        """Tell people that the question is still open, and who gets what by now."""
        self._now(context, self.board.tally(context, *self.board.rollouts))
        super().remind(context, number, until)

    def _now(self, context: Context, tally: Tally) -> str:
        """Return who gets what, and put it where the messages find it. The answer takes its place."""
        now = together(self.board.served(context, tally))
        ti: Any = context["ti"]
        runs = f"{len(tally.standings)} targets in {self.board.waves} waves"
        ti.xcom_push(key="return_value", value={"now": now, "runs": runs})
        return now
