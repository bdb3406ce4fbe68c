"""The weekly DAG on what was forgotten, through `dag.test()`: it tells, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.scene import Scene

if TYPE_CHECKING:
    from airflow.sdk import DAG


@pytest.mark.usefixtures("airflow_database")
def test_the_experiment_past_its_plan_and_the_flag_that_can_go_are_told(
    load_dag: Callable[[str], DAG],
    emulator: EmulatorServer,
    connection: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Scene(LaunchDarklyHook(connection), emulator)
    for environment in ("production", "test"):
        LaunchDarklyHook(connection, environment_key=environment).turn_flag("pricing-page", on=False)
    emulator.clock.advance("P40D")
    before = len(emulator.journal())

    run = load_dag("hygiene").test()

    assert run.state == "success"
    assert len(emulator.journal()) == before
    told = capsys.readouterr().out
    assert "ada@example.com: bold: it has run since" in told
    assert "# Remove flag `pricing-page`" in told
    assert "# Remove flag `checkout-button`" not in told
