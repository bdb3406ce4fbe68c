"""The state machine of a rollout: which stage follows, and how the rollout ends. Pure; each task of a rollout asks it.

It fails safe: a rejection, a changed verdict and an unknown verdict all write nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, assert_never

from airflow_provider_launchdarkly.decision.verdict import Kind, Reason
from airflow_provider_launchdarkly.rollout.options import (
    ApprovalOption,
    Ending,
    Fallback,
    Gate,
    Inconclusive,
    InconclusiveOption,
)

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
class Confirmation:
    """The last check before a start or a ship, after people have answered and the window has opened.

    Attributes:
        confirmed: True if the write is allowed.
        why: The reason, in words.
        refused: True if a person rejected it, or nobody answered in time.
        verdict: The verdict on the results as they are now; None before there are results.
    """

    confirmed: bool
    why: str
    refused: bool = False
    verdict: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, for XCom."""
        return asdict(self)


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
        stage: Number of the stage at which it ends; None if none was started.
        experiment_key: The experiment; None if none was started.
        iteration_id: The iteration that the ending is about; None if none was started.
        winner: The verdict, or ``baseline``, to stop the iteration with. None stops nothing.
        extended: True if the last stage was extended.
        verdict: The verdict that it rests on.
    """

    ending: Ending
    why: str
    stage: int | None = None
    experiment_key: str | None = None
    iteration_id: str | None = None
    winner: Any = None
    extended: bool = False
    verdict: Mapping[str, Any] | None = None

    @property
    def undecided(self) -> bool:
        """True if the plan ended without a winner, so that the experiment may be extended."""
        return self.ending is Ending.INCONCLUSIVE and self.winner is not None and self.winner != BASELINE

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, for XCom."""
        return {**asdict(self), "ending": self.ending.value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Outcome:
        """Read back the JSON of :meth:`to_json`."""
        return cls(**{**value, "ending": Ending(value["ending"])})


def next_step(rollout: Rollout, stage: int, verdict: Mapping[str, Any]) -> NextStep:
    """Return the step that follows from a stage's verdict.

    A stage whose whole dwell time had passed before its gate opened is overdue and left out, unless it has a gate or an
    approval, or is the last.

    Raises:
        RolloutStateError: The verdict is missing, or is ``wait``.
    """
    kind, gate = verdict.get("verdict"), rollout.stages[stage].gate
    if kind not in set(Ending):
        raise RolloutStateError(f"stage {stage} has verdict {kind!r}, which ends no stage; clear its task `wait`")
    match Ending(kind):
        case Ending.ROLLBACK | Ending.INVALID as ending:
            return NextStep(ending=ending)
        case Ending.SHIP:
            if gate is Gate.DECISION:
                return NextStep(ending=Ending.SHIP)
        case Ending.INCONCLUSIVE:
            if verdict.get("reason") not in {Reason.PLAN_ENDED, Reason.EFFECT_GONE}:
                return NextStep(ending=Ending.INCONCLUSIVE)
        case unknown:
            assert_never(unknown)
    if stage == len(rollout.stages) - 1:
        return NextStep(ending=Ending.INCONCLUSIVE)
    return NextStep(stage=_next_stage(rollout, stage, timedelta(days=float(verdict["elapsed_days"]))))


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


def refusal(answer: Mapping[str, Any] | None) -> str | None:
    """Return why an answer to an approval refuses it; None if it approves.

    Only a person can approve: on a timeout Airflow answers with the default option, which has no person behind it.
    """
    who = answered_by(answer)
    if who is None:
        return "nobody answered in time"
    return None if _chosen(answer) == [ApprovalOption.APPROVE] else f"rejected by {who}"


def answered_by(answer: Mapping[str, Any] | None) -> str | None:
    """Return the name of the person who answered; None if no person did."""
    user = (answer or {}).get("responded_by_user") or {}
    return user.get("name") or user.get("id")


def _chosen(answer: Mapping[str, Any] | None) -> list[str]:
    return list((answer or {}).get("chosen_options") or ())


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
        return Confirmation(False, no, refused=True, verdict=_protective(fresh))
    if passed is None or fresh is None:
        return Confirmation(True, "no iteration is running yet")
    if fresh.get("verdict") == Kind.WAIT or next_step(rollout, passed, fresh).stage is None:
        return Confirmation(False, f"the data have changed: {fresh.get('summary')}", verdict=fresh)
    return Confirmation(True, str(fresh.get("summary")), verdict=fresh)


def confirm_ship(
    verdict: Mapping[str, Any], *, asked: bool, answer: Mapping[str, Any] | None, fresh: Mapping[str, Any]
) -> Confirmation:
    """Decide whether a winner may be shipped, after people have answered and the window has opened.

    Args:
        verdict: The verdict that people saw.
        asked: True if a person was asked.
        answer: The person's answer.
        fresh: The verdict on the same iteration's results as they are now.
    """
    if asked and (no := refusal(answer)):
        return Confirmation(False, no, refused=True, verdict=_protective(fresh))
    same = all(fresh.get(key) == verdict.get(key) for key in ("verdict", "treatment_id", "iteration_id"))
    if fresh.get("verdict") != Kind.SHIP or not same:
        return Confirmation(False, f"the data have changed: {fresh.get('summary')}", verdict=fresh)
    return Confirmation(True, str(fresh.get("summary")), verdict=fresh)


def _protective(fresh: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a verdict of harm, which counts even if a person approved; None for any other verdict."""
    return fresh if fresh and fresh.get("verdict") in {Kind.ROLLBACK, Kind.INVALID} else None


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
        raise RolloutStateError(f"stage {found.next_step.stage} is next, but its tasks have no output; clear them")
    return _ended(found.stage, found.verdict)


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
            chosen = _chosen(answer)
            if answered_by(answer) is None or len(chosen) != 1 or chosen[0] not in set(InconclusiveOption):
                return rollout.default_inconclusive_option
            option = InconclusiveOption(chosen[0])
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
        answer: The option that a person chose, if one was asked.
        extension: The verdict on the extended stage, if it was extended.

    Raises:
        RolloutStateError: The stage was to be extended, and the extension has no verdict.
    """
    if not outcome.undecided:
        return outcome
    match inconclusive_option(rollout, outcome, answer):
        case InconclusiveOption.LEAVE:
            return replace(outcome, winner=None, why=f"left running: {outcome.why}")
        case InconclusiveOption.TO_BASELINE:
            return outcome
        case InconclusiveOption.EXTEND:
            if extension is None:
                raise RolloutStateError("the last stage was extended, but has no verdict; clear the extension's `wait`")
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
        raise RolloutStateError("shipping has to be confirmed, but the task `confirm` has no output; clear it")
    if confirmation["confirmed"]:
        return outcome
    verdict = confirmation["verdict"] or outcome.verdict
    return _withheld(rollout, outcome.stage, verdict, confirmation, extended=outcome.extended)


def _withheld(
    rollout: Rollout,
    stage: int | None,
    verdict: Mapping[str, Any] | None,
    confirmation: Mapping[str, Any],
    *,
    extended: bool = False,
) -> Outcome:
    """Return the outcome of a rollout whose next write was not confirmed."""
    why = str(confirmation.get("why"))
    if verdict is None:
        return Outcome(Ending.INCONCLUSIVE, f"not started: {why}")
    if _protective(verdict):
        return _ended(stage, verdict, extended=extended)
    to_baseline = bool(confirmation.get("refused")) and rollout.approval.otherwise is Fallback.BASELINE
    return Outcome(
        Ending.INCONCLUSIVE,
        f"{why}: {'stop on the baseline' if to_baseline else 'the experiment goes on as it is'}",
        stage,
        verdict.get("experiment_key"),
        verdict.get("iteration_id"),
        winner=BASELINE if to_baseline else None,
        extended=extended,
        verdict=verdict,
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
