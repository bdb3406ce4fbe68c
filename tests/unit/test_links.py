"""The links to LaunchDarkly's UI: an address, or nothing; never an error after the task's own."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.links import (
    RUN_TAB,
    LaunchDarklyExperimentLink,
    LaunchDarklyFlagLink,
    experiment_page,
)
from airflow_provider_launchdarkly.operators.experiments import LaunchDarklyGetExperimentOperator
from airflow_provider_launchdarkly.operators.flags import LaunchDarklySetFlagOperator
from airflow_provider_launchdarkly.plugins.pages.addresses import external_views
from support.surroundings import CONNECTION

RUN = "https://airflow.example.com/team/dags/shop/runs/manual__2026-03-02T09:00:00+00:00"


@pytest.mark.parametrize(
    ("log_url", "page"),
    [
        (f"{RUN}/tasks/stage_1.wait?try_number=1", f"{RUN}/plugin/launchdarkly-dag-run"),
        (RUN, None),
        ("", None),
        (None, None),
    ],
)
def test_the_page_of_a_run_is_beside_its_tasks(
    log_url: str | None, page: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com")
    assert experiment_page(log_url) == page
    monkeypatch.delenv("AIRFLOW__API__BASE_URL")
    assert experiment_page(log_url) is None, "Airflow does not know its own address"
    assert any(view["url_route"] == RUN_TAB for view in external_views(""))


BROKEN = {
    "no token": '{"conn_type": "launchdarkly"}',
    "unknown extra": '{"conn_type": "launchdarkly", "password": "api-x", "extra": {"projct": "x"}}',
    "no project": '{"conn_type": "launchdarkly", "password": "api-x"}',
    "no connection": None,
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_link_of_a_task_with_a_broken_connection_is_empty(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if BROKEN[how] is None:
        monkeypatch.delenv(CONNECTION, raising=False)
    else:
        monkeypatch.setenv(CONNECTION, BROKEN[how] or "")
    conn_id = "launchdarkly_default"
    experiment: Any = LaunchDarklyGetExperimentOperator(
        task_id="t", experiment_key="bold", launchdarkly_conn_id=conn_id
    )
    flag: Any = LaunchDarklySetFlagOperator(task_id="t", flag_key="f", on=True, launchdarkly_conn_id=conn_id)
    assert LaunchDarklyExperimentLink().get_link(experiment, ti_key=None) == ""
    assert LaunchDarklyFlagLink().get_link(flag, ti_key=None) == ""


def test_the_error_that_a_link_swallows_is_the_tasks_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONNECTION, BROKEN["no token"] or "")
    with pytest.raises(ConfigurationError, match="password is empty"):
        _ = LaunchDarklyGetExperimentOperator(task_id="t", experiment_key="bold").experiment_url
