"""A connection in an environment variable: read as Airflow reads it, and refused where a part has no effect."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.cli.credentials import Access
from airflow_provider_launchdarkly.hooks.connection import ConnectionSettings, read_settings

VARIABLE = "AIRFLOW_CONN_LD"
READ = [
    "launchdarkly://:api-1@/?project_key=demo&environment_key=production",
    "launchdarkly://:api-1@https%3A%2F%2Fld.example.com%3A8443/?timeout=5",
    "launchdarkly://https://:api-1@ld.example.com:8443/?timeout=5",
    "launchdarkly://:api-1@http%3A%2F%2F127.0.0.1:8700/?project_key=demo",
    "launchdarkly://:api-1@/?__extra__=%7B%22region%22%3A+%22eu%22%7D",
    "launchdarkly://:api%2F1@/?ca_bundle=",
    '{"conn_type": "launchdarkly", "password": "api-1", "extra": {"region": "eu"}}',
    '{"conn_type": "launchdarkly", "password": "api-1", "host": "https://x.test", "port": 1, "description": "d"}',
]


def settings(written: str) -> ConnectionSettings:
    return Access({VARIABLE: written}).settings("ld")


@pytest.mark.parametrize("written", READ)
def test_the_command_line_reads_a_connection_as_airflow_does(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv(VARIABLE, written)
    in_airflow: Any = BaseHook.get_connection("ld")
    assert settings(written) == read_settings(in_airflow)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("launchdarkly://api-1@/", "login is set"),
        ("launchdarkly://api-1:api-1@/", "login is set"),
        ("launchdarkly://:api-1@https%3A%2F%2Fld.example.com/gateway", "schema is 'gateway'"),
        ("launchdarkly://:api-1@:8700/", "port is 8700 without a host"),
        ("launchdarkly://:api-1@/?project_key=demo#production", "what follows '#'"),
        ("launchdarkly://:api-1@/?__extra__=%7B%7D&region=eu", "ignores region"),
        ("launchdarkly://:api-1@host:port/", "neither a JSON object nor a URI"),
        ("launchdarkly://:api-1@[/", "neither a JSON object nor a URI"),
        ("api-1", "neither a JSON object nor a URI"),
        ('{"password": "api-1", "token": "x"}', "unknown fields token"),
        ('{"password": "api-1", "login": "x"}', "login is set"),
        ('{"password": "api-1", "schema": "x"}', "schema is 'x'"),
        ('{"password": "api-1", "login": 1}', "login is not text"),
        ('{"password": "api-1", "host": "https://x.test", "port": "x"}', "make no base URL"),
    ],
)
def test_a_part_without_effect_is_refused(written: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as refused:
        settings(written)
    assert "api-1" not in str(refused.value)
