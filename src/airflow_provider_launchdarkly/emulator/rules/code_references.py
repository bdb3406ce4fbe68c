"""Keep the code references that scanners send, and find those of a flag.

LaunchDarkly REST docs, Code references. A scanner sends a whole branch at once; one that is older by its
`updateSequenceId` than the branch that is there is a 409.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import conflict, invalid_request, not_found
from airflow_provider_launchdarkly.emulator.state.models import Branch, Repository

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
    from airflow_provider_launchdarkly.emulator.state.models import World

_TYPES = ("custom", "bitbucket", "github", "gitlab")
_NAME = re.compile(r"[\w./-]+", re.ASCII)
_LINKS = ("sourceLink", "commitUrlTemplate", "hunkUrlTemplate")


def repository(world: World, name: str) -> Repository:
    """Return a repository, or raise a 404."""
    found = world.repositories.get(name)
    if found is None:
        raise not_found(f"repository {name!r} not found")
    return found


def create(world: World, body: RequestBody) -> Repository:
    """Connect a repository. One that is there with the same name is a 409."""
    name = body.text("name")
    if not _NAME.fullmatch(name):
        raise invalid_request(f"name must be letters, digits and any of . _ - /, not {name!r}")
    if name in world.repositories:
        raise conflict(f"repository {name!r} already exists")
    made = Repository(
        name=name,
        type=body.choice("type", _TYPES, "custom"),
        default_branch=body.optional_text("defaultBranch") or "main",
        links={field: text for field in _LINKS if (text := body.optional_text(field)) is not None},
    )
    world.repositories[name] = made
    return made


def put_branch(world: World, repository_name: str, name: str, body: RequestBody) -> None:
    """Store a branch in place of the one that was sent before."""
    found = repository(world, repository_name)
    if body.text("name") != name:
        raise invalid_request(f"name is {body.text('name')!r}, and the path names the branch {name!r}")
    present, sequence = found.branches.get(name), body.optional_integer("updateSequenceId")
    known = present.update_sequence_id if present else None
    if sequence is not None and known is not None and sequence <= known:
        raise conflict(f"branch {name!r} has the updateSequenceId {known} already")
    references = body.objects("references") if "references" in body else []
    branch = Branch(
        name=name,
        head=body.text("head"),
        sync_time=body.integer("syncTime"),
        update_sequence_id=sequence,
        commit_time=body.optional_integer("commitTime"),
        references=tuple(_reference(reference) for reference in references),
    )
    world.repositories[repository_name] = replace(
        found, branches={**found.branches, name: branch}, version=found.version + 1
    )


def references_to(branch: Branch, project_key: str | None, flag_key: str | None) -> Iterator[dict[str, Any]]:
    """Yield a branch's references that name a flag, with those hunks alone; all of them without a project and flag."""
    for reference in branch.references:
        hunks = [
            hunk
            for hunk in reference["hunks"]
            if project_key in (None, hunk.get("projKey")) and flag_key in (None, hunk.get("flagKey"))
        ]
        if hunks:
            yield {**reference, "hunks": hunks}


def _reference(reference: RequestBody) -> Mapping[str, Any]:
    hint = reference.optional_text("hint")
    hunks = []
    for hunk in reference.objects("hunks"):
        found = {"startingLineNumber": hunk.integer("startingLineNumber")}
        texts = {name: hunk.optional_text(name) for name in ("lines", "projKey", "flagKey")}
        aliases = {"aliases": list(hunk.texts("aliases"))} if "aliases" in hunk else {}
        hunks.append(found | {name: text for name, text in texts.items() if text is not None} | aliases)
    return {"path": reference.text("path"), **({"hint": hint} if hint is not None else {}), "hunks": hunks}
