"""The documentation's pages on the emulator agree with its code."""

from __future__ import annotations

import re

import pytest

from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.emulator.transport.faults import FAULTS, LIMITS
from airflow_provider_launchdarkly.testing import EmulatorServer
from support import emulated_page
from support.surroundings import REPOSITORY

HOW_TO = (REPOSITORY / "docs" / "emulator.md").read_text(encoding="utf-8")


def test_the_generated_page_is_up_to_date() -> None:
    written = emulated_page.PAGE.read_text(encoding="utf-8")
    assert written == emulated_page.page(), "run: python tests/support/emulated_page.py"


def test_the_example_world_is_a_world() -> None:
    with EmulatorServer(world=REPOSITORY / "docs" / "examples" / "world.yaml") as server:
        assert server.connection()["extra"] == {"project_key": "shop", "environment_key": "production"}


@pytest.mark.parametrize("option", ["--world", "--load", "--scenario", "--clock-rate", "--clock-start", "--set"])
def test_the_how_to_names_the_options(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["emulator", "--help"])
    assert option in capsys.readouterr().out
    assert option in HOW_TO


def test_the_how_to_names_every_fault_and_limit() -> None:
    named = set(re.findall(r"`([a-z_-]+)`", HOW_TO))
    assert named >= FAULTS.keys() | LIMITS.keys()


@pytest.mark.parametrize("page", ["emulator.md", "emulated.md"])
def test_links_have_existing_targets(page: str) -> None:
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)[)#]", text)
    assert targets
    assert [target for target in targets if not (REPOSITORY / "docs" / target).exists()] == []
