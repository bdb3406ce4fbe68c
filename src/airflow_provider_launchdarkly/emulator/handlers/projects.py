"""Projects, environments, experimentation settings, who is asking, and what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.handlers.call import Call, Reply
from airflow_provider_launchdarkly.emulator.rules import randomization_units
from airflow_provider_launchdarkly.emulator.rules.request_body import Body
from airflow_provider_launchdarkly.emulator.serializers import flags as show
from airflow_provider_launchdarkly.emulator.serializers.links import link, project_path

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.models import JSON, Project

API_VERSIONS = (20240415,)
"""The dated versions that have not reached their end of life (LaunchDarkly REST docs, Overview, "Versioning")."""


def get_project(call: Call) -> Reply:
    """GET one project."""
    return Reply(200, _project(call, call.change().project))


def get_projects(call: Call) -> Reply:
    """GET the projects that the token may see."""
    allowed = call.token.projects
    visible = [p for p in call.world.projects.values() if allowed is None or p.key in allowed]
    page, paging = call.page(visible)
    return Reply(200, {"items": [_project(call, p) for p in page], "totalCount": len(visible), "_links": paging})


def get_environment(call: Call) -> Reply:
    """GET one environment."""
    change = call.change()
    environment = change.environment(call.params["environmentKey"])
    return Reply(200, show.environment(change.project, environment, call.settings))


def get_environments_by_project(call: Call) -> Reply:
    """GET a project's environments."""
    project = call.change().project
    page, paging = call.page(list(project.environments.values()))
    items = [show.environment(project, environment, call.settings) for environment in page]
    return Reply(200, {"items": items, "totalCount": len(project.environments), "_links": paging})


def get_experimentation_settings(call: Call) -> Reply:
    """GET the context kinds by which a project's people may be divided."""
    return Reply(200, show.randomization_settings(call.change()))


def put_experimentation_settings(call: Call) -> Reply:
    """PUT the whole list of them."""
    change = call.change()
    randomization_units.put(change, Body(call.body))
    shown = show.randomization_settings(change)
    change.commit()
    return Reply(200, shown, change.effects)


def get_versions(call: Call) -> Reply:
    """GET the API's versions."""
    latest = API_VERSIONS[-1]
    asked = next((version for version in API_VERSIONS if str(version) == call.version), latest)
    shown = {"validVersions": list(API_VERSIONS), "latestVersion": latest, "currentVersion": asked}
    return Reply(200, shown | ({"beta": True} if call.version == "beta" else {}))


def get_caller_identity(call: Call) -> Reply:
    """GET who the token belongs to."""
    return Reply(200, show.caller(call.world, call.token))


def get_root(_call: Call) -> Reply:
    """GET what there is."""
    names = ("projects", "flags", "metrics", "caller-identity", "versions")
    return Reply(200, {"links": {"self": link("/api/v2"), **{name: link(f"/api/v2/{name}") for name in names}}})


def _project(call: Call, project: Project) -> dict[str, JSON]:
    shown = show.project(project)
    if "environments" in call.every("expand"):
        environments = [show.environment(project, e, call.settings) for e in project.environments.values()]
        here = link(f"{project_path(project.key)}/environments")
        shown["environments"] = {"items": environments, "totalCount": len(environments), "_links": {"self": here}}
    return shown
