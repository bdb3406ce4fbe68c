"""Rollouts from files as DAGs: example 4, and that a broken file is seen without harming the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.triggers import _base
from dags.conftest import dag_bag, register

LOADER = """\
from airflow_provider_launchdarkly import load_rollouts
dags = load_rollouts("rollouts")
"""
GOOD = """\
rollouts:
  good:
    dag: {schedule: "@weekly", start_date: 2026-01-05, owner: growth, tags: [checkout], retries: 4, paused: false}
    experiment:
      flag: checkout-button
      hypothesis: Bold is better.
      primary_metric: checkout-conversion
      treatments: [{variation: Classic, baseline: true}, {variation: Bold}]
    stages: [{allocation: 50, gate: decision}]
    turn_flag_on: true
"""
BAD = GOOD.replace("  good:", "  bad:").replace("allocation: 50", "allocation: 500")


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Any]:
    """The DAGs of a DAGs folder that holds the two-line loader and these rollout files."""

    def bag(**files: str) -> Any:
        (tmp_path / "fleet.py").write_text(LOADER)
        (tmp_path / "rollouts").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "rollouts" / f"{name}.yaml").write_text(text)
        loaded = dag_bag(str(tmp_path))
        assert not loaded.import_errors
        return loaded.dags

    return bag


def test_each_rollout_of_a_file_is_a_dag(load_dag: Callable[[str], Any]) -> None:
    for name in ("fleet-bold-button", "fleet-bold-button-cautious"):
        dag = load_dag(name)
        assert {"launchdarkly", "checkout"} <= set(dag.tags)
        assert dag.owner == "checkout"


def test_the_dags_settings_come_from_the_file(load: Callable[..., Any]) -> None:
    dag = load(good=GOOD)["good"]
    assert (dag.owner, dag.is_paused_upon_creation, dag.start_date.isoformat()[:10]) == ("growth", False, "2026-01-05")
    assert "checkout" in dag.tags
    assert {task.retries for task in dag.tasks} >= {4}


def test_a_broken_rollout_has_a_dag_that_says_so_and_harms_no_other(load: Callable[..., Any]) -> None:
    dags = load(good=GOOD, bad=BAD, worse="rollouts: [\n")
    assert set(dags) == {"good", "bad.broken", "worse.broken"}
    assert "bad.yaml:9: stages[0].allocation: 500 is not a percentage" in dags["bad.broken"].doc_md
    assert "worse.yaml:2: this is no YAML" in dags["worse.broken"].doc_md


@pytest.mark.parametrize("broken", ["bad", "worse"])
def test_the_task_of_a_broken_rollout_or_file_finds_its_dag(
    load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", f"{broken}.broken")
    assert set(load(good=GOOD, bad=BAD, worse="rollouts: [\n")) == {f"{broken}.broken"}


@pytest.mark.usefixtures("airflow_database")
def test_the_dag_of_a_broken_rollout_fails_with_the_error(load: Callable[..., Any]) -> None:
    dag = load(bad=BAD)["bad.broken"]
    register(dag)
    run = dag.test()
    assert str(run.state) == "failed"
    assert (dag.is_paused_upon_creation, [task.retries for task in dag.tasks]) == (False, [0])


@pytest.mark.usefixtures("airflow_database", "connection")
def test_a_rollout_from_a_file_runs_to_its_end(
    load: Callable[..., Any], emulator: EmulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL", "0.2")
    monkeypatch.setattr(_base, "SECONDS_BEFORE_FIRST_POLL", 0.2)  # no scheduler here that could be overtaken
    emulator.clock.run(rate=2 * 86400)  # half a second is a day
    dag = load(good=GOOD)["good"]
    register(dag)
    assert str(dag.test().state) == "success"
    (stopped,) = emulator.effects("iteration.stopped")
    assert stopped["experiment"] == "good"
    assert main(["plan", str(tmp_path / "rollouts")]) == 0, "what the DAG made is what the file says"


def test_a_corrected_file_has_its_dag_again(load: Callable[..., Any]) -> None:
    assert "bad.broken" in load(bad=BAD)
    assert set(load(bad=BAD.replace("500", "50"))) == {"bad"}


def test_a_task_makes_only_its_own_dag(load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "good")
    assert set(load(good=GOOD, other=GOOD.replace("  good:", "  other:"), bad=BAD)) == {"good"}
