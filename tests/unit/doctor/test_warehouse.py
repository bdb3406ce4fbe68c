"""The warehouse: its tables, columns and rights, how late its rows are, and a look beside the API's numbers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.doctor.warehouse import Trouble, trouble_of
from airflow_provider_launchdarkly.emulator.state.scenarios import scenario_data
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.export_rows import POSTGRES, Place, kinds, place
from support.scene import Scene
from support.surroundings import CONNECTION, connection_json

from .conftest import connect

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Doctor, Visit

WAREHOUSE = "AIRFLOW_CONN_WAREHOUSE"
NEEDS_POSTGRES = pytest.mark.skipif("postgresql" not in kinds(), reason="no PostgreSQL answers")


class Filled:
    """A warehouse that an emulator has filled for 36 hours, and statements of its owner."""

    server: EmulatorServer

    def __init__(self, where: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self.where = where
        self._monkeypatch = monkeypatch
        self.connect_as("postgres")

    @property
    def is_sqlite(self) -> bool:
        return self.where.url.startswith("sqlite")

    def connect_as(self, user: str) -> None:
        if self.is_sqlite:
            connection: dict[str, Any] = {"conn_type": "sqlite", "host": self.where.url.removeprefix("sqlite:///")}
        else:
            host, port = POSTGRES
            database = self.where.url.rsplit("/", 1)[1]
            connection = {"conn_type": "postgres", "host": host, "port": port, "login": user, "schema": database}
        self._monkeypatch.setenv(WAREHOUSE, json.dumps(connection))

    def execute(self, sql: str) -> None:
        """Run a statement in which `{export}` and `{results}` stand before tables."""
        filled = sql.format(export=self.where.schema, results=self.where.results_schema)
        if self.is_sqlite:
            with closing(sqlite3.connect(self.where.url.removeprefix("sqlite:///"))) as connection:
                connection.execute(filled)
                connection.commit()
            return
        import psycopg

        with psycopg.connect(self.where.url, autocommit=True) as connection:
            connection.execute(filled.encode())


@contextmanager
def running(where: Place, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Iterator[EmulatorServer]:
    """An emulator with this warehouse, in which `bold` runs for 36 hours."""
    start = datetime.now(UTC) - timedelta(hours=36)
    world = scenario_data("effect")
    world["projects"]["demo"]["truths"]["checkout-button"]["people_per_day"] = 400
    with EmulatorServer(start=start, clock_rate=1.0, world=world, warehouse=where.url, **options) as server:
        monkeypatch.setenv(CONNECTION, connection_json(server))
        Scene(LaunchDarklyHook(), server)
        yield server


EACH = pytest.mark.parametrize("where", kinds(), indirect=True)


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty database: SQLite, or for tests with `EACH` every one that answers."""
    with place(getattr(request, "param", "sqlite"), tmp_path) as empty:
        yield empty


@pytest.fixture
def filled(where: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Filled]:
    with running(where, monkeypatch) as server:
        found = Filled(where, monkeypatch)
        found.server = server
        yield found


def visit_warehouse(doctor: Doctor, *arguments: str) -> Visit:
    return doctor("--warehouse", "warehouse", *arguments)


def statuses(visit: Visit, *checks: str) -> set[str]:
    return {status for check in checks for status, _ in visit.lines(check)}


LOOKS = ("export look", "native look")


@EACH
def test_a_healthy_warehouse_is_fine_and_its_numbers_stand_beside_launchdarklys(
    filled: Filled, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    from airflow_provider_launchdarkly.sensors import _warehouse, _warehouse_query

    real = _warehouse_query.query_warehouse

    def recorded(conn_id: str, write: Callable[[str], Any]) -> Any:
        def note(placeholder: str) -> Any:
            statement = write(placeholder)
            sent.append(statement.sql)
            return statement

        return real(conn_id, note)

    for module in (_warehouse, _warehouse_query):
        monkeypatch.setattr(module, "query_warehouse", recorded)
    visit = visit_warehouse(doctor)
    assert visit.code == ExitCode.OK, visit.out
    assert {status for _, status in visit.statuses()} == {"fine"}
    for look in LOOKS:
        assert len(visit.lines(look)) == 3
        assert "LaunchDarkly's own" in visit.lines(look)[-1][1]
    assert "WITH ld_exposures AS" in visit.out
    assert {sql.split()[0] for sql in sent} == {"SELECT", "WITH"}
    assert visit.report["emulator"]["warehouse"] == {"lag": "PT0M", "arm_ids": "treatment"}


def test_with_the_results_gone_the_warehouse_stands_in(filled: Filled, doctor: Doctor) -> None:
    filled.server.switch(results="gone")
    visit = visit_warehouse(doctor)
    assert visit.code == ExitCode.OK
    assert visit.lines("results") == [("fine", "the results routes are gone; the warehouse has to stand in, see below")]
    for look in LOOKS:
        assert visit.lines(look)[-1] == ("unknown", "there are no numbers of LaunchDarkly's own to compare with")


def test_the_summary_names_neither_schema_nor_connection(filled: Filled, doctor: Doctor) -> None:
    filled.execute("DROP TABLE {export}metric_events")
    visit = visit_warehouse(doctor)
    pasted = visit.out.partition("For a bug report")[2] + json.dumps(visit.report)
    assert "SELECT" not in pasted
    assert "connection 'warehouse'" not in pasted
    assert filled.where.url.rsplit("/", 1)[1] not in pasted


@EACH
@pytest.mark.parametrize(
    ("statement", "check", "said"),
    [
        ("DROP TABLE {export}metric_events", "data export", "no table metric_events in schema schema-1"),
        ("DROP TABLE {export}evaluation_events", "data export", "no table evaluation_events in schema schema-1"),
        ("ALTER TABLE {export}metric_events DROP COLUMN event_value", "data export", "metric_events lacks event_value"),
        ("ALTER TABLE {results}computed_arm_aggregates DROP COLUMN sum_of_squares", "native", "lacks sum_of_squares"),
        ("DELETE FROM {export}evaluation_events", "lateness", "evaluation_events has no row of the last 8 days"),
        ("DELETE FROM {export}evaluation_events", "export look", "no numbers: NoExposuresError"),
        (
            "UPDATE {results}computed_arm_aggregates SET arm_id = 'x' || arm_id",
            "arms",
            "neither treatments nor variations",
        ),
        (
            "UPDATE {results}computed_arm_aggregates SET metric_version_id = 'x' || metric_version_id",
            "versions",
            "no sums of the version that the iteration holds on to",
        ),
    ],
)
def test_what_is_missing_is_a_line_with_a_cure_and_the_rest_goes_on(
    filled: Filled, doctor: Doctor, statement: str, check: str, said: str
) -> None:
    filled.execute(statement)
    visit = visit_warehouse(doctor)
    assert visit.code == ExitCode.FINDING
    assert any(status == "missing" and said in what for status, what in visit.lines(check)), visit.out
    assert visit.cures(check).strip()
    assert ("warehouse", "fine") in visit.statuses()
    assert "the check itself failed" not in visit.out


def test_without_the_tables_of_native_results_nothing_is_missing(filled: Filled, doctor: Doctor) -> None:
    filled.execute("DROP TABLE {results}computed_arm_aggregates")
    visit = visit_warehouse(doctor)
    assert visit.code == ExitCode.OK
    assert statuses(visit, "native") == {"unknown"}
    assert visit.lines("native look") == []


def test_an_experiment_that_is_not_native_is_told(filled: Filled, doctor: Doctor) -> None:
    filled.execute("DELETE FROM {results}computed_arm_aggregates")
    visit = visit_warehouse(doctor)
    assert visit.code == ExitCode.OK
    assert statuses(visit, "arms") == {"unknown"}


def test_a_database_without_any_table_is_told(
    where: Place, patient: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    Filled(where, monkeypatch)
    visit = visit_warehouse(doctor)
    assert visit.code == ExitCode.FINDING
    assert statuses(visit, "data export", "native") == {"missing"}
    assert visit.lines("lateness") == []
    assert "--results-schema" in visit.cures("native")


def test_another_schema_is_looked_into(filled: Filled, doctor: Doctor) -> None:
    visit = visit_warehouse(doctor, "--schema", "elsewhere", "--results-schema", 'my "own"')
    assert statuses(visit, "data export", "native") == {"missing"}
    assert "elsewhere" in visit.out
    assert "elsewhere" not in str(visit.report)


@pytest.mark.parametrize(("lag", "status"), [("PT90M", "fine"), ("PT9H", "missing")])
def test_rows_that_come_late_are_told_and_the_emulator_is_told_how_late(
    where: Place, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, lag: str, status: str
) -> None:
    with running(where, monkeypatch, warehouse_options={"lag": lag, "arm_ids": "variation"}):
        Filled(where, monkeypatch)
        visit = visit_warehouse(doctor)
    assert statuses(visit, "lateness") == {status}
    minutes = {"PT90M": "PT90M", "PT9H": "PT540M"}[lag]
    assert visit.report["emulator"]["warehouse"] == {"lag": minutes, "arm_ids": "variation"}
    assert statuses(visit, *LOOKS) == {"fine"}


def test_a_warehouse_makes_the_round(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reports = []
    options: dict[str, Any] = {"warehouse_options": {"lag": "PT2H", "arm_ids": "variation"}}
    for name in ("account", "emulator"):
        (tmp_path / name).mkdir()
        with place("sqlite", tmp_path / name) as where, running(where, monkeypatch, **options):
            Filled(where, monkeypatch)
            visit = visit_warehouse(doctor)
            reports.append(visit)
            options = {"like": visit.report}
    first, second = reports
    assert second.report["emulator"]["warehouse"] == first.report["emulator"]["warehouse"]
    assert second.statuses() == first.statuses()


@NEEDS_POSTGRES
@pytest.mark.parametrize("may", ["nothing", "connect", "read"])
def test_rights_are_told_and_reading_is_enough(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, may: str
) -> None:
    with place("postgresql", tmp_path) as where, running(where, monkeypatch):
        filled = Filled(where, monkeypatch)
        role = f"doctor_{where.url.rsplit('_', 1)[1][:16]}"
        filled.execute(f"CREATE ROLE {role} LOGIN")
        filled.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
        try:
            if may != "nothing":
                filled.execute(f"GRANT USAGE ON SCHEMA launchdarkly, launchdarkly_results TO {role}")
            if may == "read":
                filled.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA launchdarkly TO {role}")
                filled.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA launchdarkly_results TO {role}")
            filled.connect_as(role)
            visit = visit_warehouse(doctor)
        finally:
            filled.execute(f"DROP OWNED BY {role}")
            filled.execute(f"DROP ROLE {role}")
    if may == "read":
        assert visit.code == ExitCode.OK, visit.out
        return
    assert visit.code == ExitCode.FINDING
    assert "table evaluation_events may not be read: InsufficientPrivilege" in str(visit.lines("data export"))
    assert "SELECT on evaluation_events" in visit.cures("data export")


@pytest.mark.parametrize(
    ("connection", "status", "said"),
    [
        (None, "missing", "connection-1: AirflowNotFoundException"),
        ({"conn_type": "databricks", "host": "dbc.example"}, "missing", "ConfigurationError"),
        ({"conn_type": "nowhere", "host": "example.com"}, "missing", "AirflowException"),
        (
            {"conn_type": "postgres", "host": "127.0.0.1", "port": 9, "login": "x", "schema": "y"},
            "failed",
            "Operational",
        ),
    ],
)
def test_a_connection_that_does_not_lead_to_a_database_is_told(
    patient: EmulatorServer,
    doctor: Doctor,
    monkeypatch: pytest.MonkeyPatch,
    connection: dict[str, Any] | None,
    status: str,
    said: str,
) -> None:
    if connection is not None:
        monkeypatch.setenv(WAREHOUSE, json.dumps(connection))
    visit = visit_warehouse(doctor)
    ((found, what),) = visit.lines("warehouse")
    assert (found, said in what) == (status, True), visit.out
    assert visit.cures("warehouse")
    assert visit.lines("data export") == []


def test_without_a_way_into_launchdarkly_the_tables_are_checked_all_the_same(
    filled: Filled, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for token in ("sdk-x", "api-wrong"):
        connect(monkeypatch, "http://127.0.0.1:9", token, retry_budget=0)
        visit = visit_warehouse(doctor)
        assert statuses(visit, "data export", "native", "lateness") == {"fine"}
        assert visit.lines("export look") == []


class DriverError(Exception):
    """An error as a driver raises it."""

    def __init__(self, message: str, **fields: str) -> None:
        super().__init__(message)
        vars(self).update(fields)


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (DriverError("x", sqlstate="42P01"), Trouble.TABLE),
        (DriverError("x", pgcode="42501"), Trouble.RIGHT),
        (DriverError("SQL compilation error: Object 'A' does not exist or not authorized."), Trouble.RIGHT),
        (DriverError("no such table: a"), Trouble.TABLE),
        (DriverError("Access Denied: Table p:d.t: User does not have permission"), Trouble.RIGHT),
        (DriverError("Not found: Table p:d.t was not found in location EU"), Trouble.TABLE),
        (DriverError("the disk is full"), Trouble.OTHER),
    ],
)
def test_what_a_driver_complains_about_is_told_apart(error: Exception, trouble: Trouble) -> None:
    assert trouble_of(error) is trouble
