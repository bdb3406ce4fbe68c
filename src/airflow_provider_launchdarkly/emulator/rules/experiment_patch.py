"""Apply a semantic patch to an experiment: all its instructions or none (LaunchDarkly REST docs, Patch experiment)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.emulator.errors import invalid_request, patch_failed
from airflow_provider_launchdarkly.emulator.rules import experiment_inputs, lifecycle
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.state.models import MetricUse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_launchdarkly.emulator.state.models import Experiment, Iteration, Status
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

_METADATA: dict[str, tuple[str, ...]] = {
    "name": ("update",),
    "description": ("update", "remove"),
    "maintainerId": ("update",),
    "tags": ("add", "update", "remove"),
}
MUTABLE: Mapping[Status, Mapping[str, tuple[str, ...]]] = {
    "not_started": {
        **_METADATA,
        "methodology": ("update",),
        "analysisConfig": ("update",),
        "hypothesis": ("update",),
        "metrics": ("add", "update", "remove"),
        "primarySingleMetricKey": ("update",),
        "primaryFunnelKey": ("update",),
        "treatments": ("update",),
        "randomizationUnit": ("update",),
        "canReshuffleTraffic": ("update",),
        "attributes": ("add", "update", "remove"),
        "covariateId": ("update", "remove"),
        "reallocationFrequencyMillis": ("update",),
    },
    "running": {**_METADATA, "metrics": ("add",), "attributes": ("add",)},
    "stopped": dict(_METADATA),
}
"""The operations that each field allows, by the status of the current iteration.

LaunchDarkly does not publish the names of the fields. Its public agent skill lists the changes allowed while an
iteration runs: metadata, and additional metrics and attributes; treatments, methodology and hypothesis are locked.
"""


def apply_patch(transaction: Transaction, environment_key: str, key: str, body: RequestBody) -> None:
    """Apply every instruction in order to the transaction, which the caller commits.

    Raises:
        ApiError: 400 for an instruction that is not allowed now, 409 for a conflict, 422 for an unknown instruction.
    """
    transaction.experiment(environment_key, key)
    for kind, instruction in body.instructions():
        apply = INSTRUCTIONS.get(kind)
        if apply is None or kind in transaction.settings.api.missing_instructions:
            raise patch_failed(f"{instruction.path('kind')}: unknown instruction {kind!r}")
        apply(transaction, environment_key, key, instruction)


def _update_name(transaction: Transaction, environment_key: str, key: str, instruction: RequestBody) -> None:
    _edit(transaction, transaction.experiment(environment_key, key), name=instruction.text("value"))


def _update_description(transaction: Transaction, environment_key: str, key: str, instruction: RequestBody) -> None:
    _edit(
        transaction, transaction.experiment(environment_key, key), description=instruction.optional_text("value") or ""
    )


def _start(transaction: Transaction, environment_key: str, key: str, instruction: RequestBody) -> None:
    lifecycle.start_iteration(transaction, environment_key, key, instruction.optional_text("changeJustification"))


def _stop(transaction: Transaction, environment_key: str, key: str, instruction: RequestBody) -> None:
    winner, reason = instruction.optional_text("winningTreatmentId"), instruction.optional_text("winningReason")
    lifecycle.stop_iteration(transaction, environment_key, key, winner, reason)


def _archive(transaction: Transaction, environment_key: str, key: str, _instruction: RequestBody) -> None:
    lifecycle.archive(transaction, environment_key, key)


def _restore(transaction: Transaction, environment_key: str, key: str, _instruction: RequestBody) -> None:
    lifecycle.restore(transaction, environment_key, key)


def _update_fields(transaction: Transaction, environment_key: str, key: str, instruction: RequestBody) -> None:
    experiment = transaction.experiment(environment_key, key)
    # The running iteration is edited before an unstarted one; the metadata belong to the experiment in any state.
    current = experiment.running or experiment.unstarted or experiment.current
    updates = _field_updates(instruction.object("value"), current.status)
    edited = _with_metadata(transaction, experiment, updates)
    iterations = experiment.iterations
    if updates.keys() - _METADATA.keys():
        merged = _edited_iteration(transaction, environment_key, current, updates)
        iterations = tuple(merged if i.id == current.id else i for i in iterations)
    _edit(transaction, experiment, **{name: getattr(edited, name) for name in _EDITABLE}, iterations=iterations)


def _edited_iteration(
    transaction: Transaction, environment_key: str, current: Iteration, updates: Mapping[str, tuple[str, Any]]
) -> Iteration:
    """Return the iteration with some fields changed and the same id, with a higher version if anything differs."""
    wanted = _with_fields(as_input(current, transaction, environment_key), updates)
    renewed = lifecycle.new_iteration(transaction, environment_key, wanted, current.number)
    ids = {t.parameters: t.id for t in current.treatments}
    merged = replace(
        current,
        hypothesis=renewed.hypothesis,
        metrics=renewed.metrics,
        primary=renewed.primary,
        treatments=tuple(replace(t, id=ids.get(t.parameters, t.id)) for t in renewed.treatments),
        randomization_unit=renewed.randomization_unit,
        can_reshuffle=renewed.can_reshuffle,
        attributes=renewed.attributes,
        covariate_id=renewed.covariate_id,
        reallocation_millis=renewed.reallocation_millis,
    )
    return current if merged == current else replace(merged, version=current.version + 1)


def _save_and_start(transaction: Transaction, environment_key: str, key: str, instruction: RequestBody) -> None:
    experiment = transaction.experiment(environment_key, key)
    running = experiment.running
    if running is None:
        raise invalid_request(f"experiment {key!r} has no running iteration")
    # The updates apply to the new, unstarted iteration, so it decides what may change.
    updates = _field_updates(instruction.object("value"), "not_started") if "value" in instruction else {}
    edited = _with_metadata(transaction, experiment, updates)
    _edit(transaction, experiment, **{name: getattr(edited, name) for name in _EDITABLE})
    wanted = _with_fields(as_input(running, transaction, environment_key), updates)
    justification = instruction.optional_text("changeJustification")
    lifecycle.save_and_start(transaction, environment_key, key, wanted, justification)


INSTRUCTIONS: dict[str, Callable[[Transaction, str, str, RequestBody], None]] = {
    "updateName": _update_name,
    "updateDescription": _update_description,
    "startIteration": _start,
    "stopIteration": _stop,
    "archiveExperiment": _archive,
    "restoreExperiment": _restore,
    "updateExperimentFields": _update_fields,
    "saveAndStartNewIteration": _save_and_start,
}

_EDITABLE = ("name", "description", "maintainer_id", "tags", "methodology", "analysis_config")


def as_input(iteration: Iteration, transaction: Transaction, environment_key: str) -> experiment_inputs.IterationInput:
    """Return the request that would create an iteration again, on the flag's present version."""
    flag = transaction.flag(iteration.flag.flag_key)
    return experiment_inputs.IterationInput(
        hypothesis=iteration.hypothesis,
        metrics=iteration.metrics,
        treatments=tuple(
            experiment_inputs.TreatmentInput(t.name, t.baseline, t.allocation_percent, t.parameters)
            for t in iteration.treatments
        ),
        flag=experiment_inputs.FlagInput(
            flag_key=flag.key,
            rule_id=iteration.flag.rule_id,
            config_version=flag.configs[environment_key].version,
            not_in_experiment_variation_id=iteration.flag.not_in_experiment_variation_id,
        ),
        primary=iteration.primary,
        randomization_unit=iteration.randomization_unit,
        can_reshuffle=iteration.can_reshuffle,
        attributes=iteration.attributes,
        covariate_id=iteration.covariate_id,
        reallocation_millis=iteration.reallocation_millis,
    )


def _field_updates(value: RequestBody, status: Status) -> dict[str, tuple[str, Any]]:
    """Read the field updates as {name: (operation, value)}, and reject those that the status does not allow."""
    updates = {}
    for name in value.names():
        update = value.object(name)
        operation = update.choice("operation", ("add", "update", "remove"), "")
        allowed = MUTABLE[status].get(name, ())
        if operation not in allowed:
            can = f"it takes {', '.join(allowed)}" if allowed else "it is locked or unknown"
            raise invalid_request(f"{value.path(name)}: cannot {operation} while the iteration is {status}; {can}")
        content = update.raw("value")
        if content is None and operation != "remove":
            raise invalid_request(f"{update.path('value')} is required to {operation}")
        updates[name] = (operation, content)
    if not updates:
        raise invalid_request(f"{value.path('value')} names no field")
    return updates


def _with_metadata(
    transaction: Transaction, experiment: Experiment, updates: Mapping[str, tuple[str, Any]]
) -> Experiment:
    edited = experiment
    fields = RequestBody({name: content for name, (_, content) in updates.items()}, "value")
    if "name" in updates:
        edited = replace(edited, name=fields.text("name"))
    if "description" in updates:
        edited = replace(edited, description=fields.optional_text("description") or "")
    if "maintainerId" in updates:
        maintainer = fields.text("maintainerId")
        lifecycle.check_member(transaction, maintainer)
        edited = replace(edited, maintainer_id=maintainer)
    if "methodology" in updates:
        options = ("bayesian", "frequentist", "export_only")
        edited = replace(edited, methodology=fields.choice("methodology", options, ""))
    if "analysisConfig" in updates:
        fields.object("analysisConfig")
        edited = replace(edited, analysis_config=dict(fields.raw("analysisConfig")))
    if "tags" in updates:
        edited = replace(edited, tags=_merged(edited.tags, updates["tags"][0], fields.texts("tags")))
    return edited


def _with_fields(
    wanted: experiment_inputs.IterationInput, updates: Mapping[str, tuple[str, Any]]
) -> experiment_inputs.IterationInput:
    fields = RequestBody({name: content for name, (_, content) in updates.items()}, "value")
    if "hypothesis" in updates:
        wanted = replace(wanted, hypothesis=fields.text("hypothesis"))
    if "randomizationUnit" in updates:
        wanted = replace(wanted, randomization_unit=fields.text("randomizationUnit"))
    if "canReshuffleTraffic" in updates:
        wanted = replace(wanted, can_reshuffle=fields.flag("canReshuffleTraffic"))
    if "treatments" in updates:
        wanted = replace(wanted, treatments=experiment_inputs.treatment_inputs(fields))
    if "attributes" in updates:
        merged = _merged(wanted.attributes, updates["attributes"][0], fields.texts("attributes"))
        wanted = replace(wanted, attributes=merged)
    if "covariateId" in updates:
        wanted = replace(wanted, covariate_id=fields.optional_text("covariateId"))
    if "reallocationFrequencyMillis" in updates:
        wanted = replace(wanted, reallocation_millis=fields.integer("reallocationFrequencyMillis"))
    if "metrics" in updates:
        merged = _merged_metrics(wanted.metrics, updates["metrics"][0], experiment_inputs.metric_uses(fields))
        wanted = replace(wanted, metrics=merged)
    if "primarySingleMetricKey" in updates:
        wanted = replace(wanted, primary=MetricUse(fields.text("primarySingleMetricKey"), is_group=False))
    if "primaryFunnelKey" in updates:
        wanted = replace(wanted, primary=MetricUse(fields.text("primaryFunnelKey"), is_group=True))
    primary = experiment_inputs.primary_among(wanted.metrics, wanted.primary.key, is_group=wanted.primary.is_group)
    if primary is None:
        raise invalid_request(f"the primary metric {wanted.primary.key!r} must be one of the metrics")
    return replace(wanted, primary=primary)


def _merged_metrics(
    present: tuple[MetricUse, ...], operation: str, given: tuple[MetricUse, ...]
) -> tuple[MetricUse, ...]:
    """Merge metrics as `_merged` does, and treat metrics that differ only in the analysis unit as the same."""
    named = [use for use in present if any(use.names(other) for other in given)]
    if operation == "remove":
        return tuple(use for use in present if use not in named)
    if operation == "add":
        return (*present, *(use for use in given if not any(use.names(other) for other in named)))
    return given


def _merged(present: tuple[Any, ...], operation: str, given: tuple[Any, ...]) -> tuple[Any, ...]:
    if operation == "add":
        return tuple(dict.fromkeys((*present, *given)))
    if operation == "remove":
        return tuple(item for item in present if item not in given)
    return tuple(dict.fromkeys(given))


def _edit(transaction: Transaction, experiment: Experiment, **fields: Any) -> None:
    """Store an edited experiment, unless nothing differs: then the request succeeds without a change."""
    edited = replace(experiment, **fields)
    if edited != experiment:
        transaction.put_experiment(edited)
        transaction.record("experiment.changed", environment=experiment.environment_key, experiment=experiment.key)
