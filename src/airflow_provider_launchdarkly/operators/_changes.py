"""The ``changes`` argument of the operators that change an experiment: from field to new value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.config.problems import shown
from airflow_provider_launchdarkly.operators._design import check_shares, resolve_treatments

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
    from airflow_provider_launchdarkly.api.writes.update import field_changes

    read = field_changes(changes)
    treatments = read.get("treatments")
    if treatments and treatments.operation == "update" and isinstance(treatments.value, list | tuple):
        check_shares(treatments.value)


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

    treatments = changes.get("treatments")
    if not isinstance(treatments, list | tuple) or not any("variation" in treatment for treatment in treatments):
        return dict(changes)
    experiment = hook.get_experiment(experiment_key, expand=ITERATIONS)
    iteration = experiment.iteration(iteration_id) if iteration_id else experiment.current_iteration
    flags = list(iteration.flags) if iteration else []
    if len(flags) != 1:
        raise ConfigurationError(
            f"treatments: experiment {experiment_key!r} shows {len(flags)} flags, so variations have to be given by "
            "id, in LaunchDarkly's own form"
        )
    return {**changes, "treatments": resolve_treatments(hook.get_flag(flags[0]), treatments)}
