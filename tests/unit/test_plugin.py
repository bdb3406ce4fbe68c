"""What the provider's plugin adds to Airflow: a timetable and the pages, which no other process loads."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.plugins_manager import AirflowPlugin
from starlette.applications import Starlette

from airflow_provider_launchdarkly.plugins.pages.addresses import external_views
from airflow_provider_launchdarkly.plugins.provider import LaunchDarklyPlugin
from airflow_provider_launchdarkly.rollout.timetable import ChangeWindowTimetable

# What a plugin is made of. All else that Airflow knows may put a page, a route or code into its servers.
ITS_OWN = {"name", "source", "timetables", "validate", "on_load"}


def additions(plugin: type[AirflowPlugin]) -> dict[str, Any]:
    """What a plugin adds to Airflow beside timetables, by the field that Airflow reads."""
    fields = {name for name in dir(AirflowPlugin) if not name.startswith("_")} - ITS_OWN
    return {name: getattr(plugin, name) for name in sorted(fields) if getattr(plugin, name)}


def test_the_plugin_registers_the_timetable_and_the_pages() -> None:
    """`unit/plugins/test_pages.py` holds that each route refuses whoever has no session."""
    plugin = LaunchDarklyPlugin()
    assert plugin.timetables == [ChangeWindowTimetable]
    assert set(additions(LaunchDarklyPlugin)) == {"fastapi_apps", "external_views"}
    (app,) = plugin.fastapi_apps
    assert app["url_prefix"] == "/launchdarkly"
    assert "on_load" not in vars(LaunchDarklyPlugin)


def test_no_task_and_no_dag_file_loads_the_pages() -> None:
    code = (
        "import sys; from airflow_provider_launchdarkly.plugins.provider import LaunchDarklyPlugin; plugin = "
        "LaunchDarklyPlugin(); plugin.macros, plugin.timetables, plugin.external_views; "
        "print([name for name in sys.modules if name.startswith(('fastapi', 'airflow.api_fastapi.app', "
        "'airflow_provider_launchdarkly.pictures', 'airflow_provider_launchdarkly.plugins.pages.app'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("base_url", "root"),
    [("", ""), ("http://localhost:8080", ""), ("https://example.org/", ""), ("https://example.org/a/b/", "/a/b")],
)
def test_the_tabs_are_where_the_deployment_is(base_url: str, root: str) -> None:
    views = external_views(base_url)
    assert [view["destination"] for view in views] == ["nav", "dag", "dag_run", "task_instance"]
    assert all(view["href"].startswith(f"{root}/launchdarkly/experiment") for view in views)
    assert len({view["url_route"] for view in views}) == 4
    assert views[2]["href"].endswith("?dag_id={DAG_ID}&run_id={RUN_ID}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fastapi_apps", [{"app": Starlette(), "url_prefix": "/launchdarkly", "name": "LaunchDarkly"}]),
        ("fastapi_root_middlewares", [{"middleware": SimpleNamespace, "name": "LaunchDarkly"}]),
        ("external_views", [{"name": "LaunchDarkly", "href": "https://app.launchdarkly.com"}]),
        ("react_apps", [{"name": "LaunchDarkly", "bundle_url": "https://127.0.0.1/bundle.js"}]),
        ("flask_blueprints", [object()]),
        ("appbuilder_views", [{"view": object()}]),
    ],
)
def test_each_kind_of_page_would_be_told(field: str, value: list[Any]) -> None:
    assert hasattr(AirflowPlugin, field)
    plugin = type("PluginWithPage", (LaunchDarklyPlugin,), {field: value})
    assert additions(plugin)[field] == value
