"""Reads CHANGELOG.md: what is not released yet, and which public changes it does not name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")
# A name with what it belongs to: `Policy.looks`, `--warehouse-set`, `launchdarkly.verdicts.*`.
_PATH = re.compile(r"-{0,2}\w(?:[\w.*-]*[\w*])?")
_WITHOUT_AN_OWNER = {"python", "error", "hook", "fixture", "metric", "connection", "exit-code"}


def sections(text: str) -> dict[str, str]:
    """Return the text of each section by its heading, such as ``Unreleased`` or ``0.1.0``, newest first."""
    parts = _HEADING.split(text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def unreleased() -> str:
    """Return what CHANGELOG.md says about changes since the last release; empty if there are none."""
    return sections(CHANGELOG.read_text(encoding="utf-8")).get("Unreleased", "").strip()


def unnamed_changes(before: Iterable[str], after: Iterable[str], text: str) -> list[str]:
    """Return the public changes that no entry of a text names as code.

    Args:
        before: The public names as :func:`support.public_surface.surface` lists them.
        after: The same, later.
        text: Entries of a changelog, each of which begins with a dash.

    Returns:
        ``added …``, ``removed …`` and ``changed …``, sorted. An argument, a field of a class or an option is named
        together with its class, call or command. A class, call or command that is new or gone stands for its
        arguments, and a file's mapping that is new or gone for its fields: the field that takes it is named.
    """
    was, is_now = _declared(before), _declared(after)
    changes = dict.fromkeys(is_now.keys() - was.keys(), "added")
    changes |= dict.fromkeys(was.keys() - is_now.keys(), "removed")
    whole = {_owner(line) for line in changes} | (_mappings(was) ^ _mappings(is_now))
    changes |= {name: "changed" for name in was.keys() & is_now.keys() if was[name] != is_now[name]}
    entries = [_Entry(entry) for entry in re.split(r"^- ", text, flags=re.MULTILINE)]
    return sorted(
        f"{how} {line}"
        for line, how in changes.items()
        if line.rpartition(" ")[0] not in whole and not any(entry.names(line) for entry in entries)
    )


def _declared(lines: Iterable[str]) -> dict[str, str]:
    """Return how each name is declared, such as its default; empty if it has none."""
    return {name: declared for name, _, declared in (line.partition(" = ") for line in lines)}


class _Entry:
    """What an entry of the changelog names as code: `Policy.looks` names `looks`, and is about `Policy`."""

    def __init__(self, text: str) -> None:
        paths = [path for code in _CODE.findall(text) for path in _PATH.findall(code)]
        self._named = {*paths, *(path.rpartition(".")[2] for path in paths)}
        self._about = {*paths, *(part for path in paths for part in path.split("."))}

    def names(self, line: str) -> bool:
        """Return whether the entry names what a line of the public names lists, and whose it is."""
        where, _, name = line.rpartition(" ")
        kind, _, owner = where.partition(" ")
        if kind not in {"cli", "file", "configuration"}:
            owner = where.removeprefix("hook.") if where not in _WITHOUT_AN_OWNER else ""
        return name in self._named and (kind in {"file", "configuration"} or not owner or owner in self._about)


def _owner(line: str) -> str:
    """Return what the lines of its arguments begin with: `Policy` of `python Policy`, `hook.x` of `hook x`."""
    kind, _, name = line.partition(" ")
    return {"python": name, "error": name, "cli": line}.get(kind, f"{kind}.{name}")


def _mappings(lines: Iterable[str]) -> set[str]:
    """Return the mappings that files are made of, as ``file NAME``."""
    return {line.rpartition(" ")[0] for line in lines if line.startswith("file ")}
