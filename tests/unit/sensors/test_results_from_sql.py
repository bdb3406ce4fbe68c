"""The sensor with results from a warehouse: the query runs on the worker, and the triggerer only watches the clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jinja2
import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk import DAG

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.evidence.sql_config import SqlResults
from airflow_provider_launchdarkly.evidence.sql_rows import SqlResultsError
from airflow_provider_launchdarkly.evidence.sql_statement import BindingError
from airflow_provider_launchdarkly.evidence.warehouse.driver_errors import WarehouseError
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger
from support.failing import fails_at_once
from support.warehouse import CONNECTION, Warehouse
from unit.sensors.conftest import Fire, Underway, begin, wait


@pytest.fixture
def filled(warehouse: Warehouse, underway: Underway) -> Warehouse:
    ids = underway.treatments
    warehouse.fill(underway.iteration_id, underway.emulator.clock.now(), {ids["Classic"]: 0.10, ids["Bold"]: 0.14})
    return warehouse


def sensor(underway: Underway, warehouse: Warehouse, **arguments: Any) -> Any:
    return underway.sensor(results=SqlResults("warehouse", warehouse.query), **arguments)


def test_it_ships_on_the_numbers_of_the_warehouse(underway: Underway, filled: Warehouse, fire: Fire) -> None:
    verdict, events = wait(underway, fire, results=SqlResults("warehouse", filled.query))
    assert (verdict["verdict"], verdict["treatment"]) == ("ship", "Bold")
    assert verdict["look"] == len(events)
    comparison = verdict["metrics"][0]["comparisons"][0]
    assert comparison["units"] == 300 * len(events)
    assert {event["status"] for event in events} == {"look"}


def test_the_trigger_reads_no_results_and_runs_no_query(underway: Underway, filled: Warehouse, fire: Fire) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        sensor(underway, filled).execute({})
    filled.execute("DROP TABLE exposures")
    seen = len(underway.emulator.requests())
    assert fire(deferred.value) == {"status": "look", "look": {"previous_seconds": 0.0}}
    assert [line.operation for line in underway.emulator.requests(after=seen)] == ["get_experiment"]


def test_the_trigger_is_plain_json_without_the_query(underway: Underway, filled: Warehouse) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        sensor(underway, filled).execute({})
    trigger = deferred.value.trigger
    assert isinstance(trigger, SignificanceTrigger)
    _, arguments = trigger.serialize()
    assert SignificanceTrigger(**json.loads(json.dumps(arguments))).serialize() == trigger.serialize()
    assert "SELECT" not in json.dumps(arguments)


def test_a_look_that_was_taken_is_not_taken_again_after_deferring(
    underway: Underway, filled: Warehouse, fire: Fire
) -> None:
    underway.emulator.clock.advance("P1D")
    with pytest.raises(TaskDeferred) as deferred:
        sensor(underway, filled).execute({})
    assert deferred.value.trigger.previous_seconds == 86400.0
    assert fire(deferred.value)["status"] == "look"
    assert underway.emulator.clock.now() - _started(underway) == timedelta(days=2)


def _started(underway: Underway) -> Any:
    running = underway.hook.get_experiment("bold-checkout-button").running
    assert running is not None
    return running.started_at


def test_a_late_worker_takes_the_look_that_was_due(underway: Underway, filled: Warehouse) -> None:
    underway.emulator.clock.advance("P5DT20H")  # far beyond the time for which a fresh process holds a look to be due
    with pytest.raises(TaskDeferred) as deferred:
        sensor(underway, filled).execute_complete({}, {"status": "look", "look": {"previous_seconds": 4 * 86400.0}})
    assert deferred.value.trigger.previous_seconds == (5 * 24 + 20) * 3600.0
    assert _operations(underway).count("get_metric") == 1


def _operations(underway: Underway) -> list[str]:
    return [line.operation for line in underway.emulator.requests()]


def test_launchdarkly_s_results_are_never_read(underway: Underway, filled: Warehouse) -> None:
    underway.emulator.switch(results="gone")
    underway.emulator.clock.advance("P28D")
    assert sensor(underway, filled).execute({})["verdict"] == "ship"
    assert not [name for name in _operations(underway) if "results" in name]


def test_an_iteration_that_someone_stopped_is_found_at_once(underway: Underway, filled: Warehouse, fire: Fire) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        sensor(underway, filled).execute({})
    underway.stop()
    event = fire(deferred.value)
    verdict = sensor(underway, filled).execute_complete({}, event)
    assert (verdict["verdict"], verdict["reason"]) == ("invalid", "iteration_stopped")


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_it_works_without_deferring(underway: Underway, filled: Warehouse, mode: str) -> None:
    task = sensor(underway, filled, deferrable=False, mode=mode)
    assert not task.poke({}).is_done
    underway.emulator.clock.advance("P28D")
    found = task.poke({})
    assert found.is_done
    assert found.xcom_value["verdict"] == "ship"


def test_only_events_since_the_start_and_of_this_iteration_count(underway: Underway, filled: Warehouse) -> None:
    before = underway.emulator.clock.now() - timedelta(days=3)
    filled.execute(
        "INSERT INTO exposures VALUES (%s, %s, %s, %s)",
        [
            ("early", underway.iteration_id, underway.treatments["Bold"], filled._moment(before)),
            ("elsewhere", "another-iteration", underway.treatments["Bold"], filled._moment(_started(underway))),
        ],
    )
    underway.emulator.clock.advance("P28D")
    verdict = sensor(underway, filled).execute({})
    assert verdict["metrics"][0]["comparisons"][0]["units"] == 300 * 28


def test_a_warehouse_that_stands_still_does_not_ship(underway: Underway, filled: Warehouse) -> None:
    """The load stopped on day 14; on day 20 nothing is decided on what is six days old."""
    stop = filled._moment(_started(underway) + timedelta(days=14))
    filled.execute("DELETE FROM exposures WHERE exposed_at > %s", [(stop,)])
    filled.execute("DELETE FROM events WHERE happened_at > %s", [(stop,)])
    underway.emulator.clock.advance("P20D")
    found = sensor(underway, filled, deferrable=False)
    assert not found.poke({}).is_done
    underway.emulator.clock.advance("P8D")
    assert found.poke({}).xcom_value["reason"] != "better"


def test_an_experiment_that_launchdarkly_only_exports_can_be_judged(
    emulator: EmulatorServer, connection: str, warehouse: Warehouse
) -> None:
    underway = begin(emulator, methodology="export_only")
    ids = underway.treatments
    warehouse.fill(underway.iteration_id, emulator.clock.now(), {ids["Classic"]: 0.10, ids["Bold"]: 0.14})
    emulator.clock.advance("P28D")
    assert sensor(underway, warehouse).execute({})["verdict"] == "ship"


def test_captured_treatments_are_not_swapped(underway: Underway, warehouse: Warehouse) -> None:
    """The one that halves conversion is rolled back, and not shipped."""
    warehouse.fill(underway.iteration_id, underway.emulator.clock.now(), {"control": 0.10, "new": 0.05})
    mapped = (
        "CASE exposures.treatment_id WHEN 'control' THEN {{ treatments[0].id }} WHEN 'new' THEN {{ b }} END"
        " AS treatment_id"
    )
    sql = "{% set b %}{{ treatments[1].id }}{% endset %}" + warehouse.query.replace(
        "exposures.treatment_id,", f"{mapped},", 1
    ).replace("AND exposures.treatment_id IN {{ treatment_ids }}", "")
    underway.emulator.clock.advance("P28D")
    verdict = underway.sensor(results=SqlResults("warehouse", sql)).execute({})
    assert verdict["verdict"] == "rollback"
    assert verdict["metrics"][0]["comparisons"][0]["difference"] < 0


def test_a_captured_time_window_is_the_window_that_was_written(underway: Underway, filled: Warehouse) -> None:
    moment = filled.moment
    start, end = (f"{{{{ {name}{moment} }}}}" for name in ("iteration_started_at", "looked_at"))
    sql = "{{ until }}".join(filled.query.replace(start, "{{ since }}").rsplit(end, 1))
    sql = f"{{% set until %}}{end}{{% endset %}}{{% set since %}}{start}{{% endset %}}{sql}"
    underway.emulator.clock.advance("P28D")
    verdict = underway.sensor(results=SqlResults("warehouse", sql)).execute({})
    assert verdict["verdict"] == "ship"
    assert verdict["metrics"][0]["comparisons"][0]["units"] == 300 * 28


@pytest.mark.parametrize("native", [False, True])
def test_a_value_that_cannot_be_bound_fails_the_task(underway: Underway, filled: Warehouse, native: bool) -> None:
    sql = filled.query.replace("{{ iteration_id }}", "{{ iteration_id | upper }}")
    task = underway.sensor(results=SqlResults("warehouse", sql))
    with DAG("d", schedule=None, render_template_as_native_obj=native) as dag:
        dag.add_task(task)
    underway.emulator.clock.advance("P28D")
    with fails_at_once(BindingError, match="changes a value of the iteration before it prints it"):
        task.execute({})


Task = Callable[..., Any]


@pytest.fixture
def asking(underway: Underway, filled: Warehouse) -> Task:
    underway.emulator.clock.advance("P28D")
    return lambda sql, **results: underway.sensor(results={"conn_id": "warehouse", "sql": sql, **results})


def test_rows_of_an_unknown_treatment_fail_the_task(asking: Task) -> None:
    sql = "SELECT 'checkout-conversion' AS metric, 'Bold' AS treatment_id, 10 AS units, 1 AS conversions"
    with fails_at_once(SqlResultsError, match="treatment 'Bold', column 'treatment_id'"):
        asking(sql).execute({})


def test_a_misspelt_name_in_the_query_fails_the_task(asking: Task) -> None:
    with pytest.raises(jinja2.UndefinedError, match="iteration_start"):
        asking("SELECT {{ iteration_start }}").execute({})


def test_the_query_sees_the_task_s_context(asking: Task, filled: Warehouse) -> None:
    sql = filled.query.replace("'checkout-conversion' AS metric", "'{{ params.metric }}' AS metric")
    assert asking(sql).execute({"params": {"metric": "checkout-conversion"}})["verdict"] == "ship"


def test_young_units_do_not_count(underway: Underway, filled: Warehouse) -> None:
    underway.emulator.clock.advance("P28D")
    policy = Policy(burn_in="2d", maturity="7d")
    verdict = sensor(underway, filled, policy=policy).execute({})
    assert verdict["units"] == 600 * (28 - 2 - 7)
    assert verdict["looks"] == 28 - 9


@pytest.mark.parametrize("name", ["exposed_before", "exposed_after"])
@pytest.mark.parametrize("included", [False, True])
def test_a_query_that_counts_young_units_fails_at_the_first_poll(
    underway: Underway, filled: Warehouse, tmp_path: Path, name: str, included: bool
) -> None:
    other = {"exposed_before": "looked_at", "exposed_after": "iteration_started_at"}[name]
    sql = filled.query.replace(name, other)
    if included:
        (tmp_path / "counts.sql").write_text(sql)
        sql = "{% include 'counts.sql' %} -- (all of it)"
    task = underway.sensor(results=SqlResults("warehouse", sql), policy=Policy(burn_in="2d", maturity="7d"))
    before = len(underway.emulator.requests())
    with fails_at_once(BindingError, match=f"but the query does not use {name}"):
        _in_a_dag(task, tmp_path).execute({})
    assert len(underway.emulator.requests()) == before


def test_a_name_in_an_included_file_is_found(asking: Task, filled: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "counts.sql").write_text(filled.query)
    task = asking("{% include 'counts.sql' %} -- (all of it)")
    task.policy = Policy(maturity="7d").to_json()
    assert _in_a_dag(task, tmp_path).execute({})["units"] == 600 * (28 - 7)


def test_launchdarklys_results_with_maturity_are_refused_at_parse_time(underway: Underway) -> None:
    with pytest.raises(InvalidSettingError, match=r"policy\.maturity 7d cannot be kept: LaunchDarkly's results cannot"):
        underway.sensor(policy=Policy(maturity="7d"))


def test_a_connection_without_sql_is_refused(asking: Task) -> None:
    with fails_at_once(ConfigurationError, match="LaunchDarklyHook, which is no DbApiHook"):
        asking("SELECT 1", conn_id="launchdarkly_default").execute({})


def test_a_query_that_ends_in_a_comment_with_sql_is_no_path(asking: Task, filled: Warehouse) -> None:
    sql = " ".join(filled.query.split()) + " -- as in queries/results.sql"
    assert asking(sql).execute({})["verdict"] == "ship"


def test_a_query_is_read_from_a_file(asking: Task, filled: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "results.sql").write_text(filled.query)
    assert _in_a_dag(asking("results.sql\n"), tmp_path).execute({})["verdict"] == "ship"


def test_a_file_that_does_not_exist_is_named_with_the_rule(asking: Task, tmp_path: Path) -> None:
    with fails_at_once(ConfigurationError, match=r"no file 'queries/missing.sql'; sql is taken for a path since"):
        _in_a_dag(asking("queries/missing.sql"), tmp_path).execute({})


def _in_a_dag(task: Any, folder: Path) -> Any:
    with DAG("d", schedule=None, template_searchpath=[str(folder)]) as dag:
        dag.add_task(task)
    return task


@pytest.mark.parametrize(
    ("conn_type", "package"),
    [("gcpbigquery", "google"), ("google_cloud_platform", "google"), ("databricks", "databricks")],
)
def test_a_warehouse_whose_provider_is_not_installed_is_named(
    asking: Task, filled: Warehouse, monkeypatch: pytest.MonkeyPatch, conn_type: str, package: str
) -> None:
    monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": conn_type, "host": "example.invalid"}))
    needed = f"connection 'warehouse' needs the package apache-airflow-providers-{package}"
    with fails_at_once(ConfigurationError, match=needed):
        asking(filled.query).execute({})


@pytest.mark.parametrize(
    ("changed", "meaning"),
    [
        (("exposures.unit_id", "exposures.person"), "a column is missing"),
        (("FROM exposures", "FROM exposure_rows exposures"), "a table is missing"),
        (("COUNT(*) AS units", "nobody.count_all(1) AS units"), None),
    ],
)
def test_what_the_database_refuses_is_named_with_the_cure_and_may_be_tried_again(
    asking: Task, filled: Warehouse, changed: tuple[str, str], meaning: str | None
) -> None:
    error = WarehouseError if meaning else Exception
    with pytest.raises(error, match=meaning) as raised:
        asking(filled.query.replace(*changed)).execute({})
    if meaning:
        assert "connection 'warehouse'" in str(raised.value)
        assert "Cure: " in str(raised.value)


def test_a_covariate_narrows_the_interval(underway: Underway, filled: Warehouse) -> None:
    """Everyone converted as often before as in the experiment, but for Bold's lift: CUPED sees mostly the lift."""
    numbers = (
        "SELECT 'checkout-conversion' AS metric, {id} AS treatment_id, 4000 AS units, {y} AS sum, {yy} AS sum_squares"
    )
    covariate = ", 20000.0 AS covariate_sum, 104000.0 AS covariate_sum_squares, {xy} AS covariate_product"
    underway.emulator.clock.advance("P28D")
    lifts = []
    for more in ("", covariate):
        sql = " UNION ALL ".join(
            (numbers + more).format(id=f"{{{{ treatments[{number}].id }}}}", y=y, yy=yy, xy=xy)
            for number, (y, yy, xy) in enumerate([(20000.0, 105000.0, 103800.0), (20100.0, 106005.0, 104300.0)])
        )
        task = underway.sensor(results=SqlResults("warehouse", sql), policy=Policy(min_units_per_treatment=2))
        comparison = task.execute({})["metrics"][0]["comparisons"][0]
        lifts.append((comparison["standard_error"], comparison["difference"]))
    (plain, difference), (narrowed, same) = lifts
    assert same == pytest.approx(difference)
    assert narrowed < plain / 1.5
