"""Metrics that no statement can compute, each refused by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.evidence.warehouse.definition import (
    Aggregation,
    Cap,
    EventsTable,
    ExposuresTable,
    MetricDefinition,
)
from airflow_provider_launchdarkly.evidence.warehouse.statement import write_statement
from airflow_provider_launchdarkly.evidence.warehouse.variables import DefinitionError
from unit.evidence.warehouse.test_statement import LOOK

DAY = timedelta(days=1)
REVENUE = MetricDefinition("revenue", ("bought",), Aggregation.SUM, missing=0)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"events": ()}, "events is empty"),
        ({"events_table": EventsTable(value=None)}, "needs values"),
        ({"events": ("a", "b"), "events_table": EventsTable(event_key=None)}, "a funnel needs the events' keys"),
        ({"window": (DAY, DAY)}, "window from"),
        ({"window": (-DAY, DAY)}, "window from"),
        ({"covariate": -DAY}, "no time before the exposure"),
        ({"covariate": DAY, "denominator": REVENUE}, "a ratio takes no covariate"),
        ({"denominator": replace(REVENUE, denominator=REVENUE)}, "the denominator is a ratio"),
        ({"denominator": replace(REVENUE, events=())}, "revenue, denominator: events is empty"),
        ({"percentile": 50, "covariate": DAY}, "a percentile takes no covariate"),
        ({"percentile": 0.5}, "percentile 0.5"),
        ({"cap": Cap(lower=60, upper=40)}, "cap from 60 to 40"),
    ],
)
def test_a_metric_that_cannot_be_computed_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        write_statement([replace(REVENUE, **changes)], LOOK, ExposuresTable(), "s", "postgresql")


def test_a_statement_needs_metrics_and_treatments() -> None:
    with pytest.raises(DefinitionError, match="no metric"):
        write_statement([], LOOK, ExposuresTable(), "s", "postgresql")
    with pytest.raises(DefinitionError, match="'revenue' is defined twice"):
        write_statement([REVENUE, REVENUE], LOOK, ExposuresTable(), "s", "postgresql")
    with pytest.raises(DefinitionError, match="no variations of flag"):
        write_statement([REVENUE], replace(LOOK, treatments={}), ExposuresTable(), "s", "postgresql")


def test_an_unknown_dialect_and_a_name_that_is_none_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"dialect 'oracle' is not known; there are .*sqlite"):
        write_statement([REVENUE], LOOK, ExposuresTable(), "s", "oracle")
    for name in ("", 'a"b', "a..b", "a."):
        with pytest.raises(ConfigurationError, match="is no name"):
            write_statement([REVENUE], LOOK, ExposuresTable(table=name), "s", "postgresql")
