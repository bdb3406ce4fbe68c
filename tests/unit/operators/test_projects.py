"""Experimentation settings: units are merged, changes are logged and written once."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators.projects import LaunchDarklyUpdateExperimentationSettingsOperator
from airflow_provider_launchdarkly.testing import EmulatorServer

UNITS = [{"randomization_unit": "organization", "default": True}]


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str, *values: object) -> None:
        self.lines.append(message % values)

    def warning(self, *_: object) -> None:
        """Airflow says that the task runs outside of its runner."""


def update(context: Any, units: Any = UNITS) -> Any:
    operator = LaunchDarklyUpdateExperimentationSettingsOperator(task_id="units", randomization_units=units)
    return operator.execute(context)


def test_units_are_merged_and_the_others_kept(hook: LaunchDarklyHook, context: Any) -> None:
    before = [unit.randomization_unit for unit in hook.get_experimentation_settings().randomization_units]
    output = update(context)
    assert output == {
        "project_key": "demo",
        "randomization_units": before,
        "default": "organization",
        "changed": True,
    }


def test_a_repeat_writes_nothing(hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any) -> None:
    update(context)
    assert update(context)["changed"] is False
    assert [line.method for line in emulator.requests()].count("PUT") == 1


def test_changes_are_logged(hook: LaunchDarklyHook, context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    monkeypatch.setattr(LaunchDarklyUpdateExperimentationSettingsOperator, "log", log)
    update(context)
    assert "Randomization unit user is no longer the default." in log.lines
    assert "Randomization unit organization is now the default." in log.lines
    assert "Keeping user, organization." in log.lines


@pytest.mark.parametrize(
    "units", [[], None, [{"unit": "user"}], [*UNITS, {"randomization_unit": "user", "default": True}]]
)
def test_wrong_units_are_refused_when_the_dag_file_is_parsed(units: Any) -> None:
    with pytest.raises(ConfigurationError):
        LaunchDarklyUpdateExperimentationSettingsOperator(task_id="units", randomization_units=units)
