"""Change a project's randomization units: the context kinds that may be randomized.

LaunchDarkly's PUT replaces the whole list, so the present units are read and merged, and none that the caller does not
name is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import Difference, UnexpectedResponseError
from airflow_provider_launchdarkly.api.models import ExperimentationSettingsPut, RandomizationUnitInput
from airflow_provider_launchdarkly.api.writes.ensure import Ensured, ensure, fields_as_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import Request
    from airflow_provider_launchdarkly.api.models import ExperimentationSettings


def merge_randomization_units(
    project_key: str,
    units: Sequence[RandomizationUnitInput],
    *,
    announce: Callable[[ExperimentationSettings, ExperimentationSettingsPut], None] = lambda _found, _put: None,
) -> Procedure[Ensured[ExperimentationSettings]]:
    """Add or change randomization units and keep all others.

    Safe to repeat: units that are so already are left alone, and without a change nothing is written. The list is read
    just before each write, and once more a second after it: LaunchDarkly has no way to exclude another write in
    between, so what somebody else's write has removed is written again. What is removed later is not noticed.

    Args:
        project_key: The project.
        units: Units to add or change. A new default takes the place of the old one.
        announce: Called with the present and the new settings just before a write.

    Raises:
        FieldsNotAppliedError: LaunchDarkly accepted the write, and a unit is still not as asked.
        LaunchDarklyError: As the calls raise.
    """

    def read() -> Procedure[ExperimentationSettings]:
        response = yield endpoints.get_experimentation_settings(project_key)
        settings: ExperimentationSettings = response.value
        return settings

    def write(found: ExperimentationSettings) -> Request[ExperimentationSettings]:
        settings = _merged(found, units)
        announce(found, settings)
        return endpoints.put_experimentation_settings(project_key, settings)

    return ensure(
        fields_as_asked(
            f"project {project_key!r} has the randomization units asked for",
            read=read,
            differences=lambda found: _differences(units, found),
            write=write,
            may_be_undone=True,
        )
    )


def _merged(found: ExperimentationSettings, units: Sequence[RandomizationUnitInput]) -> ExperimentationSettingsPut:
    """The whole list to write: what is there, changed and completed by what was asked for.

    Args:
        found: What is there.
        units: Units to add or change.

    Raises:
        ConfigurationError: Two of the units are to be the default, or one is named twice.
    """
    asked = {
        unit.randomization_unit: unit
        for unit in ExperimentationSettingsPut.checked(
            {"randomization_units": [unit.model_dump() for unit in units]}
        ).randomization_units
    }
    new_default = any(unit.default for unit in asked.values())
    whole = []
    for present in found.randomization_units:
        if not present.randomization_unit:
            raise UnexpectedResponseError(
                "LaunchDarkly shows a randomization unit without a name; nothing was written, since a write replaces "
                "the whole list: correct that unit in the project's experimentation settings first"
            )
        change = asked.pop(present.randomization_unit, None)
        default = False if new_default else present.default
        standard = present.standard_randomization_unit
        if change:
            default = default if change.default is None else change.default
            standard = change.standard_randomization_unit or standard
        whole.append(
            RandomizationUnitInput(
                randomization_unit=present.randomization_unit, default=default, standard_randomization_unit=standard
            )
        )
    return ExperimentationSettingsPut(randomization_units=(*whole, *asked.values()))


def _differences(units: Sequence[RandomizationUnitInput], found: ExperimentationSettings) -> tuple[Difference, ...]:
    present = {unit.randomization_unit: unit for unit in found.randomization_units}
    differences = []
    for asked in units:
        where = f"randomizationUnits[{asked.randomization_unit}]"
        shown = present.get(asked.randomization_unit)
        if shown is None:
            differences.append(Difference(where, asked.to_wire(), None))
        elif asked.default is not None and asked.default != shown.default:
            differences.append(Difference(f"{where}.default", asked.default, shown.default))
    return tuple(differences)
