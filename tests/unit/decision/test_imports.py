"""What importing the decision engine pays: nothing that Airflow has not loaded already."""

from __future__ import annotations

import subprocess
import sys

import pytest

DEAR = ("airflow", "numpy", "scipy", "httpx", "yaml", "zoneinfo", "statistics", "matplotlib")


@pytest.mark.parametrize("module", ["decision", "simulation.command"])
def test_nothing_dear_is_loaded(module: str) -> None:
    code = f"import sys, airflow_provider_launchdarkly.{module}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()).isdisjoint(DEAR)


def test_deciding_loads_nothing_dear_either() -> None:
    code = """
import sys
from datetime import timedelta
from airflow_provider_launchdarkly.decision import *
two = (TreatmentEvidence("a", "A", True), TreatmentEvidence("b", "B"))
metric = MetricEvidence("m", (Measurement("a", 500, 0.1, 0.3), Measurement("b", 500, 0.1, 0.3)), Direction.HIGHER)
decide(Policy(), Evidence(timedelta(days=14), two, (metric,), "m"))
print(*sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()).isdisjoint(set(DEAR) - {"statistics"})
