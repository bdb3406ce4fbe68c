"""The three ways to a new iteration: the call, adoption, and that nothing is ended or overwritten by mistake."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators.experiments import LaunchDarklyCreateExperimentOperator
from airflow_provider_launchdarkly.operators.iterations import LaunchDarklyCreateIterationOperator
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.scene import TREATMENTS, Scene

DESIGN: dict[str, Any] = {
    "experiment_key": "bold",
    "flag_key": "checkout-button",
    "hypothesis": "Bold is better.",
    "treatments": TREATMENTS,
    "primary_metric": "checkout-conversion",
    "metrics": [{"key": "signup-funnel", "is_group": True}],
    "attributes": ["country"],
}


def quarters(bold: int) -> list[dict[str, Any]]:
    return [{**TREATMENTS[0], "allocation_percent": 100 - bold}, {**TREATMENTS[1], "allocation_percent": bold}]


def make(context: Any, method: str, **changes: Any) -> Any:
    operator = LaunchDarklyCreateIterationOperator(task_id="next", method=method, **(DESIGN | changes))
    return operator.execute(context)


def calls(emulator: EmulatorServer) -> list[str]:
    return [line.operation for line in emulator.requests() if line.method in {"POST", "PATCH"}]


def test_post_creates_a_draft_beside_the_running_iteration(
    scene: Scene, emulator: EmulatorServer, context: Any
) -> None:
    output = make(context, "post", treatments=quarters(25))
    assert (output["status"], output["changed"]) == ("not_started", True)
    assert calls(emulator)[-1] == "create_iteration"


def test_update_draft_turns_the_draft_into_the_design(
    scene: Scene, hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    draft = hook.create_experiment(scene.post.model_copy(update={"key": "second"})).iteration.id
    changes = {"experiment_key": "second", "treatments": quarters(25), "hypothesis": "Bolder is better."}
    output = make(context, "update_draft", **changes)
    assert (output["iteration_id"], output["status"], output["changed"]) == (draft, "not_started", True)
    assert [treatment["allocation_percent"] for treatment in output["treatments"]] == ["75", "25"]
    assert make(context, "update_draft", **changes)["changed"] is False
    (patch,) = [entry for entry in emulator.journal() if entry.operation == "patch_experiment"][1:]
    assert set(patch.body["instructions"][0]["value"]) == {"treatments", "hypothesis"}


def test_update_draft_fails_without_a_draft(scene: Scene, context: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"StateError.*method='post'.*method='save_and_start'"):
        make(context, "update_draft")


def test_save_and_start_ends_the_running_iteration_without_a_winner(
    scene: Scene, emulator: EmulatorServer, context: Any
) -> None:
    output = make(context, "save_and_start", treatments=quarters(25))
    assert output["iteration_id"] != scene.iteration_id
    assert (output["status"], output["changed"]) == ("running", True)
    assert make(context, "save_and_start", treatments=quarters(25))["changed"] is False
    assert len(emulator.effects("iteration.started")) == 2


def test_a_running_iteration_of_this_design_is_adopted(scene: Scene, emulator: EmulatorServer, context: Any) -> None:
    output = make(context, "save_and_start")
    assert (output["iteration_id"], output["changed"]) == (scene.iteration_id, False)
    assert len(emulator.effects("iteration.started")) == 1


def test_a_task_that_is_cleared_late_does_not_end_a_later_iteration(
    scene: Scene, emulator: EmulatorServer, context: Any
) -> None:
    make(context, "save_and_start", treatments=quarters(25))
    make(context, "save_and_start", treatments=quarters(40))
    with pytest.raises(AirflowFailException, match=r"IterationReplacedError.*LaunchDarklySaveAndStartIteration"):
        make(context, "save_and_start", treatments=quarters(25))
    assert len(emulator.effects("iteration.started")) == 3


def test_save_and_start_fails_without_a_running_iteration(scene: Scene, context: Any) -> None:
    scene.stop()
    with pytest.raises(AirflowFailException, match=r"StateError.*method='post'"):
        make(context, "save_and_start", treatments=quarters(25))


@pytest.mark.parametrize("method", ["update_draft", "save_and_start"])
def test_the_rule_cannot_be_changed_in_an_iteration_that_exists(
    scene: Scene, hook: LaunchDarklyHook, context: Any, method: str
) -> None:
    key = "bold"
    if method == "update_draft":
        key = "second"
        hook.create_experiment(scene.post.model_copy(update={"key": "second"}))
    with pytest.raises(AirflowFailException, match=r"ruleId.*method='post'"):
        make(context, method, experiment_key=key, rule_id="some-rule")


def test_an_unknown_method_is_refused_when_the_dag_file_is_parsed() -> None:
    with pytest.raises(ConfigurationError, match="post, update_draft, save_and_start"):
        LaunchDarklyCreateIterationOperator(task_id="next", method="patch", **DESIGN)


def bandit(context: Any, **changes: Any) -> Any:
    fields = DESIGN | {"name": "Bandit", "experiment_type": "mab", "reallocation_frequency": timedelta(hours=1)}
    return LaunchDarklyCreateExperimentOperator(task_id="create", **(fields | changes)).execute(context)


@pytest.mark.parametrize("frequency", [timedelta(hours=1), 3600, "3600"])
def test_a_bandit_is_created_with_its_frequency_and_adopted_by_a_repeat(
    hook: LaunchDarklyHook, context: Any, frequency: Any
) -> None:
    assert bandit(context, reallocation_frequency=frequency)["changed"] is True
    assert bandit(context, reallocation_frequency=frequency)["changed"] is False
    experiment = hook.get_experiment("bold")
    assert experiment.type == "mab"
    assert experiment.current_iteration is not None
    assert experiment.current_iteration.reallocation_frequency_millis == 3_600_000


def test_only_a_bandit_moves_its_traffic() -> None:
    with pytest.raises(ConfigurationError, match="experiment_type='mab'"):
        LaunchDarklyCreateExperimentOperator(task_id="create", name="x", reallocation_frequency=60, **DESIGN)


def test_a_metric_that_does_not_exist_is_named_before_anything_is_written(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    with pytest.raises(AirflowFailException, match=r"metrics: project 'demo' has no metric 'signup-funnel'"):
        bandit(context, metrics=["signup-funnel"])
    assert emulator.journal() == []


def test_a_percentile_that_a_policy_judges_is_refused_before_anything_is_written(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    hook.update_metric("page-load-ms", {"analysisType": "percentile", "percentileValue": 95})
    before = emulator.journal()
    with pytest.raises(AirflowFailException, match=r"metrics: metric 'page-load-ms' is analysed by percentile 95"):
        bandit(context, metrics=["page-load-ms"], judged_metrics=["page-load-ms"])
    assert emulator.journal() == before
    assert bandit(context, metrics=["page-load-ms"])["changed"] is True
