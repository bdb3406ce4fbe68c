"""Handle code references: scanned repositories, and where they name flags (LaunchDarkly REST docs, Code references)."""

from __future__ import annotations

from airflow_provider_launchdarkly.emulator.errors import not_found
from airflow_provider_launchdarkly.emulator.handlers.operation import Request, Response
from airflow_provider_launchdarkly.emulator.rules import code_references as rules
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.serializers import code_references as serialize
from airflow_provider_launchdarkly.emulator.serializers.links import link


def get_repositories(request: Request) -> Response:
    """GET all repositories; with branches, or with the references of the default branch to a project or flag."""
    project_key, flag_key = request.query_value("projKey"), request.query_value("flagKey")
    with_references = bool(request.query_value("withReferencesForDefaultBranch") or flag_key)
    items = []
    for found in request.world.repositories.values():
        branches = None
        if with_references or request.query_value("withBranches"):
            branches = [
                serialize.branch(
                    found,
                    branch,
                    rules.references_to(branch, project_key, flag_key)
                    if with_references and branch.name == found.default_branch
                    else None,
                )
                for branch in found.branches.values()
            ]
        items.append(serialize.repository(found, branches))
    return Response(200, {"items": items, "_links": {"self": link(request.path)}})


def post_repository(request: Request) -> Response:
    """POST a repository to be scanned. The response is a 200 with the repository."""
    made = rules.create(request.world, RequestBody(request.body))
    return Response(200, serialize.repository(made), [{"kind": "repository.created", "repository": made.name}])


def get_repository(request: Request) -> Response:
    """GET one repository with its branches."""
    found = rules.repository(request.world, request.params["repo"])
    return Response(
        200, serialize.repository(found, [serialize.branch(found, branch) for branch in found.branches.values()])
    )


def put_branch(request: Request) -> Response:
    """PUT a branch with all its references, as `ld-find-code-refs` does. The response is a 200 without a body."""
    repository, branch = request.params["repo"], request.params["branch"]
    rules.put_branch(request.world, repository, branch, RequestBody(request.body))
    return Response(200, None, [{"kind": "branch.scanned", "repository": repository, "branch": branch}])


def get_branch(request: Request) -> Response:
    """GET one branch with its references, to a project or flag if one is named."""
    found = rules.repository(request.world, request.params["repo"])
    branch = found.branches.get(request.params["branch"])
    if branch is None:
        raise not_found(f"branch {request.params['branch']!r} not found in repository {found.name!r}")
    references = rules.references_to(branch, request.query_value("projKey"), request.query_value("flagKey"))
    return Response(200, serialize.branch(found, branch, references))


def get_statistics(request: Request) -> Response:
    """GET the numbers of references by flag and repository, on the default branches."""
    transaction = request.transaction()
    flags = serialize.statistics(request.world, transaction.project.key, request.query_value("flagKey"))
    return Response(200, {"flags": flags, "_links": {"self": link(request.path)}})
