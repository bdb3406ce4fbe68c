"""Handle projects, environments, experimentation settings, the caller's identity, versions and the API root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.handlers.operation import Request, Response
from airflow_provider_launchdarkly.emulator.rules import filters, randomization_units
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.serializers import flags as serialize
from airflow_provider_launchdarkly.emulator.serializers.links import link, project_path

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON
    from airflow_provider_launchdarkly.emulator.state.models import Project

API_VERSIONS = (20240415,)
"""The dated versions that have not reached their end of life (LaunchDarkly REST docs, Overview, "Versioning")."""


def get_project(request: Request) -> Response:
    """GET one project."""
    return Response(200, _project(request, request.transaction().project))


def get_projects(request: Request) -> Response:
    """GET the projects that the token may see, by `filter` and `sort`."""
    allowed = request.token.projects
    visible = filters.projects(
        (p for p in request.world.projects.values() if allowed is None or p.key in allowed),
        request.query_value("filter"),
        request.query_value("sort"),
    )
    page, paging = request.page(visible)
    return Response(200, {"items": [_project(request, p) for p in page], "totalCount": len(visible), "_links": paging})


def get_environment(request: Request) -> Response:
    """GET one environment."""
    transaction = request.transaction()
    environment = transaction.environment(request.params["environmentKey"])
    return Response(200, serialize.environment(transaction.project, environment, request.settings))


def get_environments_by_project(request: Request) -> Response:
    """GET a project's environments, by `filter` and `sort`."""
    project = request.transaction().project
    found = filters.environments(
        project.environments.values(), request.query_value("filter"), request.query_value("sort")
    )
    page, paging = request.page(found)
    items = [serialize.environment(project, environment, request.settings) for environment in page]
    return Response(200, {"items": items, "totalCount": len(found), "_links": paging})


def get_experimentation_settings(request: Request) -> Response:
    """GET a project's randomization units."""
    return Response(200, serialize.randomization_settings(request.transaction()))


def put_experimentation_settings(request: Request) -> Response:
    """PUT a project's randomization units, which replaces the whole list."""
    transaction = request.transaction()
    randomization_units.put(transaction, RequestBody(request.body))
    representation = serialize.randomization_settings(transaction)
    transaction.commit()
    return Response(200, representation, transaction.effects)


def get_versions(request: Request) -> Response:
    """GET the API's versions."""
    latest = API_VERSIONS[-1]
    asked = next((version for version in API_VERSIONS if str(version) == request.version), latest)
    representation = {"validVersions": list(API_VERSIONS), "latestVersion": latest, "currentVersion": asked}
    return Response(200, representation | ({"beta": True} if request.version == "beta" else {}))


def get_caller_identity(request: Request) -> Response:
    """GET the identity of the token's owner."""
    return Response(200, serialize.caller(request.world, request.token))


def get_root(_request: Request) -> Response:
    """GET the API root: its links."""
    names = ("projects", "flags", "metrics", "caller-identity", "versions")
    return Response(200, {"links": {"self": link("/api/v2"), **{name: link(f"/api/v2/{name}") for name in names}}})


def _project(request: Request, project: Project) -> dict[str, JSON]:
    representation = serialize.project(project)
    if "environments" in request.query_values("expand"):
        environments = [serialize.environment(project, e, request.settings) for e in project.environments.values()]
        here = link(f"{project_path(project.key)}/environments")
        representation["environments"] = {
            "items": environments,
            "totalCount": len(environments),
            "_links": {"self": here},
        }
    return representation
