"""Who gets what, how that is known, and what differs from the rollout. Pure.

An iteration's allocation is what people get only while its flag is on and the flag's rule is unchanged. So whoever
shows it says whether the flag was read, and when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.decision.verdict import Reason
from airflow_provider_launchdarkly.views import notes as kinds
from airflow_provider_launchdarkly.views import reading
from airflow_provider_launchdarkly.views.explanations import sentence
from airflow_provider_launchdarkly.views.model import Share
from airflow_provider_launchdarkly.views.not_watched import lost_release
from airflow_provider_launchdarkly.views.served_model import WHILE_ON, KnownBy, Served
from airflow_provider_launchdarkly.views.words import in_shares

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Percent by which two shares may differ: a note has them rounded.
_ROUNDING = 0.01

# Why a verdict is invalid if someone else has ended the iteration.
_BY_OTHERS = frozenset({Reason.ITERATION_REPLACED.value, Reason.ITERATION_STOPPED.value})


def in_words(shares: Sequence[Share], served: Served | None) -> str:
    """Return who gets what in words, and on which condition; empty where nothing is known."""
    known = in_shares(shares)
    return f"{known} {WHILE_ON}" if known and served and served.by is KnownBy.ALLOCATION else known


def served_by(ordered: Sequence[Mapping[str, Any]], stage: int | None) -> tuple[tuple[Share, ...], Served | None]:
    """Return who gets what, and how that is known; nothing, and None, where it is not.

    Args:
        ordered: An experiment's notes, oldest first.
        stage: The current stage, from 1; None where there is none.
    """
    body = ordered[-1]
    if body.get("kind") == kinds.STOP:
        winner = reading.text(body.get("winner"))
        baseline = any(arm.baseline for arm in reading.shares(body.get("treatments")) if arm.treatment == winner)
        set_at = Served(KnownBy.CHANGE, reading.instant(body.get("at")))
        return ((Share(winner, 100.0, baseline),), set_at) if winner else ((), None)
    if body.get("kind") == kinds.RELEASE or _ended_by_others(body) or lost_release(body):
        return (), None
    for note in reversed(ordered):
        seen = reading.mapping(note.get("flag_seen"))
        if (at := reading.instant(seen.get("at"))) is not None:
            return reading.shares(seen.get("treatments")), Served(KnownBy.FLAG, at)
        if found := reading.shares(note.get("treatments")):
            return found, Served(KnownBy.ALLOCATION, reading.instant(note.get("at")))
    stages = reading.mappings(reading.mapping(body.get("rollout")).get("stages"))
    planned = reading.shares(stages[stage - 1].get("shares")) if stage and stage <= len(stages) else ()
    return planned, Served(KnownBy.ALLOCATION) if planned else None


def drift_of(body: Mapping[str, Any], stage: int | None) -> tuple[str, ...]:
    """Return how LaunchDarkly differs from the rollout, as far as the newest poll and look saw.

    Args:
        body: The newest note.
        stage: The current stage, from 1; None where there is none.
    """
    latest = reading.mapping(body.get("latest"))
    if latest.get("reason") in _BY_OTHERS or _ended_by_others(body):
        told = reading.text(latest.get("summary")) or reading.text(body.get("why"))
        return (sentence(told or "someone else ended the iteration"),)
    differs = reading.text(reading.mapping(body.get("flag_seen")).get("differs"))
    return (*((sentence(differs),) if differs else ()), *_other_shares(body, stage))


def _other_shares(body: Mapping[str, Any], stage: int | None) -> tuple[str, ...]:
    stages = reading.mappings(reading.mapping(body.get("rollout")).get("stages"))
    planned = reading.shares(stages[stage - 1].get("shares")) if stage and stage <= len(stages) else ()
    found = reading.shares(body.get("treatments"))
    percents = {share.treatment: share.percent for share in found}
    # By name only where each name is known on both sides: LaunchDarkly may call a treatment otherwise.
    if body.get("kind") != kinds.WATCH or set(percents) != {share.treatment for share in planned}:
        return ()
    if all(abs(percents[share.treatment] - share.percent) <= _ROUNDING for share in planned):
        return ()
    return (f"The iteration's allocation is {in_shares(found)}; the stage says {in_shares(planned)}.",)


def _ended_by_others(body: Mapping[str, Any]) -> bool:
    """Return whether a rollout has ended because someone else had ended its iteration."""
    return body.get("kind") == kinds.END and body.get("reason") in _BY_OTHERS
