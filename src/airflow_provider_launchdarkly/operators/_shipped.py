"""The outputs of the tasks of a release that ships a winner, and their notes for the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.sdk import BaseOperator, Context

    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.writes.shipping import ShippedByRelease
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook


def shipped_output(env: EnvironmentRef, shipped: ShippedByRelease, experiment_key: str, url: str) -> dict[str, Any]:
    """Return an iteration that ended on its baseline, and its winner's release, as plain JSON.

    Args:
        env: Project and environment.
        shipped: Both of them.
        experiment_key: The experiment.
        url: Its address in LaunchDarkly.
    """
    from airflow_provider_launchdarkly.checks.release import release_output
    from airflow_provider_launchdarkly.operators._outputs import treatments_of

    iteration = shipped.stopped.iteration
    return {
        **release_output(env, shipped.release),
        "flag_key": shipped.stopped.effect.flag_key,
        "experiment_key": experiment_key,
        "iteration_id": iteration.id,
        "treatments": treatments_of(iteration),
        "treatment": shipped.treatment.name,
        "baseline": shipped.baseline.name,
        "rule_id": shipped.rule_id,
        "url": url,
        "changed": not shipped.adopted,
    }


def release_now(hook: LaunchDarklyHook, flag_key: str, release_id: str) -> dict[str, Any]:
    """Return a release as it is now, as its sensor returns it.

    Args:
        hook: The hook.
        flag_key: The flag.
        release_id: The release.

    Raises:
        LaunchDarklyError: It could not be read.
    """
    from airflow_provider_launchdarkly.checks.release import release_output

    return release_output(hook.environment(), hook.get_release(flag_key, release_id))


def leave_note_of_release(
    task: BaseOperator,
    context: Context,
    output: Mapping[str, Any],
    warn: Callable[..., object],
    *,
    stage: int | None,
    flag_url: str,
) -> None:
    """Let the pages show that a release has taken the place of an iteration.

    Args:
        task: The task.
        context: The task's.
        output: As :func:`shipped_output` returns it.
        warn: Writes a warning to the task's log.
        stage: Number of the stage at which the winner was found, from 0.
        flag_url: Address of the flag in LaunchDarkly.
    """
    from airflow_provider_launchdarkly.sensors._notes import at_stage, leave_note, now, page_of
    from airflow_provider_launchdarkly.views.notes import released
    from airflow_provider_launchdarkly.views.releases import release_note

    at = now()
    page = at_stage(page_of(task, context), stage)
    made = released(output, at=at, page=page, shown=release_note(output, at=at, url=flag_url))
    leave_note(context, output, made, warn)


def leave_note_of_end(
    task: BaseOperator,
    context: Context,
    output: Mapping[str, Any],
    warn: Callable[..., object],
    *,
    ended: Mapping[str, Any],
    verdict: Mapping[str, Any],
) -> None:
    """Let the pages show how a release ended.

    Args:
        task: The task.
        context: The task's.
        output: As :func:`shipped_output` returns it, with ``winning_treatment`` and ``winning_reason``.
        warn: Writes a warning to the task's log.
        ended: The release as it is now, as its sensor returns it.
        verdict: ``verdict`` is the ending, ``harmed`` what regressed.
    """
    from airflow_provider_launchdarkly.sensors._notes import leave_note, now, page_of
    from airflow_provider_launchdarkly.views.notes import stopped
    from airflow_provider_launchdarkly.views.releases import release_note

    at = now()
    made = stopped(output, at=at, page=page_of(task, context), verdict=verdict)
    shown = release_note({**ended, "flag_key": output["flag_key"]}, at=at, url=None)
    leave_note(context, output, {**made, "shown": shown}, warn)
