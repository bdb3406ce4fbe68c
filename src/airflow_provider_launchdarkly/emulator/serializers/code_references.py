"""Serialize repositories and their branches."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_launchdarkly.emulator.rules.code_references import references_to
from airflow_provider_launchdarkly.emulator.serializers.links import link

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON
    from airflow_provider_launchdarkly.emulator.state.models import Branch, Repository, World

REPOSITORIES = "/api/v2/code-refs/repositories"


def repository(found: Repository, branches: Iterable[dict[str, JSON]] | None = None) -> dict[str, JSON]:
    """Return the JSON of a repository, with its branches if they are given."""
    representation: dict[str, JSON] = {
        "name": found.name,
        "type": found.type,
        "defaultBranch": found.default_branch,
        "enabled": found.enabled,
        "version": found.version,
        "_links": {"self": link(_path(found)), "branches": link(f"{_path(found)}/branches")},
        **found.links,
    }
    return representation if branches is None else representation | {"branches": list(branches)}


def branch(found: Repository, branch: Branch, references: Iterable[JSON] | None = None) -> dict[str, JSON]:
    """Return the JSON of a branch, with its references if they are given."""
    here = f"{_path(found)}/branches/{quote(branch.name, safe='')}"
    representation: dict[str, JSON] = {
        "name": branch.name,
        "head": branch.head,
        "syncTime": branch.sync_time,
        "_links": {"parent": link(_path(found)), "self": link(here)},
    }
    if branch.update_sequence_id is not None:
        representation["updateSequenceId"] = branch.update_sequence_id
    return representation if references is None else representation | {"references": list(references)}


def statistics(world: World, project_key: str, flag_key: str | None) -> dict[str, list[JSON]]:
    """Return the numbers of hunks and files by flag and repository, on the default branches."""
    found: dict[str, list[JSON]] = {}
    for one in world.repositories.values():
        default = one.branches.get(one.default_branch)
        files: dict[str, list[int]] = {}
        for reference in references_to(default, project_key, flag_key) if default else ():
            for key in dict.fromkeys(hunk["flagKey"] for hunk in reference["hunks"] if "flagKey" in hunk):
                files.setdefault(key, []).append(sum(hunk.get("flagKey") == key for hunk in reference["hunks"]))
        for key, hunks in files.items():
            found.setdefault(key, []).append(
                {
                    "name": one.name,
                    "type": one.type,
                    "sourceLink": one.links.get("sourceLink", ""),
                    "defaultBranch": one.default_branch,
                    "enabled": one.enabled,
                    "version": one.version,
                    "hunkCount": sum(hunks),
                    "fileCount": len(hunks),
                    "_links": {"self": link(_path(one))},
                }
            )
    return found


def _path(found: Repository) -> str:
    return f"{REPOSITORIES}/{quote(found.name, safe='')}"
