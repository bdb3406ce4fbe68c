"""Operators on experiments: create, update, archive, restore, get and list."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators.experiments import (
    LaunchDarklyArchiveExperimentOperator,
    LaunchDarklyCreateExperimentOperator,
    LaunchDarklyGetExperimentOperator,
    LaunchDarklyListExperimentsOperator,
    LaunchDarklyRestoreExperimentOperator,
    LaunchDarklyUpdateExperimentOperator,
)
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.experiment_tasks import DESIGN, TREATMENTS, create, task_context
from support.scene import Scene

pytestmark = pytest.mark.usefixtures("connection")

QUARTER = [
    {"variation": "Classic", "allocation_percent": 75, "baseline": True},
    {"variation": "Bold", "allocation_percent": 25},
]


def do(operator: Any, context: Any, **fields: Any) -> Any:
    output = operator(task_id="task", **({"experiment_key": "bold"} | fields)).execute(context)
    assert json.loads(json.dumps(output)) == output
    return output


def read(context: Any, **changes: Any) -> Any:
    fields = {"experiment_key": "bold"} | changes
    return LaunchDarklyGetExperimentOperator(task_id="read", **fields).execute(context)


def listed(context: Any, **changes: Any) -> list[str]:
    found = LaunchDarklyListExperimentsOperator(task_id="list", **changes).execute(context)
    assert json.loads(json.dumps(found)) == found
    return sorted(item["experiment_key"] for item in found)


def test_an_experiment_with_other_content_is_an_error_that_shows_the_difference() -> None:
    create()
    other = [{**TREATMENTS[0], "allocation_percent": 90}, {**TREATMENTS[1], "allocation_percent": 10}]
    with pytest.raises(
        AirflowFailException, match=r"ExperimentDiffersError.*allocationPercent.*asked '?90.*found '?50"
    ):
        create(treatments=other)


@pytest.mark.parametrize("changes", [{"treatments": TREATMENTS[:1]}, {"primary_metric": None}, {"hypothesis": ""}])
def test_a_wrong_design_is_refused_when_the_dag_file_is_parsed(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        LaunchDarklyCreateExperimentOperator(task_id="create", name="Button", **(DESIGN | changes))


@pytest.mark.parametrize("changes", [{"treatments": TREATMENTS[:1]}, {"primary_metric": None}, {"hypothesis": ""}])
def test_in_the_process_of_a_task_only_the_task_itself_refuses_a_wrong_design(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DAG_ID", "TASK_ID"):
        monkeypatch.setenv(f"_AIRFLOW_PARSING_CONTEXT_{name}", "create")
    operator = LaunchDarklyCreateExperimentOperator(task_id="create", name="Button", **(DESIGN | changes))
    with pytest.raises(AirflowFailException, match="ConfigurationError"):
        operator.execute(task_context())


def test_templated_fields_are_checked_when_the_task_runs() -> None:
    operator = LaunchDarklyCreateExperimentOperator(
        task_id="create", name="Button", **(DESIGN | {"primary_metric": "{{ params.metric }}"})
    )
    operator.primary_metric = ""
    with pytest.raises(AirflowFailException, match="primary_metric"):
        operator.execute(task_context())


def test_an_unknown_flag_is_an_error_that_names_it() -> None:
    with pytest.raises(AirflowFailException, match="no-such-flag"):
        create(flag_key="no-such-flag")


def test_an_unknown_metric_is_an_error_that_names_it() -> None:
    with pytest.raises(AirflowFailException, match="no-such-metric"):
        create(primary_metric="no-such-metric")


def test_fields_change_in_place_and_a_repeat_writes_nothing(
    scene: Scene, emulator: EmulatorServer, context: Any
) -> None:
    changes = {"name": "Bolder", "tags": {"operation": "add", "value": ["q1"]}}
    first = do(LaunchDarklyUpdateExperimentOperator, context, changes=changes)
    assert (first["changed"], first["name"], first["tags"]) == (True, "Bolder", ["q1"])
    assert first["running_iteration_id"] == scene.iteration_id
    assert do(LaunchDarklyUpdateExperimentOperator, context, changes=changes)["changed"] is False
    assert len(emulator.effects("experiment.changed")) == 1


def test_a_locked_field_is_an_error_that_lists_the_fields_that_may_change(scene: Scene, context: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"ConfigurationError: hypothesis.*tags \(add/update/remove\)"):
        do(LaunchDarklyUpdateExperimentOperator, context, changes={"hypothesis": "Other."})


@pytest.mark.parametrize("wrapped", [False, True])
def test_treatments_of_a_draft_may_name_variations_by_name(
    scene: Scene, hook: LaunchDarklyHook, context: Any, wrapped: bool
) -> None:
    hook.create_experiment(scene.post.model_copy(update={"key": "second"}))
    treatments = {"operation": "update", "value": QUARTER} if wrapped else QUARTER
    changes = {"treatments": treatments}
    output = do(LaunchDarklyUpdateExperimentOperator, context, experiment_key="second", changes=changes)
    (iteration,) = output["iterations"]
    assert [treatment["allocation_percent"] for treatment in iteration["treatments"]] == ["75", "25"]


@pytest.mark.parametrize("changes", [{}, None, {"name": {"operation": "ad", "value": "x"}}])
def test_wrong_changes_are_refused_when_the_dag_file_is_parsed(changes: Any) -> None:
    with pytest.raises(ConfigurationError):
        LaunchDarklyUpdateExperimentOperator(task_id="task", experiment_key="bold", changes=changes)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("methodology", "baysian", "methodology: Input should be 'bayesian'"),
        ("analysis_config", {"bayesianTreshold": "95"}, "bayesianTreshold: LaunchDarkly has no such field"),
        ("experiment_type", "bandit", "type: Input should be 'experiment'"),
        ("data_source", "bigquery", "data_source: Input should be 'launchdarkly'"),
        ("tags", "checkout", "tags: Input should be a valid tuple"),
        ("metrics", "page-load-ms", "metrics is 'page-load-ms': write a list of metrics' keys"),
    ],
)
def test_what_is_wrong_for_every_flag_is_refused_when_the_file_is_parsed(field: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        LaunchDarklyCreateExperimentOperator(task_id="create", **{"name": "Button", **DESIGN, field: value})


def test_a_template_among_them_is_checked_when_the_task_runs() -> None:
    fields = {"name": "{{ params.name }}", "tags": "{{ params.tags }}", "methodology": "{{ params.how }}"}
    LaunchDarklyCreateExperimentOperator(task_id="create", **{**DESIGN, **fields})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metrics": {"operation": "add", "value": [{"key": "signup-funnel", "is_group": True}]}}, "write isGroup"),
        ({"metrics": [{"kye": "signup-funnel"}]}, "kye"),
        ({"treatments": [{**treatment, "variaton": "Bold"} for treatment in TREATMENTS]}, "unknown keys variaton"),
        ({"tags": "checkout"}, "tags: a list is needed to update it, given 'checkout'"),
        ({"analysisConfig": {"bayesian_threshold": "95"}}, "bayesian_threshold is '95'; write bayesianThreshold"),
    ],
)
def test_a_wrong_key_within_changes_is_refused_when_the_file_is_parsed(changes: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        LaunchDarklyUpdateExperimentOperator(task_id="update", experiment_key="bold", changes=changes)


def test_archiving_and_restoring_twice_writes_once(scene: Scene, emulator: EmulatorServer, context: Any) -> None:
    scene.stop()
    archived = [do(LaunchDarklyArchiveExperimentOperator, context) for _ in range(2)]
    assert [(output["archived"], output["changed"]) for output in archived] == [(True, True), (True, False)]
    restored = [do(LaunchDarklyRestoreExperimentOperator, context) for _ in range(2)]
    assert [(output["archived"], output["changed"]) for output in restored] == [(False, True), (False, False)]
    assert len(emulator.effects("experiment.archived")) == len(emulator.effects("experiment.restored")) == 1


def test_a_running_experiment_is_not_archived(scene: Scene, emulator: EmulatorServer, context: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"StateError.*stop it before"):
        do(LaunchDarklyArchiveExperimentOperator, context)
    assert emulator.effects("iteration.stopped") == []


def test_the_audit_log_names_the_task_that_wrote(scene: Scene, emulator: EmulatorServer, context: Any) -> None:
    do(LaunchDarklyUpdateExperimentOperator, context, changes={"name": "Bolder"})
    assert emulator.journal()[-1].body["comment"] == "Airflow: rollout.task, run run-1"


def test_an_experiment_is_read_whole(scene: Scene, context: Any) -> None:
    found = read(context)
    assert json.loads(json.dumps(found)) == found
    assert (found["status"], found["running_iteration_id"]) == ("running", scene.iteration_id)
    (iteration,) = found["iterations"]
    assert [treatment["name"] for treatment in iteration["treatments"]] == ["Classic", "Bold"]
    assert iteration["flags"] == {"checkout-button": "fallthrough"}
    assert iteration["metrics"] == ["checkout-conversion", "signup-funnel"]
    assert "add" in found["mutable_fields"]["running"]["metrics"]
    assert found["draft_iteration_id"] is None


def test_reading_writes_nothing(scene: Scene, emulator: EmulatorServer, context: Any) -> None:
    before = emulator.journal()
    read(context)
    listed(context)
    assert emulator.journal() == before


def test_an_unknown_experiment_fails_at_once(scene: Scene, context: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"NotFoundError.*no-such"):
        read(context, experiment_key="no-such")


def test_the_list_is_filtered_by_the_status_now(scene: Scene, hook: LaunchDarklyHook, context: Any) -> None:
    scene.stop()
    hook.create_iteration("bold", scene.iteration)
    hook.create_experiment(scene.post.model_copy(update={"key": "second"}))
    assert listed(context, status="running") == []
    assert listed(context, status="not_started") == ["bold", "second"]
    assert listed(context) == ["bold", "second"]


def test_archived_experiments_are_listed_when_asked_for(scene: Scene, hook: LaunchDarklyHook, context: Any) -> None:
    scene.stop()
    hook.archive_experiment("bold")
    assert listed(context) == []
    assert listed(context, lifecycle_state=["archived"]) == ["bold"]


def test_no_more_than_the_cap_is_read(scene: Scene, hook: LaunchDarklyHook, context: Any) -> None:
    hook.create_experiment(scene.post.model_copy(update={"key": "second"}))
    assert len(listed(context, max_items=1)) == 1
