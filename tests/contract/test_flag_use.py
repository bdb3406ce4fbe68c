"""LaunchDarkly's own clients say where a flag is used: in code, and by other flags; and they archive it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contract.checkout import FLAG, IN_PROJECT, ITS_FLAG
from contract.official import SEMANTIC_PATCH, refused

if TYPE_CHECKING:
    from contract.official import OfficialClient

REPOSITORY = {"name": "shop", "type": "github", "sourceLink": "https://example.com/shop", "defaultBranch": "main"}
HUNK = {"startingLineNumber": 12, "lines": "if variation:", "projKey": "demo", "flagKey": FLAG, "aliases": ["button"]}
OTHER = {"startingLineNumber": 3, "projKey": "demo", "flagKey": "pricing-page"}


def scan(client: OfficialClient, *references: dict[str, Any], sequence: int = 1, branch: str = "main") -> None:
    sent = {"name": branch, "head": "abc", "updateSequenceId": sequence, "syncTime": 1_700_000_000_000}
    client.code_references.put_branch(repo="shop", branch=branch, put_branch={**sent, "references": list(references)})


@pytest.fixture
def scanned(client: OfficialClient) -> OfficialClient:
    made = client.code_references.post_repository(repository_post=REPOSITORY)
    assert (made.model, made["enabled"]) == ("RepositoryRep", True)
    scan(client, {"path": "src/cart.py", "hint": "python", "hunks": [HUNK, OTHER]}, {"path": "a.py", "hunks": [OTHER]})
    return client


def need_flag_in(client: OfficialClient, environment: str) -> None:
    variation = client.feature_flags.get_feature_flag(**ITS_FLAG)["variations"][0]["_id"]
    client.feature_flags.patch_feature_flag(
        **IN_PROJECT,
        feature_flag_key="pricing-page",
        patch_with_comment={
            "environmentKey": environment,
            "instructions": [{"kind": "addPrerequisite", "key": FLAG, "variationId": variation}],
        },
        content_type=SEMANTIC_PATCH,
    )


def archive(client: OfficialClient) -> Any:
    return client.feature_flags.patch_feature_flag(
        **ITS_FLAG, patch_with_comment={"instructions": [{"kind": "archiveFlag"}]}, content_type=SEMANTIC_PATCH
    )


def test_a_flags_references_are_those_on_the_default_branch(scanned: OfficialClient) -> None:
    scan(scanned, {"path": "b.py", "hunks": [HUNK]}, branch="try-it")

    [repository] = scanned.code_references.get_repositories(
        with_references_for_default_branch="true", proj_key="demo", flag_key=FLAG
    )["items"]

    by_branch = {branch["name"]: branch.get("references") for branch in repository["branches"]}
    assert by_branch == {"main": [{"path": "src/cart.py", "hint": "python", "hunks": [HUNK]}], "try-it": None}


def test_without_a_flag_repositories_have_no_branches(scanned: OfficialClient) -> None:
    [repository] = scanned.code_references.get_repositories()["items"]

    assert "branches" not in repository
    assert repository["sourceLink"] == REPOSITORY["sourceLink"]
    assert scanned.code_references.get_repository(repo="shop")["branches"][0]["head"] == "abc"


def test_the_statistics_count_hunks_and_files_by_flag(scanned: OfficialClient) -> None:
    counted = scanned.code_references.get_statistics(project_key="demo")["flags"]

    assert {key: (one["hunkCount"], one["fileCount"]) for key, [one] in counted.items()} == {
        FLAG: (1, 1),
        "pricing-page": (2, 2),
    }
    assert list(scanned.code_references.get_statistics(project_key="demo", flag_key=FLAG)["flags"]) == [FLAG]


def test_a_scan_replaces_the_one_before_and_an_older_one_is_refused(scanned: OfficialClient) -> None:
    scan(scanned, sequence=2)
    with refused(409):
        scan(scanned, {"path": "src/cart.py", "hunks": [HUNK]}, sequence=1)

    assert scanned.code_references.get_branch(repo="shop", branch="main").raw["references"] == []
    assert scanned.code_references.get_statistics(project_key="demo")["flags"] == {}


def test_a_second_repository_of_a_name_is_refused_and_an_unknown_one_is_not_found(scanned: OfficialClient) -> None:
    with refused(409):
        scanned.code_references.post_repository(repository_post=REPOSITORY)
    with refused(404):
        scanned.code_references.get_repository(repo="no-such")


def test_dependent_flags_have_the_environments_in_which_they_need_the_flag(client: OfficialClient) -> None:
    need_flag_in(client, "test")

    [dependent] = client.feature_flags_beta.get_dependent_flags(**ITS_FLAG)["items"]
    here = client.feature_flags_beta.get_dependent_flags_by_env(**ITS_FLAG, environment_key="test")["items"]
    elsewhere = client.feature_flags_beta.get_dependent_flags_by_env(**ITS_FLAG, environment_key="production")["items"]

    assert (dependent["key"], [place["key"] for place in dependent["environments"]]) == ("pricing-page", ["test"])
    assert ([flag["key"] for flag in here], elsewhere) == (["pricing-page"], [])


def test_a_flag_that_another_needs_cannot_be_archived(client: OfficialClient) -> None:
    need_flag_in(client, "test")
    with refused(409):
        archive(client)

    assert client.feature_flags.get_feature_flag(**ITS_FLAG)["archived"] is False


def test_archiving_needs_no_environment_and_may_be_repeated(client: OfficialClient) -> None:
    first, again = archive(client), archive(client)

    assert (first["archived"], again["archivedDate"]) == (True, first["archivedDate"])
