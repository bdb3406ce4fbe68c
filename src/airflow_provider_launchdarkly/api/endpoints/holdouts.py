"""Holdouts and layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    Holdout,
    HoldoutPage,
    Layer,
    LayerPage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import JsonValue

    from airflow_provider_launchdarkly.api.models import (
        HoldoutInstruction,
        HoldoutPost,
        LayerInstruction,
        LayerPost,
    )


def list_holdouts(env: EnvironmentRef, *, limit: int | None = None, offset: int | None = None) -> Request[HoldoutPage]:
    """Read one page of an environment's holdouts."""
    return Request(
        operation="list_holdouts",
        method="GET",
        path=in_environment(env, "holdouts"),
        response_model=HoldoutPage,
        query=query_of(limit=limit, offset=offset),
        api_version=BETA,
    )


def get_holdout(env: EnvironmentRef, holdout_key: str, *, expand: Iterable[str] = ()) -> Request[Holdout]:
    """Read a holdout.

    Args:
        env: Where it lives.
        holdout_key: Its key.
        expand: As for experiments; a name with ``rel-`` before it expands the related experiments.
    """
    return Request(
        operation="get_holdout",
        method="GET",
        path=in_environment(env, "holdouts", "{holdout_key}", holdout_key=holdout_key),
        response_model=Holdout,
        query=query_of(expand=expand),
        api_version=BETA,
    )


def get_holdout_by_id(env: EnvironmentRef, holdout_id: str) -> Request[Holdout]:
    """Read a holdout by its id, which is what an experiment's ``holdoutId`` holds."""
    return Request(
        operation="get_holdout_by_id",
        method="GET",
        path=in_environment(env, "holdouts", "id", "{holdout_id}", holdout_id=holdout_id),
        response_model=Holdout,
        api_version=BETA,
    )


def create_holdout(env: EnvironmentRef, post: HoldoutPost) -> Request[Holdout]:
    """Create a holdout."""
    return Request(
        operation="create_holdout",
        method="POST",
        path=in_environment(env, "holdouts"),
        response_model=Holdout,
        body=post.to_wire(),
        api_version=BETA,
    )


def patch_holdout(
    env: EnvironmentRef, holdout_key: str, instructions: Sequence[HoldoutInstruction], *, comment: str | None = None
) -> Request[Holdout]:
    """Change a holdout by instructions: all of them take effect, or none.

    Raises:
        ConfigurationError: There is no instruction.
    """
    return Request(
        operation="patch_holdout",
        method="PATCH",
        path=in_environment(env, "holdouts", "{holdout_key}", holdout_key=holdout_key),
        response_model=Holdout,
        body=_patch(instructions, comment),
        api_version=BETA,
        content_type=SEMANTIC_PATCH,
    )


def list_layers(project_key: str, *, filters: str | None = None) -> Request[LayerPage]:
    """Read a project's layers; LaunchDarkly does not page them.

    Args:
        project_key: The project.
        filters: Such as ``reservations.experimentKey contains checkout-cta``.
    """
    return Request(
        operation="list_layers",
        method="GET",
        path=path_of("projects", "{project_key}", "layers", project_key=project_key),
        response_model=LayerPage,
        query=query_of(filter=filters),
    )


def create_layer(project_key: str, post: LayerPost) -> Request[Layer]:
    """Create a layer."""
    return Request(
        operation="create_layer",
        method="POST",
        path=path_of("projects", "{project_key}", "layers", project_key=project_key),
        response_model=Layer,
        body=post.to_wire(),
    )


def patch_layer(
    env: EnvironmentRef, layer_key: str, instructions: Sequence[LayerInstruction], *, comment: str | None = None
) -> Request[Layer]:
    """Change a layer in one environment by instructions: all of them take effect, or none.

    Raises:
        ConfigurationError: There is no instruction.
    """
    return Request(
        operation="patch_layer",
        method="PATCH",
        path=path_of(
            "projects", "{project_key}", "layers", "{layer_key}", project_key=env.project_key, layer_key=layer_key
        ),
        response_model=Layer,
        body={"environmentKey": env.environment_key, **_patch(instructions, comment)},
        content_type=SEMANTIC_PATCH,
    )


def _patch(
    instructions: Sequence[HoldoutInstruction] | Sequence[LayerInstruction], comment: str | None
) -> dict[str, JsonValue]:
    if not instructions:
        raise ConfigurationError("instructions is empty: a patch needs at least one")
    body: dict[str, JsonValue] = {"instructions": [instruction.to_wire() for instruction in instructions]}
    if comment:
        body["comment"] = comment
    return body
