"""Code references: where flags are named in repositories that LaunchDarkly's scanner has read."""

from __future__ import annotations

from airflow_provider_launchdarkly.api.http.request import Request, path_of, query_of
from airflow_provider_launchdarkly.api.models import Repositories


def list_code_references(project_key: str, flag_key: str) -> Request[Repositories]:
    """Read the account's repositories, with the references to one flag on each default branch.

    Args:
        project_key: The flag's project.
        flag_key: The flag.
    """
    return Request(
        operation="list_code_references",
        method="GET",
        path=path_of("code-refs", "repositories"),
        response_model=Repositories,
        query=query_of(withReferencesForDefaultBranch=True, projKey=project_key, flagKey=flag_key),
    )
