"""LaunchDarkly's own approval of what a rollout starts and stops: ask, wait, and check again before the write.

The waiting is that of :class:`.LaunchDarklyApprovedBaseOperator`. Once it ends, the task runs from its beginning, so
that it checks all that it checks before a write without an approval.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred

from airflow_provider_launchdarkly.api.errors import ConfigurationError, StateError
from airflow_provider_launchdarkly.notifications.events import Event
from airflow_provider_launchdarkly.retries import fail_unless_retryable
from airflow_provider_launchdarkly.rollout.options import Ending
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.telemetry import count
from airflow_provider_launchdarkly.templates.rendering import TypedTemplates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.http.procedure import Procedure, Response
    from airflow_provider_launchdarkly.api.writes.approved import ApprovalPendingError
    from airflow_provider_launchdarkly.change_windows.window import ChangeWindow
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.operators._approval import LaunchDarklyApprovedBaseOperator
    from airflow_provider_launchdarkly.operators._awaited import IterationAwaited, ReleaseAwaited
    from airflow_provider_launchdarkly.rollout.state_machine import Outcome
    from airflow_provider_launchdarkly.sensors._approval import Awaited


LOOK_EVERY = timedelta(hours=6)
"""How often what runs is judged while a task waits, if the policy has no `harm_looks`."""


class WindowShutError(StateError):
    """The change window is shut at the time of a write that waited for LaunchDarkly's approval. Nothing was written."""


def require_open(window: ChangeWindow, hook: LaunchDarklyHook, timezone: str | None = None) -> None:
    """Check that a change window is open now, by LaunchDarkly's clock.

    Args:
        window: The window.
        hook: The hook.
        timezone: Time zone that replaces the window's.

    Raises:
        WindowShutError: It is shut.
        ConfigurationError: It never opens, or its calendar cannot be read.
    """
    from airflow_provider_launchdarkly.change_windows.content_lines import CalendarError
    from airflow_provider_launchdarkly.change_windows.window import ChangeWindow, NeverOpenError
    from airflow_provider_launchdarkly.config.problems import InvalidSettingError

    now = hook.run(_clock())
    own = {"timezone": timezone} if timezone else {}
    try:
        opening = ChangeWindow.from_json({**window.to_json(), **own}).with_calendar().next_opening(now)
    except (CalendarError, NeverOpenError, InvalidSettingError) as error:
        raise ConfigurationError(str(error)) from error
    if opening > now:
        raise WindowShutError(
            f"the change window is shut at {now:%Y-%m-%d %H:%M} UTC, until {opening:%Y-%m-%d %H:%M} UTC, so an "
            "approval that comes by now writes nothing. Nothing was changed. Clear the task `window` before this one "
            "with all that follows: it waits for the window, and the approval is asked for anew"
        )


class HandOver(NamedTuple):
    """A change that a person may have to make in LaunchDarkly, and what people get until then.

    Attributes:
        what: The change, as what follows ``to``: ``stop iteration …``.
        experiment_key: The experiment.
        iteration_id: The iteration.
        stage: Number of the stage that runs until then, from 0; None if none does.
        ended_at: Number of the stage at which the experiment has ended for the release that is to start, from 0; None
            for every other change.
        harm: True if that stage is harmful, so that the change is a rollback.
        by_person: True if only a person may make it, as nobody was asked in Airflow.
        now: Who gets what until then, if no stage says it.
        details: How to make it; empty if there is nothing to choose.
        reviewed_at: Where the approval request for it is reviewed, its flag in LaunchDarkly; None if there is none, as
            LaunchDarkly's API takes none.
        ending: How the release of the winner has ended, if it is a change after that.
    """

    what: str
    experiment_key: str
    iteration_id: str
    stage: int | None
    harm: bool = False
    by_person: bool = False
    now: str | None = None
    details: str = ""
    ended_at: int | None = None
    reviewed_at: str | None = None
    ending: Ending | None = None

    @property
    def event(self) -> Event:
        """The event that is told. Harm that nobody can end but a person is as urgent as an experiment left alone."""
        return Event.UNWATCHED if self.harm else Event.ASKED

    def told(self, reviewers: Sequence[str], until: str) -> dict[str, Any]:
        """Return what is told of it, in the form of a task's output.

        Args:
            reviewers: Who reviews.
            until: When the task stops waiting, in ISO 8601.
        """
        at = f"{datetime.fromisoformat(until):%Y-%m-%d %H:%M} UTC"
        how = f": {self.details}" if self.details else ""
        common = {
            "experiment_key": self.experiment_key,
            "iteration_id": self.iteration_id,
            "wanted_by": until,
            "now": self.now,
        }
        if self.reviewed_at is not None:
            return {
                "why": f"LaunchDarkly demands an approval: a person has to {self.what}",
                **common,
                "follows": "The task applies the request once it is approved. If nobody approves it by "
                f"{at}, the task deletes it and fails.",
                "do": [f"Review it in LaunchDarkly by {at}: {self.reviewed_at} Reviewers: {', '.join(reviewers)}."],
            }
        served = "People get the harmful stage until somebody does. " if self.harm else ""
        return {
            "why": f"LaunchDarkly demands an approval to {self.what}, and takes no request for it from its API",
            **common,
            "follows": f"{served}The rollout goes on once LaunchDarkly shows the change. If it does not show by {at}, "
            "the task fails.",
            "do": [f"Request and apply it in LaunchDarkly by {at}{how}. Reviewers: {', '.join(reviewers)}."],
        }


def _wait_for_a_look(rollout: Rollout, waits: Mapping[str, Any], now: datetime) -> TaskDeferred:
    """Return the deferral until the next look at what runs, or until the waiting ends.

    Args:
        rollout: The rollout.
        waits: ``until``, when the waiting ends, in ISO 8601, and the trigger's ``arguments`` for all of it.
        now: LaunchDarkly's time.
    """
    from airflow_provider_launchdarkly.sensors._approval import trigger_for_a_part

    until = datetime.fromisoformat(waits["until"])
    due = min(until, now + (rollout.policy.harm_looks or LOOK_EVERY))
    trigger = trigger_for_a_part(waits["arguments"], until, due)
    return TaskDeferred(trigger=trigger, method_name="execute_complete", kwargs={"waits": dict(waits)})


def _clock() -> Procedure[datetime]:
    """Read LaunchDarkly's clock."""
    from airflow_provider_launchdarkly.api.endpoints import get_caller_identity

    response: Response[Any] = yield get_caller_identity()
    return response.server_time


def stop_in_words(
    rollout: Rollout, found: Outcome, experiment_key: str, confirmation: Mapping[str, Any] | None
) -> HandOver:
    """Return the stop of a rollout's ending as a person may have to make it.

    Args:
        rollout: The rollout.
        found: The outcome.
        experiment_key: The experiment.
        confirmation: The last check before a ship, a :class:`.Confirmation` as plain JSON; None without one.
    """
    by_person = found.ending is Ending.SHIP and bool((confirmation or {}).get("by_person"))
    harm = found.ending is Ending.ROLLBACK
    winner = found.verdict.get("treatment") if found.ending is Ending.SHIP and found.verdict else None
    iteration_id = str(found.iteration_id)
    what = f"stop iteration {iteration_id} of {experiment_key} on {winner or rollout.experiment.baseline.label}"
    told = f"{what}, after harm" if harm else what
    return HandOver(told, experiment_key, iteration_id, found.stage, harm=harm, by_person=by_person)


class WaitsForApproval(TypedTemplates):
    """The part of a rollout's task that waits for LaunchDarkly's approval of its write, before the operator itself."""

    # What ended the waiting, while the task goes on after it; None before.
    awaited: Awaited | None = None
    # What is told of the change that a person has to make, while it is told.
    handed_over: Mapping[str, Any] | None = None
    # The verdict of the last check before the write, which is told if it found harm or another's change.
    last_check: Mapping[str, Any] | None = None
    # Id of the ending that may have stopped the iteration of a ship before a clear. `experiment_rollout` sets it.
    rollback: str | None = None
    # Time zone that replaces the change window's.
    timezone: str | None = None
    # Airflow notifiers of the user, which are told of it too. `experiment_rollout` sets it.
    notifiers: Sequence[Any] = ()

    def execute_complete(
        self, context: Context, event: Mapping[str, Any] | None = None, waits: Mapping[str, Any] | None = None
    ) -> Any:
        """Go on after the waiting: check again, write what was approved, and confirm it.

        Args:
            context: The task's.
            event: The trigger's.
            waits: What is waited for, if the trigger ended for a look at what runs meanwhile.

        Raises:
            AirflowFailException: It was declined, deleted or not approved in time, or must not be written any more.
            AirflowSkipException: A check before the write withholds a start or a ship.
            LaunchDarklyError: Another try may succeed; Airflow's ``retries`` apply.
        """
        from airflow_provider_launchdarkly.sensors._approval import awaited_by, still_waits

        operator: Any = self
        with fail_unless_retryable():
            self.read_fields()
            self.awaited = awaited_by(event)
            if waits is not None:
                rollout = Rollout.from_json(operator.rollout)
                now = self._hook(rollout).run(_clock())
                goes_on = still_waits(event or {}) and now < datetime.fromisoformat(waits["until"])
                if goes_on and not self._look(rollout, context):
                    raise _wait_for_a_look(rollout, waits, now)
                if self.awaited.until is not None:
                    self.awaited = self.awaited._replace(until=waits["until"])
            return operator.act(context)

    def _look(self, rollout: Rollout, context: Context) -> bool:
        """Return whether a look at what runs ends the waiting. Trouble does not: it is logged and counted."""
        try:
            return self.ends_waiting(rollout, context)
        except Exception as error:  # noqa: BLE001 - whatever a warehouse's driver raises ends no waiting
            count("unwatched")
            self.warn("Guardrails not watched, the waiting goes on: %s: %s", type(error).__name__, error)
            return False

    def ends_waiting(self, rollout: Rollout, context: Context) -> bool:  # noqa: ARG002 - for those that override it
        """Return whether the task is to go on now: what runs does harm, or somebody has made the change.

        Args:
            rollout: The rollout.
            context: The task's.
        """
        return False

    def hand_over_of(
        self,
        rollout: Rollout,  # noqa: ARG002 - for those that override it
        change: HandOver,
        wanted: IterationAwaited | ReleaseAwaited,  # noqa: ARG002
    ) -> HandOver:
        """Return the change that a person has to make, as it is told.

        Args:
            rollout: The rollout.
            change: What the operator writes.
            wanted: What the operator waits for.
        """
        return change

    def write(
        self, operator: LaunchDarklyApprovedBaseOperator, rollout: Rollout, change: HandOver, context: Context
    ) -> Any:
        """Run the operator that writes; where LaunchDarkly demands an approval and there are reviewers, wait for it.

        Safe to repeat, as the operator is: what is asked for is adopted.

        Args:
            operator: The operator.
            rollout: The rollout.
            change: What it writes.
            context: The task's.

        Returns:
            The operator's output.

        Raises:
            ApprovalRequiredError: LaunchDarkly demands an approval, and the rollout names no reviewers.
            ConfigurationError: Nobody was asked in Airflow, and the rollout names no reviewers any more.
            ApprovalTimedOutError: Nobody approved it in time.
            LaunchDarklyError: As the operator raises.
        """
        approval = rollout.launchdarkly_approval
        if approval is None and change.by_person:
            raise ConfigurationError(
                f"nobody was asked in Airflow whether to {change.what}, as launchdarkly_approval.replaces_airflow was "
                "set then, and launchdarkly_approval is gone by now. Nothing was changed. Clear the task `approve` "
                "before this one with all that follows: it asks"
            )
        if approval is None:
            return operator.act(context)
        reviewers = approval.reviewers
        operator.reviewers = list(reviewers)
        operator.approval_timeout = approval.timeout
        operator.by_person = change.by_person
        operator.on_hand_over = lambda wanted, until: self._tell(
            rollout, self.hand_over_of(rollout, change, wanted), reviewers, until, context
        )
        operator.on_request = lambda pending: self._tell(
            rollout, self._request_of(rollout, change, pending), reviewers, str(pending.until), context
        )
        try:
            return operator.act_or_wait(context, self.awaited)
        except TaskDeferred as waiting:
            if change.stage is None or change.harm or not rollout.watch_while_waiting or operator.waits_until is None:
                raise
            waits = {"until": operator.waits_until.isoformat(), "arguments": dict(waiting.trigger.serialize()[1])}
            raise _wait_for_a_look(rollout, waits, operator.hook.run(_clock())) from None

    def _request_of(self, rollout: Rollout, change: HandOver, pending: ApprovalPendingError) -> HandOver:
        """Return the review of an approval request, which the write of a change waits for."""
        what = f"review approval request {pending.request_id} on flag {pending.flag_key}"
        return change._replace(what=what, details="", reviewed_at=self._hook(rollout).flag_url(pending.flag_key))

    def _hook(self, rollout: Rollout) -> LaunchDarklyHook:
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

        operator: Any = self
        return LaunchDarklyHook(rollout.connection, operator.project_key, operator.environment_key)

    def runs_on(self, rollout: Rollout, found: Outcome) -> bool:
        """Return whether the iteration of an outcome is running."""
        from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS

        operator: Any = self
        experiment = self._hook(rollout).get_experiment(operator.experiment_key, expand=ITERATIONS)
        iteration = experiment.iteration(str(found.iteration_id))
        return iteration is not None and iteration.running

    def ship_ends_waiting(self, rollout: Rollout, found: Outcome, context: Context) -> bool:
        """Return whether a ship that waits is to go on now: the winner does harm, or the iteration is stopped."""
        from airflow_provider_launchdarkly.rollout.confirmation import protective
        from airflow_provider_launchdarkly.rollout.judging import judged_again

        operator: Any = self
        if not self.runs_on(rollout, found):
            return True
        verdict: Mapping[str, Any] = found.verdict or {}
        fresh = judged_again(operator, rollout, verdict, found.stage, context, extended=found.extended)
        return protective(fresh) is not None

    def confirm_ship(self, rollout: Rollout, found: Outcome, context: Context) -> None:
        """Check the results, and then the change window, right before a ship; nothing if the winner is shipped already.

        The results come first: harm is no matter of the window. If they are not those of a winner any more, the new
        outcome is left as the XCom ``withheld``. The endings that follow read it only once this task has ended.

        Safe to repeat: it only reads, apart from the decision record. A try after a kill here judges again.

        Args:
            rollout: The rollout.
            found: The outcome, which ships.
            context: The task's.

        Raises:
            AirflowSkipException: The ship is withheld.
            WindowShutError: The change window is shut.
            LaunchDarklyError: The results could not be read.
        """
        from airflow_provider_launchdarkly.rollout.confirmation import confirm_ship
        from airflow_provider_launchdarkly.rollout.judging import is_shipped, judged_again
        from airflow_provider_launchdarkly.rollout.state_machine import outcome_after_confirmation
        from airflow_provider_launchdarkly.rollout.withheld import WITHHELD, verdict_of_rollback

        operator: Any = self
        verdict: Mapping[str, Any] = found.verdict or {}
        if is_shipped(rollout, verdict):
            return
        fresh = verdict_of_rollback(rollout, verdict, context, ship=None, rollback=self.rollback)
        fresh = fresh or judged_again(operator, rollout, verdict, found.stage, context, extended=found.extended)
        confirmation = confirm_ship(verdict, asked=False, answer=None, fresh=fresh)
        if confirmation.confirmed:
            self.require_open_window(rollout, self._hook(rollout))
            return
        told = confirmation.to_json()
        ends = outcome_after_confirmation(rollout, found, told)
        self.last_check = {**fresh, "stage": (found.stage or 0) + 1, WITHHELD: True}
        context["ti"].xcom_push(key=WITHHELD, value={**operator.outcome, **ends.to_json(), "confirmation": told})
        raise AirflowSkipException(f"the ship is withheld, {ends.ending} follows: {ends.why}")

    def require_open_window(self, rollout: Rollout, hook: LaunchDarklyHook) -> None:
        """Check that the change window is open now, by LaunchDarkly's clock, if approvals may be waited for.

        Raises:
            WindowShutError: It is shut.
            ConfigurationError: It never opens, or its calendar cannot be read.
        """
        if rollout.launchdarkly_approval is not None and rollout.change_window is not None:
            require_open(rollout.change_window, hook, self.timezone)

    def _note(self, rollout: Rollout, change: HandOver, reviewers: Sequence[str], until: str, context: Context) -> None:
        """Let the pages show what a person has to do."""
        from airflow_provider_launchdarkly.rollout.serving import treatments_served
        from airflow_provider_launchdarkly.sensors._notes import leave_hand_over

        hook = self._hook(rollout)
        env = hook.environment()
        about = {
            "project_key": env.project_key,
            "environment_key": env.environment_key,
            "experiment_key": change.experiment_key,
            "iteration_id": change.iteration_id,
        }
        leave_hand_over(
            self,
            context,
            about,
            stage=change.stage if change.ended_at is None else change.ended_at,
            url=change.reviewed_at or hook.experiment_url(change.experiment_key),
            treatments=treatments_served(rollout, change.stage, ended=change.ended_at is not None),
            what=change.what,
            details=change.details,
            reviewers=list(reviewers),
            until=until,
            harm=change.harm,
            release=change.ended_at is not None and change.ending is None,
            requested=change.reviewed_at is not None,
            ending=change.ending,
        )

    def _tell(self, rollout: Rollout, change: HandOver, reviewers: Sequence[str], until: str, context: Context) -> None:
        """Tell people at once what one of them has to do in LaunchDarkly. An error of a notifier is told in the log."""
        from airflow_provider_launchdarkly.rollout.telling import LaunchDarklyRolloutNotifier

        self._note(rollout, change, reviewers, until, context)
        self.handed_over = change.told(reviewers, until)
        for notifier in (
            LaunchDarklyRolloutNotifier(event=change.event, rollout=rollout, stage=change.stage),
            *self.notifiers,
        ):
            try:
                notifier(context)
            except Exception as error:  # noqa: BLE001 - telling is best effort, and the waiting has to begin
                self.warn("Not told: %s: %s", type(error).__name__, error)
