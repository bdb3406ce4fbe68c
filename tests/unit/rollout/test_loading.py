"""The loader and the validator agree: whatever a file holds, each rollout that is called valid becomes a DAG."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.sdk import DAG
from airflow.timetables.base import TimeRestriction
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.rollout import loading
from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.rollout.files import Broken, NamedRollout, read_files, rollout_files
from airflow_provider_launchdarkly.rollout.loading import load_rollouts

ROLLOUT: dict[str, Any] = {
    "experiment": {
        "flag": "checkout-button",
        "hypothesis": "Bold is better.",
        "primary_metric": "conversion",
        "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
    },
    "stages": [{"allocation": 10, "dwell": "2d"}, {"allocation": 50, "gate": "decision"}],
}
TEXTS = st.sampled_from(
    [
        *(
            "Bold Button",
            "button ",
            " ",
            "",
            "a/b",
            "ü",
            "see runbook.md",
            "x.broken",
            "1",
            "true",
            "{{ x }}",
            "a\tb",
            ".",
        ),
        *("b" * 201, "\x00", "\ud800", "\u2028", "%s", "a\nb", "None", "every monday", "@daily", "# a"),
    ]
) | st.text(max_size=8)
VALUES = TEXTS | st.none() | st.booleans() | st.integers(-1, 101) | st.floats() | st.just({"a": 1.0}) | st.just([1])
SCHEDULES = st.sampled_from(
    [
        *("every monday", "@fortnightly", "@reboot", "@once", "@continuous", "@quarterly", "@Daily", "0 9 * * mon"),
        *("0 0 31 2 *", "61 * * * *", "H 9 * * *", "R * * * *", "0 9 * * * 0 2030", "0 9 * * * 0 2001", "* * * * * *"),
        *("0 0 29 2 mon#5", "0 9 * * mon ", "None", "30 2 * * *", "0 0 L * *"),
    ]
) | st.text("0123456789*/-,LlR#hH@ monau", max_size=12)
DURATIONS = st.sampled_from(["7d", "0d", "999999999999d", "36500d", "P7D", "PT0.000001S", "-1d", "1h"])
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Europe", "europe/berlin", "", "../UTC", "Mars/Olympus", "+02:00"])
# Where a file differs from the valid one: the place and the value.
CHANGES = st.one_of(
    *(
        st.tuples(st.just(place), values)
        for place, values in [
            (("experiment", "key"), TEXTS),
            (("experiment", "name"), VALUES),
            (("experiment", "flag"), VALUES),
            (("experiment", "rule"), TEXTS),
            (("experiment", "hypothesis"), VALUES),
            (("experiment", "description"), VALUES),
            (("experiment", "primary_metric"), TEXTS),
            (("experiment", "metrics"), st.lists(VALUES, max_size=2)),
            (("experiment", "tags"), st.lists(TEXTS, max_size=2)),
            (("experiment", "attributes"), st.lists(TEXTS, max_size=2)),
            (("experiment", "methodology"), TEXTS),
            (("experiment", "analysis_config"), VALUES),
            (("experiment", "randomization_unit"), VALUES),
            (("experiment", "not_in_experiment_variation"), VALUES),
            (("experiment", "treatments", 1, "variation"), VALUES),
            (("experiment", "treatments", 1, "name"), VALUES),
            (("stages", 0, "allocation"), VALUES | st.just({"Bold": 5}) | st.just({"true": 5})),
            (("stages", 0, "dwell"), DURATIONS | VALUES),
            (("stages", 0, "name"), VALUES),
            (("stages", 0, "notes"), TEXTS),
            (("stages", 0, "approval"), st.booleans()),
            (("notes",), TEXTS),
            (("connection",), TEXTS),
            (("project",), TEXTS),
            (("approval",), st.fixed_dictionaries({"timeout": DURATIONS, "users": st.lists(TEXTS, max_size=1)})),
            (("endings",), st.fixed_dictionaries({"inconclusive": st.just("ask"), "extension": DURATIONS})),
            (("policy",), st.fixed_dictionaries({"guardrails": st.lists(st.fixed_dictionaries({"metric": TEXTS}))})),
            (("policy", "max_duration"), DURATIONS),
            (("policy", "looks"), st.fixed_dictionaries({"cron": SCHEDULES, "timezone": ZONES})),
            (("change_window", "timezone"), ZONES),
            (("change_window", "blackout"), st.just(["2020-01-01/2099-12-31"])),
            (("dag", "schedule"), SCHEDULES | VALUES),
            (("dag", "timezone"), ZONES),
            (("dag", "start_date"), st.dates().map(str) | VALUES),
            (("dag", "owner"), VALUES),
            (("dag", "tags"), st.lists(TEXTS, max_size=2)),
            (("dag", "retries"), VALUES),
            (("dag",), VALUES),
            ((), VALUES),
        ]
    )
)


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    step, *rest = place
    if isinstance(value, list):
        return [changed(part, tuple(rest), new) if number == step else part for number, part in enumerate(value)]
    old = value if isinstance(value, dict) else {}
    return {**old, step: changed(old.get(step, {}), tuple(rest), new)}


def text_of(rollouts: dict[str, list[Any]]) -> str:
    entries = {}
    for name, changes in rollouts.items():
        entry: Any = ROLLOUT
        for place, new in changes:
            entry = changed(entry, place, new)
        entries[name] = entry
    return json.dumps({"rollouts": entries})


def loads_in_airflow(dag: Any) -> None:
    """Do what Airflow does with a DAG after its file is parsed."""
    from airflow.serialization import serialized_objects

    dag.validate()
    dag.timetable.validate()
    names: dict[str, Any] = vars(serialized_objects)
    serializer = names.get("DagSerialization") or names["SerializedDAG"]  # before Airflow 3.2
    stored = serializer.from_dict(json.loads(json.dumps(serializer.to_dict(dag))))
    stored.timetable.validate()
    since = None if dag.start_date is None else pendulum.instance(dag.start_date)
    stored.timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(earliest=since, latest=None, catchup=False)
    )
    json.dumps(str(dag.doc_md), ensure_ascii=False).encode()


NAMES = st.sampled_from(["button", "a.b", "button.broken"]) | TEXTS
FILES = st.sampled_from(["checkout.yaml", "checkout.yml", "checkout (1).yml", "team/checkout.yaml", "b.yaml"])


@given(
    st.dictionaries(FILES, st.dictionaries(NAMES, st.lists(CHANGES, max_size=2), min_size=1, max_size=2), max_size=3)
)
@example({"a.yaml": {"button": [(("notes",), "see runbook.md")]}})
@example({"a.yaml": {"button": [(("dag", "schedule"), "0 9 * * * 0 2030")]}})
@example({"a.yaml": {"button": [(("experiment", "treatments", 1, "variation"), "Bold Button")]}})
@example({"a.yaml": {"button.broken": [], "button": [((), 5)]}})
def test_every_rollout_that_is_called_valid_is_loaded(files: dict[str, dict[str, list[Any]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, rollouts in files.items():
            (Path(folder) / name).parent.mkdir(exist_ok=True)
            (Path(folder) / name).write_text(text_of(rollouts))
        found = list(read_files(rollout_files([Path(folder)])))
        dags = load_rollouts(folder)
    valid = [entry.name for entry in found if isinstance(entry, NamedRollout)]
    broken = [entry for entry in found if isinstance(entry, Broken)]
    assert {dag_id for dag_id in dags if not dag_id.endswith(".broken")} == set(valid)
    assert len(dags) == len(valid) + len(broken)
    assert all(problem.line for entry in broken for problem in entry.problems)
    for dag in dags.values():
        loads_in_airflow(dag)


@given(
    st.sampled_from(
        ["Bold Button", "1", "true", 'say "hi"', "", "ü", True, 1, 1.5, {"size": 2}, [1], "None", "a: b # c"]
    ),
    st.sampled_from(["0 9 * * mon", "@daily", "@once", "*/5 9-17 * * mon-fri"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
)
def test_what_is_right_is_loaded(variation: Any, schedule: str, timezone: str) -> None:
    changes = [
        (("experiment", "treatments", 1, "variation"), variation),
        (("dag", "schedule"), schedule),
        (("dag", "timezone"), timezone),
    ]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.yaml").write_text(text_of({"button": changes}))
        dags = load_rollouts(folder)
    assert set(dags) == {"button"}
    assert str(dags["button"].timezone.name) == timezone
    loads_in_airflow(dags["button"])


def test_broken_files_of_one_stem_have_stand_ins_that_can_be_told_apart(tmp_path: Path) -> None:
    for name in ("a/checkout.yaml", "b/checkout.yaml", "b/checkout.yml", "checkout (1).yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("rollouts: [\n")
    (tmp_path / "c.yaml").write_text('rollouts: {"checkout": 5, "a b": 6, "c d": 7}')
    dags = load_rollouts(tmp_path)
    assert "checkout_1_.broken" in dags
    assert {"checkout.broken", "b.checkout.broken", "b.checkout.yml.broken"} < set(dags)
    assert len(dags) == len({dag.doc_md for dag in dags.values()}) == 7


def test_the_task_of_each_stand_in_finds_its_dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.yaml", "a.yml"):
        (tmp_path / name).write_text("rollouts: [\n")
    for dag_id, dag in load_rollouts(tmp_path).items():
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
        (same,) = load_rollouts(tmp_path).values()
        assert (same.dag_id, same.doc_md) == (dag_id, dag.doc_md)
        monkeypatch.delenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID")


def test_an_error_that_only_airflow_raises_breaks_one_rollout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = rollout_dag

    def fails_for_one(rollout: Any, *, dag_id: str, **arguments: Any) -> DAG:
        dag = made(rollout, dag_id=dag_id, **arguments)
        if dag_id == "bad":
            raise RuntimeError("no such thing here")
        return dag

    monkeypatch.setattr(loading, "rollout_dag", fails_for_one)
    (tmp_path / "a.yaml").write_text(text_of({"good": [], "bad": []}))
    dags = load_rollouts(tmp_path)
    assert set(dags) == {"good", "bad.broken"}
    assert "a.yaml:1: this Airflow cannot make its DAG: RuntimeError: no such thing here" in str(
        dags["bad.broken"].doc_md
    )


@pytest.mark.parametrize(
    ("dag", "field", "line"),
    [
        ('{schedule: "every monday"}', "dag.schedule", 3),
        ('{schedule: "@fortnightly"}', "dag.schedule", 3),
        ('{schedule: "0 0 30 2 *"}', "dag.schedule", 3),
        ("{timezone: Mars/Olympus}", "dag.timezone", 3),
        ("{start_date: 1066-10-14}", "dag.start_date", 3),
    ],
)
def test_an_error_of_a_schedule_names_file_line_and_field(tmp_path: Path, dag: str, field: str, line: int) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"rollouts:\n  button: {{\n    dag: {dag},\n{json.dumps(ROLLOUT)[1:]}\n")
    (found,) = read_files([file])
    assert isinstance(found, Broken)
    ((problem),) = found.problems
    assert (problem.file, problem.line, problem.field) == (file, line, field)
