"""Experiments, iterations and experimentation settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.http.request import (
    BETA,
    SEMANTIC_PATCH,
    EnvironmentRef,
    Request,
    in_environment,
    path_of,
    query_of,
)
from airflow_provider_launchdarkly.api.models import (
    Experiment,
    ExperimentationSettings,
    ExperimentPage,
    Iteration,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import JsonValue

    from airflow_provider_launchdarkly.api.models import (
        ExperimentationSettingsPut,
        ExperimentInstruction,
        ExperimentPost,
        IterationInput,
    )

EVERYTHING = ("previousIterations", "draftIteration", "secondaryMetrics", "treatments", "analysisConfig")
"""Every ``expand`` field of an experiment. LaunchDarkly leaves out what is empty even when it is asked for."""


def create_experiment(env: EnvironmentRef, post: ExperimentPost) -> Request[Experiment]:
    """Create an experiment with its first iteration, not started.

    Args:
        env: Where to create it.
        post: The experiment; every flag in it needs a ``flag_config_version`` here.

    Raises:
        ConfigurationError: A flag's version is missing.
    """
    _need_flag_versions(post.iteration)
    return Request(
        operation="create_experiment",
        method="POST",
        path=in_environment(env, "experiments"),
        response_model=Experiment,
        body=post.to_wire(),
        api_version=BETA,
        version_is_configurable=True,
    )


def get_experiment(env: EnvironmentRef, experiment_key: str, *, expand: Iterable[str] = ()) -> Request[Experiment]:
    """Read one experiment.

    Args:
        env: Where it lives.
        experiment_key: Its key.
        expand: Parts to include, of `EVERYTHING` and ``mutableFieldsByStatus``. Without ``treatments`` no iteration
            shows its arms.
    """
    return Request(
        operation="get_experiment",
        method="GET",
        path=_experiment(env, experiment_key),
        response_model=Experiment,
        query=query_of(expand=expand),
        api_version=BETA,
        version_is_configurable=True,
    )


class ExperimentFilter(TypedDict, total=False):
    """Filters for a listing of experiments.

    Keys:
        flag_key: Only experiments on this flag.
        metric_key: Only experiments that measure this metric.
        status: Only experiments that have an iteration in this status, which may be a past one: check again.
        lifecycle_state: ``active`` and/or ``archived``; LaunchDarkly's default is ``active``.
        expand: As in `get_experiment`.
    """

    flag_key: str | None
    metric_key: str | None
    status: str | None
    lifecycle_state: Iterable[str]
    expand: Iterable[str]


def list_experiments(
    env: EnvironmentRef, *, limit: int | None = None, offset: int | None = None, **filters: Unpack[ExperimentFilter]
) -> Request[ExperimentPage]:
    """Read one page of an environment's experiments.

    Args:
        env: Where they live.
        limit: Items a page; LaunchDarkly's default is 20.
        offset: Items to skip.
        filters: See `ExperimentFilter`.

    Raises:
        ConfigurationError: A filter value holds a comma or a colon, which LaunchDarkly cannot quote.
    """
    return _listing("list_experiments", in_environment(env, "experiments"), filters, limit, offset)


def list_experiments_in_any_environment(
    project_key: str, *, limit: int | None = None, offset: int | None = None, **filters: Unpack[ExperimentFilter]
) -> Request[ExperimentPage]:
    """Read one page of a project's experiments over all environments; parameters as in `list_experiments`.

    New in LaunchDarkly's client 23.0.0.
    """
    path = path_of("projects", "{project_key}", "experiments", project_key=project_key)
    return _listing("list_experiments_in_any_environment", path, filters, limit, offset)


def create_iteration(env: EnvironmentRef, experiment_key: str, iteration: IterationInput) -> Request[Iteration]:
    """Create an iteration, not started. Not safe to repeat blindly: a repeat may make a second one.

    Deprecated by LaunchDarkly since client 23.0.0.

    Args:
        env: Where the experiment lives.
        experiment_key: Its key.
        iteration: The design; every flag in it needs a ``flag_config_version`` here.

    Raises:
        ConfigurationError: A flag's version is missing.
    """
    _need_flag_versions(iteration)
    return Request(
        operation="create_iteration",
        method="POST",
        path=_experiment(env, experiment_key, "iterations"),
        response_model=Iteration,
        body=iteration.to_wire(),
        api_version=BETA,
        version_is_configurable=True,
    )


def patch_experiment(
    env: EnvironmentRef,
    experiment_key: str,
    instructions: Sequence[ExperimentInstruction],
    *,
    comment: str | None = None,
) -> Request[Experiment]:
    """Change an experiment by instructions: all of them take effect, or none.

    Args:
        env: Where the experiment lives.
        experiment_key: Its key.
        instructions: What to do, in order.
        comment: Text for LaunchDarkly's audit log.

    Raises:
        ConfigurationError: There is no instruction.
    """
    if not instructions:
        raise ConfigurationError("instructions is empty: a patch needs at least one")
    body: dict[str, JsonValue] = {"instructions": [instruction.to_wire() for instruction in instructions]}
    if comment:
        body["comment"] = comment
    return Request(
        operation="patch_experiment",
        method="PATCH",
        path=_experiment(env, experiment_key),
        response_model=Experiment,
        body=body,
        api_version=BETA,
        version_is_configurable=True,
        content_type=SEMANTIC_PATCH,
    )


def get_experimentation_settings(project_key: str) -> Request[ExperimentationSettings]:
    """Read a project's randomization units."""
    return Request(
        operation="get_experimentation_settings",
        method="GET",
        path=_settings(project_key),
        response_model=ExperimentationSettings,
        api_version=BETA,
        version_is_configurable=True,
    )


def put_experimentation_settings(
    project_key: str, settings: ExperimentationSettingsPut
) -> Request[ExperimentationSettings]:
    """Replace all of a project's randomization units: what is left out is removed."""
    return Request(
        operation="put_experimentation_settings",
        method="PUT",
        path=_settings(project_key),
        response_model=ExperimentationSettings,
        body=settings.to_wire(),
        api_version=BETA,
        version_is_configurable=True,
    )


def _experiment(env: EnvironmentRef, experiment_key: str, *segments: str) -> str:
    return in_environment(env, "experiments", "{experiment_key}", *segments, experiment_key=experiment_key)


def _settings(project_key: str) -> str:
    return path_of("projects", "{project_key}", "experimentation-settings", project_key=project_key)


def _listing(
    operation: str, path: str, filters: ExperimentFilter, limit: int | None, offset: int | None
) -> Request[ExperimentPage]:
    if unknown := sorted(filters.keys() - ExperimentFilter.__optional_keys__):
        raise TypeError(f"{operation}() got an unexpected keyword argument {unknown[0]!r}")
    wanted = {
        "flagKey": filters.get("flag_key"),
        "metricKey": filters.get("metric_key"),
        "status": filters.get("status"),
    }
    for field, value in wanted.items():
        # The filter grammar is field:value joined by commas, without a way to quote either sign.
        if value is not None and ("," in value or ":" in value):
            raise ConfigurationError(f"{field} is {value!r}: a filter value may hold neither a comma nor a colon")
    return Request(
        operation=operation,
        method="GET",
        path=path,
        response_model=ExperimentPage,
        query=query_of(
            limit=limit,
            offset=offset,
            filter=[f"{field}:{value}" for field, value in wanted.items() if value],
            expand=filters.get("expand"),
            lifecycleState=filters.get("lifecycle_state"),
        ),
        api_version=BETA,
        version_is_configurable=True,
    )


def _need_flag_versions(iteration: IterationInput) -> None:
    for key, flag in iteration.flags.items():
        if flag.flag_config_version is None:
            raise ConfigurationError(
                f"flags[{key}].flagConfigVersion is missing: read the flag and give its version in the environment, "
                "or create through a lifecycle procedure, which does so"
            )
