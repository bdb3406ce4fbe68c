"""The documentation: every example runs, and every link leads somewhere."""

from __future__ import annotations

import ast
import re
from importlib.metadata import version
from pathlib import Path

import pytest

import airflow_provider_launchdarkly as package
from airflow_provider_launchdarkly.decision.verdict import Reason
from support import reference_pages
from support.surroundings import REPOSITORY

DOCS = REPOSITORY / "docs"
PUBLIC: list[str] = vars(package)["__all__"]
PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
# "python from-3.3" is for what Airflow before 3.3 does not have.
PYTHON = re.compile(r"^```python(?: from-(\d\.\d))?\n(.*?)^```", re.MULTILINE | re.DOTALL)
AIRFLOW = tuple(int(part) for part in version("apache-airflow").split(".")[:2])
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def examples() -> list[object]:
    return [
        pytest.param(block, id=f"{page.relative_to(REPOSITORY)}-{number}")
        for page in PAGES
        for number, (since, block) in enumerate(PYTHON.findall(page.read_text()), start=1)
        if tuple(int(part) for part in since.split(".") if part) <= AIRFLOW
    ]


@pytest.mark.parametrize("example", examples())
def test_an_example_runs_as_pasted(example: str) -> None:
    exec(example, {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = [
        link
        for link in LINK.findall(CODE.sub("", page.read_text()))
        if "://" not in link and not link.startswith("mailto:")
    ]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_shows_the_example_that_is_tested() -> None:
    ((_, shown), *_) = PYTHON.findall((REPOSITORY / "README.md").read_text())
    example = (REPOSITORY / "dags_examples" / "experiment_rollout.py").read_text()
    assert example.endswith(f'"""\n\n{shown}')


@pytest.mark.parametrize("name", reference_pages.PAGES)
def test_a_reference_page_says_what_the_code_says(name: str) -> None:
    written = (reference_pages.REFERENCE / name).read_text(encoding="utf-8")
    assert written == reference_pages.page(name), "run: python tests/support/reference_pages.py"


def test_each_reason_of_a_verdict_has_a_meaning_and_nothing_else_has_one() -> None:
    assert set(reference_pages.MEANINGS) == {reason.value for reason in Reason}


def test_the_compatibility_page_lists_the_public_names() -> None:
    page = (DOCS / "reference" / "compatibility.md").read_text()
    section = page.split("\n## Names\n", 1)[1].split("\n## ", 1)[0]
    assert sorted(re.findall(r"`(\w+)`", section)) == PUBLIC


def test_the_api_reference_has_each_public_name_once() -> None:
    page = (DOCS / "reference" / "api.md").read_text()
    assert sorted(re.findall(r"^   (\w+)$", page, re.MULTILINE)) == PUBLIC


def test_every_page_is_in_the_table_of_contents_of_an_index() -> None:
    """Sphinx takes each index page's bullets as its table of contents, see docs/conf.py."""
    bullet = re.compile(r"^- \[[^\]]+\]\(([^)#:]+\.md)\)", re.MULTILINE)
    indexes = sorted(DOCS.rglob("index.md"))
    listed = {(index.parent / page).resolve() for index in indexes for page in bullet.findall(index.read_text())}
    assert sorted(set(DOCS.rglob("*.md")) - listed) == [DOCS / "index.md"]


SOURCE = REPOSITORY / "src" / "airflow_provider_launchdarkly"
FILE = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|md|json))`(?:\s\(((?:`\w+`(?:,\s)?)+)\))?")
IN_FILE = re.compile(r"(`\w+`)\sin\s`((?:[\w.-]+/)*[\w-]+\.py)`")
FOLDER = re.compile(r"`((?:tests|docs|src|cli)(?:/[\w-]+)*)`")


def names_defined_in(file: Path) -> set[str]:
    """Every class, function, variable and field that a Python file defines, at any depth. An import defines none."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
    return found


def test_an_import_of_a_name_does_not_count_as_its_definition() -> None:
    defined = names_defined_in(SOURCE / "rollout" / "state_machine.py")
    assert "outcome_of_stages" in defined
    assert "Ending" not in defined


@pytest.mark.parametrize(
    "page",
    [
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/architecture.md",
        "docs/reliability.md",
        *(f"docs/decisions/{path.name}" for path in sorted((DOCS / "decisions").glob("*.md"))),
    ],
)
def test_a_page_for_contributors_names_files_that_exist_and_what_they_define(page: str) -> None:
    text = (REPOSITORY / page).read_text()
    missing = []
    for path, names in [*FILE.findall(text), *((path, name) for name, path in IN_FILE.findall(text))]:
        found = [root / path for root in (SOURCE, REPOSITORY, DOCS / "reference") if (root / path).exists()]
        if not found:
            missing.append(path)
            continue
        defined = names_defined_in(found[0]) if names else set()
        missing += [f"{path}: {name}" for name in re.findall(r"`(\w+)`", names) if name not in defined]
    missing += [
        path for path in FOLDER.findall(text) if not any((root / path).is_dir() for root in (SOURCE, REPOSITORY))
    ]
    assert missing == []
