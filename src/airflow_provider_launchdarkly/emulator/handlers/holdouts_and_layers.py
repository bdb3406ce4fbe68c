"""Handle holdouts and layers, by which experiments share people (LaunchDarkly REST docs, Holdouts and Layers)."""

from __future__ import annotations

from airflow_provider_launchdarkly.emulator.handlers.operation import Request, Response
from airflow_provider_launchdarkly.emulator.rules import holdouts, layers
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.serializers import holdouts_and_layers as serialize
from airflow_provider_launchdarkly.emulator.serializers.links import link


def get_all_holdouts(request: Request) -> Response:
    """GET an environment's holdouts."""
    transaction = request.transaction()
    found = transaction.holdouts(request.params["environmentKey"])
    page, paging = request.page(found)
    items = [serialize.listed_holdout(transaction, holdout) for holdout in page]
    return Response(200, {"items": items, "total_count": len(found), "_links": paging})


def get_holdout(request: Request) -> Response:
    """GET one holdout by its key."""
    transaction = request.transaction()
    holdout = transaction.holdout(request.params["environmentKey"], request.params["holdoutKey"])
    return Response(200, serialize.holdout_detail(transaction, holdout, request.query_values("expand")))


def get_holdout_by_id(request: Request) -> Response:
    """GET one holdout by its id."""
    transaction = request.transaction()
    return Response(
        200, serialize.holdout(transaction, holdouts.by_id(transaction, *_environment_and(request, "holdoutId")))
    )


def post_holdout(request: Request) -> Response:
    """POST a holdout. The response is a 201 with the holdout."""
    transaction = request.transaction()
    environment_key = request.params["environmentKey"]
    transaction.environment(environment_key)
    representation = serialize.holdout(
        transaction, holdouts.create(transaction, environment_key, RequestBody(request.body))
    )
    transaction.commit()
    return Response(201, representation, transaction.effects)


def patch_holdout(request: Request) -> Response:
    """PATCH a holdout with a semantic patch."""
    transaction = request.transaction()
    environment_key, key = _environment_and(request, "holdoutKey")
    holdouts.apply_patch(transaction, environment_key, key, RequestBody(request.body))
    representation = serialize.holdout(transaction, transaction.holdout(environment_key, key))
    transaction.commit()
    return Response(200, representation, transaction.effects)


def get_layers(request: Request) -> Response:
    """GET all layers of a project, without paging."""
    transaction = request.transaction()
    found = layers.filtered(transaction, request.query_value("filter"))
    items = [serialize.layer(transaction, layer) for layer in found]
    return Response(200, {"items": items, "totalCount": len(found), "_links": {"self": link(request.path)}})


def create_layer(request: Request) -> Response:
    """POST a layer. The response is a 201 with the layer."""
    transaction = request.transaction()
    representation = serialize.layer(transaction, layers.create(transaction, RequestBody(request.body)))
    transaction.commit()
    return Response(201, representation, transaction.effects)


def update_layer(request: Request) -> Response:
    """PATCH a layer with a semantic patch."""
    transaction = request.transaction()
    key, body = request.params["layerKey"], RequestBody(request.body)
    layers.apply_patch(transaction, key, body)
    environment_key = body.optional_text("environmentKey")
    representation = serialize.layer(
        transaction, transaction.layer(key), None if environment_key is None else [environment_key]
    )
    transaction.commit()
    return Response(200, representation, transaction.effects)


def _environment_and(request: Request, name: str) -> tuple[str, str]:
    return request.params["environmentKey"], request.params[name]
