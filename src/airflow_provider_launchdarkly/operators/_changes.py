"""The ``changes`` argument of the operators that change an experiment: from field to new value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.config.problems import shown
from airflow_provider_launchdarkly.operators._design import check_shares, check_treatments, resolve_treatments

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook


def validate_changes(changes: Any) -> None:
    """Reject changes that are wrong for every experiment.

    Raises:
        ConfigurationError: They are not a mapping, are empty, a field, an operation or a value is wrong, or the
            treatments' shares leave nothing to compare.
    """
    if not isinstance(changes, Mapping) or not changes:
        raise ConfigurationError(f"changes is {shown(changes)}: write a mapping from field to new value")
    from airflow_provider_launchdarkly.api.writes.changed_fields import check_value
    from airflow_provider_launchdarkly.api.writes.update import field_changes

    for field, change in field_changes(changes).items():
        if field == "treatments" and change.operation == "update" and isinstance(change.value, list | tuple):
            check_shares(change.value)
        if field == "treatments" and _names_variations(change.value):
            check_treatments("changes.treatments", change.value)
        else:
            check_value(field, change)


def resolve_changes(
    hook: LaunchDarklyHook, experiment_key: str, changes: Mapping[str, Any], iteration_id: str | None = None
) -> dict[str, Any]:
    """Return the changes with treatments in LaunchDarkly's own form, with variations by id.

    Args:
        hook: The hook, with the project and environment.
        experiment_key: The experiment.
        changes: The changes. Treatments with a key ``variation`` are as the create operators take them; others are in
            LaunchDarkly's own form already.
        iteration_id: The iteration whose flag has the variations. Default: the current one.

    Raises:
        ConfigurationError: The experiment does not show exactly one flag, or the flag has no such variation.
    """
    from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS

    given: Any = changes.get("treatments")
    wrapped = isinstance(given, Mapping) and "operation" in given
    treatments = given.get("value") if wrapped else given
    if not _names_variations(treatments):
        return dict(changes)
    experiment = hook.get_experiment(experiment_key, expand=ITERATIONS)
    iteration = experiment.iteration(iteration_id) if iteration_id else experiment.current_iteration
    flags = list(iteration.flags) if iteration else []
    if len(flags) != 1:
        raise ConfigurationError(
            f"treatments: experiment {experiment_key!r} shows {len(flags)} flags, so variations have to be given by "
            "id, in LaunchDarkly's own form"
        )
    resolved = resolve_treatments(hook.get_flag(flags[0]), treatments)
    return {**changes, "treatments": {**given, "value": resolved} if wrapped else resolved}


def _names_variations(treatments: Any) -> bool:
    """Return whether treatments are as the create operators take them."""
    return isinstance(treatments, list | tuple) and any(
        isinstance(treatment, Mapping) and "variation" in treatment for treatment in treatments
    )
