"""The internal operators of a rollout that start its stages and conclude it.

``experiment_rollout`` composes them; a DAG file does not use them directly. They keep the prefix ``LaunchDarkly``
because Airflow's UI shows the class of each task.

Each asks the state machine and skips itself if it is not the next step. A step that skips itself, instead of being
skipped by another task, is evaluated again whenever it is cleared, and works in a mapped task group.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, BaseOperator
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import IterationReplacedError, LaunchDarklyError
from airflow_provider_launchdarkly.assets import EVERY_EXPERIMENT
from airflow_provider_launchdarkly.operators._approval import withdraw_requests
from airflow_provider_launchdarkly.operators.experiments import LaunchDarklyCreateExperimentOperator
from airflow_provider_launchdarkly.operators.iterations import (
    LaunchDarklyCreateIterationOperator,
    LaunchDarklyStartIterationOperator,
)
from airflow_provider_launchdarkly.retries import fail_unless_retryable
from airflow_provider_launchdarkly.rollout.approved_writes import HandOver, WaitsForApproval, WindowShutError
from airflow_provider_launchdarkly.rollout.options import Ending
from airflow_provider_launchdarkly.rollout.spec import Rollout, plain
from airflow_provider_launchdarkly.templates.rendering import TypedTemplates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.operators._outputs import IterationOutput
    from airflow_provider_launchdarkly.rollout.confirmation import Confirmation
    from airflow_provider_launchdarkly.rollout.state_machine import SoFar


class Entered(NamedTuple):
    """The tasks that the next step follows on.

    Attributes:
        verdict: The verdict of the stage that was passed, or that ships; None before the first stage.
        stage: Number of that stage, from 0; None before the first stage.
        extended: True if that stage was extended.
    """

    verdict: Mapping[str, Any] | None = None
    stage: int | None = None
    extended: bool = False

    @property
    def iteration_id(self) -> str:
        """Id of the iteration that is running; empty before the first stage."""
        return str((self.verdict or {}).get("iteration_id") or "")


class LaunchDarklyRolloutBaseOperator(TypedTemplates, BaseOperator):
    """The base of a rollout's internal operators: it reads the rollout, and fails a task that a retry cannot cure.

    Args:
        rollout: A :class:`Rollout`, or the same as plain JSON.
    """

    ui_color = "#f2f2f7"
    ui_fgcolor = "#1a1f36"

    def __init__(self, *, rollout: Rollout | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**{"multiple_outputs": True} | kwargs)
        self.rollout = plain(rollout)

    @property
    def rollout_spec(self) -> Rollout:
        """The rollout as a model."""
        return Rollout.from_json(self.rollout)

    @override
    def execute(self, context: Context) -> Any:
        """Run the operator.

        Raises:
            AirflowFailException: A retry cannot cure the error.
            LaunchDarklyError: A retry may cure it.
        """
        with fail_unless_retryable(), failed_without_output():
            self.read_fields()
            return self.act(context)

    @abstractmethod
    def act(self, context: Context) -> Any:
        """Do the operator's work and return its output."""

    def hook_of(self, rollout: Rollout, project: str | None, environment: str | None) -> LaunchDarklyHook:
        """Return the hook on the rollout's connection."""
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

        return LaunchDarklyHook(rollout.connection, project, environment)


@contextmanager
def failed_without_output() -> Iterator[None]:
    """Fail a task that a retry cannot cure, as the tasks before it left no usable output.

    Raises:
        AirflowFailException: The message names the tasks to clear.
    """
    # Imported here, as everything that only a running task needs.
    from airflow_provider_launchdarkly.rollout.state_machine import RolloutStateError

    try:
        yield
    except RolloutStateError as error:
        raise AirflowFailException(str(error)) from error


@dataclass(frozen=True, slots=True)
class TasksBefore:
    """Ids of the tasks whose outputs say what the next step is.

    Their outputs are pulled when a task runs. References in arguments would draw an arrow from each of them.

    Attributes:
        stages: Of each stage, the task that starts it and the one that watches it.
        ask: The task of the question that follows an end without a winner; None without such a question.
        extension: The task that watches the extended last stage; None if it cannot be extended.
    """

    stages: tuple[tuple[str, str], ...] = ()
    ask: str | None = None
    extension: str | None = None

    def outputs(self, context: Context) -> SoFar:
        """Return their outputs so far, of this run and of the same mapped task group."""
        from airflow_provider_launchdarkly.rollout.state_machine import SoFar, StageOutputs

        ti: Any = context["ti"]

        def output(task_id: str | None) -> Any:
            return None if task_id is None else ti.xcom_pull(task_ids=task_id, map_indexes=ti.map_index)

        stages = [
            StageOutputs((output(start) or {}).get("confirmation"), output(watch)) for start, watch in self.stages
        ]
        return SoFar(tuple(stages), output(self.ask), output(self.extension))


def entered_stage(rollout: Rollout, number: int, before: TasksBefore, context: Context) -> Entered:
    """Return what a stage follows on, if it is the next one.

    Args:
        rollout: The rollout.
        number: The stage's number, from 0.
        before: The tasks before it.
        context: The task's.

    Raises:
        AirflowSkipException: Another step is the next one.
        AirflowFailException: The stages before it have not ended.
    """
    # Imported here, as everything that only a running task needs.
    from airflow_provider_launchdarkly.rollout.state_machine import progress_to

    if number == 0:
        return Entered()
    with failed_without_output():
        found = progress_to(rollout, number, before.outputs(context).stages)
    if found is None or found.stage is None or found.verdict is None:
        raise AirflowSkipException(f"stage {number + 1} is not the next one")
    return Entered(found.verdict, found.stage)


def entered_ship(rollout: Rollout, before: TasksBefore, context: Context) -> Entered:
    """Return the verdict that ships, if the stages ended with one.

    Raises:
        AirflowSkipException: The rollout ends otherwise.
        AirflowFailException: The stages have not ended.
    """
    from airflow_provider_launchdarkly.rollout.state_machine import outcome_so_far

    with failed_without_output():
        found = outcome_so_far(rollout, before.outputs(context))
    if found.ending is not Ending.SHIP or found.verdict is None:
        raise AirflowSkipException(f"there is nothing to ship: {found.ending}, {found.why}")
    return Entered(found.verdict, found.stage, found.extended)


NOTHING_BEFORE = TasksBefore()


def confirmed(
    operator: BaseOperator,
    rollout: Rollout,
    entered: Entered,
    context: Context,
    *,
    asked: bool,
    answer: Mapping[str, Any] | None,
    opened: Mapping[str, Any] | None = None,
) -> Confirmation:
    """Return whether the next stage may start: people approved, and the verdict is the same on the results as now.

    Harm that ended the question or the wait for the window withholds it.

    Safe to repeat: it only reads, apart from the decision record. There, a repeat with the same result changes nothing.

    Args:
        operator: The task that asks.
        rollout: The rollout.
        entered: What the stage follows on.
        context: The task's.
        asked: True if a person was asked.
        answer: The output of Airflow's human-in-the-loop operator.
        opened: The output of the wait for the change window.
    """
    from airflow_provider_launchdarkly.rollout.confirmation import withheld_by_harm
    from airflow_provider_launchdarkly.rollout.judging import judged_again
    from airflow_provider_launchdarkly.rollout.state_machine import confirm_stage

    if (harm := withheld_by_harm(answer, opened)) is not None:
        return harm
    verdict = entered.verdict
    fresh = None if verdict is None else judged_again(operator, rollout, verdict, entered.stage, context)
    return confirm_stage(rollout, entered.stage, asked=asked, answer=answer, fresh=fresh)


class _StartsStage(WaitsForApproval, BaseOperator):
    """The base of the operators that start a stage: the confirmation before, and the start after the creation.

    Where LaunchDarkly demands an approval for the start, and the rollout names reviewers, the task waits for it.

    Args:
        rollout: The rollout.
        number: The stage's number, from 0.
        before: The tasks before it.
        answer: The output of the approval.
        opened: The output of the wait for the change window.
        asked: True if a person was asked.
        waited: True if a change window was awaited, or LaunchDarkly's approval may be.
        timezone: Time zone that replaces the change window's.
        change_justification: Why the stage ends the one before it, for LaunchDarkly's record.

    Returns:
        :class:`.IterationOutput` of the iteration that runs now. A start that was not confirmed is skipped, and leaves
        ``confirmation``: a :class:`Confirmation` as plain JSON, which is None otherwise.
    """

    shown_as: dict[str, Any] | None
    flag_key: str

    if TYPE_CHECKING:

        @property
        def hook(self) -> LaunchDarklyHook:
            """The hook on the task's connection."""

    def __init__(
        self,
        *,
        rollout: Rollout | Mapping[str, Any],
        number: int,
        before: TasksBefore = NOTHING_BEFORE,
        answer: Any = None,
        opened: Any = None,
        asked: bool = False,
        waited: bool = False,
        timezone: str | None = None,
        change_justification: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rollout = plain(rollout)
        self.number = number
        self.before = before
        self.answer = answer
        self.opened = opened
        self.asked = asked
        self.waited = waited
        self.timezone = timezone
        self.change_justification = change_justification
        self.outlets = [*self.outlets, EVERY_EXPERIMENT]

    def require_confirmation(self, rollout: Rollout, entered: Entered, context: Context) -> None:
        """Confirm the start, if people were asked or a change window was awaited.

        Raises:
            AirflowSkipException: The stage must not start. The last task of the rollout reads the reason.
        """
        from airflow_provider_launchdarkly.rollout.confirmation import withheld_by_harm

        if not self.asked and not (self.waited and entered.verdict):
            return
        found = confirmed(self, rollout, entered, context, asked=self.asked, answer=self.answer, opened=self.opened)
        if found.confirmed:
            self.log.info("Confirmed: %s", found.why)
            return
        if withheld_by_harm(self.answer, self.opened) is None:  # that was told when it ended the waiting
            self.last_check = found.verdict
        # First what the rollout goes on by, then the cleaning up.
        context["ti"].xcom_push(key="return_value", value={"confirmation": found.to_json()})
        self._withdraw(rollout, "The stage does not start.", context)
        raise AirflowSkipException(f"not confirmed: {found.why}")

    def started(
        self, rollout: Rollout, created: IterationOutput, context: Context, *, running: int | None
    ) -> dict[str, Any]:
        """Start the iteration that was created or adopted, and return the task's output.

        Args:
            rollout: The rollout.
            created: The iteration.
            context: The task's.
            running: Number of the stage that runs until then, from 0; None if none does.

        Raises:
            WindowShutError: LaunchDarkly's approval came after the change window had shut.
        """
        from airflow_provider_launchdarkly.rollout.confirmation import left_to_launchdarkly

        by_person = self.asked and left_to_launchdarkly(self.answer)
        start = LaunchDarklyStartIterationOperator(
            task_id=self.task_id,
            experiment_key=created["experiment_key"],
            iteration_id=created["iteration_id"],
            project_key=created["project_key"],
            environment_key=created["environment_key"],
            launchdarkly_conn_id=rollout.connection,
            turn_flag_on=rollout.turn_flag_on and not by_person,
            change_justification=self.change_justification,
            if_running="adopt" if self.number else rollout.if_running.value,
        )
        # The task's own outlets: the event is emitted on them.
        start.outlets = self.outlets
        start.shown_as = self.shown_as
        if created["status"] != "running":
            try:
                self.require_open_window(rollout, self.hook)
            except WindowShutError:
                self._withdraw(rollout, "The change window is shut.", context)
                raise
        title = rollout.title_of(self.number)
        what = f"start {title}, iteration {created['iteration_id']} of {created['experiment_key']}"
        change = HandOver(what, created["experiment_key"], created["iteration_id"], running, by_person=by_person)
        output = self.write(start, rollout, change, context)
        share = rollout.share_of_new(rollout.stages[self.number])
        self.log.info("%s: %s %% of people get something new.", title, f"{share.normalize():f}")
        return {**output, "changed": created["changed"] or output["changed"], "confirmation": None}

    def _withdraw(self, rollout: Rollout, why: str, context: Context) -> None:
        """Delete what was asked for to turn the flag on, so that nobody applies it later."""
        if rollout.launchdarkly_approval is None or not rollout.turn_flag_on:
            return
        try:
            withdraw_requests(self, self.hook, self.flag_key, context, why)
        except LaunchDarklyError as error:  # a rollback may follow, which waits for nothing
            self.warn(
                "A request to turn flag %s on may still be open; delete it in LaunchDarkly: %s", self.flag_key, error
            )


class LaunchDarklyStartFirstStageOperator(_StartsStage, LaunchDarklyCreateExperimentOperator):
    """Create the experiment with its first iteration, and start that. Internal.

    Safe to repeat: it adopts the experiment of an earlier try, and an iteration that it started itself. As
    :class:`LaunchDarklyCreateExperimentOperator` and :class:`LaunchDarklyStartIterationOperator` do, which it joins.

    Args:
        kwargs: As for both of its bases.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyCreateExperimentOperator.template_fields,
        "answer",
        "opened",
        "timezone",
        "change_justification",
    )

    @override
    def act(self, context: Context) -> Any:
        """Create and start, if a person who was asked approved."""
        from airflow_provider_launchdarkly.rollout.release_requests import check_before_start

        rollout = Rollout.from_json(self.rollout)
        self.require_confirmation(rollout, Entered(), context)
        check = check_before_start(rollout, self.hook.environment(), flag_key=self.flag_key, rule=self.rule_id)
        for warning in self.hook.run(check):
            self.log.warning("%s", warning)
        return self.started(rollout, super().act(context), context, running=None)


class LaunchDarklyStartNextStageOperator(_StartsStage, LaunchDarklyCreateIterationOperator):
    """Create the iteration of a stage after the first, and start it in place of the running one. Internal.

    Safe to repeat: an iteration that runs with the stage's content is the stage's. So clearing the task creates no
    second one, also on Airflow before 3.3, and a stage with the allocation of the one before it goes on with that
    iteration. If the iteration before it is not running any more, because someone stopped or replaced it, nothing is
    created.

    Args:
        kwargs: As for both of its bases.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyCreateIterationOperator.template_fields,
        "answer",
        "opened",
        "timezone",
        "change_justification",
    )

    @override
    def ends_waiting(self, rollout: Rollout, context: Context) -> bool:
        """Judge the stage before while this one's start waits, unless somebody has started this one."""
        from airflow_provider_launchdarkly.rollout.confirmation import protective
        from airflow_provider_launchdarkly.rollout.judging import judged_again

        entered = entered_stage(rollout, self.number, self.before, context)
        running = self._running()
        if running is not None and running["iteration_id"] != entered.iteration_id:
            return True
        fresh = entered.verdict and judged_again(self, rollout, entered.verdict, entered.stage, context)
        return protective(fresh) is not None

    @override
    def act(self, context: Context) -> Any:
        """Create and start, if this stage is the next one and may start; else skip."""
        rollout = Rollout.from_json(self.rollout)
        entered = entered_stage(rollout, self.number, self.before, context)
        self._log_overdue(rollout, entered)
        running = self._running()
        if running is not None and running["iteration_id"] != entered.iteration_id:
            # An earlier try started it, and the iteration before it cannot be judged any more.
            return self.started(rollout, running, context, running=entered.stage)
        self.require_confirmation(rollout, entered, context)
        created = running or self._create(entered.iteration_id, context)
        return self.started(rollout, created, context, running=entered.stage)

    def _running(self) -> IterationOutput | None:
        """Return the running iteration if it has the stage's content."""
        from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
        from airflow_provider_launchdarkly.api.writes.comparison import iteration_differences

        experiment = self.hook.get_experiment(self.experiment_key, expand=ITERATIONS)
        if experiment.running is None:
            return None
        asked = self.design().resolve(self.hook.get_flag(self.flag_key))
        if iteration_differences(asked, experiment.running):
            return None
        self.log.info("Iteration %s is running with this content already: nothing to create.", experiment.running.id)
        return self._describe(experiment, experiment.running, changed=False)

    def _create(self, replaces: str, context: Context) -> IterationOutput:
        from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS

        running = self.hook.get_experiment(self.experiment_key, expand=ITERATIONS).running
        found = running.id if running else None
        if found is None or found != replaces:
            raise IterationReplacedError(
                f"iteration {replaces!r} of experiment {self.experiment_key!r}, which this stage replaces, is not "
                f"running any more: {found or 'none'} is. Nothing was created; look at the experiment in LaunchDarkly",
                pinned=replaces,
                found=found,
            )
        return super().act(context)

    def _log_overdue(self, rollout: Rollout, entered: Entered) -> None:
        passed = self.number if entered.stage is None else entered.stage
        if overdue := [rollout.title_of(number) for number in range(passed + 1, self.number)]:
            self.log.info("Overdue and left out: %s.", ", ".join(overdue))
