"""Reads CHANGELOG.md: what is not released yet, and which public changes it does not name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


def sections(text: str) -> dict[str, str]:
    """Return the text of each section by its heading, such as ``Unreleased`` or ``0.1.0``, newest first."""
    parts = _HEADING.split(text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def unreleased() -> str:
    """Return what CHANGELOG.md says about changes since the last release; empty if there are none."""
    return sections(CHANGELOG.read_text(encoding="utf-8")).get("Unreleased", "").strip()


def unnamed_changes(before: Iterable[str], after: Iterable[str], text: str) -> list[str]:
    """Return the public changes that a text does not name.

    Args:
        before: The public names as :func:`support.public_surface.surface` lists them.
        after: The same, later.
        text: Lines of a changelog.

    Returns:
        ``added …`` and ``removed …``, sorted. A class, call or command that is new or gone stands for its arguments. A
        file's mapping that is new or gone stands for its fields: the field that takes it is named.
    """
    was, is_now = set(before), set(after)
    changes = {**dict.fromkeys(is_now - was, "added"), **dict.fromkeys(was - is_now, "removed")}
    whole = {_owner(line) for line in changes} | (_mappings(was) ^ _mappings(is_now))
    return sorted(
        f"{how} {line}"
        for line, how in changes.items()
        if line.rpartition(" ")[0] not in whole and not _names(text, line.rpartition(" ")[2])
    )


def _owner(line: str) -> str:
    """Return what the lines of its arguments begin with: `Policy` of `python Policy`, `hook.x` of `hook x`."""
    kind, _, name = line.partition(" ")
    return {"python": name, "hook": f"hook.{name}", "cli": line}.get(kind, line)


def _mappings(lines: set[str]) -> set[str]:
    """Return the mappings that files are made of, as ``file NAME``."""
    return {line.rpartition(" ")[0] for line in lines if line.startswith("file ")}


def _names(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None
