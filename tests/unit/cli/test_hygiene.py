"""`airflow-launchdarkly hygiene`: what is wrong with running experiments, with an exit code for a nightly job."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.scene import Scene
from unit.cli.conftest import Run

Command = Callable[..., Run]


@pytest.fixture
def scene(connection: str, emulator: EmulatorServer) -> Scene:
    return Scene(LaunchDarklyHook(connection), emulator)


def test_nothing_to_find_is_fine(scene: Scene, run: Command) -> None:
    found = run("hygiene")
    assert (found.code, found.out) == (ExitCode.OK, "1 experiments run in demo (production, test); 0 findings.\n")


def test_what_is_found_is_printed_with_its_cure(scene: Scene, run: Command) -> None:
    scene.emulator.clock.advance("P40D")
    found = run("hygiene", "--environments", "production")

    assert found.code == ExitCode.FINDING
    assert "- **bold** (production): it has run since" in found.out
    assert "**Cure:** decide it: stop it with a winner, or with the baseline. Owner: ada@example.com." in found.out


def test_plans_are_given_by_experiment_or_for_all(scene: Scene, run: Command) -> None:
    scene.emulator.clock.advance("P40D")

    assert run("hygiene", "--plan", "bold=56d").code == ExitCode.OK
    assert run("hygiene", "--max-duration", "56d").code == ExitCode.OK
    [found] = json.loads(run("hygiene", "--json", "--plan", "other=1d").out)["findings"]
    assert found["kind"] == "past_plan"


@pytest.mark.parametrize("wrong", [["--plan", "56d"], ["--plan", "bold=long"], ["--max-duration", "long"]])
def test_a_wrong_option_is_an_error(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["hygiene", *wrong])
    assert ended.value.code == ExitCode.ERROR
    assert "no plan" in capsys.readouterr().err or wrong != ["--plan", "56d"]
