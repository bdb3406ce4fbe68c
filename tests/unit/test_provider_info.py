"""The provider's description: valid against the schema that Airflow ships, with paths that can be imported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from airflow_provider_launchdarkly.get_provider_info import get_provider_info
from airflow_provider_launchdarkly.hooks.connection import KNOWN_EXTRAS


def paths(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for part in value.values():
            yield from paths(part)
    elif isinstance(value, list):
        for part in value:
            yield from paths(part)
    elif isinstance(value, str) and value.startswith("airflow_provider_launchdarkly."):
        yield value


@pytest.mark.parametrize("schema", ["provider_info.schema.json"])
def test_the_description_is_valid_against_airflows_schema(schema: str) -> None:
    jsonschema.validate(get_provider_info(), json.loads(files("airflow").joinpath(schema).read_text()))


@pytest.mark.parametrize("path", sorted(set(paths(get_provider_info()))))
def test_every_path_is_importable(path: str) -> None:
    module, _, name = path.rpartition(".")
    try:
        import_module(path)
    except ModuleNotFoundError:
        assert hasattr(import_module(module), name)


def test_every_field_of_the_connection_form_is_one_that_the_hook_reads() -> None:
    (connection,) = get_provider_info()["connection-types"]
    assert set(connection["conn-fields"]) == KNOWN_EXTRAS


def test_airflow_discovers_the_provider_and_its_hook() -> None:
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    assert "airflow-provider-launchdarkly" in manager.providers
    hook = manager.hooks["launchdarkly"]
    assert hook is not None
    assert hook.hook_name == "LaunchDarkly"


def test_airflow_reads_the_configuration_default() -> None:
    from airflow.configuration import conf
    from airflow.providers_manager import ProvidersManager

    ProvidersManager().initialize_providers_configuration()
    assert conf.getfloat("launchdarkly", "poll_interval") == 300.0
