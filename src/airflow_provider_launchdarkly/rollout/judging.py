"""Judges a running stage again, right before the rollout starts the next one or ships. Only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
from airflow_provider_launchdarkly.api.writes.stop_for_release import is_stop_for_a_release
from airflow_provider_launchdarkly.evidence.results_config import source_name
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators._judge_now import judge_now
from airflow_provider_launchdarkly.sensors._decision_record import record_folder, record_look
from airflow_provider_launchdarkly.sensors._sources import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import BaseOperator, Context

    from airflow_provider_launchdarkly.api.models import Iteration
    from airflow_provider_launchdarkly.rollout.spec import Rollout


def judged_again(
    operator: BaseOperator,
    rollout: Rollout,
    verdict: Mapping[str, Any],
    stage: int | None,
    context: Context,
    *,
    extended: bool = False,
) -> dict[str, Any]:
    """Judge the iteration of a verdict on its results as they are now.

    A boundary that was crossed stands: the winner needs no second crossing, only an effect that is still there. Safe to
    repeat: it only reads, apart from the decision record. There, a repeat with the same result changes nothing.

    Args:
        operator: The task, whose templates and log are used.
        rollout: The rollout.
        verdict: The verdict.
        stage: Number of its stage, from 0.
        context: The task's.
        extended: True if that stage was extended.

    Returns:
        The new verdict as plain JSON.

    Raises:
        LaunchDarklyError: The results could not be read.
    """
    hook = _hook(rollout, verdict)
    policy = rollout.policy_of(stage or 0, extended=extended)
    described = rollout.results
    results = None if described is None else described.to_json()
    found = judge_now(
        hook,
        str(verdict["experiment_key"]),
        str(verdict["iteration_id"]),
        policy,
        source=source_of(results, operator, context, policy),
        standing=verdict,
        warn=operator.log.warning,
    )
    return record_look(
        found.to_record(),
        found.target,
        policy,
        source=source_name(described),
        folder=record_folder(None),
        log=operator.log.info,
    )


def is_shipped(rollout: Rollout, verdict: Mapping[str, Any]) -> bool:
    """Return whether the iteration of a ship verdict is stopped with the verdict's treatment as its winner.

    Where a release ships the winner, the iteration is stopped on its baseline instead, for that reason.

    Raises:
        LaunchDarklyError: The experiment could not be read.
    """
    iteration = _iteration(rollout, verdict)
    winner = None if iteration is None else iteration.winning_treatment_id
    if iteration is not None and rollout.release is not None and is_stop_for_a_release(iteration.winning_reason):
        return True
    return winner is not None and winner == verdict.get("treatment_id")


def is_stopped(rollout: Rollout, verdict: Mapping[str, Any]) -> bool:
    """Return whether the iteration of a verdict is there and does not run any more.

    Raises:
        LaunchDarklyError: The experiment could not be read.
    """
    iteration = _iteration(rollout, verdict)
    return iteration is not None and not iteration.running


def _iteration(rollout: Rollout, verdict: Mapping[str, Any]) -> Iteration | None:
    experiment = _hook(rollout, verdict).get_experiment(str(verdict["experiment_key"]), expand=ITERATIONS)
    return experiment.iteration(str(verdict["iteration_id"]))


def _hook(rollout: Rollout, verdict: Mapping[str, Any]) -> LaunchDarklyHook:
    return LaunchDarklyHook(rollout.connection, verdict.get("project_key"), verdict.get("environment_key"))
