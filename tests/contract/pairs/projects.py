"""Projects, environments, and who is calling, said in both clients' words."""

from __future__ import annotations

from typing import Any

from airflow_provider_launchdarkly.api import endpoints
from contract.pairs.pair import ENVIRONMENT, PRODUCTION, PROJECT, Pair

LISTING: dict[str, Any] = {"sort": "-name", "limit": 5, "offset": 10}
PROJECTS = {
    "who am I": Pair(endpoints.get_caller_identity(), "other", "get_caller_identity", {}),
    "which versions are there": Pair(endpoints.get_versions(), "other", "get_versions", {}),
    "list members": Pair(
        endpoints.list_members(filters="query:ada", sort="-displayName", limit=5, offset=10),
        "account_members",
        "get_members",
        {"filter": "query:ada", "sort": "-displayName", "limit": 5, "offset": 10},
    ),
    "get a member": Pair(endpoints.get_member("me"), "account_members", "get_member", {"id": "me"}),
    "get an access token": Pair(endpoints.get_access_token("65f0"), "access_tokens", "get_token", {"id": "65f0"}),
    "get a project": Pair(endpoints.get_project("demo"), "projects", "get_project", PROJECT),
    "get a project with its environments": Pair(
        endpoints.get_project("demo", expand=("environments",)),
        "projects",
        "get_project",
        {**PROJECT, "expand": "environments"},
    ),
    "list projects": Pair(
        endpoints.list_projects(filters="query:shop,tags:a+b", expand=("environments",), **LISTING),
        "projects",
        "get_projects",
        {"filter": "query:shop,tags:a+b", "expand": "environments", **LISTING},
    ),
    "get an environment": Pair(endpoints.get_environment(PRODUCTION), "environments", "get_environment", ENVIRONMENT),
    "list environments": Pair(
        endpoints.list_environments("demo", filters="query:prod", **LISTING),
        "environments",
        "get_environments_by_project",
        {**PROJECT, "filter": "query:prod", **LISTING},
    ),
}
