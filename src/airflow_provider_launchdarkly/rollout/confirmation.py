"""Decide if a rollout may start a stage or ship, by people's answers and by harm. Pure.

It fails safe: silence, a rejection and harm all withhold the write.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.rollout.options import ApprovalOption
from airflow_provider_launchdarkly.sensors._ended_wait import verdict_that_ended

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The last check before a start or a ship, after people have answered and the window has opened.

    Attributes:
        confirmed: True if the write is allowed.
        why: The reason, in words.
        refused: True if a person rejected it, or nobody answered in time.
        refused_by: The person who rejected it; None if nobody answered in time.
        verdict: The verdict on the results as they are now; None before there are results.
        by_person: True if a person makes the change in LaunchDarkly, whose approval replaces Airflow's.
    """

    confirmed: bool
    why: str
    refused: bool = False
    refused_by: str | None = None
    verdict: Mapping[str, Any] | None = None
    by_person: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, for XCom."""
        return asdict(self)


def refusal(answer: Mapping[str, Any] | None) -> str | None:
    """Return why an answer to an approval refuses it; None if it approves.

    Only a person can approve: on a timeout Airflow answers with the default option, which has no person behind it. A
    question that is left to LaunchDarkly refuses nothing, as only a person makes the change then.
    """
    if left_to_launchdarkly(answer):
        return None
    who = answered_by(answer)
    if who is None:
        return "nobody answered in time"
    return None if chosen(answer) == [ApprovalOption.APPROVE] else f"rejected by {who}"


_THERE = "LaunchDarkly"
LEFT_TO_LAUNCHDARKLY: Mapping[str, Any] = MappingProxyType(
    {
        "chosen_options": [],
        "params_input": {},
        "responded_at": None,
        "responded_by_user": None,
        "left_to": _THERE,
    }
)
"""The output of a question that is not asked, since LaunchDarkly's approval replaces Airflow's."""


def left_to_launchdarkly(answer: Mapping[str, Any] | None) -> bool:
    """Return whether nobody was asked in Airflow, since a person makes the change in LaunchDarkly."""
    return answer is not None and answer.get("left_to") == _THERE


def answered_by(answer: Mapping[str, Any] | None) -> str | None:
    """Return the name of the person who answered; None if no person did."""
    user = (answer or {}).get("responded_by_user") or {}
    return user.get("name") or user.get("id")


def chosen(answer: Mapping[str, Any] | None) -> list[str]:
    """Return the options that were chosen."""
    return list((answer or {}).get("chosen_options") or ())


def withheld_by_harm(*waits: Any) -> Confirmation | None:
    """Return that harm ended a wait, if it did. It was judged by a worker a moment ago, so it is not judged again.

    Args:
        waits: The outputs of the question and of the wait for the change window; None for one that there was not.
    """
    found = next((verdict for wait in waits if (verdict := verdict_that_ended(wait))), None)
    return None if found is None else Confirmation(False, str(found.get("summary")), verdict=found)


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
        return refused(no, answer, fresh)
    same = all(fresh.get(key) == verdict.get(key) for key in ("verdict", "treatment_id", "iteration_id"))
    if fresh.get("verdict") != Kind.SHIP or not same:
        return Confirmation(False, f"the data have changed: {fresh.get('summary')}", verdict=fresh)
    by_person = asked and left_to_launchdarkly(answer)
    return Confirmation(True, str(fresh.get("summary")), verdict=fresh, by_person=by_person)


def refused(why: str, answer: Mapping[str, Any] | None, fresh: Mapping[str, Any] | None) -> Confirmation:
    """Return that a person refused, or nobody answered in time; harm that shows by then counts all the same."""
    return Confirmation(False, why, refused=True, refused_by=answered_by(answer), verdict=protective(fresh))


def protective(fresh: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a verdict of harm, which counts even if a person approved; None for any other verdict."""
    return fresh if fresh and fresh.get("verdict") in {Kind.ROLLBACK, Kind.INVALID} else None
