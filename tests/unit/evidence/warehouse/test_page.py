"""The page on LaunchDarkly's own tables: its tables of settings are complete, and its metrics are valid."""

from __future__ import annotations

import re
from dataclasses import fields

import yaml

from airflow_provider_launchdarkly import DataExportResults, WarehouseNativeResults
from airflow_provider_launchdarkly.evidence.warehouse.config import AggregatesTable
from airflow_provider_launchdarkly.evidence.warehouse.definition import EventsTable, ExposuresTable
from airflow_provider_launchdarkly.evidence.warehouse.metric_files import parse_metrics
from airflow_provider_launchdarkly.evidence.warehouse.metric_settings import MetricSettings
from airflow_provider_launchdarkly.rollout.files import Broken, read_text
from support.surroundings import REPOSITORY

FILE = REPOSITORY / "docs" / "how-to" / "results-from-launchdarkly-tables.md"
PAGE = FILE.read_text()


def section(heading: str) -> str:
    return PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


def named(rows: str) -> set[str]:
    return set(re.findall(r"`([a-z_]+)`", rows))


def row(heading: str, name: str) -> str:
    return next(line for line in section(heading).splitlines() if line.startswith(f"| `{name}`"))


def test_each_setting_is_on_the_page() -> None:
    for model, heading in (
        (DataExportResults, "Settings of DataExportResults"),
        (WarehouseNativeResults, "Settings of WarehouseNativeResults"),
    ):
        settings = {field.alias or name for name, field in model.model_fields.items()} - {"source"}
        assert settings <= named(section(heading)), model
    assert set(MetricSettings.model_fields) <= named(section("Metrics that LaunchDarkly does not have"))


def test_each_column_is_on_the_page() -> None:
    for table, heading, name in (
        (ExposuresTable, "Settings of DataExportResults", "exposures"),
        (EventsTable, "Settings of DataExportResults", "events"),
        (AggregatesTable, "Settings of WarehouseNativeResults", "aggregates"),
    ):
        assert {field.name for field in fields(table)} <= named(row(heading, name)), table


def test_the_metrics_of_the_page_are_valid() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (metrics,) = (block for block in blocks if block.startswith("metrics:"))
    assert list(parse_metrics(metrics, "metrics.yaml")) == ["orders", "revenue", "revenue-per-order", "checkout"]


def test_the_defaults_of_the_page_are_valid() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (defaults,) = (block for block in blocks if block.startswith("defaults:"))
    example = yaml.safe_load(defaults)
    example["rollouts"] = {
        "bold": {
            "experiment": {
                "flag": "checkout-button",
                "hypothesis": "Bold is better.",
                "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
                "primary_metric": "checkout-conversion",
            },
            "stages": [{"allocation": 50, "gate": "decision"}],
        }
    }
    (found,) = read_text(yaml.safe_dump(example), FILE)
    assert not isinstance(found, Broken), found
    assert found.rollout.results == DataExportResults(conn_id="warehouse", schema="launchdarkly")
