"""Create and change layers, whose experiments exclude each other by reserving shares of the same traffic.

LaunchDarkly REST docs, Layers: a share is a whole percentage, and 0 is allowed only until the experiment starts. An
experiment is in one layer. The shares of an environment add up to 100 % at most.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import invalid_request, patch_failed
from airflow_provider_launchdarkly.emulator.rules import experiment_inputs
from airflow_provider_launchdarkly.emulator.state.models import Layer, Reservation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def create(transaction: Transaction, body: RequestBody) -> Layer:
    """Create a layer. An existing key is a 400, since the documented errors have no 409."""
    key = experiment_inputs.key(body)
    if key in transaction.project.layers:
        raise invalid_request(f"a layer with the key {key!r} already exists in project {transaction.project.key!r}")
    layer = Layer(key, body.text("name"), body.required_text("description"), transaction.now)
    transaction.put_layer(layer)
    transaction.record("layer.created", layer=key)
    return layer


def filtered(transaction: Transaction, expression: str | None) -> list[Layer]:
    """Return the layers that match the only documented filter, `reservations.experimentKey contains KEY`."""
    layers = list(transaction.project.layers.values())
    if not expression:
        return layers
    words = expression.split()
    if len(words) != 3 or words[:2] != ["reservations.experimentKey", "contains"]:
        raise invalid_request(f"filter must be 'reservations.experimentKey contains KEY', not {expression!r}")
    wanted = words[2].strip("\"'")
    return [
        layer
        for layer in layers
        if any(held.experiment_key == wanted for holds in layer.reservations.values() for held in holds)
    ]


def apply_patch(transaction: Transaction, key: str, body: RequestBody) -> None:
    """Apply every instruction in order, all of them or none."""
    before = transaction.layer(key)
    environment_key = body.optional_text("environmentKey")
    if environment_key is not None and environment_key not in transaction.project.environments:
        raise invalid_request(f"environmentKey: there is no environment {environment_key!r}")
    layer = before
    for kind, instruction in body.instructions():
        if kind == "updateName":
            layer = replace(layer, name=instruction.text("name"))
        elif kind == "updateDescription":
            layer = replace(layer, description=instruction.required_text("description"))
        elif kind not in _RESERVING:
            raise patch_failed(f"{instruction.path('kind')}: unknown instruction {kind!r}")
        elif environment_key is None:
            raise invalid_request(f"environmentKey is required for {kind}")
        else:
            held = _RESERVING[kind](transaction, layer, environment_key, instruction)
            layer = replace(layer, reservations={**layer.reservations, environment_key: tuple(held)})
    if layer != before:
        transaction.put_layer(layer)
        transaction.record("layer.changed", layer=key, environment=environment_key)


def _reserve(
    transaction: Transaction, layer: Layer, environment_key: str, instruction: RequestBody
) -> Sequence[Reservation]:
    key, percent = instruction.text("experimentKey"), instruction.integer("reservationPercent")
    experiment = next((e for e in transaction.experiments(environment_key) if e.key == key), None)
    if experiment is None:
        raise invalid_request(
            f"{instruction.path('experimentKey')}: there is no experiment {key!r} in environment {environment_key!r}"
        )
    other = transaction.layer_of(environment_key, key)
    if other is not None and other.key != layer.key:
        raise invalid_request(f"experiment {key!r} is in layer {other.key!r} already")
    if not 0 <= percent <= 100:
        raise invalid_request(f"{instruction.path('reservationPercent')} must be from 0 to 100, not {percent}")
    if percent == 0 and experiment.running is not None:
        raise invalid_request(f"experiment {key!r} is running and cannot reserve 0 %")
    held = {held.experiment_key: held.percent for held in layer.reservations.get(environment_key, ())} | {key: percent}
    if sum(held.values()) > 100:
        raise invalid_request(f"layer {layer.key!r} would have {sum(held.values())} % reserved")
    return [Reservation(name, share) for name, share in held.items()]


def _remove(
    transaction: Transaction, layer: Layer, environment_key: str, instruction: RequestBody
) -> Sequence[Reservation]:
    key = instruction.text("experimentKey")
    held = layer.reservations.get(environment_key, ())
    if all(reservation.experiment_key != key for reservation in held):
        raise invalid_request(f"experiment {key!r} is not in layer {layer.key!r}")
    if any(e.key == key and e.running is not None for e in transaction.experiments(environment_key)):
        raise invalid_request(f"experiment {key!r} is running and cannot leave its layer")
    return [reservation for reservation in held if reservation.experiment_key != key]


_RESERVING: dict[str, Callable[[Transaction, Layer, str, RequestBody], Sequence[Reservation]]] = {
    "updateExperimentReservation": _reserve,
    "removeExperiment": _remove,
}

INSTRUCTIONS = ("updateName", "updateDescription", *_RESERVING)
