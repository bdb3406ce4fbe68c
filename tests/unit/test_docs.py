"""The documentation: every example runs, and every link leads somewhere."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from support.surroundings import REPOSITORY

PAGES = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
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
