"""Sphinx's configuration: `make docs` builds the site into build/docs.

The pages are plain Markdown that GitHub renders as well, so a few things are done here instead of in the pages: an
index page's list of links is its table of contents, and the pages for the files at the repository's root show those
files.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

REPOSITORY = Path(__file__).parent.parent
# Importing Airflow writes its configuration file into this folder.
os.environ["AIRFLOW_HOME"] = str(REPOSITORY / "build" / "airflow")

from pydantic import BaseModel
from sphinx.pycode import ModuleAnalyzer

import airflow_provider_launchdarkly
from airflow_provider_launchdarkly.hooks.calls import Call, Walk

project = "airflow-provider-launchdarkly"
author = "The airflow-provider-launchdarkly authors"
version = release = airflow_provider_launchdarkly.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["examples"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = "LaunchDarkly experiments, run by Apache Airflow"
html_copy_source = False

myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]  # SQL that holds Jinja is neither for the highlighter

default_role = "code"  # single backticks in docstrings
autosummary_ignore_module_all = False
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

ROOT_PAGES = {"contributing": "CONTRIBUTING.md", "security": "SECURITY.md", "changelog": "CHANGELOG.md"}
BULLET = re.compile(r"^- \[[^\]]+\]\(([^)#:]+)\.md\)", re.MULTILINE)
LOCAL_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)]+)\)")


def show_root_file(app: Sphinx, docname: str, source: list[str]) -> None:
    """Show a file of the repository's root in place of the page that links to it."""
    if docname in ROOT_PAGES:
        text = (REPOSITORY / ROOT_PAGES[docname]).read_text()
        source[0] = LOCAL_LINK.sub(lambda link: f"]({from_docs(link[1])})", text)


def from_docs(link: str) -> str:
    """Return a link of a file at the repository's root as a page in docs/ has to write it."""
    pages = {name: f"{page}.md" for page, name in ROOT_PAGES.items()}
    return link.removeprefix("docs/") if link.startswith("docs/") else pages.get(link, f"../{link}")


def make_contents_from_links(app: Sphinx, docname: str, source: list[str]) -> None:
    """Make an index page's bullets its table of contents: one list, for readers on GitHub and for the side bar."""
    if docname.rpartition("/")[2] == "index":
        pages = "\n".join(BULLET.findall(source[0]))
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"


def show_calls_as_methods() -> None:
    """Show autodoc the function behind each of the hook's calls, with its parameters."""
    for owner in airflow_provider_launchdarkly.LaunchDarklyHook.__mro__:
        for name, member in list(vars(owner).items()):
            if isinstance(member, Call | Walk):
                setattr(owner, name, member._build)  # noqa: SLF001


def name_fields(
    app: Sphinx, what: str, name: str, of: object, options: object, signature: str | None, returns: str | None
) -> tuple[str, None] | None:
    """Show a pydantic model's fields by name: their types and defaults fill a page, and have one in the reference."""
    if isinstance(of, type) and issubclass(of, BaseModel):
        return f"(*, {', '.join(of.model_fields)})", None
    return None


def describe_constants(app: Sphinx, what: str, name: str, of: object, options: object, lines: list[str]) -> None:
    """Show the text below a constant where it is defined, in place of its class's docstring."""
    texts = ModuleAnalyzer.for_module(f"{airflow_provider_launchdarkly.__name__}.assets").find_attr_docs()
    if text := texts.get(("", name.rpartition(".")[2])):
        lines[:] = text


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    show_calls_as_methods()
    app.connect("source-read", show_root_file)
    app.connect("source-read", make_contents_from_links)
    app.connect("autodoc-process-signature", name_fields)
    app.connect("autodoc-process-docstring", describe_constants)
