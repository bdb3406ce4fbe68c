"""What the distribution promises: nothing new in an Airflow image, a version, and typed."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib

import airflow_provider_launchdarkly
from support.surroundings import REPOSITORY

PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PROJECT, TOOLS = PYPROJECT["project"], PYPROJECT["tool"]


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
        if constraints.name == "accepted-advisories.txt":  # it names advisories, not packages
            continue
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+==\S+", line) for line in text.splitlines() if line)


def test_the_description_has_no_link_to_a_file_beside_it() -> None:
    """A package index shows the description without the files of the repository."""
    description = importlib.metadata.metadata("airflow-provider-launchdarkly")["Description"]
    assert "# airflow-provider-launchdarkly" in description
    assert re.findall(r"\]\((?!https://)[^)]*\)", description) == []
    assert "`docs/emulator.md`" in description or "/docs/emulator.md" in description


def test_the_addresses_are_those_of_the_repository_or_none() -> None:
    address = TOOLS["hatch"]["metadata"]["hooks"]["custom"]["files-at"]
    urls = importlib.metadata.metadata("airflow-provider-launchdarkly").get_all("Project-URL") or []
    assert bool(urls) == bool(address)
    assert all(url.partition(", ")[2].startswith(address.partition("/blob/")[0]) for url in urls)


def test_each_python_that_is_named_is_one_of_airflows() -> None:
    def minors(classifiers: list[str]) -> set[str]:
        return {line for line in classifiers if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", line)}

    airflow = importlib.metadata.metadata("apache-airflow-core").get_all("Classifier") or []
    assert minors(PROJECT["classifiers"]) <= minors(airflow)


def test_only_the_install_section_says_how_to_install() -> None:
    """The distribution is in no package index yet: its name after `pip install` would find nothing."""
    place = "docs/tutorial/getting-started.md"
    pages = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    sources = [*pages, *(REPOSITORY / "src").rglob("*.py")]
    naming = [
        str(file.relative_to(REPOSITORY))
        for file in sources
        if re.search(r"(pip install|uv add|uv pip install)[^\n]*airflow-provider-launchdarkly", file.read_text())
    ]
    assert naming == []
    assert "pip install ." in (REPOSITORY / place).read_text()
