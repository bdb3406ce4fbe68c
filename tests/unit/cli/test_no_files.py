"""What is named as a file and is none: no command waits for a named pipe, or reads a device to its end."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from airflow_provider_launchdarkly.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

READERS = (
    ("simulate",),
    ("power", "--baseline", "0.1", "--units-per-day", "1000"),
    ("past-looks", "button", "--results"),
    ("replay",),
    ("report",),
    ("portfolio",),
    ("emulator", "--world"),
    ("emulator", "--load"),
    ("emulator", "--like"),
)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe; what opens it to read goes on, at an empty text, once the test has failed."""
    path = tmp_path / "it.jsonl"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("command", READERS, ids=" ".join)
def test_a_named_pipe_is_refused_by_name(
    command: tuple[str, ...], pipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reached = threading.Event()

    def release() -> None:
        if not reached.wait(10):
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))

    watch = threading.Thread(target=release)
    watch.start()
    try:
        assert main([*command, str(pipe)]) == 1
    finally:
        reached.set()
        watch.join()
    told = capsys.readouterr().err
    assert str(pipe) in told
    assert "named pipe" in told or "no file" in told
    assert "bug" not in told


@pytest.mark.parametrize("command", READERS[:6], ids=" ".join)
def test_a_dangling_link_is_told(command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = tmp_path / "it.jsonl"
    link.symlink_to(tmp_path / "gone")
    assert main([*command, str(link)]) == 1
    assert "the link leads nowhere" in capsys.readouterr().err
