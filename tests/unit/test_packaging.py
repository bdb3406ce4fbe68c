"""What the distribution promises: nothing new in an Airflow image, a version, and typed."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib

import airflow_provider_launchdarkly
from support.surroundings import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def distribution_names(requirements: list[str]) -> set[str]:
    names = (re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements)
    return {re.sub(r"[-_.]+", "-", name.group()).lower() for name in names if name}


def what_airflow_installs() -> set[str]:
    """Every distribution that `pip install apache-airflow` brings, found by following its requirements."""
    found: set[str] = set()
    queue = ["apache-airflow"]
    while queue:
        name = queue.pop()
        if name in found:
            continue
        found.add(name)
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        queue += distribution_names([line for line in requirements if "extra ==" not in line])
    return found


def test_airflow_installs_every_runtime_requirement_itself() -> None:
    assert distribution_names(PROJECT["dependencies"]) <= what_airflow_installs()


def test_the_emulator_extra_needs_nothing_that_airflow_does_not_install() -> None:
    assert distribution_names(PROJECT["optional-dependencies"]["emulator"]) <= what_airflow_installs()


def test_the_installed_version_is_the_package_version() -> None:
    assert importlib.metadata.version("airflow-provider-launchdarkly") == airflow_provider_launchdarkly.__version__


def test_the_changelog_speaks_of_this_version() -> None:
    assert f"## {airflow_provider_launchdarkly.__version__}" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_the_package_is_marked_as_typed() -> None:
    assert (REPOSITORY / "src/airflow_provider_launchdarkly/py.typed").exists()


def test_no_committed_file_names_a_registry_host() -> None:
    hosts = ("py" + "pi.org", "python" + "hosted.org")
    for constraints in (REPOSITORY / "constraints").glob("*.txt"):
        text = constraints.read_text()
        assert not any(host in text for host in hosts)
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+==\S+", line) for line in text.splitlines() if line)
