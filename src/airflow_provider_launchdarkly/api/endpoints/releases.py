"""Environment releases: list, read, start and stop. Beta since LaunchDarkly's client 25.0.0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from airflow_provider_launchdarkly.api.http.request import BETA, EnvironmentRef, Request, path_of, query_of
from airflow_provider_launchdarkly.api.models import EnvironmentRelease, ReleasePage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import JsonValue

    from airflow_provider_launchdarkly.api.models import ReleasePost, Resolution


START = "start_release"
"""The operation that starts a release, as errors name it."""


def list_releases(
    env: EnvironmentRef,
    flag_key: str,
    *,
    kind: Literal["progressive", "guarded"] | None = None,
    limit: int | None = None,
    offset: int | None = None,
    snapshot: str | None = None,
) -> Request[ReleasePage]:
    """Read one page of a flag's releases in an environment, newest first. LaunchDarkly keeps them 90 days.

    Args:
        env: Project and environment.
        flag_key: The flag.
        kind: Only guarded ones, or only progressive ones.
        limit: Items a page, at most 100; LaunchDarkly's default is 25.
        offset: Items to skip.
        snapshot: The moment that all pages show, as the links of a page name it.
    """
    return Request(
        operation="list_releases",
        method="GET",
        path=_releases(env, flag_key),
        response_model=ReleasePage,
        query=query_of(
            filter=None if kind is None else f'kind equals "{kind}"', limit=limit, offset=offset, _snapshot=snapshot
        ),
        api_version=BETA,
    )


def get_release(
    env: EnvironmentRef, flag_key: str, release_id: str, *, expand: Iterable[str] = ()
) -> Request[EnvironmentRelease]:
    """Read a release with all its phases.

    Args:
        env: Project and environment.
        flag_key: The flag.
        release_id: The release.
        expand: ``metrics`` adds the definitions of its metrics.
    """
    return Request(
        operation="get_release",
        method="GET",
        path=_releases(env, flag_key, "{release_id}", release_id=release_id),
        response_model=EnvironmentRelease,
        query=query_of(expand=expand),
        api_version=BETA,
    )


def start_release(env: EnvironmentRef, flag_key: str, post: ReleasePost) -> Request[EnvironmentRelease]:
    """Start a release. Not safe to repeat blindly: ``writes.start_release`` is."""
    return Request(
        operation=START,
        method="POST",
        path=_releases(env, flag_key),
        response_model=EnvironmentRelease,
        body=post.to_wire(),
        api_version=BETA,
    )


def stop_release(
    env: EnvironmentRef, flag_key: str, release_id: str, resolution: Resolution, *, comment: str | None = None
) -> Request[EnvironmentRelease]:
    """Stop a release. LaunchDarkly leaves one that has ended as it is.

    Args:
        env: Project and environment.
        flag_key: The flag.
        release_id: The release.
        resolution: What its phases serve from then on.
        comment: Text for LaunchDarkly's audit log.
    """
    body: dict[str, JsonValue] = {"resolution": resolution}
    if comment:
        body["comment"] = comment
    return Request(
        operation="stop_release",
        method="PUT",
        path=_releases(env, flag_key, "{release_id}", "stop", release_id=release_id),
        response_model=EnvironmentRelease,
        body=body,
        api_version=BETA,
    )


def _releases(env: EnvironmentRef, flag_key: str, *segments: str, **keys: str) -> str:
    return path_of(
        "projects",
        "{project_key}",
        "flags",
        "{flag_key}",
        "environments",
        "{environment_key}",
        "releases",
        *segments,
        project_key=env.project_key,
        flag_key=flag_key,
        environment_key=env.environment_key,
        **keys,
    )
