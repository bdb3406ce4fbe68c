"""Words for cards, messages and logs: who gets what in a rollout, what follows, and when. Pure.

Stages count from one here, as people do.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, assert_never

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.rollout.options import Ending, Gate, Inconclusive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.rollout.spec import Rollout

NOTHING_YET = "nothing of this rollout: no iteration is running"


def stage_name(rollout: Rollout, number: int) -> str:
    """Return a stage's name, such as ``stage 2 of 3`` or ``half of all (stage 2 of 3)``.

    Args:
        rollout: The rollout.
        number: The stage's number, from 0.
    """
    place = f"stage {number + 1} of {len(rollout.stages)}"
    name = rollout.stages[number].name
    return f"{name} ({place})" if name else place


def shares_in_words(rollout: Rollout, number: int) -> str:
    """Return a stage's shares, the new ones first: ``Bold 10 %, Classic 90 %``."""
    shares = zip(rollout.experiment.treatments, rollout.shares(rollout.stages[number]), strict=True)
    ordered = sorted(shares, key=lambda each: each[0].baseline)
    return ", ".join(f"{treatment.label} {share.normalize():f} %" for treatment, share in ordered)


def served_in(rollout: Rollout, number: int | None) -> str:
    """Return who gets what while a stage runs.

    Args:
        rollout: The rollout.
        number: The stage's number, from 0; None if none has started.
    """
    return NOTHING_YET if number is None else f"{shares_in_words(rollout, number)}, in {stage_name(rollout, number)}"


def served_after(rollout: Rollout, stage: int | None, outcome: Mapping[str, Any]) -> str:
    """Return who gets what after a rollout's end.

    Args:
        rollout: The rollout.
        stage: Number of the stage at which it ended, from 0; None if none has started.
        outcome: An ending's output: an :class:`.Outcome` as plain JSON, with `unwatched`.
    """
    if outcome.get("winner") is None:
        left = outcome.get("unwatched") or {}
        if left.get("serves") is not None and left.get("served"):
            return f"{left['served']}, in {left.get('stage_name')}"
        # Without `served`, `now` says in words what is known, and why it is no more.
        return str(left.get("served") or left.get("now") or served_in(rollout, stage))
    if outcome.get("ending") == Ending.SHIP:
        return f"everyone gets {(outcome.get('verdict') or {}).get('treatment')}"
    return f"everyone gets {rollout.experiment.baseline.label}, the baseline"


def treatments_served(rollout: Rollout, stage: int | None, *, ended: bool = False) -> list[dict[str, Any]]:
    """Return who gets what, as plain JSON for the pages: ``name``, ``percent`` and ``baseline`` of each treatment.

    Args:
        rollout: The rollout.
        stage: Number of the stage that runs, from 0; None if none does.
        ended: True if the experiment has ended on its baseline.

    Returns:
        An empty list if no stage has run.
    """
    if ended:
        return [{"name": rollout.experiment.baseline.label, "percent": 100.0, "baseline": True}]
    if stage is None:
        return []
    shares = zip(rollout.experiment.treatments, rollout.shares(rollout.stages[stage]), strict=True)
    return [{"name": each.label, "percent": float(share), "baseline": each.baseline} for each, share in shares]


def served_while_released(rollout: Rollout, treatment: str) -> str:
    """Return who gets what while a release ships the winner.

    Args:
        rollout: The rollout.
        treatment: The winner.
    """
    steps = rollout.release.steps_in_words if rollout.release else ""
    return f"{treatment} step by step ({steps}), and the others {rollout.experiment.baseline.label}"


def after_release_start(rollout: Rollout, treatment: str) -> str:
    """Return what follows the start of a winner's release.

    Args:
        rollout: The rollout.
        treatment: The winner.
    """
    baseline = rollout.experiment.baseline.label
    back = f"If it goes back, everyone gets {baseline}, and the rollout ends regressed."
    return f"When the last step is over, everyone gets {treatment}, and the rollout ends. {back}"


def after_stage(rollout: Rollout, number: int, started_at: datetime | None) -> str:
    """Return what follows a stage, and when.

    Args:
        rollout: The rollout.
        number: The stage's number, from 0.
        started_at: When its iteration started; None if that is not known here.
    """
    stage, policy = rollout.stages[number], rollout.policy_of(number)
    longest = stage.dwell or policy.max_duration
    ends = moment_in_words(started_at, longest)
    watched = ", ".join(policy.watched) or "none"
    following = None
    if number < len(rollout.stages) - 1:
        asks = "a person is asked, then " if rollout.asks_before(number + 1) else ""
        following = f"{asks}{stage_name(rollout, number + 1)} starts, {shares_in_words(rollout, number + 1)}"
    match stage.gate:
        case Gate.NONE:
            return f"{ends}: {following}; nothing is judged until then"
        case Gate.GUARDRAILS:
            return f"{ends}, unless harm shows before (guardrails: {watched}): {following}"
        case Gate.DECISION:
            first = _first_look(rollout, number, started_at)
            how = f" through a {rollout.release.kind_in_words} release" if rollout.release else ""
            winner = (
                f"a person is asked to ship the winner{how}" if rollout.asks_before_ship else f"the winner ships{how}"
            )
            last = following or _without_winner(rollout)
            ending = f"a look may end it: {winner}, or harm rolls back (guardrails: {watched})"
            return f"{first}; {ending}; {ends} at the latest: {last}"
        case unknown:
            assert_never(unknown)


def _first_look(rollout: Rollout, number: int, started_at: datetime | None) -> str:
    from airflow_provider_launchdarkly.decision.schedule import look_times

    policy = rollout.policy_of(number)
    if policy.looks.on_data is not None:
        return "a look each time data have arrived"
    if policy.looks.cron is not None and started_at is None:
        return f"looks at {policy.looks.cron}"
    return f"first look {moment_in_words(started_at, look_times(policy, started_at)[0])}"


def _without_winner(rollout: Rollout) -> str:
    match rollout.endings.inconclusive:
        case Inconclusive.BASELINE:
            return f"without a winner everyone gets {rollout.experiment.baseline.label}"
        case Inconclusive.EXTEND:
            return f"without a winner it runs on for {format_duration(rollout.endings.extension)}"
        case Inconclusive.ASK:
            return "without a winner a person is asked"
        case unknown:
            assert_never(unknown)


def moment_in_words(start: datetime | None, after: timedelta) -> str:
    """Return a time after a start: ``at 2026-12-04 09:00 UTC``, or ``2d after its start`` without one."""
    if start is None:
        return f"{format_duration(after)} after its start"
    return f"at {(start + after).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
