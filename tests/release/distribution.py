"""What a wheel and a source distribution must hold, and what a publisher must still set."""

from __future__ import annotations

import re
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING

from support.changelog import sections, unreleased
from support.public_surface import released, surface
from support.surroundings import REPOSITORY

if TYPE_CHECKING:
    from email.message import Message

PACKAGE = "airflow_provider_launchdarkly"
CLASSIFIERS = ("Framework :: Apache Airflow :: Provider", "Typing :: Typed")
# What a user of the source distribution works with: all that `make` needs, the examples and the documentation.
IN_THE_SOURCES = ("Makefile", "constraints", "dags_examples", "docs", "src", "tests", "CHANGELOG.md", "README.md")
_MARKDOWN_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Distribution:
    """A wheel and the source distribution that it was built from."""

    wheel: Path
    sources: Path

    @classmethod
    def found_in(cls, folder: Path) -> Distribution:
        """Return the only pair in a folder.

        Raises:
            ValueError: There is not exactly one of each.
        """
        found = [list(folder.glob(pattern)) for pattern in ("*.whl", "*.tar.gz")]
        if [len(paths) for paths in found] != [1, 1]:
            raise ValueError(f"{folder} must hold one wheel and one source distribution; it holds {found}")
        return cls(*(paths[0] for paths in found))

    def metadata(self) -> Message:
        """Return the wheel's METADATA."""
        with zipfile.ZipFile(self.wheel) as wheel:
            (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
            return Parser().parsestr(wheel.read(name).decode())

    def problems(self) -> list[str]:
        """Return what is wrong with the two files, a line each."""
        return [*metadata_problems(self.metadata()), *self._problems_of_content()]

    def _problems_of_content(self) -> list[str]:
        with zipfile.ZipFile(self.wheel) as wheel:
            packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
            notes = {name.partition(".dist-info/")[2] for name in wheel.namelist()}
        with tarfile.open(self.sources) as sources:
            names = {name.partition("/")[2] for name in sources.getnames()}
        source = {name.removeprefix("src/") for name in names if name.startswith(f"src/{PACKAGE}/")}
        tops = {name.partition("/")[0] for name in names}
        return [
            *(f"the wheel lacks {name}" for name in sorted(source - packed)),
            *(f"the wheel holds {name}, which is no source file" for name in sorted(packed - source)),
            *(f"the wheel lacks {name}" for name in ("entry_points.txt", "licenses/LICENSE") if name not in notes),
            *(f"the source distribution lacks {name}" for name in IN_THE_SOURCES if name not in tops),
            *(f"the source distribution holds {name}" for name in sorted(names) if "__pycache__" in name),
        ]


def metadata_problems(metadata: Message) -> list[str]:
    """Return what is wrong with a distribution's metadata, a line each."""
    classifiers = metadata.get_all("Classifier") or []
    text = metadata.get_payload()
    found = [f"the classifier {name!r} is missing" for name in CLASSIFIERS if name not in classifiers]
    if metadata["License-Expression"] != "Apache-2.0":
        found.append(f"License-Expression is {metadata['License-Expression']!r}; expected 'Apache-2.0'")
    if metadata["Description-Content-Type"] != "text/markdown" or "# airflow-provider-launchdarkly" not in str(text):
        found.append("the description is not README.md as text/markdown")
    links = [link for link in _MARKDOWN_LINK.findall(str(text)) if not link.startswith("https://")]
    found += [f"the description links to {link}, which a package index does not have" for link in links]
    return [*found, *_problems_of_addresses(metadata.get_all("Project-URL") or [])]


def _problems_of_addresses(lines: list[str]) -> list[str]:
    urls = dict(line.split(", ", 1) for line in lines)
    if not urls:
        return []
    lacking = [name for name in ("Changelog", "Documentation", "Security", "Source") if name not in urls]
    found = [f"the project URL {name} is missing" for name in lacking]
    found += [
        f"the project URL {name} is no https address: {url}" for name, url in urls.items() if url[:8] != "https://"
    ]
    files = {name: url.partition(urls.get("Source", url))[2] for name, url in urls.items()}
    pages = {name: rest.split("/", 3)[3] for name, rest in files.items() if rest.startswith("/blob/")}
    return found + [
        f"the project URL {name} names {page}, which the repository does not have"
        for name, page in pages.items()
        if not (REPOSITORY / page).is_file()
    ]


def left_to_publish(version: str, tag: str | None) -> list[str]:
    """Return what a publisher must still do, a line each.

    Args:
        version: The version that was built.
        tag: The tag that is to be published; None where nothing is published.
    """
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    left = []
    if not project["tool"]["hatch"]["metadata"]["hooks"]["custom"]["files-at"]:
        left.append(
            "set `files-at` of [tool.hatch.metadata.hooks.custom] in pyproject.toml to the address below which the "
            "repository's files are shown, as https://HOST/OWNER/NAME/blob/main: the distribution has no project URLs"
        )
    if unreleased():
        left.append(f"CHANGELOG.md has unreleased changes: raise the version above {version} and name their section so")
    elif version not in sections((REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")):
        left.append(f"CHANGELOG.md has no section {version}")
    if released().get(version) != surface():
        left.append(f"tests/unit/released/{version}.txt is not today's: python tests/support/public_surface.py --write")
    if tag is not None and tag != f"v{version}":
        left.append(f"the tag is {tag}, the version {version}: tag v{version}")
    return left
