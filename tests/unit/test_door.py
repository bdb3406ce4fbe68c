"""The door: every public name is imported from the package itself, lazily, and typed."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

package = import_module("airflow_provider_launchdarkly")


def typed_names() -> list[str]:
    """The names that a type checker sees."""
    tree = ast.parse(Path(str(package.__file__)).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    return sorted(
        alias.asname or alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    )


@pytest.mark.parametrize("name", package.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(package, name)
    assert getattr(value, "__name__", name) == name


def test_a_type_checker_sees_the_names_that_there_are() -> None:
    assert typed_names() == package.__all__


def test_another_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing


def test_importing_the_package_loads_no_module_of_it() -> None:
    code = (
        "import sys, airflow_provider_launchdarkly as p; print(*(m for m in sys.modules if m.startswith(p.__name__)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert sorted(loaded) == [
        "airflow_provider_launchdarkly",
        "airflow_provider_launchdarkly._lazy",
        "airflow_provider_launchdarkly._version",
    ]


def test_mypy_strict_sees_the_classes_in_a_users_file(tmp_path: Path) -> None:
    names = ", ".join(package.__all__)
    users = tmp_path / "dag.py"
    users.write_text(
        f"from airflow_provider_launchdarkly import {names}\nreveal_type(Policy)\nPolicy(alpha='x', beta=1)\n"
    )
    # Nothing that is looked for here depends on Airflow, which takes most of a minute to analyse.
    settings = tmp_path / "mypy.ini"
    settings.write_text("[mypy]\nstrict = true\nfollow_imports = silent\n[mypy-airflow.*]\nfollow_imports = skip\n")
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(settings), str(users)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "decision.policy.Policy" in ran.stdout
    assert "has no attribute" not in ran.stdout


@pytest.mark.parametrize("room", ["", ".api.endpoints", ".api.models", ".api.writes"])
def test_no_name_that_a_package_offers_is_one_of_its_modules(room: str) -> None:
    """Python would put the module in the name's place as soon as it is imported."""
    offering = importlib.import_module(f"{package.__name__}{room}")
    modules = {module.name for module in pkgutil.iter_modules(offering.__path__)}
    assert modules & set(offering.__all__) == set()
