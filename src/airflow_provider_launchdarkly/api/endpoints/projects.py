"""Projects, environments, and who is calling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request, in_environment, path_of, query_of
from airflow_provider_launchdarkly.api.models import (
    AccessToken,
    CallerIdentity,
    Environment,
    EnvironmentPage,
    Member,
    MemberPage,
    Project,
    ProjectPage,
    Versions,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def get_caller_identity() -> Request[CallerIdentity]:
    """Read the owner of the credential. It succeeds for any credential: read a project too before trusting it."""
    return Request(
        operation="get_caller_identity", method="GET", path=path_of("caller-identity"), response_model=CallerIdentity
    )


def get_versions() -> Request[Versions]:
    """Read which API versions LaunchDarkly serves."""
    return Request(operation="get_versions", method="GET", path=path_of("versions"), response_model=Versions)


def get_project(project_key: str, *, expand: Iterable[str] = ()) -> Request[Project]:
    """Read a project; ``expand=("environments",)`` includes its environments, without their keys."""
    return Request(
        operation="get_project",
        method="GET",
        path=path_of("projects", "{project_key}", project_key=project_key),
        response_model=Project,
        query=query_of(expand=expand),
    )


def list_projects(
    *,
    filters: str | None = None,
    sort: str | None = None,
    expand: Iterable[str] = (),
    limit: int | None = None,
    offset: int | None = None,
) -> Request[ProjectPage]:
    """Read one page of projects.

    Args:
        filters: LaunchDarkly's filter, such as ``query:shop,tags:a+b``.
        sort: ``name`` or ``createdOn``, each with ``-`` for the other way.
        expand: ``environments``.
        limit: Items a page; LaunchDarkly's default is 20.
        offset: Items to skip.
    """
    return Request(
        operation="list_projects",
        method="GET",
        path=path_of("projects"),
        response_model=ProjectPage,
        query=query_of(limit=limit, offset=offset, filter=filters, sort=sort, expand=expand),
    )


def get_environment(env: EnvironmentRef) -> Request[Environment]:
    """Read an environment, without its keys."""
    return Request(operation="get_environment", method="GET", path=in_environment(env), response_model=Environment)


def list_environments(
    project_key: str,
    *,
    filters: str | None = None,
    sort: str | None = None,
    limit: int | None = None,
    offset: int | None = None,
) -> Request[EnvironmentPage]:
    """Read one page of a project's environments, without their keys; parameters as in `list_projects`."""
    return Request(
        operation="list_environments",
        method="GET",
        path=path_of("projects", "{project_key}", "environments", project_key=project_key),
        response_model=EnvironmentPage,
        query=query_of(limit=limit, offset=offset, filter=filters, sort=sort),
    )


def list_members(
    *, filters: str | None = None, sort: str | None = None, limit: int | None = None, offset: int | None = None
) -> Request[MemberPage]:
    """Read one page of the account's members.

    Args:
        filters: LaunchDarkly's filter, such as ``query:ada`` or ``email:ada@example.com``.
        sort: ``displayName`` or ``lastSeen``, with ``-`` for the other way.
        limit: Items a page.
        offset: Items to skip.
    """
    return Request(
        operation="list_members",
        method="GET",
        path=path_of("members"),
        response_model=MemberPage,
        query=query_of(limit=limit, offset=offset, filter=filters, sort=sort),
    )


def get_member(member_id: str) -> Request[Member]:
    """Read a member by id; ``me`` is the token's member."""
    return Request(
        operation="get_member",
        method="GET",
        path=path_of("members", "{member_id}", member_id=member_id),
        response_model=Member,
    )


def get_access_token(token_id: str) -> Request[AccessToken]:
    """Read an access token by id, without its value: its role, and whether it is a service token.

    A token sees itself: https://launchdarkly.com/docs/api/access-tokens
    """
    return Request(
        operation="get_access_token",
        method="GET",
        path=path_of("tokens", "{token_id}", token_id=token_id),
        response_model=AccessToken,
    )
