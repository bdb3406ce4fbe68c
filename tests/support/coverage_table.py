"""LaunchDarkly's API, row by row: which call of the hook does it, at which endpoint, and what else there is.

The tests run every call of this table both ways; `docs/coverage.md` is this table written out
(`python tests/support/coverage_table.py` writes it).
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.models import (
    FlagPost,
    HoldoutPost,
    LayerPost,
    MetricGroupPost,
    MetricPost,
    TurnFlagOn,
    UpdateDescription,
    UpdateName,
)
from airflow_provider_launchdarkly.api.writes.flags import Serving
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators._design import IterationDesign
from support.surroundings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.testing import EmulatorServer

PAGE = REPOSITORY / "docs" / "coverage.md"
TEST = "tests/unit/hooks/test_every_call.py"
IN_ENV = "/api/v2/projects/{projectKey}/environments/{environmentKey}"
IN_PROJECT = "/api/v2/projects/{projectKey}"
EXPERIMENT = f"{IN_ENV}/experiments/{{experimentKey}}"
TREATMENTS = [
    {"variation": "Classic", "allocation_percent": 50, "baseline": True},
    {"variation": "Bold", "allocation_percent": 50},
]


class Scene:
    """A project in which the experiment `bold` runs, with a metric and a funnel measured, and half a day gone."""

    def __init__(self, hook: LaunchDarklyHook, emulator: EmulatorServer) -> None:
        from airflow_provider_launchdarkly.api.models import ExperimentPost

        self.hook = hook
        self.emulator = emulator
        flag = hook.get_flag("checkout-button")
        self.classic, self.bold = (variation.id for variation in flag.variations)
        self.iteration = self.design().resolve(flag)
        self.post = ExperimentPost.checked(
            {"key": "bold", "name": "Bold", "methodology": "bayesian", "iteration": self.iteration}
        )
        self.iteration_id = hook.create_experiment(self.post).iteration.id
        hook.start_iteration("bold", self.iteration_id, turn_flag_on=True)
        emulator.clock.advance("PT36H")

    @staticmethod
    def design(**changes: Any) -> IterationDesign:
        fields: dict[str, Any] = {
            "flag_key": "checkout-button",
            "hypothesis": "Bold is better.",
            "treatments": TREATMENTS,
            "primary_metric": "checkout-conversion",
            "metrics": [{"key": "signup-funnel", "is_group": True}],
            "attributes": ["country"],
        }
        return IterationDesign(**(fields | changes))

    def stop(self) -> None:
        self.hook.stop_iteration("bold", self.iteration_id, winner="baseline", reason="enough")

    def layer(self) -> str:
        self.hook.run(endpoints.create_layer("demo", LayerPost(key="checkout", name="Checkout", description="One")))
        return "checkout"

    def holdout(self) -> Any:
        self.hook.create_flag(FlagPost(key="holdout-q1", name="Holdout Q1", purpose="holdout"))
        return self.hook.run(
            endpoints.create_holdout(
                self.hook.environment(),
                HoldoutPost.checked(
                    {
                        "key": "q1",
                        "name": "Q1",
                        "randomization_unit": "user",
                        "attributes": ["country"],
                        "holdout_amount": "10",
                        "primary_metric_key": "checkout-conversion",
                        "metrics": [{"key": "checkout-conversion"}],
                        "prerequisite_flag_key": "holdout-q1",
                        "maintainer_id": self.hook.get_caller_identity().member_id,
                    }
                ),
            )
        )


@dataclass(frozen=True)
class Case:
    """One call of the hook.

    Attributes:
        call: The hook's method.
        endpoint: Method and path of the endpoint it is for.
        make: Calls it; given the bound call, or its `aio`, and the scene. May prepare the scene before.
        holds: What must be true of the answer.
    """

    call: str
    endpoint: str
    make: Callable[[Any, Scene], Any]
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class Row:
    """One row of LaunchDarkly's API.

    Attributes:
        title: What it is.
        cases: The hook's calls.
        also: Operators and sensors, by class name.
    """

    title: str
    cases: tuple[Case, ...]
    also: tuple[str, ...] = ()


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


def _stop_flag(call: Any, scene: Scene, **kwargs: Any) -> Any:
    scene.stop()
    return call("checkout-button", Serving(weights={scene.classic: 90_000, scene.bold: 10_000}), **kwargs)


UNITS = [{"randomization_unit": "organization", "default": True}]
METRIC = MetricPost(key="signups", kind="custom", event_key="signup", name="Sign-ups", is_numeric=False)

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
        ("LaunchDarklyListExperimentsOperator",),
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
RESOURCES = (
    Row(
        "flags: get, list, create, semantic patch, `dryRun`",
        (
            Case(
                "get_flag",
                "GET /api/v2/flags/{projectKey}/{featureFlagKey}",
                lambda call, scene: call("checkout-button"),
                lambda flag: flag.environments["production"].on,
            ),
            Case(
                "list_flags",
                "GET /api/v2/flags/{projectKey}",
                lambda call, scene: call(with_rules=True),
                lambda found: "checkout-button" in _keys(found),
            ),
            Case(
                "create_flag",
                "POST /api/v2/flags/{projectKey}",
                lambda call, scene: call(FlagPost(key="new-footer", name="New footer")),
                lambda made: not made.adopted and made.value.key == "new-footer",
            ),
            Case(
                "patch_flag",
                "PATCH /api/v2/flags/{projectKey}/{featureFlagKey}",
                lambda call, scene: call("pricing-page", [TurnFlagOn()], dry_run=True),
                lambda flag: flag.key == "pricing-page",
            ),
            Case(
                "turn_flag",
                "PATCH /api/v2/flags/{projectKey}/{featureFlagKey}",
                lambda call, scene: call("pricing-page", on=True),
                lambda reached: reached.changed and reached.value.environments["production"].on,
            ),
            Case(
                "serve",
                "PATCH /api/v2/flags/{projectKey}/{featureFlagKey}",
                _stop_flag,
                lambda reached: reached.value.environments["production"].fallthrough.rollout is not None,
            ),
        ),
        ("LaunchDarklySetFlagOperator", "LaunchDarklyFlagStateSensor", "LaunchDarklyCheckFlagServesOperator"),
    ),
    Row(
        "metrics: get, list, create",
        (
            Case(
                "get_metric",
                "GET /api/v2/metrics/{projectKey}/{metricKey}",
                lambda call, scene: call("page-load-ms"),
                lambda metric: metric.lower_is_better,
            ),
            Case(
                "list_metrics",
                "GET /api/v2/metrics/{projectKey}",
                lambda call, scene: call(max_items=3),
                lambda found: len(found) == 3,
            ),
            Case(
                "create_metric",
                "POST /api/v2/metrics/{projectKey}",
                lambda call, scene: call(METRIC),
                lambda made: made.value.key == "signups",
            ),
        ),
    ),
    Row(
        "metric groups: get, list, create",
        (
            Case(
                "get_metric_group",
                f"GET {IN_PROJECT}/metric-groups/{{metricGroupKey}}",
                lambda call, scene: call("signup-funnel"),
                lambda group: len(group.metrics) == 3,
            ),
            Case(
                "list_metric_groups",
                f"GET {IN_PROJECT}/metric-groups",
                lambda call, scene: call(),
                lambda found: "page-health" in _keys(found),
            ),
            Case(
                "create_metric_group",
                f"POST {IN_PROJECT}/metric-groups",
                lambda call, scene: call(
                    MetricGroupPost.checked(
                        {
                            "key": "health",
                            "name": "Health",
                            "kind": "standard",
                            "maintainer_id": scene.hook.get_caller_identity().member_id,
                            "metrics": [
                                {"key": "checkout-errors", "name_in_group": "Errors"},
                                {"key": "page-load-ms", "name_in_group": "Speed"},
                            ],
                        }
                    )
                ),
                lambda made: made.value.key == "health",
            ),
        ),
    ),
    Row(
        "holdouts: get, list, end",
        (
            Case(
                "list_holdouts",
                f"GET {IN_ENV}/holdouts",
                lambda call, scene: scene.holdout() and call(),
                lambda found: len(found) == 1,
            ),
            Case(
                "get_holdout",
                f"GET {IN_ENV}/holdouts/{{holdoutKey}}",
                lambda call, scene: scene.holdout() and call("q1"),
                lambda holdout: holdout.status,
            ),
            Case(
                "get_holdout_by_id",
                f"GET {IN_ENV}/holdouts/id/{{holdoutId}}",
                lambda call, scene: call(scene.holdout().id),
                lambda holdout: holdout.status,
            ),
            Case(
                "end_holdout",
                f"PATCH {IN_ENV}/holdouts/{{holdoutKey}}",
                lambda call, scene: scene.holdout() and call("q1"),
                lambda reached: reached.changed and reached.value.status == "ended",
            ),
        ),
    ),
    Row(
        "layers: list, reserve",
        (
            Case(
                "list_layers",
                f"GET {IN_PROJECT}/layers",
                lambda call, scene: scene.layer() and call(),
                lambda page: [layer.key for layer in page.items] == ["checkout"],
            ),
            Case(
                "reserve_layer",
                f"PATCH {IN_PROJECT}/layers/{{layerKey}}",
                lambda call, scene: call(scene.layer(), "bold", 40),
                lambda reached: reached.changed,
            ),
        ),
    ),
    Row(
        "projects, environments: get, list",
        (
            Case("get_project", f"GET {IN_PROJECT}", lambda call, scene: call(), lambda project: project.key == "demo"),
            Case(
                "list_projects",
                "GET /api/v2/projects",
                lambda call, scene: call(),
                lambda found: "demo" in _keys(found),
            ),
            Case(
                "get_environment",
                f"GET {IN_ENV}",
                lambda call, scene: call("test"),
                lambda environment: environment.key == "test" and "sdk" not in repr(environment),
            ),
            Case(
                "list_environments",
                f"GET {IN_PROJECT}/environments",
                lambda call, scene: call(),
                lambda found: _keys(found) == {"production", "test"},
            ),
        ),
    ),
    Row(
        "caller identity; versions",
        (
            Case(
                "get_caller_identity",
                "GET /api/v2/caller-identity",
                lambda call, scene: call(),
                lambda identity: identity.token_name == "emulator",
            ),
            Case(
                "get_versions",
                "GET /api/v2/versions",
                lambda call, scene: call(),
                lambda versions: 20240415 in versions.valid_versions,
            ),
        ),
        ("`test_connection`", "LaunchDarklyChangeWindowSensor"),
    ),
)
ROWS = (*EXPERIMENTS, *RESOURCES)
CASES = [case for row in ROWS for case in row.cases]


def pages() -> dict[str, str]:
    """Return the documentation page of each operator and sensor of the table, by class name, if there is one.

    A page is named for its class: `wait-for-significance.md` for `LaunchDarklyWaitForSignificanceSensor`.
    """
    docs = REPOSITORY / "docs"
    by_name = {path.stem: path.relative_to(docs).as_posix() for path in sorted(docs.rglob("*.md"))}
    names = [name for row in ROWS for name in row.also if name.startswith("LaunchDarkly")]
    return {name: by_name[kebab_case(name)] for name in names if kebab_case(name) in by_name}


def kebab_case(name: str) -> str:
    """Return the name of a class's page: `wait-for-significance` for `LaunchDarklyWaitForSignificanceSensor`."""
    core = name.removeprefix("LaunchDarkly").removesuffix("Operator").removesuffix("Sensor")
    return re.sub(r"(?<!^)(?=[A-Z])", "-", core).lower()


def page() -> str:
    """`docs/coverage.md`."""
    where = pages()
    lines = [
        "# LaunchDarkly's API, call by call",
        "",
        "Each call of LaunchDarkly's Experiments API, and of the resources that experiments need: the hook's call, the",
        "endpoint, and the operator or sensor. The hook's calls run in a task as they stand, and on an event loop with",
        "`.aio`.",
        "",
        f"`{TEST}` runs each row in both forms against the emulator; `pytest` with the last column",
        "selects it. In the paths, `P` is `/api/v2/projects/{projectKey}` and `E` is",
        "`P/environments/{environmentKey}`.",
        "",
        "| | hook | endpoint | also as | test |",
        "|---|---|---|---|---|",
    ]
    for row in ROWS:
        also = "<br>".join(f"[{name}]({where[name]})" if name in where else name for name in row.also)
        for number, case in enumerate(row.cases):
            title, others = (row.title, also) if number == 0 else ("", "")
            endpoint = case.endpoint.replace(IN_ENV, "E").replace(IN_PROJECT, "P")
            lines.append(f"| {title} | `{case.call}` | `{endpoint}` | {others} | `-k {case.call}` |")
    lines += ["", "[LaunchDarklyHook](reference/hook.md) lists the parameters of each call.", ""]
    return "\n".join(lines)


def calls_of_the_hook() -> set[str]:
    """Every call that the hook has."""
    from airflow_provider_launchdarkly.hooks.calls import Call, Walk

    return {name for name, member in inspect.getmembers(LaunchDarklyHook) if isinstance(member, Call | Walk)}


if __name__ == "__main__":
    PAGE.write_text(page())
