"""The state of an experiment, from its notes and from what Airflow says of its run. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.views import notes as kinds
from airflow_provider_launchdarkly.views import reading
from airflow_provider_launchdarkly.views.airflow_run import ENDED, FAILED, WATCHES, Asked, Note, Run, Task
from airflow_provider_launchdarkly.views.model import (
    NOWHERE,
    ExperimentSummary,
    HarmWatch,
    Links,
    Progress,
    State,
)
from airflow_provider_launchdarkly.views.not_watched import (
    as_ended,
    change_not_made,
    lost_release,
    release_not_watched,
)
from airflow_provider_launchdarkly.views.overdue import Overdue, as_unwatched, not_started, overdue, unanswered
from airflow_provider_launchdarkly.views.releases import read_release
from airflow_provider_launchdarkly.views.served import drift_of, in_words, served_by
from airflow_provider_launchdarkly.views.unwatched import Unwatched
from airflow_provider_launchdarkly.views.winner_release import release_of_winner, shares_in
from airflow_provider_launchdarkly.views.words import everyone, headline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_launchdarkly.views.release_model import ReleaseShown

# The option of an approval that goes on.
APPROVE = "Approve"


def summary_of(
    notes: Sequence[Note],
    run: Run,
    *,
    links: Links = NOWHERE,
    with_looks: bool = True,
    releases: Sequence[ReleaseShown] = (),
    now: datetime | None = None,
) -> ExperimentSummary:
    """Return one experiment in a line.

    Args:
        notes: One or more of its notes in this run; the newest is enough, older ones add what it does not say.
        run: The run.
        links: Addresses.
        with_looks: False leaves out the newest look's metrics.
        releases: What release sensors have found, newest first.
        now: The time, by Airflow's clock, to see whether a wait is overdue; None does not look.

    Raises:
        ValueError: There is no note.
    """
    if not notes:
        raise ValueError("an experiment without a note cannot be shown")
    ordered = sorted(notes, key=lambda note: note.at)
    newest = ordered[-1]
    body = newest.body
    rollout = reading.mapping(body.get("rollout"))
    run = _own(run, newest, reading.text(rollout.get("group")))
    stage = next((found for note in reversed(ordered) if (found := _stage(note))), None)
    winners = release_of_winner([note.body for note in ordered], releases)
    state = state_of(newest, run, winners)
    late = _late(newest, run, state, now)
    state = State.OVERDUE if late else state
    handed_over = reading.hand_over(body) if body.get("kind") == kinds.HAND_OVER else None
    over = body.get("kind") == kinds.STOP or state.finished
    released = body.get("kind") == kinds.RELEASE
    after_stages = handed_over is not None and (handed_over.release or bool(body.get("ending")))
    climbed = over or released or lost_release(body) or after_stages
    latest = reading.mapping(body.get("latest"))
    look = reading.newest(body, stage=stage or 1) if with_looks else None
    started_at = reading.instant(body.get("started_at"))
    shares, served = served_by([note.body for note in ordered], stage)
    if released and winners:
        shares, served = shares_in(winners), None
    question = next((asked.question for asked in run.asked if asked.is_open), None)
    judges = state is State.WAITING and _judges(body)
    made = ExperimentSummary(
        project=str(body.get("project")),
        environment=str(body.get("environment")),
        key=str(body.get("experiment")),
        dag_id=run.dag_id,
        run_id=run.run_id,
        state=state,
        headline="",
        name=reading.text(rollout.get("name")) or str(body.get("experiment")),
        flag=reading.text(rollout.get("flag")) or reading.text(body.get("flag")),
        owner=reading.texts(body.get("owner")),
        tags=reading.texts(body.get("tags")),
        stages=reading.ladder(
            rollout,
            current=stage,
            ended=climbed,
            starts=_starts(ordered),
            release=_progress_of_release(body, over=over),
        ),
        stage=stage if over or not climbed else None,
        shares=shares,
        look=look,
        looks=reading.count(latest.get("looks")) or (look.of if look and look.of else None),
        next_look=_after(started_at, latest.get("next_look_days")) if judges else None,
        next_step=_next_step(state, body, run, winners),
        question=question if state is State.NEEDS_YOU else None,
        harm=None if state in {State.UNWATCHED, State.OVERDUE, State.REFUSED} else _harm(body),
        drift=() if over else drift_of(body, stage),
        since=late.due_at if late else _since(newest, run, state),
        updated_at=reading.instant(body.get("at")),
        links=links,
        handed_over=handed_over,
        served=served,
    )
    ended = read_release(reading.mapping(body.get("shown")))
    others = [each for each in releases if ended is None or each.release_id != ended.release_id]
    made = replace(made, release=winners if released else _beside(made, others))
    lost = state is State.UNWATCHED or (body.get("kind") == kinds.END and state.needs_people)
    unwatched = _unwatched(made, newest, run) if lost and state is not State.NEEDS_YOU else None
    if late:
        unwatched = as_unwatched(late, run, in_words(shares, served) or everyone(None))
    made = replace(made, unwatched=unwatched)
    return replace(made, headline=headline(made, body))


def _late(newest: Note, run: Run, state: State, now: datetime | None) -> Overdue | None:
    """Return what a task that waits should have done by now."""
    if now is None:
        return None
    if state is State.NEEDS_YOU:
        return next((late for asked in run.asked if (late := unanswered(asked, run.tasks, now))), None)
    if state not in {State.WAITING, State.AWAITING_WINDOW, State.WORKING}:
        return None
    if state is State.WORKING:
        return not_started(newest.left_at, _active(run), now)
    waits = (task for task in _active(run) if task.awaits_window or task.operator in WATCHES)
    found = (overdue(newest.body, newest.left_at, task, now) for task in waits)
    return next((late for late in found if late), None)


def state_of(newest: Note, run: Run, release: ReleaseShown | None = None) -> State:
    """Return where an experiment stands.

    Args:
        newest: Its newest note.
        run: Its run, with only those tasks and questions that are the experiment's.
        release: The release of its winner; None before there is one.
    """
    if newest.body.get("kind") == kinds.STOP:
        return _stopped(newest.body)
    active = {task.operator for task in _active(run)}
    if any(asked.is_open for asked in run.asked):
        return State.NEEDS_YOU
    if newest.body.get("kind") == kinds.HAND_OVER and any(newest.task_id == task.task_id for task in _active(run)):
        return State.NEEDS_YOU
    if any(task.awaits_window for task in run.tasks):
        return State.AWAITING_WINDOW
    if active:
        return _at_work(newest, active, release)
    return _left_running(newest.body, run)


def _at_work(newest: Note, active: set[str], release: ReleaseShown | None) -> State:
    """Return where an experiment stands whose tasks are under way."""
    if not active & WATCHES:
        return State.WORKING
    paused = newest.body.get("kind") == kinds.RELEASE and release is not None and release.needs_person
    return State.NEEDS_YOU if paused else State.WAITING


def _active(run: Run) -> list[Task]:
    return [task for task in run.tasks if task.state not in ENDED and task.state is not None]


def _left_running(body: Mapping[str, Any], run: Run) -> State:
    """The state of an experiment that no task stopped and none works on."""
    failed = any(task.state in FAILED for task in run.tasks)
    refused = any(
        asked.chosen and APPROVE in asked.question.options and APPROVE not in asked.chosen for asked in run.asked
    )
    if "invalid" in {body.get("ending"), reading.mapping(body.get("latest")).get("verdict")}:
        return State.INVALID
    if failed:
        return State.UNWATCHED
    if body.get("kind") == kinds.END:
        return State.REFUSED if body.get("ending") == "refused" else State.UNWATCHED
    if run.state not in ENDED:
        return State.WORKING
    if reading.mapping(body.get("rollout")).get("observes"):
        return State.STOPPED
    return State.REFUSED if refused else State.UNWATCHED


def _stopped(body: Mapping[str, Any]) -> State:
    endings = {
        "ship": State.SHIPPED,
        "rollback": State.ROLLED_BACK,
        "regressed": State.REGRESSED,
        "inconclusive": State.INCONCLUSIVE,
    }
    return endings.get(str(body.get("ending")), State.STOPPED)


def _own(run: Run, newest: Note, group: str | None) -> Run:
    """Return the run with those tasks and questions only that belong to the experiment's rollout, and to its index."""

    def belongs(task_id: str, map_index: int) -> bool:
        in_group = group is None or task_id == group or task_id.startswith(f"{group}.")
        return in_group and map_index == newest.map_index

    within = reading.number(reading.mapping(newest.body.get("rollout")).get("days_to_answer"))
    return Run(
        run.dag_id,
        run.run_id,
        run.state,
        tuple(task for task in run.tasks if belongs(task.task_id, task.map_index)),
        tuple(_until(asked, within) for asked in run.asked if belongs(asked.task_id, asked.map_index)),
        run.paused,
        run.unhealthy,
    )


def _until(asked: Asked, days: float | None) -> Asked:
    """Return a question with the time until when an answer counts, which Airflow's REST API does not tell."""
    if asked.question.until is not None:
        return asked
    return replace(asked, question=replace(asked.question, until=_after(asked.question.asked_at, days)))


def _stage(note: Note) -> int | None:
    return reading.count(reading.mapping(note.body.get("rollout")).get("stage"))


def _starts(ordered: Sequence[Note]) -> dict[int, datetime | None]:
    starts: dict[int, datetime | None] = {}
    for note in ordered:
        if (stage := _stage(note)) is not None and note.body.get("kind") in {kinds.START, kinds.WATCH}:
            started = reading.instant(note.body.get("started_at"))
            starts[stage] = started or starts.get(stage) or reading.instant(note.body.get("at"))
    return starts


def _beside(found: ExperimentSummary, releases: Sequence[ReleaseShown]) -> ReleaseShown | None:
    """Return the release of an experiment's flag that is under way beside it."""
    place = (found.project, found.environment, found.flag)
    return next(
        (each for each in releases if each.active and (each.project, each.environment, each.flag) == place), None
    )


def _progress_of_release(body: Mapping[str, Any], *, over: bool) -> Progress:
    """Return how far the release of the winner is."""
    if body.get("kind") == kinds.RELEASE:
        return Progress.NOW
    if body.get("ending") in {"ship", "regressed"}:
        return Progress.DONE
    skipped = over or (body.get("kind") == kinds.END and not lost_release(body))
    return Progress.SKIPPED if skipped else Progress.NEXT


def _next_step(state: State, body: Mapping[str, Any], run: Run, winners: ReleaseShown | None) -> datetime | None:
    """Return when the stage or the release's step ends at the latest, or the change window opens."""
    if state is State.AWAITING_WINDOW:
        return next((task.opens_at for task in run.tasks if task.awaits_window), None)
    if state is not State.WAITING:
        return None
    if body.get("kind") == kinds.RELEASE:
        return winners.next_at if winners else None
    started_at = reading.instant(body.get("started_at"))
    if not _judges(body):
        return _after(started_at, reading.mapping(body.get("latest")).get("next_look_days"))
    return _after(started_at, _days(reading.mapping(body.get("policy")).get("max_duration")))


def _judges(body: Mapping[str, Any]) -> bool:
    return bool(body.get("policy"))


def _after(start: datetime | None, days: Any) -> datetime | None:
    found = reading.number(days)
    return None if start is None or found is None else start + timedelta(days=found)


def _harm(body: Mapping[str, Any]) -> HarmWatch | None:
    policy = reading.mapping(body.get("policy"))
    if not policy or body.get("kind") != kinds.WATCH:
        return None
    guardrails = tuple(str(rail.get("metric")) for rail in reading.mappings(policy.get("guardrails")))
    releases = (str(rail.get("flag")) for rail in reading.mappings(policy.get("release_guardrails")))
    guardrails += tuple(f"LaunchDarkly's release of {flag}" for flag in releases)
    primary = reading.text(reading.mapping(policy.get("primary")).get("metric"))
    known = reading.looks(body.get("looks"), stage=1)
    if primary is None and known and known[-1].primary:
        primary = known[-1].primary.metric
    # What is the same for every unit has no z: it shows no harm and no safety.
    shown = known[-1].metrics if known else ()
    silent = {each.metric for each in shown if not any(compared.z is not None for compared in each.comparisons)}
    guardrails = tuple(guardrail for guardrail in guardrails if guardrail not in silent)
    latest = reading.mapping(body.get("latest"))
    return HarmWatch(
        tuple(dict.fromkeys((*((primary,) if primary else ()), *guardrails))),
        _days(policy.get("harm_looks")),
        reading.texts(latest.get("harmed")),
        known[-1].at if known else None,
    )


def _days(value: Any) -> float | None:
    from airflow_provider_launchdarkly.config.durations import parse_duration

    try:
        return parse_duration(value) / timedelta(days=1) if isinstance(value, str) else None
    except ValueError:
        return None


def _since(newest: Note, run: Run, state: State) -> datetime | None:
    at = reading.instant(newest.body.get("at"))
    if state is State.NEEDS_YOU:
        return next((asked.question.asked_at for asked in run.asked if asked.is_open), at)
    if state is State.UNWATCHED:
        ends = [task.ended_at for task in run.tasks if task.state in FAILED and task.ended_at]
        trouble = reading.instant(reading.mapping(newest.body.get("trouble")).get("at"))
        return trouble or (max(ends) if ends else at)
    return at


def _unwatched(made: ExperimentSummary, newest: Note, run: Run) -> Unwatched:
    # The task `unwatched` fails because another one did.
    causes = [task for task in run.tasks if task.state in FAILED and not task.task_id.endswith("unwatched")]
    failed = next(iter(causes), None)
    trouble = reading.text(reading.mapping(newest.body.get("trouble")).get("message"))
    if failed is not None:
        why = trouble or f"task {failed.task_id} failed"
        cure = f"see the log of task {failed.task_id}, mend the cause, and clear the task"
    else:
        why = trouble or f"run {run.run_id} ended and left the experiment running"
        cure = "stop the experiment in LaunchDarkly, or start a run that takes it over"
    serves = in_words(made.shares, made.served) or everyone(None)
    found = Unwatched(made.since, why, serves, cure, failed.task_id if failed else None)
    if newest.body.get("kind") == kinds.RELEASE and made.release is not None:
        return release_not_watched(found, made.release, reading.mapping(newest.body.get("rollout")))
    if made.handed_over is not None and failed is not None:
        return change_not_made(found, made.handed_over, failed.task_id)
    if newest.body.get("kind") == kinds.END and (failed is None or lost_release(newest.body)):
        return as_ended(found, newest.body)
    return found
