"""Apply a JSON patch or merge patch to a flag: patch its JSON, and turn the difference into a change of the flag.

LaunchDarkly REST docs, Overview, "Updates": RFC 6902 (`[…]` or `{"comment", "patch"}`), with `test` as a precondition,
and RFC 7396 (`{"comment", "merge"}`). The fields that can change are name, description, tags, temporary and archived,
and in one environment on, off variation and fallthrough. The oldest official clients patch flags only this way.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.emulator.errors import invalid_request
from airflow_provider_launchdarkly.emulator.rules import flag_patch, flag_rules, json_patch
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.serializers import flags as serialize
from airflow_provider_launchdarkly.emulator.state.flag_models import (
    FALLTHROUGH,
    WHOLE_ROLLOUT,
    Rollout,
    WeightedVariation,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag, FlagConfig, Serving
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def apply_patch(transaction: Transaction, key: str, body: Any) -> None:
    """Apply a JSON patch or a merge patch to a flag, all of it or nothing.

    Raises:
        ApiError: 400 for a patch that is malformed or changes a fixed field, 405 where a change needs an approval,
            409 for a failed `test` or a rule that a running experiment owns.
    """
    before = transaction.flag(key)
    present = serialize.flag(transaction.project, before, list(transaction.project.environments))
    wanted = _patched(present, body)
    after = before
    for name in present.keys() | wanted.keys():
        if name != "environments" and wanted.get(name) != present.get(name):
            if name not in _FLAG_FIELDS:
                raise invalid_request(f"/{name} cannot be changed by a JSON patch")
            after = _FLAG_FIELDS[name](after, RequestBody(wanted))
    environments = RequestBody(wanted).object("environments")
    changed = [name for name in environments.names() if environments.raw(name) != present["environments"].get(name)]
    if len(changed) > 1:
        raise invalid_request("a patch can change one environment at a time")
    if set(environments.names()) != set(present["environments"]):
        raise invalid_request("/environments: a flag has the environments of its project")
    environment_key = changed[0] if changed else None
    flag_patch.check_approval(transaction, environment_key, before.key)
    if environment_key is not None:
        representation = environments.object(environment_key)
        config = _config(transaction, after, environment_key, representation, present["environments"][environment_key])
        after = replace(after, configs={**after.configs, environment_key: config})
    flag_patch.store(transaction, before, after, environment_key)


def _patched(present: dict[str, Any], body: Any) -> dict[str, Any]:
    patch = body.get("patch") if isinstance(body, dict) else body
    if isinstance(patch, list):
        return json_patch.applied(present, patch)
    if isinstance(body, dict) and isinstance(body.get("merge"), dict):
        merged: dict[str, Any] = json_patch.merge(deepcopy(present), body["merge"])
        return merged
    raise invalid_request(
        "a flag is changed by a JSON patch, or by a semantic patch, which needs Content-Type: "
        "application/json; domain-model=launchdarkly.semanticpatch"
    )


def _config(
    transaction: Transaction, flag: Flag, environment_key: str, wanted: RequestBody, present: dict[str, Any]
) -> FlagConfig:
    config = flag.configs[environment_key]
    for name in wanted.names() | present.keys():
        if wanted.raw(name) == present.get(name):
            continue
        if name == "on":
            config = replace(config, on=wanted.flag("on"))
        elif name == "offVariation":
            config = replace(config, off_variation=_index(flag, wanted, "offVariation"))
        elif name == "fallthrough":
            flag_rules.check_rule_is_free(transaction, environment_key, flag, FALLTHROUGH)
            config = replace(config, fallthrough=_serving(flag, wanted.object("fallthrough")))
        else:
            raise invalid_request(f"/environments/{environment_key}/{name} cannot be changed by a JSON patch")
    return config


def _serving(flag: Flag, wanted: RequestBody) -> Serving:
    if "rollout" not in wanted:
        return _index(flag, wanted, "variation")
    if "variation" in wanted:
        raise invalid_request("fallthrough has either a variation or a rollout")
    rollout = wanted.object("rollout")
    weights = {_index(flag, item, "variation"): item.integer("weight") for item in rollout.objects("variations")}
    if any(weight < 0 for weight in weights.values()) or sum(weights.values()) != WHOLE_ROLLOUT:
        raise invalid_request(f"rollout weights must add up to {WHOLE_ROLLOUT}, not {sum(weights.values())}")
    return Rollout(
        variations=tuple(WeightedVariation(i, weights.get(i, 0)) for i in range(len(flag.variations))),
        context_kind=rollout.optional_text("contextKind") or "user",
        bucket_by=rollout.optional_text("bucketBy"),
    )


def _index(flag: Flag, item: RequestBody, name: str) -> int:
    index = item.integer(name)
    if not 0 <= index < len(flag.variations):
        raise invalid_request(f"{item.path(name)}: flag {flag.key!r} has no variation {index}")
    return index


_FLAG_FIELDS: dict[str, Callable[[Flag, RequestBody], Flag]] = {
    "name": lambda flag, wanted: replace(flag, name=wanted.text("name")),
    "description": lambda flag, wanted: replace(flag, description=wanted.optional_text("description") or ""),
    "tags": lambda flag, wanted: replace(flag, tags=tuple(dict.fromkeys(wanted.texts("tags")))),
    "temporary": lambda flag, wanted: replace(flag, temporary=wanted.flag("temporary")),
    "archived": lambda flag, wanted: replace(flag, archived=wanted.flag("archived")),
}
