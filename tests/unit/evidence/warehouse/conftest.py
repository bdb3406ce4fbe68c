"""The databases that statements run on for real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.export_tables import ExportTables, open_export_tables
from support.warehouse import backends


@pytest.fixture(params=["duckdb", *backends()])
def tables(request: pytest.FixtureRequest) -> Iterator[ExportTables]:
    """Empty Data Export tables in each database there is."""
    with open_export_tables(request.param) as opened:
        yield opened
