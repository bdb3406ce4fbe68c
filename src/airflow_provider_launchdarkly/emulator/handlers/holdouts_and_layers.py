"""Holdouts and layers: how experiments share people. LaunchDarkly REST docs, Holdouts and Layers."""

from __future__ import annotations

from airflow_provider_launchdarkly.emulator.handlers.call import Call, Reply
from airflow_provider_launchdarkly.emulator.rules import holdouts, layers
from airflow_provider_launchdarkly.emulator.rules.request_body import Body
from airflow_provider_launchdarkly.emulator.serializers import holdouts_and_layers as show
from airflow_provider_launchdarkly.emulator.serializers.links import link


def get_all_holdouts(call: Call) -> Reply:
    """GET an environment's holdouts."""
    change = call.change()
    found = change.holdouts(call.params["environmentKey"])
    page, paging = call.page(found)
    items = [show.listed_holdout(change, holdout) for holdout in page]
    return Reply(200, {"items": items, "total_count": len(found), "_links": paging})


def get_holdout(call: Call) -> Reply:
    """GET one holdout by its key."""
    change = call.change()
    holdout = change.holdout(call.params["environmentKey"], call.params["holdoutKey"])
    return Reply(200, show.holdout_detail(change, holdout, call.every("expand")))


def get_holdout_by_id(call: Call) -> Reply:
    """GET one holdout by its id."""
    change = call.change()
    return Reply(200, show.holdout(change, holdouts.by_id(change, *_environment_and(call, "holdoutId"))))


def post_holdout(call: Call) -> Reply:
    """POST a holdout: 201."""
    change = call.change()
    environment_key = call.params["environmentKey"]
    change.environment(environment_key)
    shown = show.holdout(change, holdouts.create(change, environment_key, Body(call.body)))
    change.commit()
    return Reply(201, shown, change.effects)


def patch_holdout(call: Call) -> Reply:
    """PATCH a holdout by semantic patch."""
    change = call.change()
    environment_key, key = _environment_and(call, "holdoutKey")
    holdouts.apply_patch(change, environment_key, key, Body(call.body))
    shown = show.holdout(change, change.holdout(environment_key, key))
    change.commit()
    return Reply(200, shown, change.effects)


def get_layers(call: Call) -> Reply:
    """GET a project's layers, all of them: there is no paging."""
    change = call.change()
    found = layers.filtered(change, call.first("filter"))
    items = [show.layer(change, layer) for layer in found]
    return Reply(200, {"items": items, "totalCount": len(found), "_links": {"self": link(call.path)}})


def create_layer(call: Call) -> Reply:
    """POST a layer: 201."""
    change = call.change()
    shown = show.layer(change, layers.create(change, Body(call.body)))
    change.commit()
    return Reply(201, shown, change.effects)


def update_layer(call: Call) -> Reply:
    """PATCH a layer by semantic patch."""
    change = call.change()
    key, body = call.params["layerKey"], Body(call.body)
    layers.apply_patch(change, key, body)
    environment_key = body.optional_text("environmentKey")
    shown = show.layer(change, change.layer(key), None if environment_key is None else [environment_key])
    change.commit()
    return Reply(200, shown, change.effects)


def _environment_and(call: Call, name: str) -> tuple[str, str]:
    return call.params["environmentKey"], call.params[name]
