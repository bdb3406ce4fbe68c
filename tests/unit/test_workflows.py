"""The workflow files for GitHub: they name targets that exist, publish what `make dist` made, and hold no secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.surroundings import REPOSITORY

FOLDER = REPOSITORY / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z]+):.*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
VARIABLE = r"[A-Z]+=(?:\"[^\"]*\"|\S+)"
MAKE = re.compile(rf"\bmake ((?:(?:{VARIABLE}|--keep-going) )*)([a-z]+)?((?: {VARIABLE})*)")


def read(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text())
    assert isinstance(content, dict)
    # YAML 1.1 takes the key `on` for true.
    return {"on" if key is True else str(key): value for key, value in content.items()}


def commands(workflow: dict[str, Any]) -> list[str]:
    return [step["run"] for job in workflow["jobs"].values() for step in job.get("steps", []) if "run" in step]


def test_there_is_a_workflow_for_ci_and_one_for_releases() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_whole(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    jobs = workflow["jobs"]
    for job in jobs.values():
        needed = job.get("needs", [])
        assert set([needed] if isinstance(needed, str) else needed) <= set(jobs)
        if "uses" in job:
            assert (REPOSITORY / job["uses"]).is_file()
        else:
            assert job["timeout-minutes"] <= 90
            assert all(("run" in step) != ("uses" in step) for step in job["steps"])
            assert all("@" in step["uses"] for step in job["steps"] if "uses" in step)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_what_the_repository_has(path: Path) -> None:
    for command in commands(read(path)):
        for variables, target, more in MAKE.findall(command):
            assert target in TARGETS
            assert {name.partition("=")[0] for name in (variables + more).split()} <= {"TAG"}
        if command.startswith("."):
            assert (REPOSITORY / command.split()[0]).is_file()


def test_a_release_publishes_what_make_dist_has_checked_after_ci() -> None:
    jobs = read(FOLDER / "release.yml")["jobs"]
    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert "workflow_call" in read(FOLDER / "ci.yml")["on"]
    assert (jobs["dist"]["needs"], jobs["publish"]["needs"]) == ("ci", "dist")
    assert 'make dist TAG="$GITHUB_REF_NAME"' in commands({"jobs": {"dist": jobs["dist"]}})
    assert jobs["publish"]["permissions"] == {"id-token": "write"}


def test_publishing_needs_no_secret() -> None:
    assert [path.name for path in WORKFLOWS if "secrets." in path.read_text()] == []


def test_ci_on_github_runs_the_script_that_everyone_runs() -> None:
    assert commands(read(FOLDER / "ci.yml")) == [".ci/run"]


def test_the_script_of_ci_names_targets_that_exist() -> None:
    script = (REPOSITORY / ".ci" / "run").read_text()
    code = "\n".join(line.partition("#")[0] for line in script.splitlines())
    named = {target for _, target, _ in MAKE.findall(code)}
    assert named <= TARGETS
    assert {"lint", "docs", "test", "properties", "calibrate", "dist", "chaos", "crash"} <= named
