"""A rollout that a release of another flag guards, through `dag.test()`: it ends as LaunchDarkly judges that."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from airflow_provider_launchdarkly.audit_log import chain, replay
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from dags.conftest import dag_bag, register
from support.guarding_release import METRIC, OTHER, OtherFlag
from support.lone_polls import poll_alone

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_launchdarkly.testing import EmulatorServer

ROLLOUT = """
rollouts:
  guarded:
    experiment:
      flag: checkout-button
      hypothesis: A bold button brings more people through the checkout.
      treatments: [{variation: Classic, baseline: true}, {variation: Bold}]
      primary_metric: checkout-conversion
    stages: [{allocation: 50, gate: decision}]
    policy: {release_guardrails: [{flag: search-backend}]}
    turn_flag_on: true
"""
LOADER = """
from airflow_provider_launchdarkly import load_rollouts

dags = load_rollouts("rollouts.yaml")
"""


@pytest.mark.usefixtures("connection", "airflow_database")
@pytest.mark.parametrize(("effect", "ending"), [(-0.5, ("rollback", "release_regressed")), (0.1, ("ship", "better"))])
def test_the_experiment_ends_as_the_release_of_the_other_flag_does(
    emulator: EmulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, effect: float, ending: tuple[str, str]
) -> None:
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__RECORD_PATH", str(tmp_path / "decisions"))
    OtherFlag(LaunchDarklyHook().run, emulator).release(effect, METRIC, days=60)

    async def sleep(seconds: float) -> None:
        emulator.clock.advance(timedelta(seconds=max(seconds, 3600)))

    poll_alone(monkeypatch, sleep)
    (tmp_path / "rollouts.yaml").write_text(ROLLOUT)
    (tmp_path / "load.py").write_text(LOADER.replace("rollouts.yaml", str(tmp_path / "rollouts.yaml")))
    dag = dag_bag(str(tmp_path)).dags["guarded"]
    register(dag)
    assert dag.test().state == "success"
    (path,) = (tmp_path / "decisions").rglob("*.jsonl")
    entries = chain.read(path.read_text())
    verdict = entries[-1]["verdict"]
    assert (verdict["verdict"], verdict["reason"]) == ending
    assert any(f"of flag {OTHER}" in caution and "as LaunchDarkly judges" in caution for caution in verdict["cautions"])
    assert replay.replay(entries).agrees
