"""The message about one event of a rollout, from what the rollout's tasks return. Pure.

A task's output says whether its event happened: a wait whose verdict is no rollback tells of no harm.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, assert_never

from airflow_provider_launchdarkly.config.problems import shown
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason
from airflow_provider_launchdarkly.notifications.events import Event, Message
from airflow_provider_launchdarkly.rollout.options import Ending
from airflow_provider_launchdarkly.rollout.release_requests import release_in_words
from airflow_provider_launchdarkly.rollout.serving import (
    after_release_start,
    after_stage,
    moment_in_words,
    served_after,
    served_in,
    served_while_released,
    shares_in_words,
    stage_name,
)
from airflow_provider_launchdarkly.rollout.unwatched import EXPERIMENT_RUNS_ON
from airflow_provider_launchdarkly.rollout.words import retirement_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_launchdarkly.rollout.spec import Rollout

_BY_SOMEONE_ELSE = frozenset({Reason.ITERATION_REPLACED.value, Reason.ITERATION_STOPPED.value})
_NOT_READ = "what LaunchDarkly shows: it was not read"


@dataclass(frozen=True, slots=True)
class Happening:
    """The facts at hand where an event is told.

    Attributes:
        place: What tells this event from every other: the DAG's id, the run's id, the map index.
        stage: Number of the stage that it is about, from 0; None before the first.
        output: The output of the task that tells it: an iteration, a verdict or an outcome. Empty if it has none.
        now: Who gets what, as it was read when it was told; empty if it was not read.
        question: The question that is asked.
        reminder: How many times people were reminded of it, with this time.
        answers: What each answer to it does, and no answer, as a sentence each.
        error: Why the task failed.
        at: The time by which the next steps are dated.
        links: Titles and addresses.
    """

    place: tuple[str, ...] = ()
    stage: int | None = None
    output: Mapping[str, Any] = field(default_factory=dict)
    now: str = ""
    question: str = ""
    reminder: int = 0
    answers: tuple[str, ...] = ()
    error: str = ""
    at: datetime | None = None
    links: tuple[tuple[str, str], ...] = ()


def message_of(event: Event, rollout: Rollout, happening: Happening) -> Message | None:
    """Return the message about an event; None if the task's output says that it did not happen.

    Args:
        event: The event.
        rollout: The rollout.
        happening: What is known of it.
    """
    stage, output = happening.stage, happening.output
    where = _where(rollout, happening, stage)
    now = str(output.get("now") or happening.now or served_in(rollout, stage))
    verdict = output.get("verdict")
    match event:
        case Event.ASKED | Event.REMINDED:
            headline, parts = _asked(rollout, happening, where)
            parts["now"] = now
        case Event.STARTED | Event.STAGE_ENTERED:
            number = stage or 0
            began = happening.at if output.get("changed") is not False else None
            headline = f"{'Started' if event is Event.STARTED else 'Next stage'}: {where}: "
            headline += shares_in_words(rollout, number)
            parts = {"now": happening.now or served_in(rollout, number), "follows": after_stage(rollout, number, began)}
        case Event.RELEASE_STARTED:
            headline = f"Ships: {where}: {output['treatment']} "
            headline += release_in_words(rollout, started=output.get("kind"))
            parts = {
                "now": happening.now or served_while_released(rollout, str(output["treatment"])),
                "follows": after_release_start(rollout, str(output["treatment"])),
            }
        case Event.HARM:
            if verdict != Kind.ROLLBACK:
                return None
            headline = f"{_led_by(Kind.ROLLBACK, output.get('summary'))} · {where}"
            parts = {"now": now, "follows": _after_harm(rollout, happening)}
        case Event.DRIFT:
            if verdict != Kind.INVALID or output.get("reason") not in _BY_SOMEONE_ELSE:
                return None
            headline = f"{output.get('summary')} · {where}"
            parts = {
                "now": happening.now or "what LaunchDarkly shows: someone else changed the experiment",
                "follows": "The rollout ends and changes nothing.",
                "actions": "Look in LaunchDarkly who changed it, then run the rollout again if it is to go on.",
            }
        case Event.ENDED | Event.RETIREMENT:
            return (_ended if event is Event.ENDED else _retirement)(rollout, happening)
        case Event.UNWATCHED:
            why = str(output.get("why") or happening.error or "a task failed")
            headline = f"Unwatched: {why} · {where}"
            told = stage is not None or output.get("do")
            # A change that is handed over is of the stage that was just judged.
            parts = {
                "now": str(output.get("now") or (now if "wanted_by" in output else _NOT_READ)),
                **(_unwatched(rollout, output) if told else {}),
            }
        case Event.RETIREMENT_FAILED:
            headline, parts = _not_retired(rollout, happening, where)
        case Event.STOPPED:
            headline = f"Stopped: {output.get('why')}: {output.get('headline')}"
            parts = {name: str(output.get(name) or "") for name in ("now", "follows", "actions")}
        case unknown:
            assert_never(unknown)
    numbers = output if isinstance(verdict, str) else None
    return _message(event, rollout, happening, headline=headline, verdict=numbers, **parts)


def _asked(rollout: Rollout, happening: Happening, where: str) -> tuple[str, dict[str, str]]:
    """Return the headline and the parts of a question: one in Airflow, or a change to make in LaunchDarkly."""
    if happening.output.get("do"):
        return f"{happening.output.get('why')} · {where}", _unwatched(rollout, happening.output)
    headline, until = happening.question, ""
    if happening.reminder:
        headline = f"Still open, reminder {happening.reminder}: {headline}"
    else:
        until = moment_in_words(happening.at, rollout.approval.timeout).replace("its start", "the question")
        until = f", {until} at the latest"
    answer = f"Answer the question in Airflow{until}."
    return headline, {"follows": " ".join(happening.answers), "actions": answer}


def _after_harm(rollout: Rollout, happening: Happening) -> str:
    back = f"The rollout stops the experiment: everyone gets {rollout.experiment.baseline.label}."
    if happening.question:
        back = f"The question “{happening.question}” is closed. {back}"
    if happening.output.get("withheld"):
        back = f"The winner must not be shipped any more, also not in LaunchDarkly. {back}"
    return back


def _not_retired(rollout: Rollout, happening: Happening, where: str) -> tuple[str, dict[str, str]]:
    """Return the headline and the parts of a retirement that failed."""
    flag = rollout.experiment.flag
    parts = {
        "now": f"what flag {flag} serves: the experiment is over",
        "follows": f"Nothing by itself: flag {flag} stays as it is.",
        "actions": "Clear the task that failed, with all that follows it: it judges the flag anew, and does nothing "
        f"twice. Or retire it by hand: airflow-launchdarkly retire {flag}.",
    }
    return f"Not retired: flag {flag}: {happening.error or 'a task failed'} · {where}", parts


def _ended(rollout: Rollout, happening: Happening) -> Message:
    outcome = happening.output
    ending, why, stage = str(outcome.get("ending")), str(outcome.get("why")), happening.stage
    headline = _led_by(ending, why)
    where = _where(rollout, happening, stage)
    runs_on = outcome.get("winner") is None and stage is not None
    afterwards = retirement_in_words(rollout)
    retires = afterwards and outcome.get("winner") is not None
    over = {"follows": f"Afterwards: {afterwards}." if retires else "Nothing: the rollout is over."}
    rest = _unwatched(rollout, outcome.get("unwatched") or {}) if runs_on else over
    found = outcome.get("verdict")
    return _message(
        Event.ENDED,
        rollout,
        happening,
        headline=f"{headline} · {where}",
        ending=ending,
        now=served_after(rollout, stage, outcome),
        # The verdict of a winner whose release went back says to ship it.
        verdict=found if isinstance(found, dict) and ending != Ending.REGRESSED else None,
        **rest,
    )


def _retirement(rollout: Rollout, happening: Happening) -> Message | None:
    """Return the message about the flag's retirement; None if the flag stays."""
    retired = happening.output
    flag, found = retired.get("flag_key"), retired.get("variation")
    label = str(found.get("name") or shown(found.get("value"))) if found else ""
    if retired.get("outcome") == "proposed":
        headline = f"Proposed: retire flag {flag}"
        parts = {
            "follows": "Nothing by itself: a proposal writes nothing in LaunchDarkly.",
            "actions": (
                f"Remove the flag from the code, and leave the branch for {label}; {_places(retired)}. The text of "
                "the pull request is `card` in the task's output. Once that is deployed everywhere, archive the "
                f"flag: airflow-launchdarkly retire {flag} --apply."
            ),
        }
    elif retired.get("outcome") == "archived":
        headline, parts = f"Archived: flag {flag}, with its experiments", {"follows": "Nothing: the flag is retired."}
    else:
        return None
    now = f"everyone gets {label} in {', '.join(retired.get('environments') or ())}" if label else ""
    headline = f"{headline} · {_where(rollout, happening, None)}"
    return _message(Event.RETIREMENT, rollout, happening, headline=headline, now=now, **parts)


def _places(retired: Mapping[str, Any]) -> str:
    """Return what LaunchDarkly knows of the places in the code that name a flag."""
    references = retired.get("references")
    if references is None:
        return "LaunchDarkly shows no code references, so search the code for the flag's key"
    return f"LaunchDarkly's scanner finds it in {len(references)} place{'' if len(references) == 1 else 's'}"


def _led_by(kind: str, why: Any) -> str:
    """Return a reason with the verdict or the ending in front."""
    return str(why) if str(why).startswith(f"{kind}:") else f"{kind}: {why}"


def _where(rollout: Rollout, happening: Happening, stage: int | None) -> str:
    key = experiment_key(rollout, happening)
    return key if stage is None else f"{key}, {stage_name(rollout, stage)}"


def experiment_key(rollout: Rollout, happening: Happening) -> str:
    """Return the experiment's key, which a task may have learnt only when it ran."""
    return str(happening.output.get("experiment_key") or rollout.experiment.key)


def _unwatched(rollout: Rollout, found: Mapping[str, Any]) -> dict[str, str]:
    """Return that nobody watches, and what to do.

    Args:
        rollout: The rollout.
        found: What the task has found: ``do`` is a list of sentences, and ``follows`` one. May be empty.
    """
    return {
        "follows": str(found.get("follows", EXPERIMENT_RUNS_ON)),
        "actions": " ".join(found.get("do") or ())
        or (
            "Clear the task that watched, and those of this rollout after it, to watch again; or stop the iteration in "
            f"LaunchDarkly on {rollout.experiment.baseline.label}."
        ),
    }


def _message(
    event: Event, rollout: Rollout, happening: Happening, *, headline: str, ending: str | None = None, **parts: Any
) -> Message:
    experiment, output = rollout.experiment, happening.output
    verdict = output.get("verdict")
    inner: Mapping[str, Any] = verdict if isinstance(verdict, dict) else {}
    iteration = output.get("iteration_id") or inner.get("iteration_id")
    runs = output.get("runs")
    runs = runs or f"experiment {experiment_key(rollout, happening)}, flag {experiment.flag}, rule {experiment.rule}"
    identity = [*happening.place, event.value, ending, happening.stage, iteration, happening.question]
    identity += [happening.reminder] if happening.reminder else []
    identity += [output["wanted_by"]] if output.get("wanted_by") else []
    identity += [output["release_id"], output["waits"]] if output.get("waits") else []
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return Message(
        event,
        headline,
        key=f"launchdarkly-{digest[:32]}",
        ending=ending,
        runs=f"{runs}, iteration {iteration}" if iteration else runs,
        links=happening.links,
        **parts,
    )
