"""The decision records of one quarter, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.quarter import write_quarter


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the records of `support.quarter.TRIALS`; tests only read it."""
    folder = tmp_path_factory.mktemp("decisions")
    write_quarter(folder)
    return folder
