"""The comparison of a rollout with LaunchDarkly: create, change, drifted or equal.

Pure procedures that only read. They compare the fields that the rollout sets; the other fields may have any value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.endpoints import get_experiment, get_flag, list_environments
from airflow_provider_launchdarkly.api.errors import ConfigurationError, Difference, NotFoundError
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
from airflow_provider_launchdarkly.api.variations import find_rule_id, rule_of
from airflow_provider_launchdarkly.api.writes.comparison import experiment_differences, iteration_differences
from airflow_provider_launchdarkly.rollout.metrics import check_metrics
from airflow_provider_launchdarkly.rollout.release_requests import check_before_start
from airflow_provider_launchdarkly.rollout.requests import experiment_post, stage_iteration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import (
        EnvironmentPage,
        Experiment,
        ExperimentPost,
        FeatureFlag,
        Iteration,
        IterationInput,
    )
    from airflow_provider_launchdarkly.rollout.spec import Rollout


# The most environments that a message names.
_SHOWN = 20


class DriftStatus(StrEnum):
    """The result of a comparison in one word."""

    CREATE = "create"
    """The experiment does not exist."""

    CHANGE = "change"
    """The experiment exists with other content, and no running iteration differs."""

    DRIFTED = "drifted"
    """The running iteration matches no stage, or the experiment is archived: someone edited it by hand, or the file was
    changed after the start. Only a new iteration makes the two equal again."""

    EQUAL = "equal"
    """There is nothing to do."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The result of a comparison.

    Attributes:
        status: The comparison in one word.
        differences: The fields that differ; for ``create``, those that will be sent.
        stage: Number of the stage that the iteration matches, from 0; None if it matches none.
        iteration_status: The iteration's status, such as ``running``; None without an iteration.
        warnings: A sentence for each setting of the policy that LaunchDarkly's own settings contradict, and for what
            may keep a winner's release from starting.
    """

    status: DriftStatus
    differences: tuple[Difference, ...] = ()
    stage: int | None = None
    iteration_status: str | None = None
    warnings: tuple[str, ...] = ()


def compare(rollout: Rollout, env: EnvironmentRef) -> Procedure[Drift]:
    """Compare a rollout with its experiment.

    Args:
        rollout: The rollout.
        env: Its project and environment.

    Raises:
        ConfigurationError: The flag has no such variation as a treatment names, or the project no such metric or
            environment.
        StateError: The flag has no such rule in the environment.
        NotFoundError: The flag does not exist.
        LaunchDarklyError: A call failed.
    """
    flag: FeatureFlag = (
        yield get_flag(env.project_key, rollout.experiment.flag, environments=(env.environment_key,))
    ).value
    if env.environment_key not in flag.environments:
        yield from raise_no_environment(env)
    rule_of(flag, flag.environments[env.environment_key], find_rule_id(flag, rollout.experiment.rule))
    designs = [stage_iteration(rollout, number, flag) for number in range(len(rollout.stages))]
    post = experiment_post(rollout, designs[0])
    warnings = yield from check_metrics(rollout, env.project_key)
    warnings += yield from check_before_start(rollout, env)
    try:
        found: Experiment = (
            yield get_experiment(env, rollout.experiment.key, expand=(*ITERATIONS, "analysisConfig"))
        ).value
    except NotFoundError:
        return Drift(DriftStatus.CREATE, tuple(_to_send(rollout, designs)), warnings=warnings)
    return replace(_compare(post, designs, found), warnings=warnings)


def raise_no_environment(env: EnvironmentRef) -> Procedure[None]:
    """Say that a project has no such environment, and which it has.

    Raises:
        ConfigurationError: Always.
    """
    known: EnvironmentPage = (yield list_environments(env.project_key, limit=_SHOWN)).value
    offered = ", ".join(environment.key for environment in known.items)
    raise ConfigurationError(
        f"environment {env.environment_key!r} does not exist in project {env.project_key!r}, or the token may not read "
        f"it; write one of {offered}"
    )


def latest_iteration(experiment: Experiment) -> Iteration | None:
    """Return the running iteration; else a draft; else the one that was started last; else None."""
    return experiment.running or next(iter(experiment.drafts), experiment.latest_started)


def _compare(post: ExperimentPost, designs: Sequence[IterationInput], found: Experiment) -> Drift:
    own = experiment_differences(post, found)
    if found.archived:
        return Drift(DriftStatus.DRIFTED, (Difference("archived", False, True), *own))
    iteration = latest_iteration(found)
    if iteration is None:
        return Drift(DriftStatus.CHANGE, (Difference("iteration", "a first one", None), *own))
    by_stage = [iteration_differences(design, iteration) for design in designs]
    nearest = min(range(len(designs)), key=lambda number: len(by_stage[number]))
    differing = by_stage[nearest]
    stage = None if differing else nearest
    if not own and not differing:
        return Drift(DriftStatus.EQUAL, stage=stage, iteration_status=iteration.status)
    status = DriftStatus.DRIFTED if differing and iteration.running else DriftStatus.CHANGE
    return Drift(status, (*own, *differing), stage, iteration.status)


def _to_send(rollout: Rollout, designs: Sequence[IterationInput]) -> list[Difference]:
    experiment = rollout.experiment
    stages = [
        " / ".join(f"{treatment.name} {treatment.allocation_percent} %" for treatment in design.treatments)
        for design in designs
    ]
    fields: dict[str, Any] = {
        "name": experiment.name or experiment.key,
        "flag": f"{experiment.flag}, rule {experiment.rule}",
        "hypothesis": experiment.hypothesis,
        "metrics": ", ".join(metric.key for metric in designs[0].metrics),
        **{f"stages[{number}]": shares for number, shares in enumerate(stages)},
    }
    return [Difference(name, value, None) for name, value in fields.items()]
