"""Makes the distribution's description and its addresses, when it is built.

README.md links to files beside it. A package index shows README.md without those files, so the links become addresses
in the repository, or, as long as it has no public address, the names of the files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?![a-z]+:|#)([^)\s]+)\)")


def describe(readme: str, repository: str) -> str:
    """Return README.md for a package index.

    Args:
        readme: The text.
        repository: Address below which the repository's files are shown; empty if there is none.
    """
    if repository:
        return RELATIVE_LINK.sub(rf"[\1]({repository.rstrip('/')}/\2)", readme)
    return RELATIVE_LINK.sub(r"\1 (`\2`)", readme) + "\nFiles named here are in the source distribution.\n"


class DescriptionHook(MetadataHookInterface):
    """Fill in `readme` and `urls`, which pyproject.toml calls dynamic."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Set both fields, from `files-at` in pyproject.toml."""
        repository = str(self.config["files-at"])
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": describe(text, repository)}
        pages = {"Documentation": "docs/index.md", "Changelog": "CHANGELOG.md", "Security": "SECURITY.md"}
        metadata["urls"] = (
            {name: f"{repository.rstrip('/')}/{page}" for name, page in pages.items()} if repository else {}
        )
