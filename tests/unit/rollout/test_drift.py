"""`plan` compares with the very iterations that the rollout's tasks create."""

from __future__ import annotations

import pytest

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.rollout.drift import DriftStatus, compare
from airflow_provider_launchdarkly.rollout.release_requests import check_before_start
from airflow_provider_launchdarkly.rollout.requests import stage_design, stage_iteration
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.steps import LaunchDarklyStartNextStageOperator
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
    task = LaunchDarklyStartNextStageOperator(
        task_id="start", experiment_key="button", rollout=ROLLOUT, number=1, **design
    )
    assert stage_iteration(ROLLOUT, stage, flag) == task.design().resolve(flag)


@pytest.mark.parametrize("part", [{"flag": "serach"}, {"flag": "checkout-button", "release": "no-such-release"}])
def test_a_flag_or_release_that_is_to_guard_and_does_not_exist_is_named(
    emulator: EmulatorServer, part: dict[str, str]
) -> None:
    rollout = Rollout.from_json({**ROLLOUT.to_json(), "policy": {"release_guardrails": [part]}})
    named = part.get("release", part["flag"])
    with LaunchDarklyClient(emulator.url, emulator.token) as client:
        for check in (compare, check_before_start):
            with pytest.raises(ConfigurationError, match=rf"policy.release_guardrails\[0\]: .*{named}"):
                client.run(check(rollout, ENV))


def test_a_flag_that_guards_and_exists_is_fine(emulator: EmulatorServer) -> None:
    policy = {"release_guardrails": [{"flag": "checkout-button"}]}
    rollout = Rollout.from_json({**ROLLOUT.to_json(), "policy": policy})
    with LaunchDarklyClient(emulator.url, emulator.token) as client:
        assert client.run(compare(rollout, ENV)).status is DriftStatus.CREATE
