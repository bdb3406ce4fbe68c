"""A wait that has stopped: what it should have done by now, and what keeps it. Pure.

A task can wait and yet do nothing: Airflow starts no task of a paused DAG, so no look on a worker is taken; and without
a triggerer no trigger polls. Its note goes on to name a next look, which is then in the past.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_launchdarkly.views import notes as kinds
from airflow_provider_launchdarkly.views import reading
from airflow_provider_launchdarkly.views.unwatched import Unwatched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow_provider_launchdarkly.views.airflow_run import Asked, Run, Task

# What nobody takes for late: so many polls, and at least so long. A look that runs may ask a warehouse for hours.
_POLLS = 3
_LEAST = timedelta(hours=1)
_LEAST_RUNNING = timedelta(hours=6)
# Airflow itself answers a question whose time is over, within seconds.
_LEAST_ANSWERING = timedelta(minutes=5)
# Nobody starts a task that is in one of these states, or in none.
_NOT_STARTED = frozenset({"scheduled", "queued"})
# Such a task waits in the triggerer; for an answer, on Airflow 3.3, in the scheduler.
_WAITING = frozenset({"deferred", "awaiting input"})
# The default of `[launchdarkly] poll_interval`, for notes that do not name theirs.
_POLL = timedelta(minutes=5)

AWAITING_DATA = "awaiting_data"


class Overdue(NamedTuple):
    """Something that a task should have done by now.

    Attributes:
        what: What, in words: ``look 9 of 28``.
        due_at: When it was due, by Airflow's clock.
        late: For how long it has been due.
        task: The task; None where Airflow has not scheduled it.
        says: What people are told of it, as a sentence; empty for what it is and how late.
    """

    what: str
    due_at: datetime
    late: timedelta
    task: Task | None
    says: str = ""


def overdue(body: Mapping[str, Any], left_at: str, task: Task, now: datetime) -> Overdue | None:
    """Return what a task that waits should have done by now; None if nothing, or within what nobody takes for late.

    A look that waits for its data is due at its deadline. One that is left out then is never late.

    Args:
        body: The experiment's newest note.
        left_at: When that was written, by Airflow's clock, in ISO 8601; empty where it is not known.
        task: The task that waits.
        now: The time, by Airflow's clock.
    """
    if task.awaits_window:
        return _late("the change window's opening", task.opens_at, task, _LEAST, now)
    if body.get("kind") != kinds.WATCH:
        return None
    days, at = _due(body), reading.instant(body.get("at"))
    started_at = reading.instant(body.get("started_at"))
    if days is None or started_at is None or at is None:
        return None
    # Instants of a note are LaunchDarkly's. An emulator's clock has its own time, so only what passed since counts.
    apart = (reading.instant(left_at) or at) - at
    poll = timedelta(seconds=reading.number(body.get("poll_seconds")) or _POLL.total_seconds())
    tolerance = max(_POLLS * poll, _LEAST_RUNNING if task.state == "running" else _LEAST)
    return _late(_what(body), started_at + timedelta(days=days) + apart, task, tolerance, now)


def not_started(left_at: str, active: Sequence[Task], now: datetime) -> Overdue | None:
    """Return the task that nobody has started for hours; None if there is none, or something is under way.

    Args:
        left_at: When the newest note was written, by Airflow's clock, in ISO 8601; empty where it is not known.
        active: The experiment's tasks that are neither over nor without a state.
        now: The time, by Airflow's clock.
    """
    if any(task.state not in _NOT_STARTED for task in active):
        return None
    return _late("the next task", reading.instant(left_at), next(iter(active), None), _LEAST_RUNNING, now)


def unanswered(asked: Asked, tasks: Sequence[Task], now: datetime) -> Overdue | None:
    """Return that the time to answer a question is over, and it is still open; None if it is not.

    Args:
        asked: The question, with the time until when an answer counts.
        tasks: The experiment's tasks.
        now: The time, by Airflow's clock.
    """
    question = asked.question
    if not asked.is_open:
        return None
    task = next((each for each in tasks if (each.task_id, each.map_index) == (asked.task_id, asked.map_index)), None)
    late = _late("an answer", question.until, task, _LEAST_ANSWERING, now)
    if late is None:
        return None
    counts = f"{question.otherwise} counts" if question.otherwise else "the task fails"
    return late._replace(
        says=(
            f"The time to answer “{question.subject}” is over since {late.due_at:%Y-%m-%d %H:%M} UTC: an answer does "
            f"not count any more, and {counts} as soon as the task goes on."
        )
    )


def as_unwatched(found: Overdue, run: Run, serves: str) -> Unwatched:
    """Return an overdue look, opening or answer, as people have to be told of it.

    Args:
        found: What is overdue.
        run: The run, with what Airflow says of itself.
        serves: Who gets what, in a sentence.
    """
    why, cure = _cause(found.task, run)
    what = found.says or f"{found.what[0].upper()}{found.what[1:]} is overdue by {_span(found.late)}."
    return Unwatched(found.due_at, why, serves, cure, found.task.task_id if found.task else None, what)


def _late(what: str, due: datetime | None, task: Task | None, tolerance: timedelta, now: datetime) -> Overdue | None:
    return None if due is None or now - due <= tolerance else Overdue(what, due, now - due, task)


def _due(body: Mapping[str, Any]) -> float | None:
    """Return when the next look, or the end of a stage, is due at the latest, in days after the iteration's start."""
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_parts import AtDeadline

    latest = reading.mapping(body.get("latest"))
    days = reading.number(latest.get("next_look_days"))
    written = reading.mapping(body.get("policy"))
    if not written or latest.get("reason") == AWAITING_DATA:
        return None if written else days
    try:
        policy = Policy.from_json(written)
    except ValueError:
        return days  # another version's, whose looks may wait for nothing
    if policy.looks.on_data is None or days is None:
        return days
    deadline = policy.looks.on_data.deadline / timedelta(days=1)
    if policy.looks.on_data.otherwise is AtDeadline.SKIP:
        return policy.max_duration / timedelta(days=1) + deadline
    return days + deadline


def _what(body: Mapping[str, Any]) -> str:
    if not body.get("policy"):
        return "the end of the stage"
    latest = reading.mapping(body.get("latest"))
    done, looks = reading.count(latest.get("look")) or 0, reading.count(latest.get("looks"))
    return f"look {done + 1} of {looks}" if looks else "the next look"


def _cause(task: Task | None, run: Run) -> tuple[str, str]:
    """Return what keeps a task, and the cure."""
    name = f"task {task.task_id}" if task else "the next task"
    state = (task.state if task and task.state else "not scheduled").replace("_", " ")
    if run.paused:
        return (
            f"DAG {run.dag_id} is paused, so Airflow starts none of its tasks, and {name} is {state}",
            f"unpause DAG {run.dag_id}; then {name} goes on",
        )
    if "scheduler" in run.unhealthy:
        return f"no scheduler is running, and {name} is {state}", "start the scheduler"
    if run.paused is None and not run.unhealthy:
        return (
            f"{name} is {state}; whether DAG {run.dag_id} is paused could not be read just now",
            f"unpause DAG {run.dag_id} if it is paused; else see the log of {name}",
        )
    if state in _WAITING:
        return _not_ended(state, name, run)
    if state in _NOT_STARTED:
        return (
            f"{name} is {state}, and no worker has taken it",
            "start workers for its queue, or give its pool and the DAG's max_active_tasks room",
        )
    log = f"see the log of {name}" if task else f"see run {run.run_id} and the scheduler's log"
    return f"{name} is {state}", f"{log}, and mend the cause"


def _not_ended(state: str, name: str, run: Run) -> tuple[str, str]:
    """Return what keeps a task whose waiting nobody ends, and the cure."""
    if state != "deferred":
        return (
            f"{name} awaits an answer, and the scheduler has not ended the waiting",
            f"see the scheduler's log; clear {name} if it does not say why: it asks again",
        )
    if "triggerer" in run.unhealthy:
        return f"no triggerer is running, and {name} is deferred", "start a triggerer"
    return (
        f"{name} is deferred, and its trigger has not ended the waiting",
        f"see the log of {name} and the triggerer's; clear the task if neither says why: it waits on for the same",
    )


def _span(late: timedelta) -> str:
    days, hours = late / timedelta(days=1), late / timedelta(hours=1)
    return f"{days:.0f} days" if days >= 2 else f"{hours:.0f} h"
