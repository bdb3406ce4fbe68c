"""The internal operators of a rollout: enter a stage, create its iteration, confirm, conclude, and branch.

``experiment_rollout`` composes them; a DAG file does not use them directly. They keep the prefix ``LaunchDarkly``
because Airflow's UI shows the class of each task.

Each asks the state machine and skips itself if it is not the next step. A branch that skips itself, instead of being
skipped by another task, is evaluated again whenever it is cleared, and works in a mapped task group.
"""

from __future__ import annotations

from abc import abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, BaseOperator
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import IterationReplacedError
from airflow_provider_launchdarkly.operators._judge_now import judge_now
from airflow_provider_launchdarkly.operators.iterations import LaunchDarklyCreateIterationOperator
from airflow_provider_launchdarkly.retries import fail_unless_retryable
from airflow_provider_launchdarkly.rollout.options import Ending, InconclusiveOption
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.templates.rendering import TypedTemplates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.operators._outputs import IterationOutput
    from airflow_provider_launchdarkly.rollout.state_machine import Confirmation, Outcome


class ConfirmMode(StrEnum):
    """The write that a confirmation allows."""

    FIRST_STAGE = "first_stage"
    """The first stage starts. No iteration is running yet, so there are no results to evaluate."""

    NEXT_STAGE = "next_stage"
    """A later stage starts."""

    SHIP = "ship"
    """The winner is shipped."""


class OutcomeMode(StrEnum):
    """From which tasks' outputs an outcome is made."""

    STAGES = "stages"
    EXTENSION = "extension"
    CONFIRMATION = "confirmation"


class Condition(StrEnum):
    """The conditions of a branch other than one :class:`Ending`."""

    STOPS = "stops"
    """The iteration has to be stopped."""

    UNDECIDED = "undecided"
    """The plan ended without a winner."""

    EXTENDS = "extends"
    """The plan ended without a winner, and the last stage is extended."""


class LaunchDarklyRolloutBaseOperator(TypedTemplates, BaseOperator):
    """The base of a rollout's internal operators: it reads the rollout, and fails a task that a retry cannot cure.

    Args:
        rollout: A :class:`Rollout`, or the same as plain JSON.
    """

    ui_color = "#f2f2f7"
    ui_fgcolor = "#1a1f36"

    def __init__(self, *, rollout: Rollout | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**{"multiple_outputs": True} | kwargs)
        self.rollout = rollout.to_json() if isinstance(rollout, Rollout) else dict(rollout)

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
        # Imported here, as everything that only a running task needs.
        from airflow_provider_launchdarkly.rollout.state_machine import RolloutStateError

        with fail_unless_retryable():
            try:
                self.read_fields()
                return self.act(context)
            except RolloutStateError as error:
                raise AirflowFailException(str(error)) from error

    @abstractmethod
    def act(self, context: Context) -> Any:
        """Do the operator's work and return its output."""

    def hook_of(self, rollout: Rollout, project: str | None, environment: str | None) -> LaunchDarklyHook:
        """Return the hook on the rollout's connection."""
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

        return LaunchDarklyHook(rollout.connection, project, environment)

    def card(self, verdict: Mapping[str, Any] | None, question: str | None, notes: str | None) -> str | None:
        """Log and return the decision card; None without a question or without a verdict.

        Args:
            verdict: The verdict to show.
            question: The question to ask; None for no question.
            notes: The rollout author's notes, as Markdown.
        """
        if question is None or verdict is None:
            return None
        from airflow_provider_launchdarkly.notifications.cards import markdown_card

        hook = self.hook_of(self.rollout_spec, verdict.get("project_key"), verdict.get("environment_key"))
        url = hook.experiment_url(str(verdict["experiment_key"]))
        card = markdown_card(verdict, headline=question, url=url, notes=notes)
        self.log.info("%s", card)
        return card


class LaunchDarklyEnterStageOperator(LaunchDarklyRolloutBaseOperator):
    """Go on if this stage is the next one; else skip it. Internal.

    Args:
        rollout: The rollout.
        stage: The stage's number, from 0.
        outputs: For each stage before it, ``{"confirmation": …, "verdict": …}``.
        question: The question that a person is asked before the stage starts; None asks nobody.

    Returns:
        ``{"stage", "passed", "verdict", "iteration_id", "experiment_key", "policy", "card"}``: the passed stage, its
        verdict, the policy to evaluate it again, and the decision card for the question.
    """

    template_fields: Sequence[str] = ("outputs", "question")

    def __init__(
        self, *, stage: int, outputs: Sequence[Mapping[str, Any]], question: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.stage = stage
        self.outputs = outputs
        self.question = question

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """Return the passed stage, or skip."""
        from airflow_provider_launchdarkly.rollout.state_machine import StageOutputs, progress_to

        rollout = self.rollout_spec
        found = progress_to(rollout, self.stage, [StageOutputs(**output) for output in self.outputs])
        if found is None or found.stage is None or found.verdict is None:
            raise AirflowSkipException(f"stage {self.stage} is not the next one")
        overdue = list(range(found.stage + 1, self.stage))
        if overdue:
            self.log.info("Stages %s are overdue and left out.", overdue)
        self.log.info("Stage %s follows: %s", self.stage, found.verdict.get("summary"))
        return {
            "stage": self.stage,
            "passed": found.stage,
            "verdict": dict(found.verdict),
            "iteration_id": found.verdict.get("iteration_id"),
            "experiment_key": found.verdict.get("experiment_key"),
            "policy": rollout.policy_of(found.stage).to_json(),
            "card": self.card(found.verdict, self.question, rollout.stages[self.stage].notes),
        }


class LaunchDarklyStageIterationOperator(LaunchDarklyCreateIterationOperator):
    """Create the iteration of a stage after the first, or adopt the running one if it has the same content. Internal.

    A stage with the allocation of the one before it therefore goes on with that iteration, and clearing the task after
    the start creates no second one, also on Airflow before 3.3.

    Args:
        replaces: Id of the iteration that the stage replaces. If that one is not running any more, because someone
            stopped or replaced it, nothing is created.
        kwargs: As for its base class.
    """

    template_fields: Sequence[str] = (*LaunchDarklyCreateIterationOperator.template_fields, "replaces")

    def __init__(self, *, replaces: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.replaces = replaces

    @override
    def act(self, context: Context) -> IterationOutput:
        """Adopt the running iteration, or create one."""
        from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
        from airflow_provider_launchdarkly.api.writes.comparison import iteration_differences

        experiment = self.hook.get_experiment(self.experiment_key, expand=ITERATIONS)
        running = experiment.running
        if running is not None:
            asked = self.design().resolve(self.hook.get_flag(self.flag_key))
            if not iteration_differences(asked, running):
                self.log.info("Iteration %s is running with this content already: nothing to do.", running.id)
                return self._describe(experiment, running, changed=False)
        found = running.id if running else None
        if found is None or found != self.replaces:
            raise IterationReplacedError(
                f"iteration {self.replaces!r} of experiment {self.experiment_key!r}, which this stage replaces, is not "
                f"running any more: {found or 'none'} is. Nothing was created; look at the experiment in LaunchDarkly",
                pinned=str(self.replaces),
                found=found,
            )
        return super().act(context)


class LaunchDarklyConfirmStepOperator(LaunchDarklyRolloutBaseOperator):
    """Evaluate the results again, and go on only if people approved and the verdict is the same; else skip. Internal.

    A boundary that was crossed stands: the winner needs no second crossing, only an effect that is still there.

    Safe to repeat: it only reads, apart from the decision record. There, a repeat with the same result changes nothing.

    Args:
        rollout: The rollout.
        mode: The write that is confirmed.
        asked: True if a person was asked.
        answer: The output of Airflow's human-in-the-loop operator.
        entered: The output of the task that entered this step. Not used before the first stage.

    Returns:
        A :class:`Confirmation` as plain JSON, with the new verdict, also if it skips; and ``iteration_id``, the
        iteration that it is about. Later tasks take the id from here: a task that was only marked as done returns none.
    """

    template_fields: Sequence[str] = ("answer", "entered")

    def __init__(
        self, *, mode: ConfirmMode, asked: bool, answer: Any = None, entered: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.mode = mode
        self.asked = asked
        self.answer = answer
        self.entered = entered

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """Evaluate, compare, and go on or skip."""
        entered: Mapping[str, Any] = self.entered or {}
        confirmation = self._confirm(entered)
        if confirmation.confirmed:
            self.log.info("Confirmed: %s", confirmation.why)
            return {**confirmation.to_json(), "iteration_id": entered.get("iteration_id")}
        # What follows is skipped, but the last task of the rollout reads the reason.
        context["ti"].xcom_push(key="return_value", value=confirmation.to_json())
        raise AirflowSkipException(f"not confirmed: {confirmation.why}")

    def _confirm(self, entered: Mapping[str, Any]) -> Confirmation:
        from airflow_provider_launchdarkly.rollout.state_machine import confirm_ship, confirm_stage

        match self.mode:
            case ConfirmMode.FIRST_STAGE:
                return confirm_stage(self.rollout_spec, None, asked=self.asked, answer=self.answer, fresh=None)
            case ConfirmMode.NEXT_STAGE:
                fresh = self._evaluate(entered)
                passed = entered.get("passed")
                return confirm_stage(self.rollout_spec, passed, asked=self.asked, answer=self.answer, fresh=fresh)
            case ConfirmMode.SHIP:
                fresh = self._evaluate(entered)
                return confirm_ship(entered["verdict"], asked=self.asked, answer=self.answer, fresh=fresh)
            case unknown:
                assert_never(unknown)

    def _evaluate(self, entered: Mapping[str, Any]) -> dict[str, Any]:
        from airflow_provider_launchdarkly.decision.policy import Policy
        from airflow_provider_launchdarkly.rollout.state_machine import RolloutStateError
        from airflow_provider_launchdarkly.sensors._decision_record import record_folder, record_look

        if not entered:
            raise RolloutStateError(
                "the task that enters this step has no output, so there is nothing to judge; clear that task"
            )
        verdict: Mapping[str, Any] = entered["verdict"]
        hook = self.hook_of(self.rollout_spec, verdict.get("project_key"), verdict.get("environment_key"))
        policy = entered["policy"]
        found = judge_now(
            hook,
            str(entered["experiment_key"]),
            str(entered["iteration_id"]),
            policy,
            standing=verdict,
            warn=self.log.warning,
        )
        return record_look(
            found.to_record(),
            found.target,
            Policy.from_json(policy),
            source="launchdarkly",
            folder=record_folder(None),
            log=self.log.info,
        )


class LaunchDarklyOutcomeOperator(LaunchDarklyRolloutBaseOperator):
    """Return how the rollout ends, from the outputs of its tasks. Internal.

    Args:
        rollout: The rollout.
        mode: The outputs that it starts from.
        outputs: For ``STAGES``: for each stage, ``{"confirmation": …, "verdict": …}``.
        outcome: For the other modes: the outcome so far, which they may change.
        answer: For ``EXTENSION``: a person's answer, if one was asked.
        extension: For ``EXTENSION``: the extended stage's verdict.
        confirmation: For ``CONFIRMATION``: the confirmation of shipping.

    Returns:
        An :class:`Outcome` as plain JSON, and ``policy``, by which it was decided.
    """

    template_fields: Sequence[str] = ("outputs", "outcome", "answer", "extension", "confirmation")

    def __init__(
        self,
        *,
        mode: OutcomeMode,
        outputs: Sequence[Mapping[str, Any]] = (),
        outcome: Any = None,
        answer: Any = None,
        extension: Any = None,
        confirmation: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mode = mode
        self.outputs = outputs
        self.outcome = outcome
        self.answer = answer
        self.extension = extension
        self.confirmation = confirmation

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """Return the outcome."""
        rollout = self.rollout_spec
        found = self._outcome(rollout)
        self.log.info("%s: %s", found.ending, found.why)
        policy = None if found.stage is None else rollout.policy_of(found.stage, extended=found.extended).to_json()
        return {**found.to_json(), "policy": policy}

    def _outcome(self, rollout: Rollout) -> Outcome:
        from airflow_provider_launchdarkly.rollout import state_machine

        match self.mode:
            case OutcomeMode.STAGES:
                outputs = [state_machine.StageOutputs(**output) for output in self.outputs]
                return state_machine.outcome_of_stages(rollout, outputs)
            case OutcomeMode.EXTENSION:
                before = _outcome(self.outcome)
                return state_machine.outcome_after_extension(
                    rollout, before, answer=self.answer, extension=self.extension
                )
            case OutcomeMode.CONFIRMATION:
                return state_machine.outcome_after_confirmation(rollout, _outcome(self.outcome), self.confirmation)
            case unknown:
                assert_never(unknown)


class LaunchDarklyIfOutcomeOperator(LaunchDarklyRolloutBaseOperator):
    """Go on if the outcome meets a condition; else skip what follows. The branch points of a rollout. Internal.

    Args:
        rollout: The rollout.
        outcome: The outcome.
        when: The ending, or the condition, at which it goes on.
        answer: A person's answer, for ``Condition.EXTENDS``.
        observed: True if nothing was done, so that it never goes on.
        question: The question that a person is asked next; None asks nobody.

    Returns:
        The outcome, and the decision card for the question as ``card``.
    """

    template_fields: Sequence[str] = ("outcome", "answer", "question")

    def __init__(
        self,
        *,
        outcome: Any,
        when: Ending | Condition,
        answer: Any = None,
        observed: bool = False,
        question: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outcome = outcome
        self.when = when
        self.answer = answer
        self.observed = observed
        self.question = question

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """Go on, or skip."""
        found = _outcome(self.outcome)
        if self.observed:
            raise AirflowSkipException(f"observed only: it would have ended {found.ending}: {found.why}")
        if not self._goes_on(found):
            raise AirflowSkipException(f"the rollout ended {found.ending}: {found.why}")
        self.log.info("%s: %s", found.ending, found.why)
        return {**self.outcome, "card": self.card(found.verdict, self.question, self.rollout_spec.notes)}

    def _goes_on(self, found: Outcome) -> bool:
        match self.when:
            case Ending():
                return found.ending is self.when
            case Condition.STOPS:
                return found.winner is not None
            case Condition.UNDECIDED:
                return found.undecided
            case Condition.EXTENDS:
                if not found.undecided:
                    return False
                from airflow_provider_launchdarkly.rollout.state_machine import inconclusive_option

                option = inconclusive_option(self.rollout_spec, found, self.answer)
                return option is InconclusiveOption.EXTEND
            case unknown:
                assert_never(unknown)


def _outcome(value: Mapping[str, Any]) -> Outcome:
    """Read an outcome back from XCom."""
    from airflow_provider_launchdarkly.rollout.state_machine import Outcome

    return Outcome.from_json({key: field for key, field in value.items() if key not in {"policy", "card"}})
