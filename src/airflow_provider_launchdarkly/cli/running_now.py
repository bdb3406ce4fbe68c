"""An experiment as LaunchDarkly has it now, as the reading model: who gets what, since when. Records have its looks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.api.endpoints.releases import list_releases
from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.api.writes.stop_for_release import is_stop_for_a_release
from airflow_provider_launchdarkly.checks.flag_seen import see_flag
from airflow_provider_launchdarkly.checks.release import release_output
from airflow_provider_launchdarkly.rollout.left_release import release_among
from airflow_provider_launchdarkly.views.explanations import sentence
from airflow_provider_launchdarkly.views.model import (
    ExperimentDetail,
    ExperimentSummary,
    Happening,
    Links,
    Share,
    State,
)
from airflow_provider_launchdarkly.views.releases import read_release, release_note
from airflow_provider_launchdarkly.views.served_model import KnownBy, Served
from airflow_provider_launchdarkly.views.winner_release import (
    follows_in,
    happened_in,
    headline_of,
    metrics_in_words,
    shares_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import EnvironmentRelease, Experiment, Iteration
    from airflow_provider_launchdarkly.checks.flag_seen import FlagSeen
    from airflow_provider_launchdarkly.views.release_model import ReleaseShown


class Now(NamedTuple):
    """An experiment, and where it stands in words.

    Attributes:
        detail: The experiment.
        chip: Where it stands in LaunchDarkly; whether Airflow watches it is not known there.
        iteration_id: The running iteration, else the one that was started last, else the draft; None without any.
    """

    detail: ExperimentDetail
    chip: str
    iteration_id: str | None


def flag_now(env: EnvironmentRef, experiment: Experiment) -> Procedure[FlagSeen | None]:
    """Read the flag of the experiment's iteration; None if that neither runs nor ended with a winner of its own.

    A stop for the release of another treatment left the flag to that release, which says who gets what.
    """
    iteration = experiment.latest_started
    if iteration is None or not (iteration.running or iteration.stopped):
        return None
    if iteration.stopped and (iteration.winning_treatment_id is None or _for_a_release(iteration)):
        return None
    return (yield from see_flag(env, iteration))


def experiment_now(env: EnvironmentRef, experiment: Experiment, base_url: str, seen: FlagSeen | None = None) -> Now:
    """Read an experiment as LaunchDarkly shows it.

    Args:
        env: Its project and environment.
        experiment: The experiment, with treatments and all iterations.
        base_url: LaunchDarkly's base URL.
        seen: The flag of its iteration, as :func:`flag_now` reads it; None if it was not read.
    """
    iteration = experiment.latest_started or next(iter(experiment.drafts), None)
    state, chip, why = _standing(iteration, seen)
    shares, served = _shares(iteration, seen) if iteration else ((), None)
    detail = ExperimentDetail(
        ExperimentSummary(
            env.project_key,
            env.environment_key,
            experiment.key,
            dag_id="",
            run_id="",
            state=state,
            headline=why,
            name=experiment.name,
            flag=next(iter(iteration.flags), None) if iteration else None,
            tags=experiment.tags,
            shares=shares,
            served=served,
            drift=(_since_then(iteration, seen),) if iteration and seen and seen.differs else (),
            links=Links(launchdarkly=env.experiment_url(base_url, experiment.key)),
        ),
        hypothesis=iteration.hypothesis if iteration else "",
        why=why,
        timeline=tuple(_timeline(experiment)),
    )
    return Now(detail, chip, iteration.id if iteration else None)


def active_release(env: EnvironmentRef, experiment: Experiment, base_url: str) -> Procedure[ReleaseShown | None]:
    """Read the release that ships the experiment's winner, in whatever state; else the one of its flag under way.

    Returns:
        None where there is none, or where LaunchDarkly serves no releases to this token: they are a beta.
    """
    iteration = experiment.latest_started or next(iter(experiment.drafts), None)
    flag_key = next(iter(iteration.flags), None) if iteration else None
    if iteration is None or flag_key is None:
        return None
    try:
        response = yield list_releases(env, flag_key)
    except LaunchDarklyError:
        return None
    releases: tuple[EnvironmentRelease, ...] = response.value.items
    own = release_among(releases, iteration, flag_key) if _for_a_release(iteration) else None
    release = own[0] if own else next((each for each in releases if not each.ended), None)
    if release is None:
        return None
    output = {**release_output(env, release), "flag_key": flag_key}
    shown = read_release(release_note(output, at=response.server_time, url=env.flag_url(base_url, flag_key)))
    if shown is None or own is None:
        return shown
    baseline = iteration.baseline.name if iteration.baseline else "the baseline"
    return replace(shown, winner=own[1], baseline=baseline)


def with_release(now: Now, release: ReleaseShown | None) -> Now:
    """Add the release of the experiment's flag. One that ships its winner says who gets what, and what follows."""
    detail = now.detail
    if release is None or release.winner is None:
        return now._replace(detail=replace(detail, summary=replace(detail.summary, release=release)))
    chip = "releasing" if release.active else f"release {release.status}"
    why = f"{sentence(headline_of(release))} {metrics_in_words(release)}".strip()
    shares, next_step = shares_in(release), release.next_at
    summary = replace(detail.summary, release=release, headline=why, shares=shares, served=None, next_step=next_step)
    return now._replace(
        chip=chip,
        detail=replace(
            detail,
            summary=summary,
            why=why,
            to_come=tuple(follows_in(release)),
            timeline=tuple(sorted((*detail.timeline, *happened_in(release)), key=lambda entry: str(entry.at))),
        ),
    )


def with_record(now: Now, record: ExperimentDetail) -> Now:
    """Add what the iteration's decision record has: looks, the next one, the policy, and why it is not decided yet."""
    before, kept = now.detail.summary, record.summary
    running = before.state is State.WAITING
    summary = replace(
        before,
        look=kept.look,
        looks=kept.looks,
        next_look=kept.next_look if running else None,
        harm=kept.harm,
        updated_at=kept.updated_at,
    )
    return now._replace(
        detail=replace(
            record,
            summary=summary,
            hypothesis=now.detail.hypothesis,
            why=record.why if running else now.detail.why,
            to_come=record.to_come if running else now.detail.to_come,
            timeline=_merged(now.detail.timeline, record.timeline, running=running),
        )
    )


def _for_a_release(iteration: Iteration) -> bool:
    return iteration.stopped and is_stop_for_a_release(iteration.winning_reason)


def _since_then(iteration: Iteration, seen: FlagSeen) -> str:
    return sentence(f"since the stop, {seen.differs}" if iteration.stopped else seen.differs)


def _standing(iteration: Iteration | None, seen: FlagSeen | None) -> tuple[State, str, str]:
    if iteration is None:
        return State.STARTING, "not started", "It has no iteration yet."
    differs = f" {_since_then(iteration, seen)}" if seen and seen.differs else ""
    if iteration.running:
        return State.WAITING, "running", f"It is running in LaunchDarkly.{differs}"
    if iteration.not_started:
        return State.STARTING, "not started", "Its iteration has not been started."
    winner = iteration.treatment(iteration.winning_treatment_id) if iteration.winning_treatment_id else None
    reason = f": {iteration.winning_reason}" if iteration.winning_reason else ""
    everyone = f"Everyone got {winner.name}" if winner and differs else f"Everyone gets {winner.name}" if winner else ""
    return State.STOPPED, "stopped", f"{everyone or 'It was stopped'}{reason}.{differs}"


def _shares(iteration: Iteration, seen: FlagSeen | None) -> tuple[tuple[Share, ...], Served | None]:
    """Return who gets what: by the flag where it was read, else by the iteration."""
    if seen is not None and seen.at is not None and (iteration.running or iteration.winning_treatment_id):
        return tuple(Share(*arm) for arm in seen.served), Served(KnownBy.FLAG, seen.at, now=True)
    if iteration.stopped and iteration.winning_treatment_id:
        winner = iteration.treatment(iteration.winning_treatment_id)
        served = Served(KnownBy.CHANGE, iteration.ended_at)
        return ((Share(winner.name, 100.0, winner.baseline),), served) if winner else ((), None)
    if not iteration.running or any(treatment.allocation_percent is None for treatment in iteration.treatments):
        return (), None
    shares = (
        Share(treatment.name, float(treatment.allocation_percent or 0), treatment.baseline)
        for treatment in iteration.treatments
    )
    return tuple(shares), Served(KnownBy.ALLOCATION, iteration.started_at)


def _timeline(experiment: Experiment) -> Iterator[Happening]:
    happened = [
        (at, f"iteration {iteration.id} {what}")
        for iteration in experiment.iterations
        for at, what in ((iteration.started_at, "started"), (iteration.ended_at, "stopped"))
        if at is not None
    ]
    if experiment.creation_date is not None:
        happened.append((experiment.creation_date, "created"))
    yield from (Happening(at, what) for at, what in sorted(happened))


def _merged(now: tuple[Happening, ...], kept: tuple[Happening, ...], *, running: bool) -> tuple[Happening, ...]:
    known = {entry.what for entry in now}
    others = (entry for entry in kept if entry.what not in known and (running or not entry.ahead))
    return tuple(sorted((*now, *others), key=lambda entry: (entry.ahead, str(entry.at))))
