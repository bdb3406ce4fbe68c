"""Where a rollout goes from here: to the next stage, or to which end. Pure; every task of a rollout asks this.

Whatever was not foreseen leads to no write: a refusal, a changed verdict and an unknown one all hold.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.decision.verdict import Kind, Reason
from airflow_provider_launchdarkly.rollout.spec import Autonomy, Fallback, Gate, Inconclusive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_launchdarkly.rollout.spec import Rollout

APPROVE, REJECT = "Approve", "Reject"
TO_BASELINE, EXTEND, LEAVE = "Stop on the baseline", "Extend", "Leave it running"
BASELINE = "baseline"


class RolloutStateError(ValueError):
    """A task before this one has not said what it had to; nothing may follow from that."""


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from a stage's verdict: one of the two.

    Attributes:
        stage: Number of the stage to go to.
        ending: The end to come to.
    """

    stage: int | None = None
    ending: Kind | None = None


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Whether something may be done after people were asked and time has passed.

    Attributes:
        confirmed: Whether it may.
        why: In words.
        refused: Whether it was a person who refused, or nobody who answered.
        verdict: The data judged afresh; None where there are none yet.
    """

    confirmed: bool
    why: str
    refused: bool = False
    verdict: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """As XCom carries it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class StageOutputs:
    """What the tasks of one stage have said so far.

    Attributes:
        confirmation: A :class:`Confirmation` as plain JSON; None where nobody was asked.
        verdict: The gate's verdict as plain JSON; None where the stage has not come to one.
    """

    confirmation: Mapping[str, Any] | None = None
    verdict: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rollout has come.

    Attributes:
        stage: The stage that spoke last; None before the first.
        verdict: Its verdict, or the fresh one of a confirmation.
        step: What follows; None where a confirmation was withheld.
        confirmation: The one that was withheld.
    """

    stage: int | None
    verdict: Mapping[str, Any] | None
    step: Step | None
    confirmation: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a rollout ends.

    Attributes:
        ending: ``ship``, ``rollback``, ``inconclusive`` or ``invalid``.
        why: In words.
        stage: Number of the stage at which it ends; None if none was started.
        experiment_key: The experiment; None if none was started.
        iteration_id: The iteration that the end is about; None if none was started.
        winner: What the iteration is stopped with: the verdict, or ``baseline``. None holds: nothing is written.
        extended: Whether the last stage was let run on.
        verdict: The verdict that it rests on.
    """

    ending: str
    why: str
    stage: int | None = None
    experiment_key: str | None = None
    iteration_id: str | None = None
    winner: Any = None
    extended: bool = False
    verdict: Mapping[str, Any] | None = None

    @property
    def open(self) -> bool:
        """Whether the plan ended without a winner, so that the experiment may be let run on."""
        return self.ending == Kind.INCONCLUSIVE and self.winner is not None and self.winner != BASELINE

    def to_json(self) -> dict[str, Any]:
        """As XCom carries it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Conclusion:
        """Read it back."""
        return cls(**value)


def after(rollout: Rollout, stage: int, verdict: Mapping[str, Any]) -> Step:
    """What follows from a stage's verdict.

    Overdue stages are folded: a stage that would have begun and ended already by the time the gate before it was
    passed is left out, unless it has a gate or an approval, and unless it is the last.

    Raises:
        CourseError: The verdict is none, or none that ends a stage.
    """
    kind, gate = verdict.get("verdict"), rollout.stages[stage].gate
    if kind not in {Kind.SHIP, Kind.ROLLBACK, Kind.INCONCLUSIVE, Kind.INVALID}:
        raise RolloutStateError(f"stage {stage} ended with verdict {kind!r}, which ends no stage")
    if kind in {Kind.ROLLBACK, Kind.INVALID}:
        return Step(ending=Kind(kind))
    if kind == Kind.SHIP and gate is Gate.DECISION:
        return Step(ending=Kind.SHIP)
    passed = kind == Kind.SHIP or verdict.get("reason") == Reason.PLAN_ENDED
    if not passed or stage == len(rollout.stages) - 1:
        return Step(ending=Kind.INCONCLUSIVE)
    return Step(stage=_fold(rollout, stage, timedelta(days=float(verdict["elapsed_days"]))))


def _fold(rollout: Rollout, stage: int, elapsed: timedelta) -> int:
    overdue = elapsed - (rollout.stages[stage].dwell or elapsed)
    following = stage + 1
    while following < len(rollout.stages) - 1:
        candidate = rollout.stages[following]
        if candidate.gate is not Gate.NONE or asks_before(rollout, following) or candidate.dwell is None:
            break
        overdue -= candidate.dwell
        if overdue < timedelta():
            break
        following += 1
    return following


def asks_before(rollout: Rollout, stage: int) -> bool:
    """Whether a person is asked before a stage starts."""
    return rollout.stages[stage].approval or rollout.autonomy is Autonomy.RECOMMEND


def asks_before_ship(rollout: Rollout) -> bool:
    """Whether a person is asked before the winner is shipped."""
    return rollout.approval.before_ship or rollout.autonomy is Autonomy.RECOMMEND


def walk(rollout: Rollout, records: Sequence[StageOutputs]) -> Progress:
    """Follow the stages' records as far as they go."""
    stage, before, verdict = 0, None, None
    while stage < len(records):
        record = records[stage]
        if record.confirmation is not None and not record.confirmation["confirmed"]:
            fresh = record.confirmation["verdict"]
            return Progress(before, fresh or verdict, None, record.confirmation)
        if record.verdict is None:
            break
        before, verdict = stage, record.verdict
        step = after(rollout, stage, verdict)
        if step.stage is None:
            return Progress(before, verdict, step)
        stage = step.stage
    return Progress(before, verdict, Step(stage=stage))


def enters(rollout: Rollout, stage: int, records: Sequence[StageOutputs]) -> Progress | None:
    """How the rollout stands, if a stage is the one to start now; None if it is not.

    Args:
        rollout: The rollout.
        stage: The stage in question.
        records: Those of the stages before it.
    """
    standing = walk(rollout, records[:stage])
    return standing if standing.step and standing.step.stage == stage else None


def refusal(answer: Mapping[str, Any] | None) -> str | None:
    """Why an answer to an approval is no approval; None if it is one."""
    chosen = list((answer or {}).get("chosen_options") or ())
    if chosen == [APPROVE]:
        who = answered_by(answer)
        # A default is taken when the time is up; that it was Approve is nothing that this package writes.
        return None if who else "nobody answered in time"
    return f"rejected by {answered_by(answer)}" if answered_by(answer) else "nobody answered in time"


def answered_by(answer: Mapping[str, Any] | None) -> str | None:
    """The name of the person who answered; None if nobody did."""
    user = (answer or {}).get("responded_by_user") or {}
    return user.get("name") or user.get("id")


def confirm_stage(
    rollout: Rollout,
    before: int | None,
    *,
    asked: bool,
    answer: Mapping[str, Any] | None,
    fresh: Mapping[str, Any] | None,
) -> Confirmation:
    """Whether the next stage may start, after people were asked and the window was waited for.

    Args:
        rollout: The rollout.
        before: The stage that was passed; None for the first stage's start.
        asked: Whether a person was asked.
        answer: What the person said.
        fresh: The passed stage's data, judged afresh; None for the first stage's start.
    """
    if asked and (no := refusal(answer)):
        return Confirmation(False, no, refused=True, verdict=_protective(fresh))
    if before is None or fresh is None:
        return Confirmation(True, "nothing runs yet")
    if fresh.get("verdict") == Kind.WAIT or after(rollout, before, fresh).stage is None:
        return Confirmation(False, f"the data have changed: {fresh.get('summary')}", verdict=fresh)
    return Confirmation(True, str(fresh.get("summary")), verdict=fresh)


def confirm_ship(
    verdict: Mapping[str, Any], *, asked: bool, answer: Mapping[str, Any] | None, fresh: Mapping[str, Any]
) -> Confirmation:
    """Whether a winner may be shipped, after people were asked and the window was waited for.

    Args:
        verdict: The verdict that people saw.
        asked: Whether a person was asked.
        answer: What the person said.
        fresh: The same data, judged afresh.
    """
    if asked and (no := refusal(answer)):
        return Confirmation(False, no, refused=True, verdict=_protective(fresh))
    same = all(fresh.get(key) == verdict.get(key) for key in ("verdict", "treatment_id", "iteration_id"))
    if fresh.get("verdict") != Kind.SHIP or not same:
        return Confirmation(False, f"the data have changed: {fresh.get('summary')}", verdict=fresh)
    return Confirmation(True, str(fresh.get("summary")), verdict=fresh)


def _protective(fresh: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A fresh verdict that counts although a person said no: harm is undone whatever anybody answers."""
    return fresh if fresh and fresh.get("verdict") in {Kind.ROLLBACK, Kind.INVALID} else None


def conclude(rollout: Rollout, records: Sequence[StageOutputs]) -> Conclusion:
    """How the stages end.

    Raises:
        CourseError: They have not ended.
    """
    standing = walk(rollout, records)
    if standing.step is None:
        withheld = standing.confirmation or {}
        return _withheld(rollout, standing.stage, standing.verdict, withheld)
    if standing.step.ending is None or standing.verdict is None:
        raise RolloutStateError(f"stage {standing.step.stage} was to come, and has said nothing")
    return _ended(standing.stage, standing.verdict)


def choice(rollout: Rollout, conclusion: Conclusion, answer: Mapping[str, Any] | None) -> str:
    """What is done with an experiment whose plan ended without a winner.

    Returns:
        ``TO_BASELINE``, ``EXTEND`` or ``LEAVE``.
    """
    if not conclusion.open:
        raise RolloutStateError(f"the rollout ended {conclusion.ending}: there is nothing to choose")
    # Only the last stage is extended: one before it could not ship, however long it ran.
    last = conclusion.stage == len(rollout.stages) - 1
    if rollout.endings.inconclusive is not Inconclusive.ASK:
        return EXTEND if rollout.endings.inconclusive is Inconclusive.EXTEND and last else TO_BASELINE
    chosen = list((answer or {}).get("chosen_options") or ())
    if chosen in ([TO_BASELINE], [LEAVE], [EXTEND]) and answered_by(answer):
        return str(chosen[0]) if last or chosen != [EXTEND] else LEAVE
    return TO_BASELINE if rollout.approval.otherwise is Fallback.BASELINE else LEAVE


def settle(
    rollout: Rollout, conclusion: Conclusion, *, answer: Mapping[str, Any] | None, extension: Mapping[str, Any] | None
) -> Conclusion:
    """How a rollout ends once an inconclusive end was dealt with.

    Args:
        rollout: The rollout.
        conclusion: How the stages ended.
        answer: What a person chose, if one was asked.
        extension: The verdict on the extended stage, if it was extended.

    Raises:
        CourseError: It was to be extended, and the extension has said nothing.
    """
    if not conclusion.open:
        return conclusion
    match choice(rollout, conclusion, answer):
        case chosen if chosen == LEAVE:
            return _holding(conclusion, "left running")
        case chosen if chosen == TO_BASELINE:
            return conclusion
    if extension is None:
        raise RolloutStateError("the last stage was to be extended, and the extension has said nothing")
    stage = len(rollout.stages) - 1
    after(rollout, stage, extension)
    return _ended(stage, extension, extended=True)


def confirmed(rollout: Rollout, conclusion: Conclusion, confirmation: Mapping[str, Any] | None) -> Conclusion:
    """How a rollout ends once shipping was confirmed, or not."""
    if conclusion.ending != Kind.SHIP:
        return conclusion
    if confirmation is None:
        raise RolloutStateError("shipping was to be confirmed, and the confirmation has said nothing")
    if confirmation["confirmed"]:
        return conclusion
    verdict = confirmation["verdict"] or conclusion.verdict
    return _withheld(rollout, conclusion.stage, verdict, confirmation, extended=conclusion.extended)


def _withheld(
    rollout: Rollout,
    stage: int | None,
    verdict: Mapping[str, Any] | None,
    confirmation: Mapping[str, Any],
    *,
    extended: bool = False,
) -> Conclusion:
    """The end of a rollout that was not allowed on."""
    why = str(confirmation.get("why"))
    if verdict is None:
        return Conclusion(Kind.INCONCLUSIVE.value, f"not started: {why}")
    if verdict.get("verdict") in {Kind.ROLLBACK, Kind.INVALID}:
        return _ended(stage, verdict, extended=extended)
    to_baseline = bool(confirmation.get("refused")) and rollout.approval.otherwise is Fallback.BASELINE
    return Conclusion(
        Kind.INCONCLUSIVE.value,
        f"{why}: {'stop on the baseline' if to_baseline else 'the experiment goes on as it is'}",
        stage,
        verdict.get("experiment_key"),
        verdict.get("iteration_id"),
        winner=BASELINE if to_baseline else None,
        extended=extended,
        verdict=verdict,
    )


def _ended(stage: int | None, verdict: Mapping[str, Any], *, extended: bool = False) -> Conclusion:
    kind = Kind(verdict["verdict"])
    return Conclusion(
        kind.value,
        str(verdict.get("summary")),
        stage,
        verdict.get("experiment_key"),
        verdict.get("iteration_id"),
        winner=None if kind is Kind.INVALID else dict(verdict),
        extended=extended,
        verdict=dict(verdict),
    )


def _holding(conclusion: Conclusion, why: str) -> Conclusion:
    plain = conclusion.to_json()
    return Conclusion.from_json({**plain, "winner": None, "why": f"{why}: {conclusion.why}"})
