"""What a viewer sees of a wait that has stopped, and what the pages ask Airflow for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from fastapi.testclient import TestClient

from airflow_provider_launchdarkly.plugins.pages import gathering
from airflow_provider_launchdarkly.plugins.pages.airflow_rest import RefusedError
from airflow_provider_launchdarkly.plugins.pages.health import Health
from airflow_provider_launchdarkly.views.airflow_run import Run
from support.pretended_airflow import PretendedAirflow
from support.shown import DAG, DAY, RUN, START, WAITS, started, watched

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.plugins.pages.airflow_rest import AirflowRest


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


class Answers:
    """Airflow's REST API, for whoever may read nothing of DAG ``hidden``."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if path.endswith("hidden"):
            raise RefusedError(403, path)
        return {} if path == "/monitor/health" else {"is_paused": True}


def test_the_first_dag_is_asked_for_however_late_the_list_is_and_no_guess_is_made_of_the_others() -> None:
    rest = Answers()
    health = Health(cast("AirflowRest", rest), seconds=0.0)

    async def paused(dag_id: str) -> bool | None:
        return (await health.of(Run(dag_id, RUN, "running"))).paused

    async def ask() -> list[bool | None]:
        return [await paused("first"), await paused("second"), await paused("first")]

    assert asyncio.run(ask()) == [True, None, True]
    assert rest.asked == ["/dags/first", "/monitor/health"]


def test_a_dag_that_the_viewer_may_not_read_is_not_taken_for_one_that_runs() -> None:
    health = Health(cast("AirflowRest", Answers()))
    assert asyncio.run(health.of(Run("hidden", RUN, "running"))).paused is None
