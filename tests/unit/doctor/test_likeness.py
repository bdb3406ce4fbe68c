"""An emulator that is started like an account gets the same report from the doctor as the account itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.emulator.state.likeness import Likeness, read_likeness
from airflow_provider_launchdarkly.emulator.state.settings import Settings, positions
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.scene import Scene
from support.surroundings import CONNECTION, connection_json

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Doctor, Visit

# What only a write can tell, and what no generation but one can be told by.
BY_WRITING = {"content_type", "draft_over_draft", "winner", "flag_version"}
ALONE = {"generation", "results"}


@contextmanager
def account(monkeypatch: pytest.MonkeyPatch, *, ahead: int = 0, **options: Any) -> Iterator[EmulatorServer]:
    """An emulator in which an experiment has run for 36 hours, as the given switches and token have it."""
    start = datetime.now(UTC) - timedelta(hours=36) + timedelta(seconds=ahead)
    with EmulatorServer(start=start, clock_rate=1.0, **options) as server:
        wanted = server.call(lambda emulator: emulator.settings)
        server.switch(**Settings(treatment_ids=wanted.treatment_ids).to_json())
        own = server.call(lambda emulator: emulator.world.tokens[server.token])
        owner = server.call(lambda emulator: next(iter(emulator.world.members)))
        administrator = replace(own, role="admin", member_id=owner)
        server.call(lambda emulator: emulator.world.tokens.update({server.token: administrator}))
        monkeypatch.setenv(CONNECTION, connection_json(server))
        Scene(LaunchDarklyHook(), server)
        server.switch(**wanted.to_json())
        server.call(lambda emulator: emulator.world.tokens.update({server.token: own}))
        yield server


def same(first: Visit, second: Visit) -> None:
    """Both reports say the same, but for seconds of the clock."""

    def told(visit: Visit) -> Any:
        emulator = visit.report["emulator"]
        lines = [line for line in visit.report["findings"] if line["check"] != "clock"]
        return lines, {name: value for name, value in emulator.items() if name != "clock_ahead_seconds"}

    assert told(second) == told(first)
    seconds = [visit.report["emulator"].get("clock_ahead_seconds", 0) for visit in (first, second)]
    assert abs(seconds[0] - seconds[1]) <= 3
    assert [status for status, _ in first.lines("clock")] == [status for status, _ in second.lines("clock")]


def shapes() -> list[dict[str, str]]:
    """Every position of every switch that reading can tell, each alone, and some together."""
    alone = [
        {name: position}
        for name, choices in positions().items()
        if name not in BY_WRITING and name != "people"
        for position in choices
    ]
    together = [
        {"generation": generation, "results": results, "beta_header": "strict"}
        for generation in ("17.1", "17.2", "25")
        for results in ("present", "gone")
    ]
    limits = [
        {"rate_limit_headers": "plenty", "rate_limit_families": families}
        for families in positions()["rate_limit_families"]
    ]
    return [*alone, *together, *limits]


@pytest.mark.parametrize("switches", shapes(), ids=lambda shape: " ".join(f"{k}={v}" for k, v in shape.items()))
def test_a_switch_makes_the_round(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, switches: dict[str, str]) -> None:
    with account(monkeypatch, settings=switches):
        first = doctor()
    with account(monkeypatch, like=first.report):
        same(first, doctor())


@pytest.mark.parametrize("role", ["reader", "writer", "admin", "custom"])
@pytest.mark.parametrize("service", [False, True])
def test_a_token_makes_the_round(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, role: str, service: bool) -> None:
    data = {"doctor": 1, "emulator": {"token": {"role": role, "service": service}}}
    with account(monkeypatch, like=data):
        first = doctor()
    assert first.report["emulator"]["token"] == {"role": role, "service": service}
    with account(monkeypatch, like=first.report):
        same(first, doctor())


@pytest.mark.parametrize("ahead", [-3600, 0, 240])
def test_the_command_starts_an_emulator_like_the_account_its_clock_included(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ahead: int
) -> None:
    with account(monkeypatch, ahead=ahead, settings={"results": "gone", "beta_header": "strict"}):
        first = doctor()
    served: list[Any] = []

    def serve(emulator: Any, listening: Any, on_start: Any) -> None:
        served.append(emulator)
        listening.close()

    monkeypatch.setattr("airflow_provider_launchdarkly.emulator.transport.server.serve", serve)
    assert main(["emulator", "--port", "0", "--like", str(tmp_path / "doctor.json"), "--set", "winner=optional"]) == 0
    (emulator,) = served
    assert (emulator.settings.results, emulator.settings.beta_header) == ("gone", "strict")
    assert emulator.settings.winner == "optional"
    assert abs((emulator.clock.now() - datetime.now(UTC)).total_seconds() - ahead) < 30
    assert first.report["emulator"]["clock_ahead_seconds"] == pytest.approx(ahead, abs=3) if ahead else True


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("no json", "it is not JSON"),
        ("[]", "no report of airflow-launchdarkly doctor --write"),
        ("{}", "no report of"),
        ({"doctor": 2, "emulator": {}}, "no report of"),
        ({"doctor": 1}, "no report of"),
        ({"doctor": 1, "emulator": {"switches": {"results": "maybe"}}}, "results can be present or gone, not 'maybe'"),
        ({"doctor": 1, "emulator": {"switches": {"nothing": "on"}}}, "no such switch: 'nothing'"),
        ({"doctor": 1, "emulator": {"switches": []}}, "emulator.switches"),
        ({"doctor": 1, "emulator": {"token": {"role": "king"}}}, "emulator.token.role: 'king' is not one of reader"),
        (
            {"doctor": 1, "emulator": {"token": {"service": "yes"}}},
            "emulator.token.service: 'yes' is not true or false",
        ),
        ({"doctor": 1, "emulator": {"clock_ahead_seconds": 1e12}}, "emulator.clock_ahead_seconds"),
        ({"doctor": 1, "emulator": {"color": "red"}}, "color"),
    ],
)
def test_a_report_that_cannot_be_followed_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], written: Any, said: str
) -> None:
    file = tmp_path / "report.json"
    file.write_text(written if isinstance(written, str) else json.dumps(written))
    assert main(["emulator", "--port", "0", "--like", str(file)]) == 1
    error = capsys.readouterr().err
    assert str(file) in error
    assert said in error
    assert error.count("\n") == 1


def test_a_report_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emulator", "--port", "0", "--like", "/nowhere.json"]) == 1
    assert "cannot read /nowhere.json" in capsys.readouterr().err


def test_a_reset_keeps_the_likeness() -> None:
    like = {"doctor": 1, "emulator": {"token": {"role": "reader"}, "switches": {"results": "gone"}}}
    with EmulatorServer(like=like, settings={"winner": "optional"}) as server:
        server.reset()
        assert server.call(lambda emulator: emulator.world.tokens[server.token].role) == "reader"
        switches = server.call(lambda emulator: emulator.settings)
        assert (switches.results, switches.winner) == ("gone", "optional")


def test_an_empty_likeness_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text('{"doctor": 1, "emulator": {}}')
    assert read_likeness(file) == Likeness()
