"""One experiment as a whole: its looks, the plan ahead, the timeline and the sentences. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.views import notes as kinds
from airflow_provider_launchdarkly.views import reading
from airflow_provider_launchdarkly.views.explanations import policy_in_words, what_follows, why_it_stands
from airflow_provider_launchdarkly.views.model import NOWHERE, ExperimentDetail, Happening, State
from airflow_provider_launchdarkly.views.situation import summary_of
from airflow_provider_launchdarkly.views.winner_release import happened_in, release_of_winner
from airflow_provider_launchdarkly.views.words import next_step, released

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.views.airflow_run import Asked, Note, Run
    from airflow_provider_launchdarkly.views.model import ExperimentSummary, Links, Look, PlannedLook
    from airflow_provider_launchdarkly.views.release_model import ReleaseShown


def detail_of(
    notes: Sequence[Note],
    run: Run,
    *,
    links: Links = NOWHERE,
    releases: Sequence[ReleaseShown] = (),
    now: datetime | None = None,
) -> ExperimentDetail:
    """Return one experiment as a whole.

    Args:
        notes: All its notes in this run.
        run: The run.
        links: Addresses.
        releases: What release sensors have found, newest first.
        now: As for :func:`.summary_of`.

    Raises:
        ValueError: There is no note.
    """
    found = summary_of(notes, run, links=links, releases=releases, now=now)
    ordered = sorted(notes, key=lambda note: note.at)
    newest = ordered[-1].body
    rollout = reading.mapping(newest.get("rollout"))
    looks = _looks(ordered)
    planned_looks = tuple(look for look in looks if not look.only_harm)
    latest_look = next((look for look in reversed(planned_looks) if look.stage == (found.stage or look.stage)), None)
    watching = next((note.body for note in reversed(ordered) if note.body.get("kind") == kinds.WATCH), {})
    over = found.state.finished
    policy = policy_of(watching)
    planned = () if over else plan_of(watching, policy)
    if found.look is None and planned_looks:
        found = replace(found, look=planned_looks[-1])
    return ExperimentDetail(
        found,
        reading.text(rollout.get("hypothesis")) or "",
        looks,
        planned,
        next((look.split for look in reversed(looks) if look.split), None),
        why_it_stands(
            found,
            latest_look,
            poll=reading.text(reading.mapping(newest.get("latest")).get("summary")) or "",
            ended=reading.text(newest.get("why")) or "",
        ),
        what_follows(
            found,
            latest_look,
            policy,
            window=reading.text(rollout.get("window")) or "",
            # A rollout that only observes does nothing afterwards either.
            afterwards=(reading.text(rollout.get("afterwards")) or "") if newest.get("kind") == kinds.STOP else "",
        ),
        policy_in_words(policy, latest_look) if policy else (),
        tuple(timeline(ordered, run, found, releases)),
        next((kept for note in reversed(ordered) if (kept := reading.record(note.body.get("record")))), None),
        planned_looks[-1].cautions if planned_looks else (),
    )


def _looks(ordered: Iterable[Note]) -> tuple[Look, ...]:
    """Every look once, oldest first: a note of the stop repeats the look that ended the waiting."""
    found: dict[tuple[str, float], Look] = {}
    stage = 1
    for note in ordered:
        # A task after the stages belongs to the one before it.
        stage = reading.count(reading.mapping(note.body.get("rollout")).get("stage")) or stage
        for look in reading.looks(note.body.get("looks"), stage=stage):
            found.setdefault((look.iteration_id, round(look.elapsed_days, 6)), look)
    return tuple(sorted(found.values(), key=lambda look: (str(look.at), look.elapsed_days)))


def policy_of(note: Mapping[str, Any]) -> Policy | None:
    """Return the policy of a task that watches; None if it judges nothing, or another version's cannot be read."""
    from airflow_provider_launchdarkly.decision.policy import Policy

    if not (found := reading.mapping(note.get("policy"))):
        return None
    try:
        return Policy.from_json(found)
    except ValueError:
        return None


def plan_of(note: Mapping[str, Any], policy: Policy | None) -> tuple[PlannedLook, ...]:
    """Return the looks of a plan with their boundaries by the plan alone; none if they cannot be known.

    Args:
        note: The note of a task that watches.
        policy: Its policy.
    """
    from airflow_provider_launchdarkly.decision.allocation import EVEN, Allocation
    from airflow_provider_launchdarkly.views.plans import planned_looks

    served = reading.shares(note.get("treatments"))
    given = [share.percent for share in sorted(served, key=lambda share: not share.baseline)]
    if policy is None:
        return ()
    try:
        allocation = Allocation.of_shares(given) if len(given) > 1 else EVEN
        return planned_looks(policy, reading.instant(note.get("started_at")), allocation)
    except ValueError:
        return ()


def timeline(
    ordered: Sequence[Note], run: Run, found: ExperimentSummary, releases: Iterable[ReleaseShown] = ()
) -> Iterable[Happening]:
    """Return what happened, oldest first, and what is to come.

    Args:
        ordered: The notes, oldest first.
        run: The run, with its questions.
        found: The experiment.
        releases: What release sensors have found.
    """
    release = release_of_winner([note.body for note in ordered], releases)
    happened = [happening for note in ordered for happening in _of_note(note, release)]
    happened += [happening for asked in run.asked for happening in _of_question(asked)]
    yield from sorted(happened, key=lambda happening: str(happening.at))
    if found.unwatched is not None:
        overdue = found.state is State.OVERDUE
        what = found.unwatched.what.rstrip(".") if overdue else "no longer watched"
        yield Happening(found.unwatched.since, what, None, found.unwatched.task_id)
    answer = found.question.until if found.question else None
    change = found.handed_over.until if found.handed_over and found.state is State.NEEDS_YOU else None
    ahead = (
        (found.next_look, "next look"),
        (found.next_step, next_step(found)),
        (answer, "an answer counts no longer"),
        (change, "the change is not waited for any longer"),
    )
    for at, what in sorted((at, what) for at, what in ahead if at is not None):
        yield Happening(at, what, ahead=True)


def _of_note(note: Note, release: ReleaseShown | None) -> Iterable[Happening]:
    body = note.body
    at = reading.instant(body.get("at"))
    rollout = reading.mapping(body.get("rollout"))
    stage = reading.count(rollout.get("stage"))
    served = reading.shares(body.get("treatments"))
    kind = body.get("kind")
    if kind == kinds.START:
        share = reading.percent_of_new(served)
        where = f"stage {stage} of {len(reading.mappings(rollout.get('stages')))} " if stage else ""
        yield Happening(at, f"{where}started at {share}" if share else f"{where}started", None, note.task_id)
    elif kind == kinds.STOP:
        # Its release has ended before, and the iteration before that.
        what = "stopped" if release is None else "the rollout ended"
        yield Happening(at, f"{what}: everyone gets {body.get('winner')}", None, note.task_id)
    elif kind == kinds.RELEASE:
        if release is not None:
            yield from happened_in(release, task_id=note.task_id)
        else:
            yield Happening(at, released(body), None, note.task_id)
    elif kind == kinds.HAND_OVER:
        began = "asked for an approval" if body.get("requested") else "handed over to a person"
        yield Happening(at, f"{began}: {body.get('what')} in LaunchDarkly", None, note.task_id)
    elif kind == kinds.END:
        yield Happening(at, f"the rollout ended {body.get('ending')}: {body.get('why')}", None, note.task_id)
    elif (latest := reading.mapping(body.get("latest"))).get("verdict") not in {None, "wait"}:
        yield Happening(at, str(latest.get("summary") or latest.get("verdict")), None, note.task_id)


def _of_question(asked: Asked) -> Iterable[Happening]:
    yield Happening(asked.question.asked_at, f"asked: {asked.question.subject}", None, asked.task_id)
    if asked.chosen:
        chosen = ", ".join(asked.chosen)
        what = f"answered: {chosen}" if asked.who else f"nobody answered in time: {chosen} counts"
        yield Happening(asked.answered_at, what, asked.who, asked.task_id)
    elif asked.closed_at:
        yield Happening(asked.closed_at, "closed without an answer", None, asked.task_id)
