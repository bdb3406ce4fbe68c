"""Tables of the Data Export that are strange, or wrong: read as meant, or refused; nothing ships by mistake."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from support.launchdarkly_tables import EVENTS, EXPOSURES, LaunchDarklyTables
from support.warehouse import Warehouse
from unit.sensors.conftest import Underway

RATES = {"Classic": 0.10, "Bold": 0.16}
NUMERIC = {"spent": {"event": "checkout-conversion", "aggregation": "sum", "direction": "higher"}}


@pytest.fixture
def tables(warehouse: Warehouse, underway: Underway) -> LaunchDarklyTables:
    made = LaunchDarklyTables(warehouse, underway.emulator, underway.iteration_id, underway.emulator.clock.now())
    made.people = 40
    made.create()
    underway.emulator.switch(results="gone")
    made.fill("checkout-conversion", RATES)
    underway.emulator.clock.advance("P28D")
    return made


def look(underway: Underway, tables: LaunchDarklyTables, policy: Any = None, **fields: Any) -> dict[str, Any]:
    results = {"source": "data_export", "conn_id": "warehouse", "schema": tables.schema, **fields}
    more = {} if policy is None else {"policy": policy}
    found: dict[str, Any] | None = underway.sensor(results=results, deferrable=False, **more).poke({}).xcom_value
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("My Events", '"My Events"'),
        ("UPPER_CASE", '"UPPER_CASE"'),
        ("with.dot", '"with.dot"'),
        ('with"quote', '"with""quote"'),
        ("ereignisse_für_käufe", '"ereignisse_für_käufe"'),
        ("x; DROP TABLE evaluation_events; --", '"x; DROP TABLE evaluation_events; --"'),
    ],
)
def test_any_name_is_a_name(underway: Underway, tables: LaunchDarklyTables, name: str, written: str) -> None:
    before = look(underway, tables)
    quoted = '"' + name.replace('"', '""') + '"'
    tables.warehouse.execute(f"ALTER TABLE {EVENTS} RENAME TO {quoted}")
    found = look(underway, tables, events={"table": written})
    assert (found["verdict"], found["metrics"]) == ("ship", before["metrics"])


@pytest.mark.parametrize("database", ["postgres"])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMPTZ"])
def test_times_are_utc_whatever_the_session_s_zone(
    underway: Underway, tables: LaunchDarklyTables, zone: str, kind: str
) -> None:
    before = look(underway, tables)
    for table in (EXPOSURES, EVENTS):
        cast = "received_time AT TIME ZONE 'UTC'" if kind == "TIMESTAMP" else "received_time"
        tables.warehouse.execute(f"ALTER TABLE {table} ALTER COLUMN received_time TYPE {kind} USING {cast}")
    tables.warehouse.execute(f"ALTER ROLE postgres IN DATABASE {database_of(tables)} SET TimeZone = '{zone}'")
    assert look(underway, tables)["metrics"] == before["metrics"]


def database_of(tables: LaunchDarklyTables) -> str:
    import json

    return str(json.loads(tables.warehouse.connection)["schema"])


@pytest.mark.parametrize("database", ["sqlite"])
@pytest.mark.parametrize("form", ["REPLACE({0}, ' ', 'T') || 'Z'", "{0} || '.000'", "{0} || '+00:00'"])
def test_times_of_sqlite_are_any_iso_8601(underway: Underway, tables: LaunchDarklyTables, form: str) -> None:
    before = look(underway, tables)
    for table in (EXPOSURES, EVENTS):
        tables.warehouse.execute(f"UPDATE {table} SET received_time = {form.format('received_time')}")
    assert look(underway, tables)["metrics"] == before["metrics"]


@pytest.mark.parametrize("database", ["postgres"])
@pytest.mark.parametrize("value", ["'NaN'", "'Infinity'", "1e308"])
def test_a_value_that_cannot_be_calculated_with_is_refused(
    underway: Underway, tables: LaunchDarklyTables, value: str
) -> None:
    tables.warehouse.execute(f"UPDATE {EVENTS} SET event_value = {value} WHERE context_key LIKE 'Bold%%'")
    with pytest.raises(Exception, match=r"finite|out of range|1e300") as refused:
        look(underway, tables, {"primary": {"metric": "spent"}}, metrics=NUMERIC)
    assert underway.emulator.effects("iteration.stopped") == []
    assert isinstance(refused.value, LaunchDarklyError) or "out of range" in str(refused.value)


def test_negative_values_are_values(underway: Underway, tables: LaunchDarklyTables) -> None:
    tables.warehouse.execute(f"UPDATE {EVENTS} SET event_value = -1")
    found = look(underway, tables, {"primary": {"metric": "spent"}}, metrics=NUMERIC)
    assert found["verdict"] == "rollback"


def test_a_view_that_repeats_exposures_changes_nothing(underway: Underway, tables: LaunchDarklyTables) -> None:
    before = look(underway, tables)
    tables.warehouse.execute(f"CREATE VIEW seen AS SELECT * FROM {EXPOSURES} UNION ALL SELECT * FROM {EXPOSURES}")
    assert look(underway, tables, exposures={"table": "seen"})["metrics"] == before["metrics"]


@pytest.mark.parametrize("view", ["SELECT * FROM", "SELECT context_key, received_time, event_key, event_value FROM"])
def test_a_view_that_repeats_events_does_not_ship(underway: Underway, tables: LaunchDarklyTables, view: str) -> None:
    tables.warehouse.execute(f"UPDATE {EVENTS} SET event_value = 1")
    tables.warehouse.execute(
        f"CREATE VIEW bold AS {view} {EVENTS} UNION ALL {view} {EVENTS} WHERE context_key LIKE 'Bold-%%7'"
    )
    spent = NUMERIC["spent"] | {"table": "bold", "value": "event_value", "event_column": "event_key"}
    policy = {"primary": {"metric": "spent"}}
    with pytest.raises(LaunchDarklyError, match="events stand more than once"):
        look(underway, tables, policy, metrics={"spent": spent})
    cure = "no such column.*export_key|export_key.*does not exist|events stand more than once"
    with pytest.raises(LaunchDarklyError, match=cure):
        look(underway, tables, policy, metrics=NUMERIC, events={"table": "bold"})


def test_empty_tables_are_refused_and_do_not_ship(underway: Underway, tables: LaunchDarklyTables) -> None:
    tables.warehouse.execute(f"DELETE FROM {EXPOSURES}")
    with pytest.raises(LaunchDarklyError, match="has no exposure of iteration"):
        look(underway, tables)


def test_a_batch_without_events_does_not_ship(underway: Underway, tables: LaunchDarklyTables) -> None:
    tables.warehouse.execute(f"DELETE FROM {EVENTS}")
    assert look(underway, tables)["verdict"] in ("invalid", "inconclusive")
