"""Makes the distribution's description and its addresses, when it is built.

README.md links to files beside it, and shows some as pictures. A package index shows README.md without those files, so
links and pictures get addresses in the repository, or, as long as it has no public address, the names of the files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?![a-z]+:|#)([^)\s]+)\)")
RELATIVE_PICTURE = re.compile(f"!(?={RELATIVE_LINK.pattern})")


def describe(readme: str, repository: str) -> str:
    """Return README.md for a package index.

    Args:
        readme: The text.
        repository: Address below which the repository's files are shown; empty if there is none.
    """
    if not repository:
        named = RELATIVE_LINK.sub(r"\1 (`\2`)", RELATIVE_PICTURE.sub("", readme))
        return f"{named}\nFiles named here are in the source distribution.\n"
    files = repository.rstrip("/")
    linked = RELATIVE_LINK.sub(rf"[\1]({files}/\2)", readme)
    # The repository shows a file on a page of its own, and serves the file itself beside that.
    served = files.replace("/blob/", "/raw/", 1)
    return re.sub(rf"(!\[[^\]]+\]\(){re.escape(files)}/", lambda start: f"{start[1]}{served}/", linked)


def addresses(repository: str, pages: dict[str, str]) -> dict[str, str]:
    """Return the project's URLs: pages of the repository, and the repository itself.

    Args:
        repository: Address below which the repository's files are shown, such as https://HOST/OWNER/NAME/blob/main.
        pages: Files by the URL's name.
    """
    files = repository.rstrip("/")
    return {**{name: f"{files}/{page}" for name, page in pages.items()}, "Source": files.partition("/blob/")[0]}


class DescriptionHook(MetadataHookInterface):
    """Fill in `readme` and `urls`, which pyproject.toml calls dynamic."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Set both fields, from `files-at` in pyproject.toml."""
        repository = str(self.config["files-at"])
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": describe(text, repository)}
        pages = {"Documentation": "docs/index.md", "Changelog": "CHANGELOG.md", "Security": "SECURITY.md"}
        metadata["urls"] = addresses(repository, pages) if repository else {}
