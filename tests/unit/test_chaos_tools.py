"""The tools of `make chaos` and `make soak`: what they count as due, as growth, and as missing."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from chaos.faults import POINTS, Blow
from chaos.soak import Tally
from chaos.stacks import WORKERS
from stack.airflow_stack import StackError
from stack.postgres import server_program
from support.surroundings import REPOSITORY


def test_a_blow_waits_for_its_point() -> None:
    blow = Blow("task", "kill", "it ships")
    assert not blow.is_due({"rollout.ship": "queued"}, 1000.0)
    assert blow.is_due({"rollout.ship": "running"}, 0.0)


def test_a_blow_without_a_point_waits_for_its_time() -> None:
    blow = Blow("task", "kill", at=7.0)
    assert [blow.is_due({}, seconds) for seconds in (6.9, 7.0)] == [False, True]


def test_recovery_counts_from_the_blow_to_the_first_progress() -> None:
    blow = Blow("task", "kill", "it ships", begun=0.0)
    for progress in ((3, 10), (3, 10)):
        blow.watch(progress)
    assert blow.recovered is None
    blow.watch((3, 11))
    assert blow.recovered is not None


def test_every_point_is_a_task_of_the_ramp() -> None:
    dag = runpy.run_path(str(REPOSITORY / "dags_examples" / "staged_ramp.py"))["dag"]
    assert {task for task, _ in POINTS.values()} <= set(dag.task_ids)


@pytest.mark.parametrize(
    ("megabytes", "growth"), [([900.0, 100, 100, 100, 110, 120, 130], 1.25), ([900.0, 80, 80, 80], 1.0), ([50.0], 1.0)]
)
def test_growth_is_that_of_the_last_third_without_the_first_round(megabytes: list[float], growth: float) -> None:
    tally = Tally()
    tally.memory[WORKERS[0]] = megabytes
    assert tally.growth(WORKERS[0]) == pytest.approx(growth)


def test_a_server_that_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    with pytest.raises(StackError, match="redis-server is not installed; on Debian: apt-get install redis-server"):
        server_program("redis-server", "redis-server")
