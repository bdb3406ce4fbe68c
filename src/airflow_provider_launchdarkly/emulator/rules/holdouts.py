"""Create and change holdouts, which keep people out of experiments to measure the joint effect of these.

LaunchDarkly REST docs, Holdouts. A holdout needs a flag of purpose `holdout`, and has a base experiment that compares
the people it keeps out with the others. Its status is `created`, `enabled` (it has experiments), `running` (one of them
runs) or `ended`; which event leads to which is not documented.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import invalid_request, not_found, patch_failed
from airflow_provider_launchdarkly.emulator.rules import experiment_inputs
from airflow_provider_launchdarkly.emulator.rules.lifecycle import check_member, check_metrics, check_unit
from airflow_provider_launchdarkly.emulator.state.flag_models import FALLTHROUGH
from airflow_provider_launchdarkly.emulator.state.models import (
    Experiment,
    Holdout,
    Iteration,
    IterationFlag,
    Parameter,
    Treatment,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag
    from airflow_provider_launchdarkly.emulator.state.models import Status
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def create(transaction: Transaction, environment_key: str, body: RequestBody) -> Holdout:
    """Create a holdout. LaunchDarkly writes the fields of this request in lower case."""
    key = experiment_inputs.key(body)
    if any(holdout.base.key == key for holdout in transaction.holdouts(environment_key)):
        raise invalid_request(f"a holdout with the key {key!r} already exists in environment {environment_key!r}")
    flag = _prerequisite(transaction, body)
    if any(h.prerequisite_flag_key == flag.key and not h.ended for h in transaction.holdouts(environment_key)):
        raise invalid_request(f"prerequisiteflagkey: flag {flag.key!r} already stands for another holdout")
    amount = _amount(body)
    maintainer = body.optional_text("maintainerId") or transaction.member_id
    if maintainer is None:
        raise invalid_request("maintainerId is required: a service token has no member to default to")
    check_member(transaction, maintainer)
    holdout = Holdout(
        id=transaction.world.new_id("holdout"),
        base=Experiment(
            id=transaction.world.new_id("experiment"),
            key=key,
            name=body.text("name"),
            environment_key=environment_key,
            maintainer_id=maintainer,
            created_at=transaction.now,
            iterations=(_iteration(transaction, environment_key, body, flag, amount),),
            description=body.optional_text("description") or "",
            type="holdout",
        ),
        amount=amount,
        updated_at=transaction.now,
        prerequisite_flag_key=flag.key,
    )
    transaction.put_holdout(holdout)
    _record(transaction, "holdout.created", holdout)
    return holdout


def by_id(transaction: Transaction, environment_key: str, holdout_id: str) -> Holdout:
    """Return the holdout with an id, or raise a 404."""
    for holdout in transaction.holdouts(environment_key):
        if holdout.id == holdout_id:
            return holdout
    raise not_found(f"holdout {holdout_id!r} not found in environment {environment_key!r}")


def members(transaction: Transaction, holdout: Holdout) -> list[Experiment]:
    """Return the experiments that a holdout keeps people out of."""
    return [e for e in transaction.experiments(holdout.base.environment_key) if e.holdout_id == holdout.id]


def status(transaction: Transaction, holdout: Holdout) -> str:
    """Return the status of a holdout: `created`, `enabled`, `running` or `ended`."""
    if holdout.ended:
        return "ended"
    inside = members(transaction, holdout)
    if any(experiment.running for experiment in inside):
        return "running"
    return "enabled" if inside else "created"


def base_experiment(transaction: Transaction, holdout: Holdout) -> Experiment:
    """Return the base experiment of a holdout, which runs while the holdout has experiments and has not ended."""
    states: dict[str, Status] = {"created": "not_started", "ended": "stopped"}
    state: Status = states.get(status(transaction, holdout), "running")
    started = None if state == "not_started" else holdout.base.created_at
    ended = holdout.updated_at if state == "stopped" else None
    iteration = replace(holdout.base.current, status=state, started_at=started, ended_at=ended)
    return replace(holdout.base, iterations=(iteration,))


def apply_patch(transaction: Transaction, environment_key: str, key: str, body: RequestBody) -> None:
    """Apply every instruction in order, all of them or none."""
    before = transaction.holdout(environment_key, key)
    for kind, instruction in body.instructions():
        apply = INSTRUCTIONS.get(kind)
        if apply is None:
            raise patch_failed(f"{instruction.path('kind')}: unknown instruction {kind!r}")
        apply(transaction, transaction.holdout(environment_key, key), instruction)
    if transaction.holdout(environment_key, key) != before:
        transaction.put_holdout(replace(transaction.holdout(environment_key, key), updated_at=transaction.now))


def _end(transaction: Transaction, holdout: Holdout, _: RequestBody) -> None:
    if not holdout.ended:
        transaction.put_holdout(replace(holdout, ended=True))
        _record(transaction, "holdout.ended", holdout)


def _remove_experiment(transaction: Transaction, holdout: Holdout, instruction: RequestBody) -> None:
    key = instruction.text("value")
    inside = next((e for e in members(transaction, holdout) if e.key == key), None)
    if inside is None:
        raise invalid_request(f"{instruction.path('value')}: experiment {key!r} is not in holdout {holdout.base.key!r}")
    if inside.running is not None:
        raise invalid_request(f"{instruction.path('value')}: experiment {key!r} is running; stop it first")
    transaction.put_experiment(replace(inside, holdout_id=None))
    transaction.record(
        "experiment.changed", environment=inside.environment_key, experiment=key, left_holdout=holdout.base.key
    )


def _update_name(transaction: Transaction, holdout: Holdout, instruction: RequestBody) -> None:
    _edit(transaction, holdout, replace(holdout.base, name=instruction.text("value")))


def _update_description(transaction: Transaction, holdout: Holdout, instruction: RequestBody) -> None:
    _edit(transaction, holdout, replace(holdout.base, description=instruction.optional_text("value") or ""))


INSTRUCTIONS: dict[str, Callable[[Transaction, Holdout, RequestBody], None]] = {
    "endHoldout": _end,
    "removeExperiment": _remove_experiment,
    "updateName": _update_name,
    "updateDescription": _update_description,
}


def _edit(transaction: Transaction, holdout: Holdout, base: Experiment) -> None:
    edited = replace(holdout, base=base)
    if edited != holdout:
        transaction.put_holdout(edited)
        _record(transaction, "holdout.changed", edited)


def _prerequisite(transaction: Transaction, body: RequestBody) -> Flag:
    key = body.text("prerequisiteflagkey")
    flag = transaction.project.flags.get(key)
    if flag is None:
        raise invalid_request(f"prerequisiteflagkey: there is no feature flag {key!r}")
    if flag.purpose != "holdout":
        raise invalid_request(f"prerequisiteflagkey: flag {key!r} was not created with the purpose 'holdout'")
    return flag


def _amount(body: RequestBody) -> str:
    text = body.number_text("holdoutamount")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not (amount.is_finite() and 0 < amount < 100):
        raise invalid_request(f"holdoutamount must be a percentage between 0 and 100, not {text!r}")
    return text


def _iteration(transaction: Transaction, environment_key: str, body: RequestBody, flag: Flag, amount: str) -> Iteration:
    unit = body.optional_text("randomizationunit") or "user"
    check_unit(transaction, unit)
    metrics = experiment_inputs.metric_uses(body)
    primary = experiment_inputs.primary_among(metrics, body.text("primarymetrickey"), is_group=False)
    if primary is None:
        raise invalid_request("primarymetrickey must be one of metrics")
    check_metrics(transaction, metrics, primary)
    inside, outside = flag.variations[0].id, flag.variations[1].id
    rest = f"{(100 - Decimal(amount)).normalize():f}"
    return Iteration(
        id=transaction.world.new_id("iteration"),
        number=1,
        hypothesis=f"What all experiments outside holdout {body.text('name')!r} do together",
        created_at=transaction.now,
        flag=IterationFlag(flag.key, FALLTHROUGH, flag.configs[environment_key].version, outside),
        treatments=(
            Treatment(
                transaction.world.new_uuid("treatment"), "In holdout", True, amount, (Parameter(flag.key, inside),)
            ),
            Treatment(
                transaction.world.new_uuid("treatment"), "Not in holdout", False, rest, (Parameter(flag.key, outside),)
            ),
        ),
        metrics=metrics,
        primary=primary,
        randomization_unit=unit,
        attributes=tuple(dict.fromkeys(body.texts("attributes"))),
    )


def _record(transaction: Transaction, kind: str, holdout: Holdout) -> None:
    transaction.record(kind, environment=holdout.base.environment_key, holdout=holdout.base.key)
