"""Finds the files of a folder by the ends of their names. Pure but for the reading of folders."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def files_below(folder: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Yield the files of a folder, at any depth, whose names end so, sorted within each folder.

    What has such a name and is no file, and a link that leads nowhere, is among them. Hidden ones are not.

    Args:
        folder: The folder.
        suffixes: How the names end.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except PermissionError:
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(entry.path, suffixes)
        elif _is_wanted(entry, suffixes):
            yield entry.path


def _is_wanted(entry: os.DirEntry[str], suffixes: tuple[str, ...]) -> bool:
    named = entry.name.endswith(suffixes) and entry.name not in suffixes
    try:
        if entry.is_file():
            return named
    except OSError:  # a link to itself, through a file, or to a name that is too long
        named = True
    if entry.name.startswith("."):
        return False
    return named or (entry.is_symlink() and not os.path.exists(entry.path))  # noqa: PTH110 - Path.exists may raise
