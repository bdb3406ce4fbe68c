"""Runs inside the environment of the warehouses' providers: queries a warehouse whose wire is stubbed.

Usage: python warehouse_drive.py CONN_TYPE, with a list of statements as JSON on standard input. It prints, as one line
of JSON, what went over the wire for each and what came back.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

ROW = ["checkout-conversion", "id-bold", 1000, 12.5]
NAMES = ["metric", "treatment_id", "units", "sum"]
CONNECTIONS: dict[str, dict[str, Any]] = {
    "snowflake": {"login": "u", "password": "p", "extra": {"account": "a", "warehouse": "w"}},
    "google_cloud_platform": {"extra": {"project": "demo"}},
    "gcpbigquery": {"extra": {"project": "demo"}},
    "databricks": {
        "host": "example.invalid",
        "password": "t",
        "extra": {"http_path": "/sql/1.0/warehouses/x", "session_configuration": {"ANSI_MODE": "true"}},
    },
    "trino": {"host": "example.invalid", "login": "u"},
}
Wire = list[dict[str, Any]]


def snowflake(stack: ExitStack, wire: Wire, fails: str | None) -> None:
    from snowflake.connector.connection import SnowflakeConnection

    def command(self: Any, sql: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        wire.append({"sql": sql})
        if fails is not None:
            return {"success": False, "message": fails, "code": "002003", "data": {"sqlState": "42S02", "queryId": "q"}}
        kinds = ["text", "text", "fixed", "real"]
        types = [
            {"name": name.upper(), "type": kind, "scale": 0, "precision": 38, "nullable": True, "length": None}
            for name, kind in zip(NAMES, kinds, strict=True)
        ]
        data = {
            "rowtype": types,
            "rowset": [[str(cell) for cell in ROW]],
            "queryResultFormat": "json",
            "queryId": "q",
            "total": 1,
            "returned": 1,
            "parameters": [],
            "statementTypeId": 4096,
            "finalDatabaseName": "d",
            "finalSchemaName": "s",
        }
        return {"success": True, "data": data, "message": None, "code": None}

    def opened(self: Any) -> None:
        self.converter = self._converter_class(use_numpy=False, support_negative_year=True)

    stack.enter_context(patch.object(SnowflakeConnection, "_SnowflakeConnection__open_connection", opened))
    stack.enter_context(patch.object(SnowflakeConnection, "cmd_query", command))
    stack.enter_context(patch.object(SnowflakeConnection, "is_closed", lambda self: False))
    stack.enter_context(patch.object(SnowflakeConnection, "rest", SimpleNamespace(), create=True))


def bigquery(stack: ExitStack, wire: Wire, fails: str | None) -> None:
    from airflow.providers.google.cloud.hooks.bigquery import BigQueryHook
    from google.api_core.exceptions import NotFound
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.bigquery._http import Connection

    def request(self: Any, method: str = "", path: str = "", data: Any = None, **options: Any) -> dict[str, Any]:
        wire.append({"method": method, "path": path, "data": data})
        if fails is not None:
            raise NotFound(fails)
        kinds = ["STRING", "STRING", "INTEGER", "FLOAT"]
        fields = [{"name": name, "type": kind, "mode": "NULLABLE"} for name, kind in zip(NAMES, kinds, strict=True)]
        reference = {"projectId": "demo", "jobId": "j", "location": "EU"}
        rows = [{"f": [{"v": str(cell)} for cell in ROW]}]
        state = {"statistics": {"query": {"statementType": "SELECT"}}, "status": {"state": "DONE"}}
        query = {"query": {"destinationTable": {"projectId": "demo", "datasetId": "d", "tableId": "t"}}}
        result = {"jobComplete": True, "totalRows": "1", "rows": rows, "schema": {"fields": fields}}
        return {"jobReference": reference, "configuration": query, **state, **result}

    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call,unused-ignore]
    stack.enter_context(patch.object(BigQueryHook, "get_credentials", lambda self: credentials))
    stack.enter_context(
        patch.object(BigQueryHook, "get_credentials_and_project_id", lambda self: (credentials, "demo"))
    )
    stack.enter_context(patch.object(Connection, "api_request", request))


def databricks(stack: ExitStack, wire: Wire, fails: str | None) -> None:
    from databricks.sql import client
    from databricks.sql.exc import ServerOperationError
    from databricks.sql.telemetry.telemetry_client import TelemetryHelper
    from databricks.sql.types import Row

    class Backend:
        def execute_command(self, **sent: Any) -> Any:
            parameters = [[parameter.type, parameter.value.stringValue] for parameter in sent["parameters"]]
            wire.append({"sql": sent["operation"], "parameters": parameters})
            if fails is not None:
                raise ServerOperationError(fails)
            description = [(name, None, None, None, None, None, None) for name in NAMES]
            result = SimpleNamespace(
                description=description, has_been_closed_server_side=True, is_staging_operation=False
            )
            result.fetchall = lambda: [Row(**dict(zip(NAMES, ROW, strict=True)))]
            result.close = lambda: None
            return result

    session = {
        "open": lambda self: self.__dict__.update(is_open=True),
        "close": lambda self: None,
        "_create_backend": lambda self, *arguments, **options: Backend(),
    }
    original = client.Session.__init__

    def made(self: Any, *arguments: Any, **options: Any) -> None:
        wire.append({"session": arguments[4]})
        self.use_sea, self._session_id = False, SimpleNamespace(hex_guid="g")  # which the stubbed methods would set
        original(self, *arguments, **options)

    stack.enter_context(patch.object(client.Session, "__init__", made))
    stack.enter_context(patch.object(TelemetryHelper, "is_telemetry_enabled", lambda connection: False))
    for name, value in session.items():
        stack.enter_context(patch.object(client.Session, name, value))


def trino(stack: ExitStack, wire: Wire, fails: str | None) -> None:
    from trino.client import TrinoRequest

    def post(self: Any, sql: str, *arguments: Any, **options: Any) -> Any:
        wire.append({"sql": sql})
        answer: dict[str, Any] = {"id": "q", "infoUri": "", "stats": {"state": "FINISHED"}}
        if fails is not None:
            answer["error"] = {"message": fails, "errorName": "SOMETHING", "errorType": "USER_ERROR"}
        else:
            kinds = ["varchar", "varchar", "bigint", "double"]
            answer["columns"] = [
                {
                    "name": name,
                    "type": kind,
                    "typeSignature": {"rawType": kind, "arguments": [{"kind": "LONG", "value": 9}]},
                }
                for name, kind in zip(NAMES, kinds, strict=True)
            ]
            answer["data"] = [ROW]
        text = json.dumps(answer)
        return SimpleNamespace(ok=True, status_code=200, text=text, headers={}, json=lambda: answer, encoding="utf-8")

    stack.enter_context(patch.object(TrinoRequest, "post", post))


STUBS = {
    "snowflake": snowflake,
    "google_cloud_platform": bigquery,
    "gcpbigquery": bigquery,
    "databricks": databricks,
    "trino": trino,
}


def query(conn_type: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Query the warehouse once."""
    from airflow_provider_launchdarkly.evidence.sql_statement import Statement
    from airflow_provider_launchdarkly.sensors._warehouse_query import dialect_of_connection, query_warehouse

    parameters = [
        datetime.fromisoformat(each["moment"]) if isinstance(each, dict) else each for each in asked["parameters"]
    ]
    wire: Wire = []
    told: dict[str, Any] = {"wire": wire, "dialect": dialect_of_connection("warehouse")}
    with ExitStack() as stack:
        STUBS[conn_type](stack, wire, asked["fails"])
        try:
            columns, rows = query_warehouse(
                "warehouse", lambda placeholder: Statement(asked["sql"].replace("<>", placeholder), tuple(parameters))
            )
            told |= {"columns": columns, "rows": [list(row) for row in rows]}
        except Exception as error:  # noqa: BLE001 - the test looks at it
            told["error"] = [type(error).__name__, str(error)]
    return told


if __name__ == "__main__":
    os.environ["AIRFLOW_CONN_WAREHOUSE"] = json.dumps({"conn_type": sys.argv[1], **CONNECTIONS[sys.argv[1]]})
    print(json.dumps([query(sys.argv[1], asked) for asked in json.loads(sys.stdin.read())], default=str))
