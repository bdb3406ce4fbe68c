"""The tasks of a rollout that change nothing: which stage comes next, what is shown to people, which end it is.

Each asks `course` and skips itself if it is not its turn. A branch that skips itself, rather than being skipped by
another task, is judged anew whenever it is cleared, and works in a mapped task group.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, BaseOperator
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.notifications.cards import markdown_card
from airflow_provider_launchdarkly.operators.iterations import judge_now
from airflow_provider_launchdarkly.rollout import state_machine
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.state_machine import Conclusion, RolloutStateError, StageOutputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context


class LaunchDarklyRolloutStepOperator(BaseOperator):
    """What the steps share: the rollout, and failing where nothing may follow.

    Args:
        rollout: A :class:`Rollout`, or the same as plain JSON.
    """

    ui_color = "#f2f2f7"
    ui_fgcolor = "#1a1f36"

    def __init__(self, *, rollout: Rollout | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rollout = rollout.to_json() if isinstance(rollout, Rollout) else dict(rollout)

    @property
    def plan(self) -> Rollout:
        """The rollout, read."""
        return Rollout.from_json(self.rollout)

    @override
    def execute(self, context: Context) -> Any:
        """Take the step, and spend no retry on what a retry cannot cure."""
        try:
            return self.step(context)
        except RolloutStateError as error:
            raise AirflowFailException(str(error)) from error
        except LaunchDarklyError as error:
            if error.retryable:
                raise
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error

    @abstractmethod
    def step(self, context: Context) -> Any:
        """What the operator does."""

    def card(self, verdict: Mapping[str, Any] | None, question: str | None, notes: str | None) -> str | None:
        """The decision card for those who are asked, which the log shows as well; None where nobody is.

        Args:
            verdict: The verdict that it shows.
            question: What is asked.
            notes: What is to be read with it.
        """
        if question is None or verdict is None:
            return None
        hook = LaunchDarklyHook(self.plan.connection, verdict.get("project_key"), verdict.get("environment_key"))
        url = hook.experiment_url(str(verdict["experiment_key"]))
        card = markdown_card(verdict, headline=question, url=url, notes=notes)
        self.log.info("%s", card)
        return card


class LaunchDarklyEnterStageOperator(LaunchDarklyRolloutStepOperator):
    """Go on if it is this stage's turn, else skip it: another one's, or the rollout's end.

    Args:
        rollout: The rollout.
        stage: The stage's number, from 0.
        records: For each stage before it, ``{"confirmation": …, "verdict": …}``.
        question: What a person is asked before the stage starts; None asks nobody.

    Returns:
        ``{"stage", "before", "verdict", "iteration_id", "experiment_key", "policy", "card"}``: the stage that was
        passed, its verdict, how to judge it again, and the decision card for the question.
    """

    template_fields: Sequence[str] = ("records", "question")

    def __init__(
        self, *, stage: int, records: Sequence[Mapping[str, Any]], question: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**{"multiple_outputs": True} | kwargs)
        self.stage = stage
        self.records = records
        self.question = question

    @override
    def step(self, context: Context) -> dict[str, Any]:
        """See whose turn it is."""
        rollout = self.plan
        standing = state_machine.enters(rollout, self.stage, [StageOutputs(**record) for record in self.records])
        if standing is None or standing.stage is None or standing.verdict is None:
            raise AirflowSkipException(f"it is not the turn of stage {self.stage}")
        skipped = list(range(standing.stage + 1, self.stage))
        if skipped:
            self.log.info("Stages %s are overdue and are folded into this one.", skipped)
        self.log.info("Stage %s follows: %s", self.stage, standing.verdict.get("summary"))
        return {
            "stage": self.stage,
            "before": standing.stage,
            "verdict": dict(standing.verdict),
            "iteration_id": standing.verdict.get("iteration_id"),
            "experiment_key": standing.verdict.get("experiment_key"),
            "policy": rollout.policy_of(standing.stage).to_json(),
            "card": self.card(standing.verdict, self.question, rollout.stages[self.stage].notes),
        }


class LaunchDarklyConfirmStepOperator(LaunchDarklyRolloutStepOperator):
    """Judge the data afresh; go on only if people agreed and the data still say what they said, else skip and say why.

    Safe to repeat: it only reads.

    Args:
        rollout: The rollout.
        entered: What the task that entered this step returned.
        begins: Whether the first stage is to start: nothing runs yet, and nothing is judged.
        ships: Whether a winner is to be shipped; otherwise a stage is to start.
        asked: Whether a person was asked.
        answer: The output of Airflow's human-in-the-loop operator.

    Returns:
        A :class:`Confirmation`, with the fresh verdict; also if it skips.
        And ``iteration_id``, the iteration that it is about, which what follows takes from here: a task that was only
        marked as done names none.
    """

    template_fields: Sequence[str] = ("answer", "entered")

    def __init__(
        self,
        *,
        asked: bool,
        begins: bool = False,
        ships: bool = False,
        answer: Any = None,
        entered: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"multiple_outputs": True} | kwargs)
        self.asked = asked
        self.begins = begins
        self.ships = ships
        self.answer = answer
        self.entered = entered

    @override
    def step(self, context: Context) -> dict[str, Any]:
        """Judge, compare, and go on or not."""
        entered: Mapping[str, Any] = self.entered or {}
        if not self.begins and not entered:
            raise RolloutStateError("the task that enters this step has said nothing, so there is nothing to judge")
        fresh = None if self.begins else self._judge(entered)
        if self.ships:
            said = state_machine.confirm_ship(
                entered["verdict"], asked=self.asked, answer=self.answer, fresh=fresh or {}
            )
        else:
            before = entered.get("before")
            said = state_machine.confirm_stage(self.plan, before, asked=self.asked, answer=self.answer, fresh=fresh)
        if said.confirmed:
            self.log.info("Confirmed: %s", said.why)
            return {**said.to_json(), "iteration_id": entered.get("iteration_id")}
        # What follows is skipped, but the end of the rollout wants to know why.
        context["ti"].xcom_push(key="return_value", value=said.to_json())
        raise AirflowSkipException(f"not confirmed: {said.why}")

    def _judge(self, entered: Mapping[str, Any]) -> dict[str, Any]:
        verdict: Mapping[str, Any] = entered["verdict"]
        hook = LaunchDarklyHook(self.plan.connection, verdict.get("project_key"), verdict.get("environment_key"))
        return judge_now(hook, str(entered["experiment_key"]), str(entered["iteration_id"]), entered["policy"])


class LaunchDarklyConcludeOperator(LaunchDarklyRolloutStepOperator):
    """Say how the rollout ends, from what its stages, people and the extension said.

    Args:
        rollout: The rollout.
        records: For each stage, ``{"confirmation": …, "verdict": …}``; or
        conclusion: an earlier conclusion, which
        answer: a person's answer,
        extension: the extended stage's verdict,
        confirmation: or the confirmation of shipping may change.
        part: ``stages``, ``extension`` or ``confirmation``: which of these it looks at.

    Returns:
        A :class:`Conclusion`, and ``policy``, by which it was judged.
    """

    template_fields: Sequence[str] = ("records", "conclusion", "answer", "extension", "confirmation")

    def __init__(
        self,
        *,
        part: str,
        records: Sequence[Mapping[str, Any]] = (),
        conclusion: Any = None,
        answer: Any = None,
        extension: Any = None,
        confirmation: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"multiple_outputs": True} | kwargs)
        self.part = part
        self.records = records
        self.conclusion = conclusion
        self.answer = answer
        self.extension = extension
        self.confirmation = confirmation

    @override
    def step(self, context: Context) -> dict[str, Any]:
        """Conclude."""
        rollout = self.plan
        if self.part == "stages":
            found = state_machine.conclude(rollout, [StageOutputs(**record) for record in self.records])
        elif self.part == "extension":
            before = _conclusion(self.conclusion)
            found = state_machine.settle(rollout, before, answer=self.answer, extension=self.extension)
        else:
            found = state_machine.confirmed(rollout, _conclusion(self.conclusion), self.confirmation)
        self.log.info("%s: %s", found.ending, found.why)
        policy = None if found.stage is None else rollout.policy_of(found.stage, extended=found.extended).to_json()
        return {**found.to_json(), "policy": policy}


class LaunchDarklyIfEndingOperator(LaunchDarklyRolloutStepOperator):
    """Go on only at one kind of end, else skip what follows. The branch points of a rollout are made of it.

    Args:
        rollout: The rollout.
        conclusion: The conclusion.
        ending: Go on at this end: ``ship``, ``rollback``, ``inconclusive`` or ``invalid``; or
        stops: go on if the iteration is to be stopped; or
        extends: go on if it is to be let run on; or
        open_: go on if the plan ended without a winner.
        answer: A person's answer, for `extends`.
        observed: Nothing was done, so never go on.
        question: What a person is asked if it goes on; None asks nobody.

    Returns:
        The conclusion, and the decision card for the question as ``card``.
    """

    template_fields: Sequence[str] = ("conclusion", "answer", "question")

    def __init__(
        self,
        *,
        conclusion: Any,
        ending: str | None = None,
        stops: bool = False,
        extends: bool = False,
        open_: bool = False,
        answer: Any = None,
        observed: bool = False,
        question: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"multiple_outputs": True} | kwargs)
        self.observed = observed
        self.question = question
        self.conclusion = conclusion
        self.ending = ending
        self.stops = stops
        self.extends = extends
        self.open_ = open_
        self.answer = answer

    @override
    def step(self, context: Context) -> dict[str, Any]:
        """Go on, or skip."""
        found = _conclusion(self.conclusion)
        if self.observed:
            raise AirflowSkipException(f"observed only: it would have ended {found.ending}: {found.why}")
        if not self._goes_on(found):
            raise AirflowSkipException(f"the rollout ended {found.ending}: {found.why}")
        self.log.info("%s: %s", found.ending, found.why)
        return {**self.conclusion, "card": self.card(found.verdict, self.question, self.plan.notes)}

    def _goes_on(self, found: Conclusion) -> bool:
        if self.ending is not None:
            return found.ending == Kind(self.ending)
        if self.stops:
            return found.winner is not None
        if self.extends:
            return found.open and state_machine.choice(self.plan, found, self.answer) == state_machine.EXTEND
        return found.open


def _conclusion(value: Mapping[str, Any]) -> Conclusion:
    """Read a conclusion back, as XCom carries it."""
    return Conclusion.from_json({key: part for key, part in value.items() if key not in {"policy", "card"}})
