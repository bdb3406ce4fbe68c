"""`plan` compares with the very iterations that the rollout's tasks create."""

from __future__ import annotations

import pytest

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.rollout.requests import stage_design, stage_iteration
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.steps import LaunchDarklyStageIterationOperator
from airflow_provider_launchdarkly.testing import EmulatorServer

ENV = EnvironmentRef("demo", "production")
ROLLOUT = Rollout.from_json(
    {
        "experiment": {
            "key": "button",
            "flag": "checkout-button",
            "hypothesis": "Bold is better.",
            "primary_metric": "checkout-conversion",
            "metrics": ["revenue-per-user"],
            "attributes": ["country"],
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold", "name": "New"}],
        },
        "policy": {"guardrails": [{"metric": "page-load-ms"}]},
        "stages": [
            {"allocation": 0.5, "dwell": "1d"},
            {"allocation": {"New": 33.333}, "dwell": "1d"},
            {"allocation": 50, "gate": "decision"},
        ],
    }
)


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_stages_iteration_is_the_one_that_its_task_creates(emulator: EmulatorServer, stage: int) -> None:
    with LaunchDarklyClient(emulator.url, emulator.token) as client:
        flag = client.send(endpoints.get_flag("demo", "checkout-button", environments=("production",))).value
    design = stage_design(ROLLOUT, stage)
    task = LaunchDarklyStageIterationOperator(task_id="create", experiment_key="button", replaces="i", **design)
    assert stage_iteration(ROLLOUT, stage, flag) == task.design().resolve(flag)
