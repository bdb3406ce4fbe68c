"""An experiment as LaunchDarkly has it now, as the reading model: who gets what, since when. Records have its looks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.api.endpoints.releases import list_releases
from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.api.writes.stop_for_release import is_stop_for_a_release
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


def experiment_now(env: EnvironmentRef, experiment: Experiment, base_url: str) -> Now:
    """Read an experiment as LaunchDarkly shows it.

    Args:
        env: Its project and environment.
        experiment: The experiment, with treatments and all iterations.
        base_url: LaunchDarkly's base URL.
    """
    iteration = experiment.latest_started or next(iter(experiment.drafts), None)
    state, chip, why = _standing(iteration)
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
            shares=_shares(iteration) if iteration else (),
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
    shipping = is_stop_for_a_release(iteration.winning_reason) if iteration.stopped else False
    own = release_among(releases, iteration, flag_key) if shipping else None
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
    summary = replace(detail.summary, release=release, headline=why, shares=shares, next_step=next_step)
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


def _standing(iteration: Iteration | None) -> tuple[State, str, str]:
    if iteration is None:
        return State.STARTING, "not started", "It has no iteration yet."
    if iteration.running:
        return State.WAITING, "running", "It is running in LaunchDarkly."
    if iteration.not_started:
        return State.STARTING, "not started", "Its iteration has not been started."
    winner = iteration.treatment(iteration.winning_treatment_id) if iteration.winning_treatment_id else None
    reason = f": {iteration.winning_reason}" if iteration.winning_reason else ""
    served = f"Everyone gets {winner.name}" if winner else "It was stopped"
    return State.STOPPED, "stopped", f"{served}{reason}."


def _shares(iteration: Iteration) -> tuple[Share, ...]:
    if iteration.stopped and iteration.winning_treatment_id:
        winner = iteration.treatment(iteration.winning_treatment_id)
        return (Share(winner.name, 100.0, winner.baseline),) if winner else ()
    if not iteration.running or any(treatment.allocation_percent is None for treatment in iteration.treatments):
        return ()
    return tuple(
        Share(treatment.name, float(treatment.allocation_percent or 0), treatment.baseline)
        for treatment in iteration.treatments
    )


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
