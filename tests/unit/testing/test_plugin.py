"""The pytest plugin in another project: it costs nothing until a test uses one of its fixtures."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    RunInProject: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]

REPOSITORY = Path(__file__).parents[3]
ENTRY_POINTS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]


@pytest.fixture
def run_in_project(tmp_path: Path) -> RunInProject:
    """Run Python code in an empty project that has the provider installed as its metadata says."""
    info = tmp_path / "site" / "plugin_under_test-0.dist-info"
    info.mkdir(parents=True)
    lines = [f"{name} = {module}" for name, module in ENTRY_POINTS.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-under-test\nVersion: 0\n")
    project = tmp_path / "project"
    project.mkdir()
    paths = [str(info.parent), str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_"))}
    environment |= {"PYTHONPATH": os.pathsep.join(paths)}

    def run(code: str, *files: tuple[str, str]) -> subprocess.CompletedProcess[str]:
        for name, content in files:
            (project / name).write_text(content)
        return subprocess.run(
            [sys.executable, "-c", code], cwd=project, env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_starting_pytest_loads_neither_server_nor_emulator_nor_airflow(run_in_project: RunInProject) -> None:
    code = """
import sys, pytest
assert pytest.main(["-q", "-p", "no:cacheprovider", "--co"]) == 0
assert "airflow_provider_launchdarkly.testing.plugin" in sys.modules
heavy = {"starlette", "uvicorn", "airflow", "httpx", "airflow_provider_launchdarkly.emulator"}
print("loaded:", sorted(heavy & set(sys.modules)))
"""
    # Another plugin of this environment may load some of them by itself: the plain start is the measure.
    plain = code.replace('"--co"', '"--co", "-p", "no:launchdarkly-emulator"').replace(
        'assert "airflow_provider_launchdarkly.testing.plugin" in sys.modules', ""
    )
    some_test = ("test_some.py", "def test_something(): pass")
    done, without = run_in_project(code, some_test), run_in_project(plain, some_test)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == without.stdout.splitlines()[-1]
    assert "starlette" not in done.stdout.splitlines()[-1]
    assert "uvicorn" not in done.stdout.splitlines()[-1]


def test_the_fixtures_work_under_strict_markers(run_in_project: RunInProject) -> None:
    tests = """
import json, os, urllib.request
import pytest

pytestmark = pytest.mark.launchdarkly(scenario="no-effect", seed=7)

def test_connection(launchdarkly_connection, launchdarkly_emulator):
    assert launchdarkly_connection == "launchdarkly_default"
    connection = json.loads(os.environ["AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT"])
    assert connection["host"] == launchdarkly_emulator.url
    assert connection["extra"] == {"project_key": "demo", "environment_key": "production"}

@pytest.mark.launchdarkly(scenario="no-traffic")
def test_the_nearest_marker_wins(launchdarkly_emulator):
    begun = launchdarkly_emulator.call(lambda emulator: (emulator.scenario, emulator.seed))
    assert begun == ("no-traffic", 7)

def test_clock(launchdarkly_clock):
    before = launchdarkly_clock.now()
    launchdarkly_clock.advance("P28D")
    assert (launchdarkly_clock.now() - before).days == 28
"""
    code = 'import sys, pytest; sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--strict-markers"]))'
    done = run_in_project(code, ("test_fixtures.py", tests))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_the_example_in_the_documentation_runs(run_in_project: RunInProject) -> None:
    example = REPOSITORY / "docs" / "examples"
    code = f'import sys, pytest; sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", {str(example)!r}]))'
    done = run_in_project(code)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_the_package_loads_its_names_on_first_use() -> None:
    from airflow_provider_launchdarkly import testing

    assert testing.EmulatorServer.__name__ == "EmulatorServer"
    with pytest.raises(AttributeError, match="nothing"):
        _ = testing.nothing
