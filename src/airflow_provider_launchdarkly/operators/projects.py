"""The operator on a project's experimentation settings. It only calls ``api/writes``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.config.problems import shown
from airflow_provider_launchdarkly.operators._base import LaunchDarklyBaseOperator
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.models import ExperimentationSettings, ExperimentationSettingsPut


class SettingsOutput(TypedDict):
    """A project's randomization units: plain JSON. ``changed`` is False if nothing had to change."""

    project_key: str
    randomization_units: list[str]
    default: str | None
    changed: bool


class LaunchDarklyUpdateExperimentationSettingsOperator(LaunchDarklyBaseOperator):
    """Add or change randomization units of a project, and keep all others.

    LaunchDarkly's call replaces the whole list, so the task reads the list, merges the units into it, logs the changes
    and writes. Safe to repeat: without a change it writes nothing.

    Args:
        randomization_units: ``{"randomization_unit": …, "default": …}`` each. The unit is an existing context kind. A
            new default replaces the old one.

    Returns:
        :class:`.SettingsOutput`.
    """

    template_fields: Sequence[str] = (*LaunchDarklyBaseOperator.template_fields, "randomization_units")

    def __init__(self, *, randomization_units: Sequence[Mapping[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.randomization_units = randomization_units
        if is_literal(randomization_units):
            self._validate()

    @override
    def act(self, context: Context) -> SettingsOutput:
        """Merge the units into the project's list."""
        self._validate()
        ensured = self.hook.merge_randomization_units(self.randomization_units, announce=self._announce)
        units = ensured.value.randomization_units
        if not ensured.changed:
            self.say("The randomization units need no change: nothing to do.")
        return {
            "project_key": self.hook.project(),
            "randomization_units": [unit.randomization_unit for unit in units],
            "default": next((unit.randomization_unit for unit in units if unit.default), None),
            "changed": ensured.changed,
        }

    def _validate(self) -> None:
        from airflow_provider_launchdarkly.api.models import ExperimentationSettingsPut

        units = self.randomization_units
        if not isinstance(units, list | tuple) or not units:
            raise ConfigurationError(f"randomization_units is {shown(units)}: write a list of units to add or change")
        ExperimentationSettingsPut.checked({"randomization_units": units})

    def _announce(self, found: ExperimentationSettings, put: ExperimentationSettingsPut) -> None:
        before = {unit.randomization_unit: unit.default for unit in found.randomization_units}
        for unit in put.randomization_units:
            name, default = unit.randomization_unit, bool(unit.default)
            if name not in before:
                self.say("Adding randomization unit %s%s.", name, ", the new default" if default else "")
            elif before[name] != default:
                self.say("Randomization unit %s is %s the default.", name, "now" if default else "no longer")
        kept = [unit.randomization_unit for unit in put.randomization_units if unit.randomization_unit in before]
        self.say("Keeping %s.", ", ".join(kept) or "none")
