"""The command line as a user calls it, in an environment with a connection to the emulator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from airflow_provider_launchdarkly.cli.main import main

BUTTON = """\
rollouts:
  button:
    experiment:
      name: Button
      flag: checkout-button
      hypothesis: Bold is better.
      primary_metric: checkout-conversion
      metrics: [page-load-ms]
      tags: [checkout]
      treatments:
        - {variation: Classic, baseline: true}
        - {variation: Bold}
    stages:
      - {allocation: 10, dwell: 2d}
      - {allocation: 50, gate: decision}
"""


class Run(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(connection: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    def command(*arguments: object) -> Run:
        code = main([str(argument) for argument in arguments])
        return Run(code, *capsys.readouterr())

    return command


@pytest.fixture
def button(tmp_path: Path) -> Path:
    """A file with one rollout."""
    file = tmp_path / "button.yaml"
    file.write_text(BUTTON)
    return file
