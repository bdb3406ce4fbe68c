"""What importing the client costs and brings along: no Airflow, no HTTP where none is sent, no model before its use."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

API = "airflow_provider_launchdarkly.api"
EVERYWHERE = {"airflow_provider_launchdarkly._lazy", "airflow_provider_launchdarkly._version"}


@cache
def loaded_by(statement: str) -> frozenset[str]:
    """Names of the modules that a fresh interpreter has after a statement."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return frozenset(result.stdout.split())


@pytest.mark.parametrize("module", ["", ".http.client", ".writes.stop", ".writes.flags", ".reads.results"])
def test_nothing_here_knows_airflow(module: str) -> None:
    loaded = loaded_by(f"import {API}{module}")
    assert not {name for name in loaded if name.split(".")[0] == "airflow"}
    ours = {name for name in loaded if name.startswith("airflow_provider_launchdarkly.")}
    assert not {name for name in ours if API not in name} - EVERYWHERE


@pytest.mark.parametrize(
    "module", [".endpoints.experiments", ".writes.stop", ".writes.randomization_units", ".http.exchange"]
)
def test_only_the_client_knows_httpx(module: str) -> None:
    assert "httpx" not in loaded_by(f"import {API}{module}")
    assert "httpx" in loaded_by(f"import {API}.http.client")


def test_what_a_dag_file_needs_brings_no_model_and_no_client() -> None:
    """Operators catch errors, and name procedures and calls that they use when they run."""
    loaded = loaded_by(f"from {API} import endpoints, errors, writes")
    brought = {name.removeprefix(f"{API}.") for name in loaded if name.startswith(f"{API}.")}
    assert brought == {"endpoints", "errors", "failed_call", "http", "http.request", "models", "models.base", "writes"}


def test_one_call_brings_the_models_of_its_resource_alone() -> None:
    loaded = loaded_by(f"from {API}.endpoints import get_metric")
    brought = {name for name in loaded if name.startswith(f"{API}.models.")}
    assert brought == {f"{API}.models.base", f"{API}.models.metrics"}
