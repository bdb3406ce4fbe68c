"""The operators that change an experiment that exists: a target state, reached once, and nothing ended by accident."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators.experiments import (
    LaunchDarklyArchiveExperimentOperator,
    LaunchDarklyRestoreExperimentOperator,
    LaunchDarklyUpdateExperimentOperator,
)
from airflow_provider_launchdarkly.operators.iterations import LaunchDarklySaveAndStartIterationOperator
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.coverage_table import Scene

QUARTER = [
    {"variation": "Classic", "allocation_percent": 75, "baseline": True},
    {"variation": "Bold", "allocation_percent": 25},
]


def do(operator: Any, context: Any, **fields: Any) -> Any:
    output = operator(task_id="task", **({"experiment_key": "bold"} | fields)).execute(context)
    assert json.loads(json.dumps(output)) == output
    return output


def test_fields_change_in_place_and_a_repeat_writes_nothing(
    scene: Scene, emulator: EmulatorServer, context: Any
) -> None:
    changes = {"name": "Bolder", "tags": {"operation": "add", "value": ["q1"]}}
    first = do(LaunchDarklyUpdateExperimentOperator, context, changes=changes)
    assert (first["changed"], first["name"], first["tags"]) == (True, "Bolder", ["q1"])
    assert first["running_iteration_id"] == scene.iteration_id
    assert do(LaunchDarklyUpdateExperimentOperator, context, changes=changes)["changed"] is False
    assert len(emulator.effects("experiment.changed")) == 1


def test_a_locked_field_is_an_error_that_lists_what_may_change(scene: Scene, context: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"ConfigurationError: hypothesis.*tags \(add/update/remove\)"):
        do(LaunchDarklyUpdateExperimentOperator, context, changes={"hypothesis": "Other."})


def test_treatments_of_a_draft_may_name_variations_as_people_do(
    scene: Scene, hook: LaunchDarklyHook, context: Any
) -> None:
    hook.create_experiment(scene.post.model_copy(update={"key": "second"}))
    output = do(LaunchDarklyUpdateExperimentOperator, context, experiment_key="second", changes={"treatments": QUARTER})
    (iteration,) = output["iterations"]
    assert [treatment["allocation_percent"] for treatment in iteration["treatments"]] == ["75", "25"]


@pytest.mark.parametrize("changes", [{}, None, {"name": {"operation": "ad", "value": "x"}}])
def test_changes_that_are_none_are_refused_when_the_dag_file_is_parsed(changes: Any) -> None:
    with pytest.raises(ConfigurationError):
        LaunchDarklyUpdateExperimentOperator(task_id="task", experiment_key="bold", changes=changes)


def test_archiving_and_restoring_are_target_states(scene: Scene, emulator: EmulatorServer, context: Any) -> None:
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


def test_saving_and_starting_ships_nothing_and_a_repeat_makes_no_third(
    scene: Scene, emulator: EmulatorServer, context: Any
) -> None:
    fields = {"iteration_id": scene.iteration_id, "changes": {"treatments": QUARTER}}
    first = do(LaunchDarklySaveAndStartIterationOperator, context, **fields)
    again = do(LaunchDarklySaveAndStartIterationOperator, context, **fields)
    assert first["iteration_id"] == again["iteration_id"] != scene.iteration_id
    assert (first["changed"], again["changed"], first["status"]) == (True, False, "running")
    assert [treatment["allocation_percent"] for treatment in first["treatments"]] == ["75", "25"]
    assert len(emulator.effects("iteration.created")) == len(emulator.effects("iteration.started")) == 2
    (stopped,) = emulator.effects("iteration.stopped")
    assert not stopped.get("winner")


def test_a_late_repeat_does_not_end_what_came_after_it(scene: Scene, context: Any) -> None:
    first = do(
        LaunchDarklySaveAndStartIterationOperator,
        context,
        iteration_id=scene.iteration_id,
        changes={"treatments": QUARTER},
    )
    do(
        LaunchDarklySaveAndStartIterationOperator,
        context,
        iteration_id=first["iteration_id"],
        changes={"hypothesis": "More."},
    )
    with pytest.raises(AirflowFailException, match=r"Iteration\w+Error"):
        do(
            LaunchDarklySaveAndStartIterationOperator,
            context,
            iteration_id=scene.iteration_id,
            changes={"hypothesis": "Bold is better."},
        )


def test_after_a_stop_with_a_winner_nothing_takes_its_place(scene: Scene, context: Any) -> None:
    scene.stop()
    with pytest.raises(AirflowFailException, match="IterationStoppedError"):
        do(LaunchDarklySaveAndStartIterationOperator, context, iteration_id=scene.iteration_id)


def test_launchdarklys_record_says_which_task_wrote(scene: Scene, emulator: EmulatorServer, context: Any) -> None:
    do(LaunchDarklyUpdateExperimentOperator, context, changes={"name": "Bolder"})
    assert emulator.journal()[-1].body["comment"] == "Airflow: rollout.task, run run-1"
