"""A rollout whose policy looks for harm every 15 minutes, through `dag.test()`: it is rolled back within hours."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from dags.conftest import dag_bag, register
from support.lone_polls import poll_alone

ROLLOUT = """
from airflow_provider_launchdarkly import rollout_dag

dag = rollout_dag(
    {
        "experiment": {
            "key": "watched",
            "name": "Watched",
            "flag": "checkout-button",
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [{"allocation": 50, "gate": "decision"}],
        "policy": {"harm_looks": "15m", "guardrails": [{"metric": "page-load-ms", "margin": 0.02}]},
        "turn_flag_on": True,
    },
    dag_id="watched",
)
"""


@pytest.fixture
def time_flies(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The triggers' sleeps take no time; each turns the emulator's clock by as much as it would have slept."""

    async def sleep(seconds: float) -> None:
        emulator.clock.advance(timedelta(seconds=seconds))

    poll_alone(monkeypatch, sleep)


@pytest.mark.usefixtures("connection", "airflow_database", "time_flies")
def test_a_drop_of_half_is_rolled_back_within_hours(
    emulator: EmulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__RECORD_PATH", str(tmp_path / "decisions"))
    truth = GroundTruth.from_dict(
        {
            "people_per_day": 2_000,
            "metrics": {
                "checkout-conversion": {"baseline_rate": 0.10, "effects": {"Bold": {"relative": -0.5}}},
                "page-load-ms": {"baseline_mean": 820, "standard_deviation": 240},
            },
        }
    )
    emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": truth}))
    (tmp_path / "watched.py").write_text(ROLLOUT)
    begun = emulator.clock.now()
    dag = dag_bag(str(tmp_path)).dags["watched"]
    register(dag)
    assert dag.test().state == "success"
    assert emulator.clock.now() - begun < timedelta(hours=24)
    (stopped,) = emulator.effects("iteration.stopped")
    hook = LaunchDarklyHook(project_key="demo", environment_key="production")
    experiment = hook.get_experiment("watched", expand=["treatments", "previousIterations"])
    (iteration,) = experiment.iterations
    winner = iteration.treatment(iteration.winning_treatment_id or "")
    assert winner is not None
    assert winner.id == stopped["winner"]
    assert winner.name == "Classic"
    (path,) = (tmp_path / "decisions").rglob("*.jsonl")
    last = chain.read(path.read_text())[-1]
    assert (last["verdict"]["verdict"], last["verdict"]["reason"]) == ("rollback", "primary_harmed")
    assert last["evidence"]["only_harm"] is True
