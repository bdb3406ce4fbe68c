"""Apply a semantic patch to a flag: on and off, rules and what they serve, and metadata.

LaunchDarkly REST docs, Patch feature flag: a patch applies all its instructions or none, and succeeds without a change
if the flag already has the requested state. A rule that a running experiment owns cannot change (409).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import conflict, invalid_request, method_not_allowed
from airflow_provider_launchdarkly.emulator.rules.lifecycle import record_flag_toggle, store_config
from airflow_provider_launchdarkly.emulator.rules.targeting import with_config, with_serving
from airflow_provider_launchdarkly.emulator.state.flag_models import (
    FALLTHROUGH,
    WHOLE_ROLLOUT,
    Rollout,
    Rule,
    WeightedVariation,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag, FlagConfig, Serving
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def apply_patch(transaction: Transaction, key: str, body: RequestBody) -> None:
    """Apply every instruction in order, and raise the flag's version by one if anything changed."""
    before = transaction.flag(key)
    environment_key = body.optional_text("environmentKey")
    check_approval(transaction, environment_key)
    flag = before
    for instruction in body.objects("instructions"):
        kind = instruction.text("kind")
        if kind in _FLAG_WIDE:
            flag = _FLAG_WIDE[kind](flag, instruction)
        elif kind in _TARGETING:
            if environment_key is None:
                raise invalid_request(f"environmentKey is required for {kind}")
            config = _TARGETING[kind](transaction, flag, environment_key, instruction)
            flag = replace(flag, configs={**flag.configs, environment_key: config})
        else:
            raise invalid_request(f"{instruction.path('kind')}: unknown instruction {kind!r}")
    store(transaction, before, flag, environment_key)


def check_approval(transaction: Transaction, environment_key: str | None) -> None:
    """Raise a 405 for a change in an environment that requires approvals."""
    if environment_key is not None and transaction.settings.flag_approval(transaction.environment(environment_key)):
        raise method_not_allowed("approval is required: create an approval request instead")


def store(transaction: Transaction, before: Flag, after: Flag, environment_key: str | None) -> None:
    """Store a patched flag that differs from the one before, with its version and its environment's raised by one."""
    if after == before:
        return
    if environment_key is not None and after.configs[environment_key] != before.configs[environment_key]:
        base = replace(after, configs=before.configs)
        store_config(
            transaction,
            before,
            environment_key,
            with_config(base, environment_key, after.configs[environment_key], transaction.now),
        )
        on = after.configs[environment_key].on
        if on != before.configs[environment_key].on:
            record_flag_toggle(transaction, environment_key, after.key, on=on)
        return
    transaction.put_flag(replace(after, version=before.version + 1))
    transaction.record("flag.changed", flag=after.key)


def _turn_on(_transaction: Transaction, flag: Flag, environment_key: str, _: RequestBody) -> FlagConfig:
    return replace(flag.configs[environment_key], on=True)


def _turn_off(_transaction: Transaction, flag: Flag, environment_key: str, _: RequestBody) -> FlagConfig:
    return replace(flag.configs[environment_key], on=False)


def _serve_fallthrough(
    transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody
) -> FlagConfig:
    return _serve(transaction, flag, environment_key, FALLTHROUGH, instruction)


def _serve_rule(transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    return _serve(transaction, flag, environment_key, instruction.text("ruleId"), instruction)


def _serve(
    transaction: Transaction, flag: Flag, environment_key: str, rule_id: str, instruction: RequestBody
) -> FlagConfig:
    config = flag.configs[environment_key]
    present = config.serving_of(rule_id)
    if present is None:
        raise invalid_request(f"{instruction.path('ruleId')}: flag {flag.key!r} has no rule {rule_id!r}")
    wanted = _serving(flag, instruction)
    if wanted == present:
        return config
    check_rule_is_free(transaction, environment_key, flag, rule_id)
    return with_serving(config, rule_id, wanted)


def _update_off_variation(
    _transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody
) -> FlagConfig:
    return replace(flag.configs[environment_key], off_variation=_variation(flag, instruction))


def _add_rule(transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    config = flag.configs[environment_key]
    clauses = tuple(dict(clause) for clause in _clauses(instruction))
    rule = Rule(
        id=transaction.world.new_uuid("rule"),
        clauses=clauses,
        serving=_serving(flag, instruction),
        description=instruction.optional_text("description"),
    )
    before_id = instruction.optional_text("beforeRuleId")
    place = next((i for i, r in enumerate(config.rules) if r.id == before_id), len(config.rules))
    return replace(config, rules=(*config.rules[:place], rule, *config.rules[place:]))


def _remove_rule(transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    rule_id = instruction.text("ruleId")
    config = flag.configs[environment_key]
    if rule_id == FALLTHROUGH or config.serving_of(rule_id) is None:
        return config
    check_rule_is_free(transaction, environment_key, flag, rule_id)
    return replace(config, rules=tuple(rule for rule in config.rules if rule.id != rule_id))


_TARGETING: dict[str, Callable[[Transaction, Flag, str, RequestBody], FlagConfig]] = {
    "turnFlagOn": _turn_on,
    "turnFlagOff": _turn_off,
    "updateFallthroughVariationOrRollout": _serve_fallthrough,
    "updateRuleVariationOrRollout": _serve_rule,
    "updateOffVariation": _update_off_variation,
    "addRule": _add_rule,
    "removeRule": _remove_rule,
}


def _update_name(flag: Flag, instruction: RequestBody) -> Flag:
    return replace(flag, name=instruction.text("value"))


def _update_description(flag: Flag, instruction: RequestBody) -> Flag:
    return replace(flag, description=instruction.optional_text("value") or "")


def _add_tags(flag: Flag, instruction: RequestBody) -> Flag:
    return replace(flag, tags=tuple(dict.fromkeys((*flag.tags, *instruction.texts("values")))))


def _remove_tags(flag: Flag, instruction: RequestBody) -> Flag:
    gone = instruction.texts("values")
    return replace(flag, tags=tuple(tag for tag in flag.tags if tag not in gone))


def _archive(flag: Flag, _: RequestBody) -> Flag:
    return replace(flag, archived=True)


def _restore(flag: Flag, _: RequestBody) -> Flag:
    return replace(flag, archived=False)


_FLAG_WIDE: dict[str, Callable[[Flag, RequestBody], Flag]] = {
    "updateName": _update_name,
    "updateDescription": _update_description,
    "addTags": _add_tags,
    "removeTags": _remove_tags,
    "archiveFlag": _archive,
    "restoreFlag": _restore,
}
INSTRUCTIONS = (*_TARGETING, *_FLAG_WIDE)


def check_rule_is_free(transaction: Transaction, environment_key: str, flag: Flag, rule_id: str) -> None:
    """Raise a 409 if a running experiment owns the rule."""
    if transaction.owner_of(environment_key, flag.key, rule_id) is not None:
        raise conflict("the targeting rule is used by a running experiment")


def _clauses(instruction: RequestBody) -> list[dict[str, object]]:
    return [
        {
            "contextKind": clause.optional_text("contextKind") or "user",
            "attribute": clause.text("attribute"),
            "op": clause.text("op"),
            "negate": clause.flag("negate", default=False),
            "values": list(clause.raw("values") or []),
        }
        for clause in instruction.objects("clauses")
    ]


def _serving(flag: Flag, instruction: RequestBody) -> Serving:
    """Read a variation id or rollout weights. Writes name variations by id; the flag stores their indexes."""
    if ("variationId" in instruction) == ("rolloutWeights" in instruction):
        raise invalid_request("an instruction needs either variationId or rolloutWeights")
    if "variationId" in instruction:
        return _variation(flag, instruction)
    weights = instruction.object("rolloutWeights")
    given = {name: weights.integer(name) for name in weights.names()}
    unknown = [name for name in given if flag.index_of(name) is None]
    if unknown:
        raise invalid_request(f"rolloutWeights: flag {flag.key!r} has no variation {unknown[0]!r}")
    if any(weight < 0 for weight in given.values()) or sum(given.values()) != WHOLE_ROLLOUT:
        raise invalid_request(f"rolloutWeights must add up to {WHOLE_ROLLOUT}, not {sum(given.values())}")
    return Rollout(
        variations=tuple(WeightedVariation(i, given.get(v.id, 0)) for i, v in enumerate(flag.variations)),
        context_kind=instruction.optional_text("rolloutContextKind") or "user",
        bucket_by=instruction.optional_text("rolloutBucketBy"),
    )


def _variation(flag: Flag, instruction: RequestBody) -> int:
    variation_id = instruction.text("variationId")
    index = flag.index_of(variation_id)
    if index is None:
        raise invalid_request(f"variationId: flag {flag.key!r} has no variation {variation_id!r}")
    return index
