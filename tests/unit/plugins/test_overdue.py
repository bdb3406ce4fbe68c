"""What a viewer sees of a wait that has stopped, and what the pages ask Airflow for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from airflow_provider_launchdarkly.plugins.pages import gathering
from support.pretended_airflow import PretendedAirflow
from support.shown import DAG, DAY, RUN, START, WAITS, started, watched


def test_an_overdue_look_comes_first_and_names_the_paused_dag(
    airflow: PretendedAirflow, viewer: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow.add(started(1), started(2), watched())
    airflow.tasks[DAG, RUN] = [replace(WAITS, state="scheduled")]
    viewer.get("/launchdarkly/experiments")
    assert airflow.calls["health"] == 0, "nothing is overdue"
    monkeypatch.setattr(gathering, "_now", lambda: START + 20 * DAY)
    airflow.paused.add(DAG)
    for path in ("experiments", f"experiment?dag_id={DAG}&run_id={RUN}"):
        shown = viewer.get(f"/launchdarkly/{path}").text
        assert "Look 9 of 28 is overdue by 11 days." in shown
        assert f"DAG {DAG} is paused, so Airflow starts none of its tasks" in shown
    assert 'data-state="overdue"' in shown
    airflow.paused.clear()
    airflow.tasks[DAG, RUN] = [WAITS]
    airflow.health["triggerer"] = {"status": None}
    assert "no triggerer is running" in viewer.get("/launchdarkly/experiments").text
