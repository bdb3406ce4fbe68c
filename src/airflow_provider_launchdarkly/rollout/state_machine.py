"""The state machine of a rollout: which stage follows, and how the rollout ends. Pure; each task of a rollout asks it.

It fails safe: a rejection, a changed verdict and an unknown verdict all write nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, assert_never

from airflow_provider_launchdarkly.decision.verdict import Kind, Reason
from airflow_provider_launchdarkly.rollout.confirmation import (
    Confirmation,
    answered_by,
    chosen,
    protective,
    refusal,
    refused,
)
from airflow_provider_launchdarkly.rollout.options import (
    Ending,
    Fallback,
    Gate,
    Inconclusive,
    InconclusiveOption,
)
from airflow_provider_launchdarkly.sensors._ended_wait import verdict_that_ended

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_launchdarkly.rollout.spec import Rollout

BASELINE = "baseline"


class RolloutStateError(ValueError):
    """An earlier task has left no usable output, so the rollout cannot go on."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """The step that follows from a stage's verdict: a stage or an ending, never both.

    Attributes:
        stage: Number of the next stage, from 0.
        ending: How the stages end.
    """

    stage: int | None = None
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class StageOutputs:
    """The outputs of one stage's tasks so far.

    Attributes:
        confirmation: A :class:`Confirmation` as plain JSON; None if the stage needs none.
        verdict: The gate's verdict as plain JSON; None while the stage has none.
    """

    confirmation: Mapping[str, Any] | None = None
    verdict: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SoFar:
    """The outputs of a rollout's tasks so far.

    Attributes:
        stages: The outputs of each stage, in their order.
        answer: The option that a person chose after an end without a winner, or the verdict that closed the question;
            None without a question.
        extension: The verdict on the extended stage; None if it was not extended.
    """

    stages: tuple[StageOutputs, ...] = ()
    answer: Mapping[str, Any] | None = None
    extension: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a rollout so far.

    Attributes:
        stage: The last stage that has a verdict; None before the first.
        verdict: That verdict, or the newer one of a confirmation.
        next_step: The step that follows; None if a confirmation withheld it.
        withheld_by: The confirmation that withheld it.
    """

    stage: int | None
    verdict: Mapping[str, Any] | None
    next_step: NextStep | None
    withheld_by: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a rollout.

    Attributes:
        ending: The ending.
        why: The reason, in words.
        stage: Number of the stage at which it ends, from 0, and from 1 in JSON; None if none was started.
        experiment_key: The experiment; None if none was started.
        iteration_id: The iteration that the ending is about; None if none was started.
        winner: The verdict, or ``baseline``, to stop the iteration with. None stops nothing.
        extended: True if the last stage was extended.
        verdict: The verdict that it rests on.
        refused_by: Who rejected the next step, for ``refused``; None if nobody answered in time.
    """

    ending: Ending
    why: str
    stage: int | None = None
    experiment_key: str | None = None
    iteration_id: str | None = None
    winner: Any = None
    extended: bool = False
    verdict: Mapping[str, Any] | None = None
    refused_by: str | None = None

    @property
    def undecided(self) -> bool:
        """True if the plan ended without a winner, so that the experiment may be extended."""
        return self.ending is Ending.INCONCLUSIVE and self.winner is not None and self.winner != BASELINE

    @property
    def runs_on(self) -> bool:
        """True if an iteration goes on after this ending, so that nobody watches what people are served."""
        return self.winner is None and self.iteration_id is not None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, for XCom. People count stages from one."""
        stage = None if self.stage is None else self.stage + 1
        return {**asdict(self), "ending": self.ending.value, "stage": stage}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Outcome:
        """Read back the JSON of :meth:`to_json`; further entries do not count."""
        given = {field.name: value[field.name] for field in fields(cls) if field.name in value}
        stage = given.get("stage")
        return cls(**{**given, "ending": Ending(value["ending"]), "stage": None if stage is None else stage - 1})


def next_step(rollout: Rollout, stage: int, verdict: Mapping[str, Any]) -> NextStep:
    """Return the step that follows from a stage's verdict.

    A stage whose whole dwell time had passed before its gate opened is overdue and left out, unless it has a gate or an
    approval, or is the last.

    Raises:
        RolloutStateError: The verdict is missing, or is ``wait``.
    """
    gate = rollout.stages[stage].gate
    match _kind_of(verdict):
        case None | Kind.WAIT:
            raise RolloutStateError(
                f"stage {stage + 1} has verdict {verdict.get('verdict')!r}, which ends no stage; clear its task `watch`"
            )
        case Kind.ROLLBACK | Kind.INVALID as kind:
            return NextStep(ending=Ending(kind))
        case Kind.SHIP:
            if gate is Gate.DECISION:
                return NextStep(ending=Ending.SHIP)
        case Kind.INCONCLUSIVE:
            if verdict.get("reason") not in {Reason.PLAN_ENDED, Reason.EFFECT_GONE}:
                return NextStep(ending=Ending.INCONCLUSIVE)
        case unknown:
            assert_never(unknown)
    if stage == len(rollout.stages) - 1:
        return NextStep(ending=Ending.INCONCLUSIVE)
    return NextStep(stage=_next_stage(rollout, stage, timedelta(days=float(verdict["elapsed_days"]))))


def _kind_of(verdict: Mapping[str, Any]) -> Kind | None:
    kind = verdict.get("verdict")
    return Kind(kind) if kind in set(Kind) else None


def _next_stage(rollout: Rollout, stage: int, elapsed: timedelta) -> int:
    overdue = elapsed - (rollout.stages[stage].dwell or elapsed)
    following = stage + 1
    while following < len(rollout.stages) - 1:
        candidate = rollout.stages[following]
        if candidate.gate is not Gate.NONE or rollout.asks_before(following) or candidate.dwell is None:
            break
        overdue -= candidate.dwell
        if overdue < timedelta():
            break
        following += 1
    return following


def progress(rollout: Rollout, outputs: Sequence[StageOutputs]) -> Progress:
    """Follow the stages from the first one for as long as they have outputs.

    Args:
        rollout: The rollout.
        outputs: The outputs of its first stages, in their order.
    """
    stage, passed, verdict = 0, None, None
    while stage < len(outputs):
        confirmation = outputs[stage].confirmation
        if confirmation is not None and not confirmation["confirmed"]:
            return Progress(passed, confirmation["verdict"] or verdict, None, confirmation)
        if outputs[stage].verdict is None:
            break
        passed, verdict = stage, outputs[stage].verdict
        step = next_step(rollout, stage, verdict or {})
        if step.stage is None:
            return Progress(passed, verdict, step)
        stage = step.stage
    return Progress(passed, verdict, NextStep(stage=stage))


def progress_to(rollout: Rollout, stage: int, outputs: Sequence[StageOutputs]) -> Progress | None:
    """Return the progress if this stage is the next one to start; else None.

    Args:
        rollout: The rollout.
        stage: The stage's number, from 0.
        outputs: The outputs of the stages before it.
    """
    found = progress(rollout, outputs[:stage])
    return found if found.next_step and found.next_step.stage == stage else None


def confirm_stage(
    rollout: Rollout,
    passed: int | None,
    *,
    asked: bool,
    answer: Mapping[str, Any] | None,
    fresh: Mapping[str, Any] | None,
) -> Confirmation:
    """Decide whether the next stage may start, after people have answered and the window has opened.

    Args:
        rollout: The rollout.
        passed: The stage that was passed; None before the first stage.
        asked: True if a person was asked.
        answer: The person's answer.
        fresh: The verdict on the passed stage's results as they are now; None before the first stage.
    """
    if asked and (no := refusal(answer)):
        return refused(no, answer, fresh)
    if passed is None or fresh is None:
        return Confirmation(True, "no iteration is running yet")
    if rollout.stages[passed].gate is Gate.NONE and fresh.get("verdict") != Kind.ROLLBACK:
        return Confirmation(True, "the stage before is judged by nothing, and does no harm", verdict=fresh)
    if fresh.get("verdict") == Kind.WAIT or next_step(rollout, passed, fresh).stage is None:
        return Confirmation(False, f"the data have changed: {fresh.get('summary')}", verdict=fresh)
    return Confirmation(True, str(fresh.get("summary")), verdict=fresh)


def outcome_of_stages(rollout: Rollout, outputs: Sequence[StageOutputs]) -> Outcome:
    """Return how the stages end.

    Args:
        rollout: The rollout.
        outputs: The outputs of each stage, in their order.

    Raises:
        RolloutStateError: The stages have not ended: a stage that is next has no output.
    """
    found = progress(rollout, outputs)
    if found.next_step is None:
        return _withheld(rollout, found.stage, found.verdict, found.withheld_by or {})
    if found.next_step.ending is None or found.verdict is None:
        following = (found.next_step.stage or 0) + 1
        raise RolloutStateError(f"stage {following} is next, but its tasks have no output; clear them")
    return _ended(found.stage, found.verdict)


def outcome_so_far(rollout: Rollout, so_far: SoFar) -> Outcome:
    """Return how the rollout ends, before shipping is confirmed.

    Args:
        rollout: The rollout.
        so_far: The outputs of its tasks.

    Raises:
        RolloutStateError: The stages, or the extension, have not ended.
    """
    outcome = outcome_of_stages(rollout, so_far.stages)
    if not rollout.extends:
        return outcome
    return outcome_after_extension(rollout, outcome, answer=so_far.answer, extension=so_far.extension)


def extends_now(rollout: Rollout, so_far: SoFar) -> bool:
    """Return whether the last stage is extended, as the stages ended and as a person answered, if one was asked."""
    outcome = outcome_of_stages(rollout, so_far.stages)
    if verdict_that_ended(so_far.answer):
        return False
    return outcome.undecided and (inconclusive_option(rollout, outcome, so_far.answer) is InconclusiveOption.EXTEND)


def inconclusive_option(rollout: Rollout, outcome: Outcome, answer: Mapping[str, Any] | None) -> InconclusiveOption:
    """Return what to do with an experiment whose plan ended without a winner.

    Only the last stage can be extended: an earlier one could not ship, however long it ran.

    Args:
        rollout: The rollout.
        outcome: How the stages ended.
        answer: The option that a person chose, if one was asked.

    Raises:
        RolloutStateError: The rollout ended otherwise, so there is no option to take.
    """
    if not outcome.undecided:
        raise RolloutStateError(f"the rollout ended {outcome.ending}, so there is nothing left to choose")
    can_extend = outcome.stage == len(rollout.stages) - 1
    match rollout.endings.inconclusive:
        case Inconclusive.BASELINE:
            return InconclusiveOption.TO_BASELINE
        case Inconclusive.EXTEND:
            return InconclusiveOption.EXTEND if can_extend else InconclusiveOption.TO_BASELINE
        case Inconclusive.ASK:
            options = chosen(answer)
            if answered_by(answer) is None or len(options) != 1 or options[0] not in set(InconclusiveOption):
                return rollout.default_inconclusive_option
            option = InconclusiveOption(options[0])
            return InconclusiveOption.LEAVE if option is InconclusiveOption.EXTEND and not can_extend else option
        case unknown:
            assert_never(unknown)


def outcome_after_extension(
    rollout: Rollout, outcome: Outcome, *, answer: Mapping[str, Any] | None, extension: Mapping[str, Any] | None
) -> Outcome:
    """Return how a rollout ends once an inconclusive end has been dealt with.

    Args:
        rollout: The rollout.
        outcome: How the stages ended.
        answer: The option that a person chose, or the verdict that closed the question, if one was asked.
        extension: The verdict on the extended stage, if it was extended.

    Raises:
        RolloutStateError: The stage was to be extended, and the extension has no verdict.
    """
    if not outcome.undecided:
        return outcome
    if harm := verdict_that_ended(answer):
        return _ended(outcome.stage, harm)
    match inconclusive_option(rollout, outcome, answer):
        case InconclusiveOption.LEAVE:
            return replace(outcome, winner=None, why=f"left running: {outcome.why}")
        case InconclusiveOption.TO_BASELINE:
            return outcome
        case InconclusiveOption.EXTEND:
            if extension is None:
                raise RolloutStateError("the last stage was extended, but has no verdict; clear `extension.watch`")
            stage = len(rollout.stages) - 1
            next_step(rollout, stage, extension)  # raises where the verdict ends no stage
            return _ended(stage, extension, extended=True)
        case unknown:
            assert_never(unknown)


def outcome_after_confirmation(rollout: Rollout, outcome: Outcome, confirmation: Mapping[str, Any] | None) -> Outcome:
    """Return how a rollout ends once shipping was confirmed or withheld.

    Args:
        rollout: The rollout.
        outcome: How it would end if shipping is confirmed.
        confirmation: A :class:`Confirmation` as plain JSON.

    Raises:
        RolloutStateError: The rollout would ship, and there is no confirmation.
    """
    if outcome.ending is not Ending.SHIP:
        return outcome
    if confirmation is None:
        raise RolloutStateError("shipping has to be confirmed, and there is no confirmation; clear the task `verdict`")
    if confirmation["confirmed"]:
        return outcome
    verdict = confirmation["verdict"] or outcome.verdict
    return _withheld(rollout, outcome.stage, verdict, confirmation, extended=outcome.extended)


def outcome_after_release(outcome: Outcome, release: Mapping[str, Any] | None) -> Outcome:
    """Return how a rollout ends once the release that ships its winner has ended, or waits after a regression.

    Args:
        outcome: How it would end without a release.
        release: The release, as :class:`.LaunchDarklyReleaseSensor` returns it.

    Raises:
        RolloutStateError: The rollout ships, and its release has not ended.
    """
    if outcome.ending is not Ending.SHIP:
        return outcome
    status = (release or {}).get("status")
    if release is None or not (status in {"completed", "reverted"} or waits_after_regression(release)):
        unharmed = " without a regression" if status == "waiting" else ""
        raise RolloutStateError(
            f"the winner's release has status {status!r}{unharmed}, which ends no rollout; clear `release.watch`"
        )
    if status == "completed":
        states = ", ".join(f"{key} {state.replace('_', ' ')}" for key, state in release["metrics"].items())
        return replace(outcome, why=f"{outcome.why}; its release completed{f' ({states})' if states else ''}")
    return replace(outcome, ending=Ending.REGRESSED, why=_why_back(release), winner=BASELINE)


def waits_after_regression(release: Mapping[str, Any]) -> bool:
    """Return whether a release waits since a metric regressed: one that waits for anything else is healthy.

    Args:
        release: The release, as :class:`.LaunchDarklyReleaseSensor` returns it.
    """
    detected = release.get("reason") == "waiting_regression_detected"
    return release["status"] == "waiting" and (detected or bool(release["regressed"]))


def _why_back(release: Mapping[str, Any]) -> str:
    """Return why a release did not reach everyone."""
    regressed = ", ".join(release["regressed"])
    unmeasured = ", ".join(release["unmeasured"])
    because = {
        "reverted_regression_detected": f"{regressed or 'a metric'} regressed, and LaunchDarkly reverted it",
        "waiting_regression_detected": f"{regressed or 'a metric'} regressed",
        "reverted_insufficient_data": f"LaunchDarkly has no data on {unmeasured or 'a metric'}, and reverted it",
        "reverted_manual": "a person stopped it in LaunchDarkly",
        "reverted_discarded": "the flag was turned off or archived",
    }
    reason = release.get("reason")
    return f"the release of the winner went back: {because.get(str(reason), reason)}"


def _withheld(
    rollout: Rollout,
    stage: int | None,
    verdict: Mapping[str, Any] | None,
    confirmation: Mapping[str, Any],
    *,
    extended: bool = False,
) -> Outcome:
    """Return the outcome of a rollout whose next write was not confirmed."""
    why, refused, by = str(confirmation.get("why")), bool(confirmation.get("refused")), confirmation.get("refused_by")
    ending = Ending.REFUSED if refused else Ending.INCONCLUSIVE
    if verdict is None:
        return Outcome(ending, f"not started: {why}", refused_by=by)
    if protective(verdict):
        return _ended(stage, verdict, extended=extended)
    to_baseline = refused and rollout.when_refused(by_person=by is not None) is Fallback.BASELINE
    return Outcome(
        ending,
        f"{why}: {'stop on the baseline' if to_baseline else 'the experiment goes on as it is'}",
        stage,
        verdict.get("experiment_key"),
        verdict.get("iteration_id"),
        winner=BASELINE if to_baseline else None,
        extended=extended,
        verdict=verdict,
        refused_by=by,
    )


def _ended(stage: int | None, verdict: Mapping[str, Any], *, extended: bool = False) -> Outcome:
    ending = Ending(verdict["verdict"])
    return Outcome(
        ending,
        str(verdict.get("summary")),
        stage,
        verdict.get("experiment_key"),
        verdict.get("iteration_id"),
        winner=None if ending is Ending.INVALID else dict(verdict),
        extended=extended,
        verdict=dict(verdict),
    )
