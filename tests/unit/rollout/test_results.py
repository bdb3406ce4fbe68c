"""The source of a rollout's results: in Python, in files with their metrics, and in the tasks that judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_launchdarkly import DataExportResults, Rollout, WarehouseNativeResults, experiment_rollout
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.rollout.files import Broken, NamedRollout, read_files
from airflow_provider_launchdarkly.rollout.metric_sections import is_metrics_file
from airflow_provider_launchdarkly.rollout.requests import stage_design
from airflow_provider_launchdarkly.rollout.results import describe_results
from airflow_provider_launchdarkly.rollout.schema import file_schema, metrics_schema
from airflow_provider_launchdarkly.rollout.verdict_task import LaunchDarklyVerdictOperator
from airflow_provider_launchdarkly.sensors.significance import LaunchDarklyWaitForSignificanceSensor
from support.surroundings import REPOSITORY

EXPORT: dict[str, Any] = {"source": "data_export", "conn_id": "warehouse", "schema": "launchdarkly"}
ROLLOUT: dict[str, Any] = {
    "experiment": {
        "key": "bold-checkout-button",
        "flag": "checkout-button",
        "hypothesis": "Bold is better.",
        "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
        "primary_metric": "checkout-conversion",
    },
    "stages": [{"allocation": 10, "dwell": "2d"}, {"allocation": 50, "gate": "decision"}],
}


def rollout(**fields: Any) -> Rollout:
    return Rollout.from_json({**ROLLOUT, **fields})


def test_a_source_comes_back_from_plain_json() -> None:
    made = rollout(results=EXPORT)
    assert made.results == DataExportResults(conn_id="warehouse", schema="launchdarkly")
    assert Rollout.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert rollout().results is None


def test_units_that_do_not_count_are_only_left_out_where_they_are_known() -> None:
    policy = {"maturity": "1d", "burn_in": "12h"}
    assert rollout(policy=policy, results=EXPORT).policy.lag.days == 1
    assert rollout(policy=policy, results={"conn_id": "w", "sql": "SELECT 1"}).policy.lag.days == 1
    native = {**EXPORT, "source": "warehouse_native"}
    with pytest.raises(InvalidSettingError, match=r"policy\.maturity: 1d cannot be kept: LaunchDarkly's sums in"):
        rollout(policy=policy, results=native)
    with pytest.raises(InvalidSettingError, match=r"policy\.maturity: 1d cannot be kept: LaunchDarkly's results"):
        rollout(policy=policy)


def test_in_python_the_metrics_are_given_themselves() -> None:
    with pytest.raises(InvalidSettingError, match=r"results\.metrics: is the path 'metrics\.yaml': .*read_metrics"):
        rollout(results={**EXPORT, "metrics": "metrics.yaml"})


def test_a_field_of_the_source_that_is_wrong_is_named() -> None:
    with pytest.raises(InvalidSettingError, match=r"results\.metrics\.m\.evnt: is not known"):
        rollout(results={**EXPORT, "metrics": {"m": {"evnt": "x"}}})


def test_launchdarkly_is_not_asked_for_metrics_that_only_the_source_has() -> None:
    policy = {"guardrails": [{"metric": "page-load-ms"}, {"metric": "refunds", "direction": "lower"}]}
    made = rollout(policy=policy, results={**EXPORT, "metrics": {"refunds": {"event": "refund"}}})
    design = stage_design(made, 0)
    assert (design["metrics"], design["judged_metrics"]) == (["page-load-ms"], [])
    native = rollout(results={**EXPORT, "source": "warehouse_native"})
    assert stage_design(native, 0)["judged_metrics"] == ["checkout-conversion"]


@pytest.mark.parametrize("autonomy", ["act", "observe"])
def test_each_task_that_judges_has_the_source(autonomy: str) -> None:
    results = WarehouseNativeResults(conn_id="warehouse", schema="launchdarkly_results")
    made = rollout(results=results, autonomy=autonomy, approval={"before_ship": True})
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(made)
    waits = [task for task in dag.tasks if isinstance(task, LaunchDarklyWaitForSignificanceSensor)]
    verdicts = [task for task in dag.tasks if isinstance(task, LaunchDarklyVerdictOperator)]
    assert [task.results for task in waits] == [results.to_json()] * len(waits)
    assert [task.rollout_spec.results for task in verdicts] == [results]
    assert len(waits) == (1 if autonomy == "observe" else 2)


def test_it_is_shown_in_a_line() -> None:
    own = {**EXPORT, "metrics": {"refunds": {"event": "refund"}}}
    assert [describe_results(rollout(**fields).results) for fields in ({}, {"results": own})] == [
        "LaunchDarkly's results endpoints",
        "data_export on connection warehouse, schema launchdarkly, with metrics of its own: refunds",
    ]


FILE = """\
metrics:
  refunds: {event: refund, direction: lower}
defaults:
  results: {source: data_export, conn_id: warehouse, schema: launchdarkly}
  experiment:
    flag: checkout-button
    hypothesis: Bold is better.
    treatments: [{variation: Classic, baseline: true}, {variation: Bold}]
    primary_metric: checkout-conversion
  stages: [{allocation: 50, gate: decision}]
rollouts:
  bold:
    policy: {guardrails: [{metric: refunds}, {metric: visits}]}
    results: {metrics: metrics.yaml}
  plain:
    results: {metrics: {own: {event: own}}}
"""
METRICS = "metrics:\n  visits: {event: visit, aggregation: count, direction: higher}\n"


def files(folder: Path, rollouts: str = FILE, metrics: str = METRICS) -> list[NamedRollout | Broken]:
    (folder / "rollouts.yaml").write_text(rollouts)
    (folder / "metrics.yaml").write_text(metrics)
    return list(read_files(sorted(folder.iterdir())))


def metrics_of(entry: NamedRollout | Broken) -> list[str]:
    assert isinstance(entry, NamedRollout), entry
    results = entry.rollout.results
    assert isinstance(results, DataExportResults)
    return list(results.metrics)


def test_rollouts_share_the_metrics_of_their_file_and_those_of_another(tmp_path: Path) -> None:
    bold, plain = files(tmp_path)
    assert metrics_of(bold) == ["refunds", "visits"]
    assert metrics_of(plain) == ["refunds", "own"]
    assert is_metrics_file(tmp_path / "metrics.yaml")
    assert not is_metrics_file(tmp_path / "rollouts.yaml")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"metrics": METRICS + "    window: 7\n"}, ["metrics.yaml"]),
        ({"metrics": "metrics:\n  visits:\n    evnt: visit\n"}, ["metrics.yaml:3: metrics.visits.evnt: is not known"]),
        ({"rollouts": FILE.replace("refund,", "refund, cap: 99,")}, ["rollouts.yaml:2: metrics.refunds.cap: cuts"]),
        (
            {"rollouts": FILE.replace("{event: own}", "{evnt: own}")},
            ["rollouts.yaml:16: results.metrics.own.evnt: is not known"],
        ),
        ({"rollouts": FILE.replace("metrics: metrics.yaml", "metrics: none.yaml")}, ["none.yaml: No such file"]),
        ({"rollouts": FILE.replace("data_export", "data-export")}, ["results: results.source is 'data-export'"]),
    ],
)
def test_what_is_wrong_has_file_line_and_field(tmp_path: Path, changed: dict[str, str], told: list[str]) -> None:
    problems = [
        str(problem) for entry in files(tmp_path, **changed) if isinstance(entry, Broken) for problem in entry.problems
    ]
    assert problems
    for text in told:
        assert any(text in problem for problem in problems), problems


def test_validate_checks_a_file_of_metrics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "metrics.yaml"
    file.write_text(METRICS)
    assert main(["validate", str(file)]) == 0
    assert capsys.readouterr().out == "valid rollouts: 0, files of metrics: 1\n"
    file.write_text(METRICS.replace("event:", "evnt:"))
    assert main(["validate", str(tmp_path)]) == 1
    assert "metrics.yaml:2: metrics.visits.evnt: is not known" in capsys.readouterr().err


def test_the_schemas_take_what_is_valid() -> None:
    import jsonschema
    import yaml

    jsonschema.validate(yaml.safe_load(FILE), file_schema())
    jsonschema.validate(yaml.safe_load(METRICS), metrics_schema())
    wrongs: tuple[dict[str, Any], ...] = ({"metrics": {}}, {"metrics": {"m": {"evnt": "x"}}})
    for wrong in wrongs:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, metrics_schema())


def test_the_written_schema_of_metrics_is_the_code_s() -> None:
    assert json.loads((REPOSITORY / "docs" / "metrics.schema.json").read_text()) == metrics_schema()
