"""Check changes of experiment fields before they are sent, and find them in what LaunchDarkly shows after.

LaunchDarkly does not publish the names of the fields that `updateExperimentFields` takes; it shows which it takes in
which state (`mutableFieldsByStatus`). So a name is checked against that where it is shown. A field without a rule here
is sent as it is, and looked for under the same name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from airflow_provider_launchdarkly.api.errors import ConfigurationError, Difference
from airflow_provider_launchdarkly.api.models import AnalysisConfigInput, FieldChange, MetricInput, TreatmentInput
from airflow_provider_launchdarkly.api.writes.comparison import (
    experiment_fields,
    iteration_fields,
    treatment_differences,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_launchdarkly.api.models import Experiment, Iteration, Write

_LISTS = frozenset({"tags", "attributes", "metrics"})
_NOT_SHOWN = object()


def check_changes(changes: Mapping[str, FieldChange], experiment: Experiment, status: str) -> None:
    """Reject changes that LaunchDarkly would refuse or ignore.

    Args:
        changes: Changes by field.
        experiment: The experiment, read with ``expand=mutableFieldsByStatus``.
        status: The status of the iteration that they land on.

    Raises:
        ConfigurationError: There is no change, a field cannot change so in this state, or a value has a wrong shape;
            the message names field and value.
    """
    if not changes:
        raise ConfigurationError("changes is empty: name at least one field")
    allowed = experiment.mutable_fields_by_status.get(status)
    for field, change in changes.items():
        if allowed is not None and change.operation not in allowed.get(field, ()):
            can = ", ".join(f"{name} ({'/'.join(operations)})" for name, operations in sorted(allowed.items()))
            raise ConfigurationError(
                f"{field}: LaunchDarkly does not {change.operation} it while the iteration is {status}; it takes {can}"
            )
        check_value(field, change)


def check_value(field: str, change: FieldChange) -> None:
    """Reject the new value of a field that has a wrong shape for every experiment.

    Raises:
        ConfigurationError: The message names field and value.
    """
    if change.operation == "remove":
        return
    if field in _LISTS and not isinstance(change.value, list | tuple):
        raise ConfigurationError(f"{field}: a list is needed to {change.operation} it, given {change.value!r}")
    match field, change.value:
        case "treatments", list() | tuple() as treatments:
            for treatment in treatments:
                _check_object(field, treatment, TreatmentInput)
        case "metrics", list() | tuple() as metrics:
            for metric in metrics:
                _check_object(field, metric, MetricInput)
        case "analysisConfig", value:
            _check_object(field, value, AnalysisConfigInput)


def _mapping(field: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigurationError(f"{field}: an object is needed, given {value!r}")
    return value


def _check_object(field: str, value: Any, model: type[Write]) -> None:
    model.checked(_mapping(field, value))
    # It is sent as it is, and LaunchDarkly ignores a field in another spelling.
    for name, info in model.model_fields.items():
        if name in value and info.alias not in (None, name):
            raise ConfigurationError(f"{field}: {name} is {value[name]!r}; write {info.alias}, as LaunchDarkly does")


def unapplied(
    changes: Mapping[str, FieldChange], experiment: Experiment, iteration: Iteration
) -> tuple[Difference, ...]:
    """Return the changes that do not show.

    Args:
        changes: Changes by field.
        experiment: The experiment, read with treatments and ``expand=analysisConfig``.
        iteration: The iteration that the changes landed on.

    Returns:
        One difference for each; a field that LaunchDarkly shows nowhere is none (see `unseen`).
    """
    return tuple(
        difference
        for field, change in changes.items()
        for difference in _difference(field, change, experiment, iteration)
    )


def unseen(changes: Mapping[str, FieldChange], experiment: Experiment, iteration: Iteration) -> bool:
    """Return True if neither experiment nor iteration shows one of the fields, so that a read cannot confirm it."""
    return any(_shown(field, experiment, iteration) is _NOT_SHOWN for field in changes if field != "treatments")


def _difference(field: str, change: FieldChange, experiment: Experiment, iteration: Iteration) -> Iterable[Difference]:
    if field == "treatments" and change.operation == "update" and isinstance(change.value, list):
        asked = [TreatmentInput.checked(_mapping(field, value)) for value in change.value]
        moving = experiment.type == "mab" and not iteration.not_started
        return tuple(treatment_differences(asked, iteration.treatments, moving_allocations=moving))
    shown = _shown(field, experiment, iteration)
    if shown is _NOT_SHOWN or _is_applied(field, change, shown):
        return ()
    return (Difference(field, change.to_wire(), shown),)


def _shown(field: str, experiment: Experiment, iteration: Iteration) -> Any:
    if field in experiment_fields():
        return getattr(experiment, experiment_fields()[field])
    if field in iteration_fields():
        return getattr(iteration, iteration_fields()[field])
    if field == "metrics":
        return tuple(metric.key for metric in iteration.measured)
    if field == "analysisConfig":
        # An empty one is left out even when it is asked for.
        config = experiment.analysis_config
        return config.model_dump(by_alias=True, exclude_none=True) if config else {}
    if field in {"primarySingleMetricKey", "primaryFunnelKey"}:
        return iteration.primary.key if iteration.primary else None
    shown = {**(iteration.model_extra or {}), **(experiment.model_extra or {})}
    return shown.get(field, _NOT_SHOWN)


def _is_applied(field: str, change: FieldChange, shown: Any) -> bool:
    if field in _LISTS:
        found, asked = set(shown), {_key(value) for value in _as_list(change.value)}
        match change.operation:
            case "add":
                return asked <= found
            case "update":
                return asked == found
            case "remove":
                return not asked & found if asked else not found
            case unknown:
                assert_never(unknown)
    if change.operation == "remove":
        return shown in (None, "", False, {})
    if isinstance(change.value, dict) and isinstance(shown, dict):
        return all(str(shown.get(name)) == str(value) for name, value in change.value.items())
    return bool(shown == change.value)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _key(value: Any) -> Any:
    """A metric by its key, anything else as it is."""
    return value.get("key") if isinstance(value, dict) else value
