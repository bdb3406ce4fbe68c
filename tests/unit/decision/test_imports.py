"""What importing the decision engine pays: every DAG parse and every task pays it again."""

from __future__ import annotations

import subprocess
import sys

DEAR = {"airflow", "numpy", "scipy", "httpx", "yaml", "matplotlib", "croniter"}
DECIDE = """
from datetime import timedelta
from airflow_provider_launchdarkly.decision.evidence import Evidence, Measurement, MetricEvidence, TreatmentEvidence
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
two = (TreatmentEvidence("a", "A", True), TreatmentEvidence("b", "B"))
metric = MetricEvidence("m", (Measurement("a", 500, 0.1, 0.3), Measurement("b", 500, 0.1, 0.3)), Direction.HIGHER)
decide(Policy(), Evidence(timedelta(days=14), two, (metric,), "m"))
"""


def loaded(code: str) -> set[str]:
    """Names of the modules in a fresh interpreter after running this."""
    printing = f"{code}\nimport sys\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", printing], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_importing_the_package_loads_nothing_of_it() -> None:
    ours = {
        name for name in loaded("import airflow_provider_launchdarkly.decision") if name.startswith("airflow_provider")
    }
    assert ours == {
        "airflow_provider_launchdarkly",
        "airflow_provider_launchdarkly._lazy",
        "airflow_provider_launchdarkly._version",
        "airflow_provider_launchdarkly.decision",
    }


def test_a_policy_loads_no_engine() -> None:
    modules = loaded("from airflow_provider_launchdarkly import Policy; Policy()")
    assert "airflow_provider_launchdarkly.decision.judge" not in modules


def test_deciding_loads_nothing_dear() -> None:
    assert loaded(DECIDE).isdisjoint(DEAR)


def test_the_command_line_loads_nothing_dear_before_it_simulates() -> None:
    assert loaded("import airflow_provider_launchdarkly.cli.simulate").isdisjoint(DEAR)
