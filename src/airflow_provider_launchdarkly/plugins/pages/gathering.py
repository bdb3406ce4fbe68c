"""Gather notes and the state of their runs from Airflow's REST API, for one viewer.

A list reads the keys of all notes, and the newest note of each experiment. What a viewer has read is remembered for
some minutes, by the note's time, so that the next list reads only what is new. A list never takes long: what could not
be read in time is counted as pending, and the page asks again.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.plugins.pages.airflow_rest import RefusedError
from airflow_provider_launchdarkly.plugins.pages.health import Health
from airflow_provider_launchdarkly.plugins.pages.links import Place, links_to
from airflow_provider_launchdarkly.views import reading
from airflow_provider_launchdarkly.views.airflow_run import ENDED, Asked, Note, Run, Task
from airflow_provider_launchdarkly.views.model import Question, State
from airflow_provider_launchdarkly.views.notes import PREFIX, STOP, WINDOW, experiment_of
from airflow_provider_launchdarkly.views.releases import read_release, release_key, release_place
from airflow_provider_launchdarkly.views.situation import summary_of
from airflow_provider_launchdarkly.views.whole import detail_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from airflow_provider_launchdarkly.plugins.pages.airflow_rest import AirflowRest
    from airflow_provider_launchdarkly.views.model import ExperimentDetail, ExperimentSummary
    from airflow_provider_launchdarkly.views.release_model import ReleaseShown

# A list is answered within this time, whatever is left to read.
SECONDS_FOR_A_LIST = 0.7
AT_ONCE = 4
REMEMBERED_FOR = 300.0

# Of the task instances, a list needs those that are not over, and those that failed.
_SETTLED = frozenset({"success", "skipped", "upstream_failed", "removed"})


@dataclass
class Memory:
    """Everything that one viewer has read.

    Attributes:
        since: When it began, on the clock of ``time.monotonic``.
        times: The time of each note, as text.
        bodies: Each note that was read, with its time.
    """

    since: float = field(default_factory=time.monotonic)
    times: dict[Place, str] = field(default_factory=dict)
    bodies: dict[Place, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def old(self) -> bool:
        """True if it is time to begin anew: notes may have been deleted."""
        return time.monotonic() - self.since > REMEMBERED_FOR


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of experiments.

    Attributes:
        experiments: The experiments that were read.
        pending: How many could not be read in time.
        releases: The releases that tasks await, or have awaited, the newest note of each flag.
    """

    experiments: tuple[ExperimentSummary, ...]
    pending: int = 0
    releases: tuple[ReleaseShown, ...] = ()


def _now() -> datetime:
    return datetime.now(UTC)


async def list_experiments(
    rest: AirflowRest,
    memory: Memory,
    readable: Collection[str],
    states: Collection[str],
    *,
    seconds: float = SECONDS_FOR_A_LIST,
) -> Listed:
    """Return the experiments that a viewer may see.

    Args:
        rest: Airflow's REST API, as the viewer sees it.
        memory: What the viewer has read before; it is added to.
        readable: Ids of the DAGs that the viewer may read now.
        states: Airflow's states of task instances.
        seconds: Time after which the rest is left for the next time.

    Raises:
        RefusedError: The viewer may not read the list.
    """
    deadline = time.monotonic() + seconds
    await _read_keys(rest, memory)
    newest: dict[tuple[str, str, str, int], Place] = {}
    for place, at in memory.times.items():
        known = newest.get(place.experiment)
        if place.dag_id in readable and (known is None or memory.times[known] < at):
            newest[place.experiment] = place
    places = sorted(newest.values(), key=lambda place: memory.times[place], reverse=True)
    await _read_bodies(rest, memory, places, deadline)
    shown = [place for place in places if _body(memory, place) is not None]
    releases = _releases(memory, [place for place in shown if release_place(place.key)])
    by_place = {(each.project, each.environment, each.flag): (each,) for each in releases}
    shown = [place for place in shown if experiment_of(place.key)]
    live = [place for place in shown if (_body(memory, place) or {}).get("kind") != STOP]
    runs = await _runs_of(rest, live, states)
    now = _now()

    def summary(place: Place, run: Run) -> ExperimentSummary:
        body = _body(memory, place) or {}
        return summary_of(
            [Note(place.task_id, place.map_index, body, memory.times.get(place, ""))],
            run,
            links=links_to(place, reading.text(body.get("url"))),
            releases=by_place.get(_flag_of(place, body), ()),
            now=now,
        )

    found = []
    health = Health(rest, seconds)
    for place in shown:
        run = runs.get((place.dag_id, place.run_id)) or Run(place.dag_id, place.run_id, "success")
        made = summary(place, run)
        found.append(summary(place, await health.of(run)) if made.state is State.OVERDUE else made)
    unread = sum(place in memory.times and place not in memory.bodies for place in places)
    return Listed(tuple(found), unread, releases)


async def read_experiments(
    rest: AirflowRest, dag_id: str, run_id: str | None = None, *, key: str | None = None, map_index: int | None = None
) -> tuple[ExperimentDetail, ...]:
    """Return the experiments of a run, each as a whole; of a DAG, those of its newest run that has any.

    Args:
        rest: Airflow's REST API, as the viewer sees it.
        dag_id: The DAG.
        run_id: The run; None for the newest one.
        key: Only the experiment of this XCom key.
        map_index: Only that of this index of a mapped group.

    Raises:
        RefusedError: The viewer may not read it.
    """
    memory = Memory()
    path = f"/dags/{dag_id}/dagRuns/{run_id or '~'}/taskInstances/~/xcomEntries"
    async for entries in rest.pages(path, "xcom_entries", xcom_key_pattern=f"{PREFIX}/"):
        memory.times.update(_places(entries))
    if not memory.times:
        return ()
    awaited = {place: at for place, at in memory.times.items() if release_place(place.key)}
    for place in awaited:
        del memory.times[place]
    if not memory.times:
        return ()
    newest = max(memory.times, key=lambda place: memory.times[place])
    awaited = {place: at for place, at in awaited.items() if place.run_id == newest.run_id}
    places = [
        place
        for place in memory.times
        if place.run_id == newest.run_id and key in {None, place.key} and map_index in {None, place.map_index}
    ]
    await _read_bodies(rest, memory, places, None)
    run = await _whole_run(rest, dag_id, newest.run_id)
    groups: dict[tuple[str, str, str, int], list[Place]] = {}
    for place in places:
        if _body(memory, place) is not None:
            groups.setdefault(place.experiment, []).append(place)
    details = []
    now, health = _now(), Health(rest)
    for group in groups.values():
        notes = [
            Note(place.task_id, place.map_index, _body(memory, place) or {}, memory.times[place]) for place in group
        ]
        latest = max(group, key=lambda place: memory.times[place])
        url = next((found for note in notes if (found := reading.text(note.body.get("url")))), None)
        releases = await _releases_of(rest, _flag_of(latest, _body(memory, latest) or {}), awaited)
        detail = detail_of(notes, run, links=links_to(latest, url), releases=releases, now=now)
        if detail.summary.state is State.OVERDUE:
            run = await health.of(run)
            detail = detail_of(notes, run, links=links_to(latest, url), releases=releases, now=now)
        details.append(detail)
    return tuple(details)


def _flag_of(place: Place, body: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return project, environment and flag of an experiment, from one of its notes; the flag may be empty."""
    project, environment, _ = experiment_of(place.key) or ("", "", "")
    named = reading.mapping(body.get("rollout")).get("flag")
    return project, environment, reading.text(named) or reading.text(body.get("flag")) or ""


async def _releases_of(
    rest: AirflowRest, flag: tuple[str, str, str], own: Mapping[Place, str]
) -> tuple[ReleaseShown, ...]:
    """Return what release sensors have found of a flag: those of the same run, and the newest one of any DAG.

    A viewer who may not read other DAGs gets those of the run alone.

    Args:
        rest: Airflow's REST API, as the viewer sees it.
        flag: Project, environment and flag.
        own: The notes on releases in the experiment's run, with their time.
    """
    if not flag[2]:
        return ()
    key = release_key(*flag)
    mine = [place for place in own if place.key == key]
    memory = Memory(times={place: own[place] for place in mine})
    path, order = "/dags/~/dagRuns/~/taskInstances/~/xcomEntries", {"order_by": "-timestamp"}
    with suppress(RefusedError):
        async for entries in rest.pages(path, "xcom_entries", xcom_key_pattern=key, **order):
            memory.times.update({place: at for place, at in _places(entries).items() if place.key == key})
    await _read_bodies(rest, memory, mine, None)
    read = [place for place in mine if _body(memory, place) is not None]
    for place in sorted(memory.times, key=lambda place: memory.times[place], reverse=True):
        await _read_bodies(rest, memory, [place], None)
        if _body(memory, place) is not None:  # else it was deleted meanwhile: the next newest
            return (*_releases(memory, [place]), *_releases(memory, read))
    return ()


def _releases(memory: Memory, places: Iterable[Place]) -> tuple[ReleaseShown, ...]:
    """Return releases from their notes, newest first, each flag's newest note alone."""
    found: dict[tuple[str, str, str], ReleaseShown] = {}
    for place in sorted(places, key=lambda place: memory.times[place], reverse=True):
        body = _body(memory, place) or {}
        release = read_release(body, dag_id=place.dag_id, run_id=place.run_id, run=links_to(place, None).run)
        if release is not None:
            found.setdefault((release.project, release.environment, release.flag), release)
    return tuple(found.values())


async def _read_keys(rest: AirflowRest, memory: Memory) -> None:
    """Read the keys of all notes, newest first, until a page has nothing new. Airflow 3.1 keeps its own order."""
    order = {"order_by": "-timestamp"}
    async for entries in rest.pages(
        "/dags/~/dagRuns/~/taskInstances/~/xcomEntries", "xcom_entries", xcom_key_pattern=f"{PREFIX}/", **order
    ):
        found = _places(entries)
        news = {place: at for place, at in found.items() if memory.times.get(place) != at}
        memory.times.update(news)
        times = [str(entry.get("timestamp")) for entry in entries]
        if not news and times == sorted(times, reverse=True):
            return


def _places(entries: Iterable[Mapping[str, Any]]) -> dict[Place, str]:
    return {
        Place(entry["dag_id"], entry["run_id"], entry["task_id"], entry["map_index"], entry["key"]): entry["timestamp"]
        for entry in entries
        if experiment_of(entry["key"]) is not None or release_place(entry["key"]) is not None
    }


async def _read_bodies(rest: AirflowRest, memory: Memory, places: Iterable[Place], deadline: float | None) -> None:
    """Read notes that are new, in their order, until the deadline."""
    waiting = asyncio.Semaphore(AT_ONCE)

    async def read(place: Place) -> None:
        async with waiting:
            if deadline is not None and time.monotonic() > deadline:
                return
            try:
                body = await _xcom(rest, place)
            except RefusedError:
                memory.times.pop(place, None)  # deleted, or no longer readable
                memory.bodies.pop(place, None)
                return
            if place in memory.times:  # another request of the viewer may have found it gone
                memory.bodies[place] = (memory.times[place], body)

    new = [place for place in places if memory.bodies.get(place, ("",))[0] != memory.times[place]]
    await asyncio.gather(*map(read, new))


def _body(memory: Memory, place: Place) -> Mapping[str, Any] | None:
    """Return a note that was read, in whatever version; None for one that was not."""
    known = memory.bodies.get(place)
    return known[1] if known and known[1] else None


async def _runs_of(rest: AirflowRest, live: Iterable[Place], states: Collection[str]) -> dict[tuple[str, str], Run]:
    """Return the runs of experiments that nobody stopped, with what acts in them."""
    wanted = {(place.dag_id, place.run_id) for place in live}
    if not wanted:
        return {}
    body = {"dag_ids": sorted({dag for dag, _ in wanted}), "state": sorted(set(states) - _SETTLED)}
    tasks: dict[tuple[str, str], list[Task]] = {}
    for entry in await rest.search("/dags/~/dagRuns/~/taskInstances/list", "task_instances", body):
        tasks.setdefault((entry["dag_id"], entry["dag_run_id"]), []).append(_task(entry))
    asked: dict[tuple[str, str], list[Asked]] = {}
    async for entries in rest.pages("/dags/~/dagRuns/~/hitlDetails", "hitl_details", response_received="false"):
        for entry in entries:
            ti = entry["task_instance"]
            asked.setdefault((ti["dag_id"], ti["dag_run_id"]), []).append(_asked(entry))
    found: dict[tuple[str, str], Run] = {}
    for dag_id, run_id in wanted:
        working, questions = tasks.get((dag_id, run_id), []), asked.get((dag_id, run_id), [])
        working = await _with_openings(rest, dag_id, run_id, working)
        state = "running"
        if not any(question.is_open for question in questions) and all(task.state in ENDED for task in working):
            state, questions = await _state_of(rest, dag_id, run_id)
        found[dag_id, run_id] = Run(dag_id, run_id, state, tuple(working), tuple(questions))
    return found


async def _state_of(rest: AirflowRest, dag_id: str, run_id: str) -> tuple[str, list[Asked]]:
    try:
        run = await rest.get(f"/dags/{dag_id}/dagRuns/{run_id}")
        return str(run.get("state")), await _questions(rest, dag_id, run_id)
    except RefusedError:
        return "unknown", []


async def _questions(rest: AirflowRest, dag_id: str, run_id: str) -> list[Asked]:
    return [
        _asked(entry)
        async for entries in rest.pages(f"/dags/{dag_id}/dagRuns/{run_id}/hitlDetails", "hitl_details")
        for entry in entries
    ]


async def _whole_run(rest: AirflowRest, dag_id: str, run_id: str) -> Run:
    tasks = [
        _task(entry)
        async for entries in rest.pages(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances")
        for entry in entries
    ]
    state, asked = await _state_of(rest, dag_id, run_id)
    return Run(dag_id, run_id, state, tuple(await _with_openings(rest, dag_id, run_id, tasks)), tuple(asked))


async def _with_openings(rest: AirflowRest, dag_id: str, run_id: str, tasks: Iterable[Task]) -> list[Task]:
    """Return tasks, those that wait for a change window with the time of its opening."""
    found = []
    for task in tasks:
        opens_at = await _opening(rest, dag_id, run_id, task) if task.awaits_window else None
        found.append(replace(task, opens_at=opens_at))
    return found


async def _opening(rest: AirflowRest, dag_id: str, run_id: str, task: Task) -> datetime | None:
    try:
        said = await _xcom(rest, Place(dag_id, run_id, task.task_id, task.map_index, WINDOW))
    except RefusedError:
        return None  # it has not said it yet
    return reading.instant(said.get("opens_at"))


async def _xcom(rest: AirflowRest, place: Place) -> Mapping[str, Any]:
    """Return an XCom that is a mapping; an empty one for any other.

    Raises:
        RefusedError: There is none, or the viewer may not read it.
    """
    path = f"/dags/{place.dag_id}/dagRuns/{place.run_id}/taskInstances/{place.task_id}/xcomEntries/{place.key}"
    value = (await rest.get(path, map_index=place.map_index)).get("value")
    return reading.mapping(json.loads(value) if isinstance(value, str) else value)


def _task(entry: Mapping[str, Any]) -> Task:
    return Task(
        str(entry["task_id"]),
        reading.text(entry.get("state")),
        reading.text(entry.get("operator_name")) or reading.text(entry.get("operator")) or "",
        int(entry.get("map_index", -1)),
        reading.instant(entry.get("start_date")),
        reading.instant(entry.get("end_date")),
    )


def _asked(entry: Mapping[str, Any]) -> Asked:
    ti = reading.mapping(entry.get("task_instance"))
    people = reading.mappings(entry.get("assigned_users"))
    answered = reading.mapping(entry.get("responded_by_user"))
    defaults = reading.texts(entry.get("defaults"))
    question = Question(
        str(entry.get("subject") or "a person is asked"),
        reading.instant(entry.get("created_at")) or reading.instant(ti.get("start_date")),
        None,
        tuple(str(user.get("name") or user.get("id")) for user in people),
        reading.texts(entry.get("options")),
        ", ".join(defaults) or None,
    )
    return Asked(
        str(ti.get("task_id")),
        question,
        int(ti.get("map_index", -1)),
        reading.texts(entry.get("chosen_options")) if entry.get("response_received") else (),
        reading.text(answered.get("name")) or reading.text(answered.get("id")),
        reading.instant(entry.get("responded_at")),
        None if entry.get("response_received") or ti.get("state") not in ENDED else reading.instant(ti.get("end_date")),
    )
