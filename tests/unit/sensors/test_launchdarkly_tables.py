"""The sensor with results from LaunchDarkly's own tables in the warehouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from airflow_provider_launchdarkly import DataExportResults, WarehouseNativeResults
from airflow_provider_launchdarkly.api.errors import ConfigurationError, LaunchDarklyError
from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.evidence.sql_rows import SqlResultsError
from airflow_provider_launchdarkly.evidence.warehouse.absence import NoExposuresError, StaleAnalysisError
from support.failing import fails_at_once
from support.launchdarkly_tables import EVENTS, EXPOSURES, LaunchDarklyTables
from support.warehouse import Warehouse
from unit.sensors.conftest import Fire, Underway, wait

RATES = {"Classic": 0.10, "Bold": 0.16}
CONVERSION = "checkout-conversion"


@pytest.fixture
def tables(warehouse: Warehouse, underway: Underway) -> LaunchDarklyTables:
    made = LaunchDarklyTables(warehouse, underway.emulator, underway.iteration_id, underway.emulator.clock.now())
    made.create()
    underway.emulator.switch(results="gone")
    return made


def export(tables: LaunchDarklyTables, **fields: Any) -> dict[str, Any]:
    return {"source": "data_export", "conn_id": "warehouse", "schema": tables.schema, **fields}


def event_of(underway: Underway, metric_key: str = CONVERSION) -> str:
    return str(underway.hook.get_metric(metric_key).event_key)


def look(underway: Underway, results: Any, *, after: str = "P28D", **arguments: Any) -> dict[str, Any]:
    """Take the look at a time after the start; by default the plan's last."""
    underway.emulator.clock.advance(after)
    found = underway.sensor(results=results, deferrable=False, **arguments).poke({}).xcom_value
    return cast("dict[str, Any]", found)


def test_it_ships_on_exposures_and_events(underway: Underway, tables: LaunchDarklyTables, fire: Fire) -> None:
    tables.fill(event_of(underway), RATES)
    results = DataExportResults(conn_id="warehouse", schema=tables.schema)
    verdict, events = wait(underway, fire, results=results)
    assert (verdict["verdict"], verdict["treatment"]) == ("ship", "Bold")
    assert {event["status"] for event in events} == {"look"}
    comparison = verdict["metrics"][0]["comparisons"][0]
    assert comparison["units"] == tables.people * len(events)
    assert verdict["cautions"][0].startswith(
        "only what has happened so far was judged on checkout-conversion: without a window"
    )


def test_rows_of_others_do_not_count(underway: Underway, tables: LaunchDarklyTables) -> None:
    event = event_of(underway)
    tables.fill(event, RATES)
    before = look(underway, export(tables))
    tables.fill(event, {"Classic": 1.0, "Bold": 0.0}, kind="organization")
    tables.warehouse.execute(
        f"INSERT INTO {EVENTS} SELECT event_key, event_value, received_time, context_key, 'user', 'other', export_key "
        f"FROM {EVENTS} WHERE context_kind = 'organization'"
    )
    assert look(underway, export(tables), after="PT0S")["metrics"] == before["metrics"]


def test_a_condition_leaves_exposures_out(underway: Underway, tables: LaunchDarklyTables) -> None:
    tables.fill(event_of(underway), RATES)
    tables.warehouse.execute(f"UPDATE {EXPOSURES} SET context_attributes = 'bot' WHERE context_key LIKE '%%7'")
    found = look(underway, export(tables, where="context_attributes <> 'bot'"))
    assert found["metrics"][0]["comparisons"][0]["units"] == 0.9 * 28 * tables.people


def test_own_columns_and_views_are_settings(underway: Underway, tables: LaunchDarklyTables) -> None:
    tables.fill(event_of(underway), RATES)
    before = look(underway, export(tables))
    tables.warehouse.execute(
        f"CREATE VIEW seen AS SELECT context_key AS person, variation_id, experiment_iteration_id, received_time AS t, "
        f"context_kind, flag_key FROM {EXPOSURES}"
    )
    tables.warehouse.execute(f"CREATE VIEW orders AS SELECT context_key AS buyer, received_time AS t FROM {EVENTS}")
    results = export(
        tables,
        exposures={"table": "seen", "unit": "person", "at": "t", "environment": None},
        metrics={CONVERSION: {"table": "orders", "unit": "buyer", "at": "t"}},
    )
    found = look(underway, results, after="PT0S", policy={"primary": {"direction": "higher"}})
    assert found["metrics"][0]["comparisons"] == before["metrics"][0]["comparisons"]


def test_own_metrics_are_judged_by_their_keys(underway: Underway, tables: LaunchDarklyTables, tmp_path: Path) -> None:
    event = event_of(underway)
    tables.fill(event, RATES)
    file = tmp_path / "metrics.yaml"
    file.write_text(
        f"metrics:\n  orders: {{event: {event}, aggregation: count, direction: higher}}\n"
        f"  orders-in-a-day: {{event: {event}, window: 1d, direction: higher}}\n"
        "  orders-per-buyer: {numerator: orders, denominator: checkout-conversion}\n"
    )
    policy = {"guardrails": [{"metric": key} for key in ("orders", "orders-in-a-day", "orders-per-buyer")]}
    found = look(underway, export(tables, metrics=str(file)), policy=policy)
    assert (found["verdict"], found["treatment"]) == ("ship", "Bold")
    assert [metric["metric"] for metric in found["metrics"]] == [
        CONVERSION,
        *(each["metric"] for each in policy["guardrails"]),
    ]
    assert "judged on checkout-conversion, orders, orders-per-buyer: without a window" in found["cautions"][0]


def test_maturity_and_burn_in_leave_units_out(underway: Underway, tables: LaunchDarklyTables) -> None:
    tables.fill(event_of(underway), RATES)
    found = look(underway, export(tables), policy={"maturity": "7d", "burn_in": "7d"})
    assert found["metrics"][0]["comparisons"][0]["units"] == 14 * tables.people
    assert not [caution for caution in found["cautions"] if "only what has happened so far" in caution]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"environment_id": "other"}, "in environment 'other'"),
        ({"where": "1 = 0"}, "and which meets where '1 = 0'"),
    ],
)
def test_an_iteration_that_the_export_does_not_know_is_named(
    underway: Underway, tables: LaunchDarklyTables, fields: dict[str, Any], message: str
) -> None:
    tables.fill(event_of(underway), RATES)
    with pytest.raises(NoExposuresError) as refused:
        look(underway, export(tables, **fields))
    assert f"has no exposure of iteration '{underway.iteration_id}' by context kind 'user'" in str(refused.value)
    assert message in str(refused.value)
    assert "28 days after its start" in str(refused.value)
    assert "look at the export in LaunchDarkly, and at conn_id, schema" in str(refused.value)


def test_an_export_that_has_nothing_yet_is_waited_for(underway: Underway, tables: LaunchDarklyTables) -> None:
    policy = {"looks": "6h", "missing": {"grace": "1d"}}
    underway.emulator.clock.advance("PT6H")
    assert not underway.sensor(results=export(tables), deferrable=False, policy=policy).poke({}).is_done
    underway.emulator.clock.advance("PT18H")
    with pytest.raises(NoExposuresError, match="Either no batch has arrived since"):
        underway.sensor(results=export(tables), deferrable=False, policy=policy).poke({})


def test_a_metric_that_nobody_has_is_named(underway: Underway, tables: LaunchDarklyTables) -> None:
    tables.fill(event_of(underway), RATES)
    policy = {"guardrails": [{"metric": "page-load-msec"}]}
    message = (
        "has no metric 'page-load-msec'; near it (is|are) .*'page-load-ms'.*, and `metrics` of the results has own"
    )
    results = export(tables, metrics={"own": {"event": "x"}})
    underway.emulator.clock.advance("P1D")
    with fails_at_once(ConfigurationError, match=message):
        underway.sensor(results=results, policy=policy).execute({})


# Warehouse-native


def native(tables: LaunchDarklyTables, **fields: Any) -> dict[str, Any]:
    return {"source": "warehouse_native", "conn_id": "warehouse", "schema": tables.schema, **fields}


@dataclass
class Analysed:
    """Analyses of the primary metric each day, 1,000 units more a day and treatment."""

    tables: LaunchDarklyTables
    version_id: str
    arms: dict[str, str]

    def of_day(self, day: int, names: Sequence[str] = ("Classic", "Bold"), **changes: Any) -> None:
        arms = {self.arms[name]: (1000 * day, round(1000 * day * RATES[name])) for name in names}
        self.tables.analyse(self.version_id, arms, self.tables.started_at + timedelta(days=day, hours=-1), **changes)


@pytest.fixture
def analysed(tables: LaunchDarklyTables, underway: Underway) -> Analysed:
    version_id = underway.hook.get_metric(CONVERSION).version_id
    assert version_id is not None
    return Analysed(tables, version_id, underway.treatments)


def test_it_ships_on_the_newest_sums(underway: Underway, analysed: Analysed, fire: Fire) -> None:
    for day in range(1, 29):
        analysed.of_day(day)
        analysed.of_day(day, dimension_name="country", dimension_value="DE")
    results = WarehouseNativeResults(conn_id="warehouse", schema=analysed.tables.schema)
    verdict, events = wait(underway, fire, results=results)
    assert (verdict["verdict"], verdict["treatment"]) == ("ship", "Bold")
    # Later analyses are in the table, but each look takes that of its own time.
    assert verdict["metrics"][0]["comparisons"][0]["units"] == 1000 * len(events)


@pytest.mark.parametrize("arms", ["variation_id", "names"])
def test_the_arms_are_a_setting(underway: Underway, analysed: Analysed, arms: str) -> None:
    named = dict(zip(("1", "2"), ("Classic", "Bold"), strict=True))
    ids = {name: id_ for id_, name in named.items()} if arms == "names" else analysed.tables.variations
    replace(analysed, arms=ids).of_day(28)
    found = look(underway, native(analysed.tables, arms=named if arms == "names" else arms))
    assert (found["verdict"], found["treatment"]) == ("ship", "Bold")


def test_another_version_is_a_setting(underway: Underway, analysed: Analysed) -> None:
    replace(analysed, version_id="v-other").of_day(28)
    with pytest.raises(StaleAnalysisError, match=r"have v-other: .* set metric_versions: \{checkout-conversion: …\}"):
        look(underway, native(analysed.tables))
    found = look(underway, native(analysed.tables, metric_versions={CONVERSION: "v-other"}), after="PT0S")
    assert found["verdict"] == "ship"


def test_several_analyses_are_never_mixed(underway: Underway, analysed: Analysed) -> None:
    version_id = underway.hook.get_metric("page-load-ms").version_id
    assert version_id is not None
    analysed.of_day(27)
    replace(analysed, version_id=version_id).of_day(28)
    with pytest.raises(StaleAnalysisError, match=r"are of several analyses, .*, which are not mixed"):
        look(underway, native(analysed.tables), policy={"guardrails": [{"metric": "page-load-ms"}]})


@pytest.mark.parametrize("arm", ["Classic", "Bold"])
def test_an_analysis_that_lacks_a_treatment_is_half_written(underway: Underway, analysed: Analysed, arm: str) -> None:
    for day in (20, 21):
        analysed.of_day(day)
    analysed.of_day(28, names=(arm,))
    other = {"Classic": "Bold", "Bold": "Classic"}[arm]
    with pytest.raises(
        StaleAnalysisError, match=rf"no sums of treatment {other} .*, which an earlier one has: it may be"
    ):
        look(underway, native(analysed.tables))
    analysed.of_day(28, names=(other,))
    assert look(underway, native(analysed.tables), after="PT0S")["verdict"] == "ship"


def test_an_old_analysis_is_named(underway: Underway, analysed: Analysed) -> None:
    analysed.of_day(20)
    with pytest.raises(StaleAnalysisError, match=r"8 days before the look, and stale_after is 1d: refresh the results"):
        look(underway, native(analysed.tables))
    found = look(
        underway, native(analysed.tables, stale_after="9d"), after="PT0S", policy={"missing": {"stale_after": "9d"}}
    )
    assert found["verdict"] == "ship"


def test_an_iteration_without_analysis_is_named(underway: Underway, analysed: Analysed) -> None:
    analysed.of_day(20, iteration_id="other")
    with pytest.raises(NoExposuresError, match=r"has no analysis of iteration .* everyone, 3 days after its start"):
        look(underway, native(analysed.tables), after="P3DT7S")


def test_arms_of_another_kind_are_refused(underway: Underway, analysed: Analysed) -> None:
    replace(analysed, arms={"Classic": "arm-1", "Bold": "arm-2"}).of_day(28)
    with pytest.raises(ConfigurationError) as refused:
        look(underway, native(analysed.tables))
    bold, variation = underway.treatments["Bold"], analysed.tables.variations["Bold"]
    assert "results.arms is 'treatment_id', but arm 'arm-1' in computed_arm_aggregates is none of" in str(refused.value)
    assert f"{bold} (Bold, variation {variation}): set arms to treatment_id" in str(refused.value)
    with pytest.raises(ConfigurationError, match=r"results.arms\['arm-1'\] is 'Clasic': the iteration's"):
        look(underway, native(analysed.tables, arms={"arm-1": "Clasic", "arm-2": "Bold"}), after="PT0S")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count_of_units_with_measurements": 10**6}, "1000000 units with an event, but only 28000 units"),
        ({"count_of_units": -1}, "column 'units': -1 is no count"),
        ({"analyzed_at": None}, "has no analysis of iteration"),
    ],
)
def test_sums_that_cannot_be_are_refused(
    underway: Underway, analysed: Analysed, changes: dict[str, Any], message: str
) -> None:
    analysed.of_day(28, **changes)
    with pytest.raises(LaunchDarklyError, match=message):
        look(underway, native(analysed.tables))


def test_an_arm_with_two_rows_is_refused(underway: Underway, analysed: Analysed) -> None:
    analysed.of_day(28)
    analysed.of_day(28, names=("Bold",))
    with pytest.raises(SqlResultsError, match="an arm has two rows of the same analysis"):
        look(underway, native(analysed.tables))


def test_sums_cannot_leave_units_out(underway: Underway, analysed: Analysed) -> None:
    with pytest.raises(InvalidSettingError, match="LaunchDarkly's sums in the warehouse cannot leave young units out"):
        underway.sensor(results=native(analysed.tables), policy={"maturity": "7d"})
