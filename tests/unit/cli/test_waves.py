"""`validate`, `plan`, `notify` and `power` of a rollout with targets, each in an environment of the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_launchdarkly.testing import EmulatorServer
from support.surroundings import CONNECTION, connection_json
from support.waves import an_environment_for_each_target
from unit.cli.conftest import Run

Command = Callable[..., Run]
FILE = """\
rollouts:
  button:
    experiment:
      flag: checkout-button
      hypothesis: Bold is better.
      primary_metric: checkout-conversion
      treatments: [{variation: Classic, baseline: true}, {variation: Bold}]
    stages: [{allocation: 50, gate: decision}]
    policy: {traffic: {units_per_day: 2000, mean: 0.1}, primary: {minimum_detectable_effect: 0.05}}
    notify: [{through: slack, connection: growth}]
    targets:
      - {key: b, environment: berlin}
      - {key: p, environment: paris, stages: [{allocation: 0.5, gate: decision}]}
      - {key: r, environment: rome}
    waves: {order: [1, rest], max_failed: 1}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "button.yaml"
    written.write_text(FILE)
    return written


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorServer]:
    with EmulatorServer(world=an_environment_for_each_target()) as server:
        monkeypatch.setenv(CONNECTION, connection_json(server))
        yield server


def test_plan_shows_every_target(run: Command, file: Path, emulator: EmulatorServer) -> None:
    planned = run("plan", file)
    assert planned.code == 2
    heads = [line.split()[2] for line in planned.out.splitlines() if line.startswith("+")]
    assert heads == ["button/b", "button/p", "button/r"]
    assert "3 create, 0 change, 0 drifted, 0 equal" in planned.out
    assert [request.operation for request in emulator.requests() if request.method != "GET"] == []


def test_plan_names_the_target_whose_environment_does_not_exist(
    run: Command, file: Path, emulator: EmulatorServer
) -> None:
    file.write_text(FILE.replace("environment: rome", "environment: roma"))
    planned = run("plan", file)
    assert planned.code == 1
    assert "button/r: environment 'roma' does not exist in project 'demo'" in planned.err
    assert "2 create" in planned.out


def test_validate_counts_one_rollout_and_says_of_which_target_a_concern_is(run: Command, file: Path) -> None:
    checked = run("validate", file)
    assert checked.code == 0
    assert "valid rollouts: 1" in checked.out
    assert "button: warning: in p: stages: allocation is in percent" in checked.out


def test_validate_names_the_line_of_what_is_wrong(run: Command, file: Path) -> None:
    file.write_text(FILE.replace("max_failed: 1", "max_failed: 3"))
    checked = run("validate", file)
    assert checked.code == 1
    assert "button.yaml:15: waves.max_failed: is 3, and there are 3 targets" in checked.err


def test_notify_shows_what_is_told_once_all_stop(run: Command, file: Path) -> None:
    shown = run("notify", "--test", file, "--event", "stopped")
    told = [line for line in shown.out.splitlines() if line.startswith("button/")]
    assert [line.partition(":")[0] for line in told] == ["button/b", "button/p", "button/r"]
    assert "Stopped: more targets failed than tolerated: 2 of 3 failed (1 tolerated)" in shown.out
    assert "rollback (sample): b, p; untouched (sample): r" in shown.out


def test_power_is_that_of_one_target(run: Command, file: Path) -> None:
    assert "choose one with --rollout, of button/b, button/p, button/r" in run("power", file).err
    assert run("power", file, "--rollout", "button/r").code == 0


@pytest.mark.parametrize("written", ["project: demo", "project: demo, endings: {retire: {}}"])
def test_plan_refuses_what_targets_share_by_their_connection(
    run: Command, file: Path, emulator: EmulatorServer, written: str
) -> None:
    file.write_text(FILE.replace("environment: berlin", "rule: fallthrough").replace("environment: rome", written))
    assert run("validate", file).code == 0
    planned = run("plan", file)
    assert planned.code == 1
    assert (
        f"{file}:2: targets[2]: r and b have the same rule, fallthrough of flag checkout-button in demo/production: "
        "write the `project`, `environment` or `rule` in which they differ" in planned.err
    )
    assert ("targets[2].endings.retire: is for r" in planned.err) is ("retire" in written)
    assert [request.operation for request in emulator.requests() if request.method != "GET"] == []
