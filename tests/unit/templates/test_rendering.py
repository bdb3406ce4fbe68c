"""Templates in fields: a literal, its text and its native value give the same request, or the same refusal."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from airflow.sdk import DAG
from hypothesis import given, settings
from hypothesis import strategies as st

import airflow_provider_launchdarkly as package
from airflow_provider_launchdarkly import (
    ChangeWindow,
    LaunchDarklyChangeWindowSensor,
    LaunchDarklyCreateExperimentOperator,
    LaunchDarklyJudgeOperator,
    LaunchDarklySetFlagOperator,
    LaunchDarklyStopIterationOperator,
    LaunchDarklyTrafficSensor,
    LaunchDarklyUpdateExperimentOperator,
    LaunchDarklyWaitForSignificanceSensor,
    Policy,
)
from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.templates.fields import FIELDS, read_field
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.experiment_tasks import DESIGN, count, task_context

NATIVE = pytest.mark.parametrize("native", [False, True], ids=["text", "native"])


def rendered(task: Any, native: bool, **values: Any) -> Any:
    """Render a task's templates as Airflow does before it executes the task."""
    task.dag = DAG("templates", schedule=None, render_template_as_native_obj=native)
    task.render_template_fields({**task_context(), "params": values, "dag": task.dag, "task": task})
    return task


def create(**changes: Any) -> Any:
    return LaunchDarklyCreateExperimentOperator(task_id="create", **{**DESIGN, "name": "Button"} | changes)


def public_tasks() -> list[Any]:
    classes = [getattr(package, name) for name in vars(package)["__all__"] if name.startswith("LaunchDarkly")]
    return [kind for kind in classes if getattr(kind, "template_fields", None) and hasattr(kind, "execute")]


@pytest.mark.parametrize("kind", public_tasks(), ids=lambda kind: kind.__name__)
def test_each_template_field_of_each_operator_and_sensor_has_a_type(kind: Any) -> None:
    assert set(kind.template_fields) - set(FIELDS) == set()


@NATIVE
@pytest.mark.parametrize("key", ["123", "2024_01", "1e5", "True", "None_1", "0x10", "007"])
def test_a_key_stays_as_it_is_written(key: str, native: bool, connection: str, emulator: EmulatorServer) -> None:
    as_template = rendered(create(experiment_key="{{ params.key }}"), native, key=key)
    as_literal = rendered(create(experiment_key=key), native)
    for task in (as_literal, as_template):
        assert task.execute(task_context())["experiment_key"] == key
    assert count(emulator, "experiment.created") == 1


@NATIVE
def test_a_key_with_a_space_is_refused_as_a_literal_and_from_a_template(native: bool, connection: str) -> None:
    with pytest.raises(ConfigurationError, match=r"key: .*given '\[1, 2\]x'"):
        create(experiment_key="[1, 2]x")
    with pytest.raises(AirflowFailException, match=r"key: .*given '\[1, 2\]x'"):
        rendered(create(experiment_key="{{ params.key }}"), native, key="[1, 2]x").execute(task_context())


@NATIVE
def test_a_number_as_a_key_counts_as_its_text(native: bool, connection: str) -> None:
    output = rendered(create(experiment_key="{{ params.key }}"), native, key=123).execute(task_context())
    assert output["experiment_key"] == "123"
    assert output["url"].partition("?")[0].endswith("/123")


@NATIVE
def test_a_design_from_templates_is_the_same_design(native: bool, connection: str, emulator: EmulatorServer) -> None:
    create().execute(task_context())
    task = create(
        treatments=[
            {
                "variation": "{{ params.old }}",
                "allocation_percent": "{{ params.share }}",
                "baseline": "{{ params.yes }}",
            },
            {"variation": "Bold", "allocation_percent": "{{ 50 }}", "baseline": "{{ params.no }}"},
        ],
        metrics="{{ params.metrics }}",
        maintainer_id="{{ params.nothing }}",
        tags="{{ params.empty }}",
        can_reshuffle_traffic="{{ params.nothing }}",
    )
    values = {"old": "Classic", "share": 50, "yes": True, "no": "false", "metrics": ["page-load-ms"]}
    output = rendered(task, native, **values, nothing=None, empty="").execute(task_context())
    assert output["changed"] is False
    assert count(emulator, "experiment.created") == 1


@NATIVE
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("can_reshuffle_traffic", "perhaps", "can_reshuffle_traffic is 'perhaps': write True or False"),
        ("tags", "a,b", "tags is 'a,b': write a list"),
        ("attributes", [{}], r"attributes\[0\] is \{\}: write text"),
        ("experiment_key", ["a"], r"experiment_key is \['a'\]: write text"),
        ("experiment_key", None, "experiment_key is None: give a value"),
        ("experiment_key", "", "experiment_key is '': give a value"),
        ("analysis_config", 5, "analysis_config is 5: write a mapping"),
        ("primary_metric", True, "primary_metric is True: write text"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_written(
    field: str, value: Any, message: str, native: bool, connection: str, emulator: EmulatorServer
) -> None:
    task = rendered(create(**{field: "{{ params.value }}"}), native, value=value)
    with pytest.raises(AirflowFailException, match=message):
        task.execute(task_context())
    assert emulator.journal() == []


@NATIVE
def test_a_part_of_a_treatment_is_named(native: bool, connection: str, emulator: EmulatorServer) -> None:
    treatments = [
        {"variation": "Classic", "allocation_percent": "{{ params.share }}", "baseline": True},
        {"variation": "Bold", "allocation_percent": 50},
    ]
    task = rendered(create(treatments=treatments), native, share="half")
    with pytest.raises(AirflowFailException, match=r"treatments\[0\]\.allocation_percent is 'half': write a number"):
        task.execute(task_context())
    assert emulator.journal() == []


POLICY = {
    "alpha": 0.04,
    "min_units_per_treatment": 50,
    "looks": {"only_at_end": True},
    "guardrails": [{"metric": "page-load-ms", "prove": True, "margin": 0.01}],
    "planned_units": None,
    "traffic": {"units_per_day": 100.0, "mean": 0.1},
}


def judge(policy: Any) -> Any:
    return LaunchDarklyJudgeOperator(task_id="judge", experiment_key="button", iteration_id="i", policy=policy)


def wait(policy: Any) -> Any:
    return LaunchDarklyWaitForSignificanceSensor(
        task_id="wait", experiment_key="button", iteration_id="i", policy=policy
    )


def as_text(value: Any) -> Any:
    """Return the value with each number, truth value and None as Jinja writes it."""
    if isinstance(value, dict):
        return {key: as_text(part) for key, part in value.items()}
    return [as_text(part) for part in value] if isinstance(value, list) else str(value)


def leaves(value: Any, names: dict[str, Any]) -> Any:
    """Return the value with a template for each leaf, and put the leaf among the names."""
    if isinstance(value, dict):
        return {key: leaves(part, names) for key, part in value.items()}
    if isinstance(value, list):
        return [leaves(part, names) for part in value]
    name = f"p{len(names)}"
    names[name] = value
    return f"{{{{ params.{name} }}}}"


@NATIVE
@pytest.mark.parametrize("task_with", [judge, wait])
@pytest.mark.parametrize("shape", [lambda value: value, as_text], ids=["values", "texts"])
def test_a_policy_of_templates_is_the_same_policy(task_with: Any, shape: Any, native: bool) -> None:
    names: dict[str, Any] = {}
    templates = leaves(shape(POLICY), names)
    task = rendered(task_with(templates), native, **names)
    task.read_fields()
    assert Policy.from_json(task.policy) == Policy.from_json(POLICY)


@NATIVE
@pytest.mark.parametrize("whole", [POLICY, json.dumps(POLICY), str(POLICY)], ids=["mapping", "json", "python"])
def test_a_policy_is_one_template(whole: Any, native: bool) -> None:
    for task_with in (judge, wait):
        task = rendered(task_with("{{ params.policy }}"), native, policy=whole)
        task.read_fields()
        assert Policy.from_json(task.policy) == Policy.from_json(POLICY)


def test_a_policy_is_another_tasks_output() -> None:
    from airflow.sdk import task as make_task

    with DAG("templates", schedule=None):

        @make_task
        def choose() -> dict[str, Any]:
            return POLICY

        for task in (judge(choose()), wait(choose())):
            assert len(task.upstream_task_ids) == 1
        window = LaunchDarklyChangeWindowSensor(task_id="window", window=choose())  # type: ignore[arg-type]
        assert len(window.upstream_task_ids) == 1


@NATIVE
def test_a_wrong_policy_of_templates_names_field_value_and_cure(native: bool, connection: str) -> None:
    task = rendered(judge({"alpha": "{{ params.alpha }}"}), native, alpha="a lot")
    with pytest.raises(AirflowFailException, match=r"alpha: write a number \(given 'a lot'\)"):
        task.execute(task_context())
    with pytest.raises(AirflowFailException, match=r"alpha: is a probability of error, below 0\.5, .* \(given 0\.9\)"):
        rendered(wait({"alpha": "{{ params.alpha }}"}), native, alpha="0.9").execute(task_context())


def test_text_for_a_number_in_code_is_refused_at_once() -> None:
    for task_with in (judge, wait):
        with pytest.raises(InvalidSettingError, match=r"alpha: write a number \(given '0.05'\)"):
            task_with({"alpha": "0.05"})


WINDOW = {"timezone": "Europe/Berlin", "weekdays": ["mon", "tue"], "hours": ["09:00-17:00"]}


@NATIVE
@pytest.mark.parametrize("whole", [WINDOW, json.dumps(WINDOW), str(WINDOW)], ids=["mapping", "json", "python"])
def test_a_window_is_one_template(whole: Any, native: bool) -> None:
    task = rendered(
        LaunchDarklyChangeWindowSensor(task_id="window", window="{{ params.window }}"),  # type: ignore[arg-type]
        native,
        window=whole,
    )
    task.read_fields()
    assert ChangeWindow.from_json(task.window) == ChangeWindow.from_json(WINDOW)


@pytest.mark.parametrize("window", [5, "always", None])
def test_a_window_that_is_none_is_refused_with_its_name(window: Any) -> None:
    with pytest.raises(InvalidSettingError, match=f"window is {window!r}: write a ChangeWindow, or a mapping"):
        LaunchDarklyChangeWindowSensor(task_id="window", window=window)


@NATIVE
@pytest.mark.parametrize("units", [100, "100"])
def test_units_are_a_number_or_its_text(units: Any, native: bool) -> None:
    task = LaunchDarklyTrafficSensor(
        task_id="t",
        experiment_key="button",
        iteration_id="i",
        units_per_treatment="{{ params.units }}",  # type: ignore[arg-type]
    )
    task = rendered(task, native, units=units)
    task.read_fields()
    assert task.units_per_treatment == 100


@NATIVE
def test_a_flag_is_set_by_templates(native: bool, connection: str, emulator: EmulatorServer) -> None:
    task = LaunchDarklySetFlagOperator(
        task_id="set",
        flag_key="checkout-button",
        on="{{ params.on }}",  # type: ignore[arg-type]
        rollout={"Classic": "{{ params.old }}", "Bold": "{{ params.new }}"},
    )
    output = rendered(task, native, on="True", old=30, new="70").execute(task_context())
    assert output["on"] is True
    assert sorted(output["serves"].values()) == [30, 70]


@NATIVE
@pytest.mark.parametrize("shape", [lambda verdict: verdict, str, json.dumps], ids=["mapping", "python", "json"])
def test_a_verdict_that_a_template_gives_names_the_winner(
    shape: Any, native: bool, connection: str, emulator: EmulatorServer
) -> None:
    from airflow_provider_launchdarkly.operators._winner import choose_winner

    verdict = {"verdict": "rollback", "experiment_key": "button", "iteration_id": "i", "summary": "harm"}
    task = LaunchDarklyStopIterationOperator(
        task_id="stop", experiment_key="button", iteration_id="i", winner="{{ params.verdict }}"
    )
    task = rendered(task, native, verdict=shape(verdict))
    task.read_fields()
    assert choose_winner(task.winner, experiment_key="button", iteration_id="i").treatment == "baseline"


@NATIVE
def test_changes_are_read_by_the_type_of_each_field(native: bool) -> None:
    task = LaunchDarklyUpdateExperimentOperator(
        task_id="update",
        experiment_key="button",
        changes={"name": "2024_01", "canReshuffleTraffic": "{{ params.no }}", "tags": "{{ params.tags }}"},
    )
    task = rendered(task, native, no="False", tags='["a", 1]')
    task.read_fields()
    assert task.changes == {"name": "2024_01", "canReshuffleTraffic": False, "tags": ["a", "1"]}


@NATIVE
def test_a_mapped_task_reads_its_values(native: bool, connection: str, emulator: EmulatorServer) -> None:
    with DAG("templates", schedule=None, render_template_as_native_obj=native) as dag:
        mapped = LaunchDarklyCreateExperimentOperator.partial(
            task_id="create", **{**DESIGN, "experiment_key": "{{ params.key }}"}
        ).expand(name=["2024_01"])
    context = {**task_context(), "params": {"key": 7}, "dag": dag, "task": mapped}
    task = mapped.unmap({"name": "2024_01"})
    task.dag = dag
    task.render_template_fields(context)  # type: ignore[arg-type]
    assert (task.name, task.execute(task_context())["experiment_key"]) == ("2024_01", "7")  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["{{ missing }}", "{{ params.missing }}"])
def test_a_name_that_does_not_exist_is_an_error(text: str) -> None:
    from jinja2 import UndefinedError

    with pytest.raises((UndefinedError, KeyError)):
        rendered(create(description=text), native=True)


def test_blocks_macros_and_filters_work_and_several_parts_are_text() -> None:
    task = create(
        description="{% set b %}{{ params.n }}{% endset %}{% macro m(x) %}<{{ x }}>{% endmacro %}{{ b }}{{ m(2) }}",
        hypothesis="{{ params.n }} of {{ params.n | string }}",
    )
    task = rendered(task, native=True, n=1)
    assert (task.description, task.hypothesis) == ("1<2>", "1 of 1")


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 500),
    st.floats(0, 100).map(lambda x: round(x, 3)),
    st.sampled_from(["a", "123", "2024_01", "True", "false", "None", "0.05", "7d", "[1, 2]", "{}", "a b", ""]),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.sampled_from(["key", "a"]), SCALARS))


def outcome(name: str, value: Any) -> tuple[str, Any]:
    try:
        return "request", read_field(name, value)
    except ConfigurationError as error:
        return "refusal", str(error)


DAGS = [DAG("templates", schedule=None, render_template_as_native_obj=native) for native in (False, True)]
TASKS = [create(dag=dag) for dag in DAGS]


@settings(max_examples=25, deadline=None)
@given(value=VALUES)
@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_value_is_read_alike_as_a_literal_and_through_either_rendering(name: str, value: Any) -> None:
    found = [task.render_template("{{ params.value }}", {"params": {"value": value}}) for task in TASKS]
    assert found == [value, value]
    kind, read = outcome(name, value)
    assert all(outcome(name, each) == (kind, read) for each in found)
    if kind == "request":
        assert outcome(name, read) == (kind, read)  # safe to repeat
    else:
        assert name in read
        assert len(read) < 400


@settings(max_examples=60, deadline=None)
@given(number=st.one_of(st.integers(0, 500), st.floats(0.001, 0.499).map(lambda x: round(x, 4))), truth=st.booleans())
def test_the_text_of_a_value_is_read_as_the_value(number: float, truth: bool) -> None:
    assert float(read_field("rollout", {"a": str(number)})["a"]) == number
    assert read_field("on", str(truth)) is truth
    if isinstance(number, int):
        assert read_field("units_per_treatment", str(number)) == number
    else:
        assert read_field("policy", {"alpha": str(number)}) == {"alpha": number}
    assert read_field("dwell", timedelta(days=1)) == timedelta(days=1)


def test_a_sensor_defers_with_the_values_that_it_read(connection: str, emulator: EmulatorServer) -> None:
    iteration = create().execute(task_context())["iteration_id"]
    task = LaunchDarklyWaitForSignificanceSensor(
        task_id="wait", experiment_key="button", iteration_id=iteration, policy={"alpha": "{{ params.alpha }}"}
    )
    with pytest.raises(TaskDeferred) as deferred:
        rendered(task, native=False, alpha="0.04").execute(task_context())
    assert json.loads(deferred.value.trigger.serialize()[1]["policy"]) == {"alpha": 0.04}
