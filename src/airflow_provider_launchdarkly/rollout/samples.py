"""A sample message of each event of a rollout, for `airflow-launchdarkly notify --test`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.notifications.events import Event, Message
from airflow_provider_launchdarkly.rollout.answers import approval_answers, inconclusive_answers
from airflow_provider_launchdarkly.rollout.ending_settings import counted
from airflow_provider_launchdarkly.rollout.news import Happening, message_of
from airflow_provider_launchdarkly.rollout.options import Ending, Inconclusive, RetireMode
from airflow_provider_launchdarkly.rollout.release_requests import endings_of
from airflow_provider_launchdarkly.rollout.requests import deciding_metric
from airflow_provider_launchdarkly.rollout.wave_tally import Standing, Tally, stopped_news
from airflow_provider_launchdarkly.rollout.words import inconclusive_question, ship_question, stage_question

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from airflow_provider_launchdarkly.rollout.ending_settings import Retire
    from airflow_provider_launchdarkly.rollout.spec import Rollout
    from airflow_provider_launchdarkly.rollout.waves import Waves


def sample_messages(rollout: Rollout, at: datetime, waves: Waves | None = None) -> Iterator[tuple[str, Message]]:
    """Yield each event's name, ``ended.ship`` for an ending, and its message with made-up news of this rollout.

    Args:
        rollout: The rollout.
        at: The time by which the next steps are dated.
        waves: The waves that it is a target's of; None for a rollout without.
    """
    news = [*_news(rollout, at)]
    if waves is not None:
        news.append((Event.STOPPED, None, None, {"output": _stopped(waves)}))
    for event, ending, stage, facts in news:
        place = ("sample", event.value, ending or "")
        message = message_of(event, rollout, Happening(place=place, stage=stage, at=at, **facts))
        if message is not None:
            yield (f"{event}.{ending}" if ending else event.value), message


def _news(rollout: Rollout, at: datetime) -> Iterator[tuple[Event, Ending | None, int | None, dict[str, Any]]]:
    last = len(rollout.stages) - 1
    new = next(treatment.label for treatment in rollout.experiment.treatments if not treatment.baseline)
    iteration = {"iteration_id": "sample", "changed": True}
    harmed = next((guardrail.metric for guardrail in rollout.policy.guardrails), deciding_metric(rollout))
    running, asked = _question(rollout, at, new)
    yield Event.ASKED, None, running, asked
    yield Event.REMINDED, None, running, {**asked, "reminder": 1}
    yield Event.STARTED, None, 0, {"output": iteration}
    if last:
        yield Event.STAGE_ENTERED, None, 1, {"output": iteration}
    if rollout.release is not None:
        yield Event.RELEASE_STARTED, None, last, {"output": {**iteration, "treatment": new}}
    summary = f"rollback: {new} harms {harmed} (sample)"
    yield Event.HARM, None, last, {"output": {**iteration, "verdict": "rollback", "summary": summary}}
    for ending in endings_of(rollout):
        yield Event.ENDED, ending, last, {"output": {**iteration, **_outcome(ending, last, new)}}
    if rollout.retire is not None:
        yield Event.RETIREMENT, None, None, {"output": _retired(rollout, rollout.retire, new)}
    yield Event.UNWATCHED, None, last, {"output": iteration, "error": "the token is refused (sample)"}
    if rollout.retire is not None:
        yield Event.RETIREMENT_FAILED, None, None, {"error": "task retire.flag failed: the token is refused (sample)"}
    summary = "invalid: iteration sample is stopped, not by this task (sample)"
    changed = {"verdict": "invalid", "reason": "iteration_stopped", "summary": summary}
    yield Event.DRIFT, None, last, {"output": {**iteration, **changed}}


def _stopped(waves: Waves) -> dict[str, Any]:
    """Return the news that as many targets failed as stop all, and the others are untouched."""
    failed = waves.tolerated + 1
    standings = {
        key: Standing.ROLLBACK if number < failed else Standing.UNTOUCHED for number, key in enumerate(waves.targets)
    }
    served = [(key, f"{standing} (sample)") for key, standing in standings.items()]
    return stopped_news(Tally(standings, waves.tolerated), served, len(waves.waves))


def _question(rollout: Rollout, at: datetime, new: str) -> tuple[int | None, dict[str, Any]]:
    """Return a question that this rollout asks, and the stage that runs then; without any, the one before shipping."""
    last, until = len(rollout.stages) - 1, at + rollout.approval.timeout
    asked = next((number for number in range(last + 1) if rollout.asks_before(number)), None)
    if asked is not None:
        question, stage = stage_question(rollout, asked), asked - 1 if asked else None
        answers = approval_answers(rollout, until, running=stage is not None, number=asked)
    elif rollout.endings.inconclusive is Inconclusive.ASK and not rollout.asks_before_ship:
        question, stage = inconclusive_question(rollout), last
        answers = inconclusive_answers(rollout, until, last=True)
    else:
        question, stage = ship_question(rollout), last
        answers = approval_answers(rollout, until, running=True, winner=new)
    return stage, {"question": question, "answers": tuple(answer.text for answer in answers)}


def _retired(rollout: Rollout, retire: Retire, new: str) -> dict[str, Any]:
    """Return the output of the task that retires the flag."""
    own = rollout.environment or "the connection's environment"
    return {
        "flag_key": rollout.experiment.flag,
        "outcome": "proposed" if retire.mode is RetireMode.PROPOSE else "archived",
        "environments": list(counted(retire.environments, own)) or ["all environments"],
        "variation": {"name": new},
        "references": [],
    }


def _outcome(ending: Ending, stage: int, new: str) -> dict[str, Any]:
    winners: dict[Ending, Any] = {
        Ending.SHIP: {"verdict": "ship"},
        Ending.ROLLBACK: {"verdict": "rollback"},
        Ending.INCONCLUSIVE: "baseline",
        Ending.REGRESSED: "baseline",
    }
    verdict = {"treatment": new} if ending is Ending.SHIP else None
    return {
        "ending": ending.value,
        "why": "sample",
        "stage": stage + 1,
        "winner": winners.get(ending),
        "verdict": verdict,
    }
