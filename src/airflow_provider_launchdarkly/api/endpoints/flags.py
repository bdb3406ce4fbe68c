"""Feature flags: read, create and change by semantic patch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.http.request import (
    BETA,
    SEMANTIC_PATCH,
    EnvironmentRef,
    FlagChange,
    Request,
    path_of,
    query_of,
)
from airflow_provider_launchdarkly.api.models import (
    DependentFlags,
    FeatureFlag,
    FlagPage,
    FlagStatus,
    FlagStatuses,
)
from airflow_provider_launchdarkly.api.models.base import NoContent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import JsonValue

    from airflow_provider_launchdarkly.api.models import (
        CopyAction,
        FlagInstruction,
        FlagPost,
    )


def get_flag(
    project_key: str, flag_key: str, *, environments: Iterable[str] = (), expand: Iterable[str] = ()
) -> Request[FeatureFlag]:
    """Read a flag.

    Args:
        project_key: The project.
        flag_key: The flag.
        environments: Environments to include; all of them when empty, which LaunchDarkly advises against.
        expand: ``evaluation`` and/or ``migrationSettings``.
    """
    return Request(
        operation="get_flag",
        method="GET",
        path=_flag(project_key, flag_key),
        response_model=FeatureFlag,
        query=(*(("env", key) for key in environments), *query_of(expand=expand)),
    )


def list_flags(
    project_key: str,
    *,
    environments: Iterable[str] = (),
    filters: str | None = None,
    tag: str | None = None,
    sort: str | None = None,
    archived: bool | None = None,
    with_rules: bool = False,
    expand: Iterable[str] = (),
    limit: int | None = None,
    offset: int | None = None,
) -> Request[FlagPage]:
    """Read one page of flags.

    Args:
        project_key: The project.
        environments: Environments to include; none are shown without.
        filters: LaunchDarkly's filter, such as ``hasExperiment:true``.
        tag: Only flags with this tag.
        sort: ``creationDate``, ``key``, ``name``, each with ``-`` for the other way.
        archived: Only archived flags, or only others.
        with_rules: Include rules and fallthrough, which LaunchDarkly leaves out unless asked with ``summary=0``.
        expand: As in `get_flag`.
        limit: Items a page.
        offset: Items to skip.

    Raises:
        ConfigurationError: Rules are asked for without an environment.
    """
    named = tuple(environments)
    if with_rules and not named:
        raise ConfigurationError("environments is empty: LaunchDarkly shows rules only for environments named")
    return Request(
        operation="list_flags",
        method="GET",
        path=path_of("flags", "{project_key}", project_key=project_key),
        response_model=FlagPage,
        query=(
            *(("env", key) for key in named),
            *query_of(
                tag=tag,
                limit=limit,
                offset=offset,
                archived=archived,
                summary="0" if with_rules else None,
                filter=filters,
                sort=sort,
                expand=expand,
            ),
        ),
    )


def create_flag(project_key: str, post: FlagPost) -> Request[FeatureFlag]:
    """Create a flag. Its key makes a repeat safe: LaunchDarkly refuses a second one with 409."""
    return Request(
        operation="create_flag",
        method="POST",
        path=path_of("flags", "{project_key}", project_key=project_key),
        response_model=FeatureFlag,
        body=post.to_wire(),
    )


def patch_flag(
    env: EnvironmentRef,
    flag_key: str,
    instructions: Sequence[FlagInstruction],
    *,
    comment: str | None = None,
    dry_run: bool = False,
    ignore_conflicts: bool = False,
) -> Request[FeatureFlag]:
    """Change a flag in one environment by instructions: all of them take effect, or none.

    Instructions name a target state, and LaunchDarkly leaves alone what is in it already, so a repeat is safe.

    Args:
        env: Project and environment.
        flag_key: The flag.
        instructions: What to do, in order.
        comment: Text for LaunchDarkly's audit log.
        dry_run: Only validate and show the outcome (LaunchDarkly's clients since 22.0.0).
        ignore_conflicts: Change it even if a pending scheduled change or approval would break.

    Raises:
        ConfigurationError: There is no instruction.
    """
    if not instructions:
        raise ConfigurationError("instructions is empty: a patch needs at least one")
    body: dict[str, JsonValue] = {
        "environmentKey": env.environment_key,
        "instructions": [instruction.to_wire() for instruction in instructions],
    }
    if comment:
        body["comment"] = comment
    return Request(
        operation="patch_flag",
        method="PATCH",
        path=_flag(env.project_key, flag_key),
        response_model=FeatureFlag,
        query=query_of(ignoreConflicts=ignore_conflicts or None, dryRun=dry_run or None),
        body=body,
        content_type=SEMANTIC_PATCH,
        change=None if dry_run else FlagChange(env, flag_key),
    )


def delete_flag(project_key: str, flag_key: str) -> Request[NoContent]:
    """Delete a flag in all environments. It cannot be restored."""
    return Request(
        operation="delete_flag", method="DELETE", path=_flag(project_key, flag_key), response_model=NoContent
    )


def archive_flag(project_key: str, flag_key: str, *, comment: str | None = None) -> Request[FeatureFlag]:
    """Archive a flag in all environments: it leaves the lists and is served no more, until it is restored.

    LaunchDarkly refuses it for a prerequisite of other flags. An archived flag is left alone, so a repeat is safe.

    Args:
        project_key: The project.
        flag_key: The flag.
        comment: Text for LaunchDarkly's audit log.
    """
    from airflow_provider_launchdarkly.api.models import OtherFlagInstruction

    body: dict[str, JsonValue] = {"instructions": [OtherFlagInstruction.of("archiveFlag").to_wire()]}
    if comment:
        body["comment"] = comment
    return Request(
        operation="archive_flag",
        method="PATCH",
        path=_flag(project_key, flag_key),
        response_model=FeatureFlag,
        body=body,
        content_type=SEMANTIC_PATCH,
    )


def list_dependent_flags(project_key: str, flag_key: str) -> Request[DependentFlags]:
    """Read the flags that have a flag as a prerequisite, with their environments. A beta resource."""
    return Request(
        operation="list_dependent_flags",
        method="GET",
        path=f"{_flag(project_key, flag_key)}/dependent-flags",
        response_model=DependentFlags,
        api_version=BETA,
    )


def copy_flag(
    project_key: str,
    flag_key: str,
    source: str,
    target: str,
    *,
    source_version: int | None = None,
    target_version: int | None = None,
    actions: Sequence[CopyAction] = (),
    comment: str | None = None,
) -> Request[FeatureFlag]:
    """Copy a flag's configuration from one environment to another.

    Args:
        project_key: The project.
        flag_key: The flag.
        source: The environment to copy from.
        target: The environment to copy to.
        source_version: The version that the flag must have in the source; None for any.
        target_version: The version that the flag must have in the target; None for any.
        actions: The parts to copy; all of them when empty.
        comment: The comment for LaunchDarkly's audit log.
    """
    places: list[dict[str, JsonValue]] = [
        {"key": key} if version is None else {"key": key, "currentVersion": version}
        for key, version in ((source, source_version), (target, target_version))
    ]
    body: dict[str, JsonValue] = {"source": places[0], "target": places[1]}
    if actions:
        body["includedActions"] = list(actions)
    if comment:
        body["comment"] = comment
    return Request(
        operation="copy_flag",
        method="POST",
        path=f"{_flag(project_key, flag_key)}/copy",
        response_model=FeatureFlag,
        body=body,
    )


def get_flag_status(env: EnvironmentRef, flag_key: str) -> Request[FlagStatus]:
    """Read whether a flag is requested in an environment, and whether all get the same."""
    return Request(
        operation="get_flag_status",
        method="GET",
        path=path_of(
            "flag-statuses",
            "{project_key}",
            "{environment_key}",
            "{flag_key}",
            project_key=env.project_key,
            environment_key=env.environment_key,
            flag_key=flag_key,
        ),
        response_model=FlagStatus,
    )


def get_flag_statuses(project_key: str, flag_key: str, *, environment: str | None = None) -> Request[FlagStatuses]:
    """Read a flag's status in all environments, or in one."""
    return Request(
        operation="get_flag_statuses",
        method="GET",
        path=path_of("flag-status", "{project_key}", "{flag_key}", project_key=project_key, flag_key=flag_key),
        response_model=FlagStatuses,
        query=query_of(env=environment),
    )


def _flag(project_key: str, flag_key: str) -> str:
    return path_of("flags", "{project_key}", "{flag_key}", project_key=project_key, flag_key=flag_key)
