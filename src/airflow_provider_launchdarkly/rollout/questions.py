"""The questions of a rollout: each asks a person if its step is the next one, and shows the decision card.

Airflow's human-in-the-loop operator takes a seventh of a second to import, so only rollouts that ask import this.
"""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from typing_extensions import override

from airflow_provider_launchdarkly.retries import fail_unless_retryable
from airflow_provider_launchdarkly.rollout.answers import Answer, approval_answers, inconclusive_answers
from airflow_provider_launchdarkly.rollout.confirmation import LEFT_TO_LAUNCHDARKLY
from airflow_provider_launchdarkly.rollout.spec import Rollout, plain
from airflow_provider_launchdarkly.rollout.steps import (
    NOTHING_BEFORE,
    Entered,
    TasksBefore,
    entered_ship,
    entered_stage,
    failed_without_output,
)
from airflow_provider_launchdarkly.rollout.watched_question import WatchedQuestionOperator
from airflow_provider_launchdarkly.rollout.watching import watched_meanwhile
from airflow_provider_launchdarkly.rollout.words import inconclusive_question, ship_question, stage_question
from airflow_provider_launchdarkly.templates.rendering import TypedTemplates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.sensors._harm_watch import WatchedIteration


class LaunchDarklyQuestionOperator(TypedTemplates, WatchedQuestionOperator):
    """Ask a person, if the question's step is the next one; else skip. Internal.

    The iteration that runs meanwhile is watched for harm. Safe to repeat: a retry or a clear asks again, unless harm is
    seen by then. Nothing is written in LaunchDarkly.

    Args:
        rollout: The rollout.
        before: The tasks before it.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        poll_interval: Seconds between two polls of what is watched. Default: ``[launchdarkly] poll_interval``.
        kwargs: As for :class:`RemindedQuestionOperator`; `remind_after` is the rollout's.

    Returns:
        The answer, as Airflow's human-in-the-loop operator returns it; or the verdict that closed the question, as
        ``ended_by``; or ``left_to`` where LaunchDarkly's approval replaces it, and nobody is asked.
    """

    template_fields: Sequence[str] = (*WatchedQuestionOperator.template_fields, "project_key", "environment_key")
    ui_color = "#fff3d6"
    ui_fgcolor = "#1a1f36"

    def __init__(
        self,
        *,
        rollout: Rollout | Mapping[str, Any],
        before: TasksBefore = NOTHING_BEFORE,
        project_key: str | None = None,
        environment_key: str | None = None,
        poll_interval: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(remind_after=_model(rollout).approval.remind_after, **kwargs)
        self.rollout = plain(rollout)
        self.before = before
        self.project_key = project_key
        self.environment_key = environment_key
        self.poll_interval = poll_interval
        # What each answer does, and who gets what, once it is asked; the message about the question says both too.
        self.offered: tuple[Answer, ...] = ()
        self.served_now = ""

    @override
    def execute(self, context: Context) -> Any:
        """Ask, or skip."""
        with fail_unless_retryable(), failed_without_output():
            rollout = Rollout.from_json(self.rollout)
            entered = self.entered(rollout, context)
            if self.may_be_left(rollout) and self._demanded_there(rollout):
                return dict(LEFT_TO_LAUNCHDARKLY)
            until = datetime.now(UTC) + (_time_to_answer(self) or timedelta())
            self.body = self._card(rollout, entered, until, context)
        self.log.info("%s\n\n%s", self.subject, self.body)
        return super().execute(context)

    def may_be_left(self, rollout: Rollout) -> bool:  # noqa: ARG002 - for those that override it
        """Return whether LaunchDarkly's approval may replace this question."""
        return False

    def _demanded_there(self, rollout: Rollout) -> bool:
        """Return whether LaunchDarkly says that experiments need approvals; if it does not, a person is asked here."""
        from airflow_provider_launchdarkly.api.errors import NotFoundError, PermissionDeniedError
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

        self.read_fields()
        hook = LaunchDarklyHook(rollout.connection, self.project_key, self.environment_key)
        try:
            settings = hook.get_environment().resource_approval_settings.get("experiment")
        except (PermissionDeniedError, NotFoundError) as error:
            self.log.warning("Asked in Airflow, as LaunchDarkly's approval settings cannot be read: %s", error)
            return False
        if settings is None or not settings.required:
            self.log.info("Asked in Airflow, as LaunchDarkly's settings demand no approval of experiments here.")
            return False
        self.log.info("Nobody is asked in Airflow: a person makes the change in LaunchDarkly, with an approval there.")
        return True

    @override
    def remind(self, context: Context, number: int, until: datetime | None) -> None:
        """Tell people that the question is still open, what each answer does, and who gets what by now."""
        with fail_unless_retryable(), failed_without_output():
            rollout = Rollout.from_json(self.rollout)
            entered = self.entered(rollout, context)
            self.offered = tuple(self.answers(rollout, entered, until or datetime.now(UTC)))
            self.served_now = self._read_served(rollout, entered)
        super().remind(context, number, until)

    @override
    def watched(self, context: Context) -> WatchedIteration | None:
        """Return the iteration that runs meanwhile; None watches nothing."""
        with fail_unless_retryable(), failed_without_output():
            rollout = Rollout.from_json(self.rollout)
            return watched_meanwhile(rollout, self.entered(rollout, context), self.poll_interval, self.before)

    @abstractmethod
    def entered(self, rollout: Rollout, context: Context) -> Entered:
        """Return what the question is about.

        Raises:
            AirflowSkipException: Another step is the next one.
        """

    @abstractmethod
    def answers(self, rollout: Rollout, entered: Entered, until: datetime) -> Sequence[Answer]:
        """Return what each answer does, and no answer."""

    def notes(self, rollout: Rollout) -> str | None:
        """Return the author's notes that belong to the question."""
        return rollout.notes

    def _card(self, rollout: Rollout, entered: Entered, until: datetime, context: Context) -> str:
        """Return the question's text as Markdown: what is served, what each answer does, and the decision card."""
        self.served_now = self._read_served(rollout, entered)
        card = None if entered.verdict is None else self._decision_card(rollout, entered.verdict, context)
        self.offered = tuple(self.answers(rollout, entered, until))
        answers = "\n".join(f"- {answer.markdown}" for answer in self.offered)
        return "\n\n".join(
            filter(None, (f"**Who gets what now**: {self.served_now}.", answers, card, self.notes(rollout)))
        )

    def _read_served(self, rollout: Rollout, entered: Entered) -> str:
        """Read who gets what at this moment."""
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
        from airflow_provider_launchdarkly.rollout.served_now import Setting, served_now

        self.read_fields()
        verdict = entered.verdict or {}
        place = [verdict.get(name) or getattr(self, name) for name in ("project_key", "environment_key")]
        setting = Setting(rollout, verdict.get("experiment_key"), entered.iteration_id or None, entered.stage)
        return served_now(lambda: LaunchDarklyHook(rollout.connection, *place), setting).text

    def _decision_card(self, rollout: Rollout, verdict: Mapping[str, Any], context: Context) -> str:
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
        from airflow_provider_launchdarkly.links import experiment_page
        from airflow_provider_launchdarkly.notifications.cards import markdown_card

        page = experiment_page(getattr(context.get("ti"), "log_url", None))
        hook = LaunchDarklyHook(rollout.connection, verdict.get("project_key"), verdict.get("environment_key"))
        return markdown_card(verdict, url=hook.experiment_url(str(verdict["experiment_key"])), page=page)


class LaunchDarklyApproveStageOperator(LaunchDarklyQuestionOperator):
    """Ask whether a stage may start. Internal.

    Args:
        number: The stage's number, from 0.
        kwargs: As for :class:`LaunchDarklyQuestionOperator`.
    """

    def __init__(self, *, number: int, rollout: Rollout | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(rollout=rollout, subject=stage_question(_model(rollout), number), **kwargs)
        self.number = number

    @override
    def entered(self, rollout: Rollout, context: Context) -> Entered:
        """Return the verdict of the stage before."""
        return entered_stage(rollout, self.number, self.before, context)

    @override
    def answers(self, rollout: Rollout, entered: Entered, until: datetime) -> Sequence[Answer]:
        """Say what each answer does."""
        return approval_answers(rollout, until, running=entered.verdict is not None, number=self.number)

    @override
    def may_be_left(self, rollout: Rollout) -> bool:
        """Return whether LaunchDarkly's approval may replace it."""
        return rollout.may_leave_question(self.number)

    @override
    def notes(self, rollout: Rollout) -> str | None:
        """Return the stage's notes."""
        return rollout.stages[self.number].notes


class LaunchDarklyApproveShipOperator(LaunchDarklyQuestionOperator):
    """Ask whether the winner may be shipped. Internal.

    Args:
        kwargs: As for :class:`LaunchDarklyQuestionOperator`.
    """

    def __init__(self, *, rollout: Rollout | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(rollout=rollout, subject=ship_question(_model(rollout)), **kwargs)

    @override
    def may_be_left(self, rollout: Rollout) -> bool:
        """Return whether LaunchDarkly's approval may replace it."""
        return rollout.may_leave_question(None)

    @override
    def entered(self, rollout: Rollout, context: Context) -> Entered:
        """Return the verdict that ships."""
        return entered_ship(rollout, self.before, context)

    @override
    def answers(self, rollout: Rollout, entered: Entered, until: datetime) -> Sequence[Answer]:
        """Say what each answer does."""
        winner = str((entered.verdict or {}).get("treatment") or "the winner")
        return approval_answers(rollout, until, running=True, winner=winner)


class LaunchDarklyAskInconclusiveOperator(LaunchDarklyQuestionOperator):
    """Ask what to do with an experiment whose plan ended without a winner. Internal.

    Args:
        kwargs: As for :class:`LaunchDarklyQuestionOperator`.
    """

    def __init__(self, *, rollout: Rollout | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(rollout=rollout, subject=inconclusive_question(_model(rollout)), **kwargs)

    @override
    def entered(self, rollout: Rollout, context: Context) -> Entered:
        """Return the verdict without a winner."""
        from airflow_provider_launchdarkly.rollout.state_machine import outcome_of_stages

        found = outcome_of_stages(rollout, self.before.outputs(context).stages)
        if not found.undecided:
            raise AirflowSkipException(f"the stages ended {found.ending}: {found.why}")
        return Entered(found.verdict, found.stage)

    @override
    def answers(self, rollout: Rollout, entered: Entered, until: datetime) -> Sequence[Answer]:
        """Say what each option does."""
        return inconclusive_answers(rollout, until, last=entered.stage == len(rollout.stages) - 1)


def _model(rollout: Rollout | Mapping[str, Any]) -> Rollout:
    return rollout if isinstance(rollout, Rollout) else Rollout.from_json(rollout)


def _time_to_answer(operator: Any) -> timedelta | None:
    """Return how long an answer is waited for; before Airflow 3.3 that is the task's own timeout."""
    found: timedelta | None = getattr(operator, "response_timeout", None) or operator.execution_timeout
    return found
