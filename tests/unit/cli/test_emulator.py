"""The command as a person meets it: what it prints, how it ends, and how it says what is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "airflow_provider_launchdarkly.emulator"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}


@contextmanager
def emulator(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run it, and give the process and what it printed up to its last line."""
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert process.stdout is not None
    try:
        printed = ""
        while "Ctrl-C" not in printed:
            line = process.stdout.readline()
            assert line, "it ended before it was ready"
            printed += line
        yield process, printed
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def url_in(printed: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+", printed)
    assert found
    return found.group()


@pytest.mark.parametrize(("rate", "interval"), [("86400", "0.5"), ("3600", "12"), ("1", None), ("0", None)])
def test_a_fast_clock_names_the_poll_interval_for_it(rate: str, interval: str | None) -> None:
    with emulator("--port", "0", "--clock-rate", rate) as (_, printed):
        found = re.search(r"export AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL=(\S+)$", printed, re.MULTILINE)
        assert (found and found[1]) == interval


def test_it_prints_a_connection_that_works() -> None:
    with emulator("--port", "0", "--token", "my-token", "--clock-rate", "0") as (_, printed):
        line = next(line for line in printed.splitlines() if "AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT" in line)
        echoed = subprocess.run(
            ["/bin/sh", "-c", f'{line.strip()}; printf %s "$AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT"'],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        connection = json.loads(echoed)
        assert connection["conn_type"] == "launchdarkly"
        assert connection["extra"] == {"project_key": "demo", "environment_key": "production"}
        request = urllib.request.Request(
            f"{connection['host']}/api/v2/projects/demo", headers={"Authorization": connection["password"]}
        )
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["key"] == "demo"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_though_a_client_stays_connected(number: signal.Signals) -> None:
    with emulator("--port", "0") as (process, printed), socket.socket() as client:
        client.connect(("127.0.0.1", int(url_in(printed).rsplit(":", 1)[1])))
        process.send_signal(number)
        assert process.wait(timeout=10) == 0


def test_the_clock_starts_where_it_is_told_and_runs_as_fast_as_it_is_told() -> None:
    with emulator("--port", "0", "--clock-start", "2030-01-01T00:00:00Z", "--clock-rate", "0") as (_, printed):
        assert "2030-01-01 00:00:00 UTC, stands still" in printed
        with urllib.request.urlopen(f"{url_in(printed)}/__emulator__/clock") as answer:
            assert json.load(answer)["now"] == "2030-01-01T00:00:00+00:00"


def test_seed_scenario_and_switches_are_taken() -> None:
    arguments = ("--port", "0", "--seed", "7", "--scenario", "no-effect", "--set", "results=gone")
    with emulator(*arguments) as (_, printed):
        assert "no-effect, seed 7" in printed
        with urllib.request.urlopen(f"{url_in(printed)}/__emulator__/settings") as answer:
            assert json.load(answer)["results"] == "gone"


def test_a_world_of_ones_own_is_served_and_its_places_are_in_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "world.yaml"
    path.write_text("{members: {a@b.c: {}}, projects: {shop: {environments: {live: {}}, flags: {banner: {}}}}}")
    with emulator("--port", "0", "--world", str(path)) as (_, printed):
        assert f"world     {path}, seed 42" in printed
        assert "project   shop, environments live" in printed
        assert '"extra": {"project_key": "shop", "environment_key": "live"}' in printed


def test_a_snapshot_is_gone_on_from_at_its_time(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    with emulator("--port", "0", "--clock-start", "2026-03-01T00:00:00Z", "--clock-rate", "0") as (_, printed):
        urllib.request.urlretrieve(f"{url_in(printed)}/__emulator__/snapshot", path)
    arguments = ("--port", "0", "--load", str(path), "--clock-rate", "0", "--token", "another", "--set", "results=gone")
    with emulator(*arguments) as (_, printed):
        assert "2026-03-01 00:00:00 UTC" in printed
        request = urllib.request.Request(f"{url_in(printed)}/api/v2", headers={"Authorization": "another"})
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"{url_in(printed)}/__emulator__/settings") as answer:
            assert json.load(answer)["results"] == "gone"


def test_a_busy_port_is_said_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["emulator", "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert "choose another with --port" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scenario", "nothing"], "no such scenario: 'nothing'; there are effect"),
        (["--clock-start", "yesterday"], "not an ISO 8601 time"),
        (["--clock-rate", "-1"], "rate must be between"),
        (["--set", "results=maybe"], "results can be present or gone"),
        (["--set", "nothing=on"], "no such switch"),
        (["--world", "/nowhere.yaml"], "cannot read /nowhere.yaml: No such file or directory"),
        (["--load", "/nowhere.json"], "cannot read /nowhere.json"),
        (["--load", "pyproject.toml"], "pyproject.toml is not JSON"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["emulator", "--port", "0", *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["emulator", "--port", "99999"],
        ["emulator", "--token", "two words"],
        ["emulator", "--set", "x"],
        ["emulator", "--world", "a", "--load", "b"],
        ["nothing"],
    ],
)
def test_wrong_arguments_are_refused_with_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == ExitCode.ERROR
    assert "usage: airflow-launchdarkly" in capsys.readouterr().err


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"airflow-launchdarkly \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)
