"""The rows of docs/coverage.md about experiments and iterations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.models import (
    UpdateDescription,
    UpdateName,
)
from support.coverage_row import EXPERIMENT, IN_ENV, IN_PROJECT, Case, Row

if TYPE_CHECKING:
    from support.scene import Scene


def _keys(found: Any) -> set[str]:
    return {item.key for item in found}


def _draft(call: Any, scene: Scene) -> Any:
    scene.stop()
    return call("bold", scene.iteration)


def _patch(call: Any, scene: Scene) -> Any:
    return call("bold", [UpdateName(value="Bolder"), UpdateDescription(value="Much")], comment="two in one")


def _archive(call: Any, scene: Scene) -> Any:
    scene.stop()
    return call("bold", comment="done")


def _restore(call: Any, scene: Scene) -> Any:
    scene.stop()
    scene.hook.archive_experiment("bold")
    return call("bold")


UNITS = [{"randomization_unit": "organization", "default": True}]


EXPERIMENTS = (
    Row(
        "create experiment",
        (
            Case(
                "create_experiment",
                f"POST {IN_ENV}/experiments",
                lambda call, scene: call(scene.post.model_copy(update={"key": "second"})),
                lambda made: made.iteration.not_started and not made.adopted,
            ),
        ),
        ("LaunchDarklyCreateExperimentOperator",),
    ),
    Row(
        "create iteration",
        (
            Case(
                "create_iteration",
                f"POST {EXPERIMENT}/iterations",
                _draft,
                lambda made: made.iteration.not_started and not made.adopted,
            ),
        ),
        ("LaunchDarklyCreateIterationOperator",),
    ),
    Row(
        "get experiment (all `expand` fields)",
        (
            Case(
                "get_experiment",
                f"GET {EXPERIMENT}",
                lambda call, scene: call("bold", expand=(*endpoints.EVERYTHING, "mutableFieldsByStatus")),
                lambda found: found.running.treatments and found.mutable_fields_by_status,
            ),
        ),
        ("LaunchDarklyGetExperimentOperator", "LaunchDarklyIterationStatusSensor", "LaunchDarklyDwellSensor"),
    ),
    Row(
        "get experiments (filter, expand, lifecycle state, paging to the end with a cap)",
        (
            Case(
                "list_experiments",
                f"GET {IN_ENV}/experiments",
                lambda call, scene: call(flag_key="checkout-button", lifecycle_state=("active", "archived")),
                lambda found: _keys(found) == {"bold"},
            ),
            Case(
                "iter_experiments",
                f"GET {IN_ENV}/experiments",
                lambda call, scene: call(status="running", expand=("treatments",), max_items=5),
                lambda found: _keys(found) == {"bold"},
            ),
        ),
        ("LaunchDarklyListExperimentsOperator", "LaunchDarklyHygieneReportOperator"),
    ),
    Row(
        "get experiments, any environment",
        (
            Case(
                "list_experiments_in_any_environment",
                f"GET {IN_PROJECT}/experiments",
                lambda call, scene: call(metric_key="checkout-conversion"),
                lambda found: [item.environment_key for item in found] == ["production"],
            ),
        ),
    ),
    Row(
        "get experiment results (iteration, `expand=traffic`), sliced by attribute too",
        (
            Case(
                "get_metric_results",
                f"GET {EXPERIMENT}/metrics/{{metricKey}}/results",
                lambda call, scene: call("bold", "checkout-conversion", iteration_id=scene.iteration_id),
                lambda found: all(result.traffic for result in found.total),
            ),
            Case(
                "read_results",
                f"GET {EXPERIMENT}/metrics/{{metricKey}}/results",
                lambda call, scene: call("bold", "checkout-conversion", scene.iteration_id, traffic=True),
                lambda answer: answer.value.total and answer.server_time.tzinfo,
            ),
        ),
        (
            "LaunchDarklyGetResultsOperator",
            "LaunchDarklyTrafficSensor",
            "LaunchDarklyWaitForSignificanceSensor",
            "LaunchDarklyJudgeOperator",
        ),
    ),
    Row(
        "get experiment results for a metric group",
        (
            Case(
                "get_metric_group_results",
                f"GET {EXPERIMENT}/metric-groups/{{metricGroupKey}}/results",
                lambda call, scene: call("bold", "signup-funnel", iteration_id=scene.iteration_id),
                lambda found: [part.metric.key for part in found.metrics][-1] == "signup-confirmed",
            ),
        ),
        ("LaunchDarklyGetResultsOperator",),
    ),
    Row(
        "get legacy experiment results (`from`, `to`)",
        (
            Case(
                "get_legacy_results",
                "GET /api/v2/flags/{projectKey}/{featureFlagKey}/experiments/{environmentKey}/{metricKey}",
                lambda call, scene: call(
                    "checkout-button", "checkout-conversion", start=datetime(2026, 1, 1, tzinfo=UTC)
                ),
                lambda found: len(found.totals) == 2,
            ),
        ),
    ),
    Row(
        "patch experiment: several instructions in one patch, with `comment`",
        (
            Case("patch_experiment", f"PATCH {EXPERIMENT}", _patch, lambda found: found.name == "Bolder"),
            Case(
                "update_experiment",
                f"PATCH {EXPERIMENT}",
                lambda call, scene: call("bold", {"name": "Bolder", "tags": {"operation": "add", "value": ["q1"]}}),
                lambda reached: reached.changed and reached.value.name == "Bolder",
            ),
            Case(
                "start_iteration",
                f"PATCH {EXPERIMENT}",
                lambda call, scene: call("bold", scene.iteration_id),
                lambda started: started.already_running,
            ),
            Case(
                "stop_iteration",
                f"PATCH {EXPERIMENT}",
                lambda call, scene: call("bold", scene.iteration_id, winner="Bold", reason="better"),
                lambda stopped: stopped.effect.variation.value == "bold" and not stopped.already_stopped,
            ),
            Case("archive_experiment", f"PATCH {EXPERIMENT}", _archive, lambda reached: reached.value.archived),
            Case("restore_experiment", f"PATCH {EXPERIMENT}", _restore, lambda reached: not reached.value.archived),
            Case(
                "save_and_start",
                f"PATCH {EXPERIMENT}",
                lambda call, scene: call("bold", scene.iteration_id, {"hypothesis": "Much better."}),
                lambda saved: saved.iteration.running and saved.iteration.hypothesis == "Much better.",
            ),
        ),
        (
            "LaunchDarklyUpdateExperimentOperator",
            "LaunchDarklyStartIterationOperator",
            "LaunchDarklyStopIterationOperator",
            "LaunchDarklyArchiveExperimentOperator",
            "LaunchDarklyRestoreExperimentOperator",
            "LaunchDarklySaveAndStartIterationOperator",
        ),
    ),
    Row(
        "get and put experimentation settings",
        (
            Case(
                "get_experimentation_settings",
                f"GET {IN_PROJECT}/experimentation-settings",
                lambda call, scene: call(),
                lambda found: found.randomization_units,
            ),
            Case(
                "put_experimentation_settings",
                f"PUT {IN_PROJECT}/experimentation-settings",
                lambda call, scene: call({"randomizationUnits": [{"randomizationUnit": "user", "default": True}]}),
                lambda found: [unit.randomization_unit for unit in found.randomization_units] == ["user"],
            ),
            Case(
                "merge_randomization_units",
                f"PUT {IN_PROJECT}/experimentation-settings",
                lambda call, scene: call(UNITS),
                lambda reached: len(reached.value.randomization_units) > 1,
            ),
        ),
        ("LaunchDarklyUpdateExperimentationSettingsOperator",),
    ),
)
