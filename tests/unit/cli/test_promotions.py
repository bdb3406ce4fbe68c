"""`validate`, `plan`, `notify` and `power` of a rollout with environments, against an emulator with three."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_launchdarkly.testing import EmulatorServer
from support.promotions import three_environments
from support.surroundings import CONNECTION, connection_json
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
    stages: [{allocation: 10, dwell: 2d}, {allocation: 50, gate: decision}]
    policy: {traffic: {units_per_day: 2000, mean: 0.1}, primary: {minimum_detectable_effect: 0.05}}
    notify: [{through: slack, connection: growth}]
    environments:
      - {key: test, stages: [{allocation: 50, gate: decision}]}
      - staging
      - {key: production, endings: {inconclusive: ask}, stages: [{allocation: 0.5, gate: decision}]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "button.yaml"
    written.write_text(FILE)
    return written


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorServer]:
    with EmulatorServer(world=three_environments()) as server:
        monkeypatch.setenv(CONNECTION, connection_json(server))
        yield server


def test_plan_shows_every_environment(run: Command, file: Path, emulator: EmulatorServer) -> None:
    planned = run("plan", file)
    assert planned.code == 2
    heads = [line.split()[2] for line in planned.out.splitlines() if line.startswith("+")]
    assert heads == ["button/test", "button/staging", "button/production"]
    assert "3 create, 0 change, 0 drifted, 0 equal" in planned.out
    assert [request.operation for request in emulator.requests() if request.method != "GET"] == []


def test_plan_names_the_environments_where_one_does_not_exist(
    run: Command, file: Path, emulator: EmulatorServer
) -> None:
    file.write_text(FILE.replace("- staging", "- stagin"))
    planned = run("plan", file)
    assert planned.code == 1
    assert "button/stagin: environment 'stagin' does not exist in project 'demo'" in planned.err
    assert "write one of production, test, staging" in planned.err
    assert "2 create" in planned.out


def test_plan_finds_a_rule_by_its_description_and_names_one_that_is_not_there(
    run: Command, file: Path, emulator: EmulatorServer
) -> None:
    german = FILE.replace("checkout-button", "pricing-page").replace("Classic", "Present").replace("Bold}", "New}")
    file.write_text(german.replace("hypothesis", "rule: German visitors\n      hypothesis"))
    assert "3 create" in run("plan", file).out
    file.write_text(german.replace("hypothesis", "rule: French visitors\n      hypothesis"))
    planned = run("plan", file)
    assert planned.code == 1
    assert "button/test: flag 'pricing-page' has no rule 'French visitors'" in planned.err


def test_validate_counts_one_rollout_and_says_in_which_environment_a_concern_is(run: Command, file: Path) -> None:
    checked = run("validate", file)
    assert checked.code == 0
    assert "valid rollouts: 1" in checked.out
    assert "button: warning: in production: stages: allocation is in percent" in checked.out


def test_notify_shows_the_messages_of_each_environment(run: Command, file: Path) -> None:
    shown = run("notify", "--test", file, "--event", "started")
    told = [line for line in shown.out.splitlines() if line.startswith("button/")]
    assert [line.partition(":")[0] for line in told] == ["button/test", "button/staging", "button/production"]


def test_power_is_that_of_one_environment(run: Command, file: Path) -> None:
    assert "choose one with --rollout, of button/production, button/staging, button/test" in run("power", file).err
    assert run("power", file, "--rollout", "button/staging").code == 0
