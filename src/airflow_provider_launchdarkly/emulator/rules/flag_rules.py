"""Change a flag's rules, clauses and servings in one environment by the instructions of a semantic patch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.emulator.errors import conflict, invalid_request
from airflow_provider_launchdarkly.emulator.rules.targeting import with_serving
from airflow_provider_launchdarkly.emulator.state.flag_models import (
    FALLTHROUGH,
    WHOLE_ROLLOUT,
    Rollout,
    Rule,
    WeightedVariation,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag, FlagConfig, Serving
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def check_rule_is_free(transaction: Transaction, environment_key: str, flag: Flag, rule_id: str) -> None:
    """Raise a 409 if a running experiment or an active release owns the rule."""
    if transaction.owner_of(environment_key, flag.key, rule_id) is not None:
        raise conflict("the targeting rule is used by a running experiment")
    if transaction.release_on(environment_key, flag.key, rule_id) is not None:
        raise conflict("the targeting rule is used by an active release")


def variation_index(flag: Flag, instruction: RequestBody) -> int:
    """Return the index of the variation that `variationId` names, or raise a 400."""
    variation_id = instruction.text("variationId")
    index = flag.index_of(variation_id)
    if index is None:
        raise invalid_request(f"{instruction.path('variationId')}: flag {flag.key!r} has no variation {variation_id!r}")
    return index


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


def _add_rule(transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    config = flag.configs[environment_key]
    rule = _new_rule(transaction, flag, instruction)
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


def _replace_rules(transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    config = flag.configs[environment_key]
    for rule in config.rules:
        check_rule_is_free(transaction, environment_key, flag, rule.id)
    rules = tuple(_new_rule(transaction, flag, body) for body in instruction.objects("rules"))
    return replace(config, rules=rules)


def _reorder_rules(_transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    config = flag.configs[environment_key]
    by_id = {rule.id: rule for rule in config.rules}
    wanted = instruction.texts("ruleIds")
    if sorted(wanted) != sorted(by_id):
        raise invalid_request(
            f"{instruction.path('ruleIds')} must name each rule of flag {flag.key!r} once: {', '.join(by_id) or 'none'}"
        )
    return replace(config, rules=tuple(by_id[rule_id] for rule_id in wanted))


def _new_rule(transaction: Transaction, flag: Flag, body: RequestBody) -> Rule:
    return Rule(
        id=transaction.world.new_uuid("rule"),
        clauses=tuple(_clause(transaction, clause) for clause in body.objects("clauses")),
        serving=_serving(flag, body),
        description=body.optional_text("description"),
        track_events=body.flag("trackEvents", default=False),
    )


def _change_rule(
    transaction: Transaction,
    flag: Flag,
    environment_key: str,
    instruction: RequestBody,
    change: Callable[[Rule], Rule],
) -> FlagConfig:
    """Return the configuration with the rule that `ruleId` names changed; a rule of a running experiment is a 409."""
    config = flag.configs[environment_key]
    rule_id = instruction.text("ruleId")
    present = next((rule for rule in config.rules if rule.id == rule_id), None)
    if present is None:
        raise invalid_request(f"{instruction.path('ruleId')}: flag {flag.key!r} has no rule {rule_id!r}")
    changed = change(present)
    if changed.clauses != present.clauses:
        check_rule_is_free(transaction, environment_key, flag, rule_id)
    return replace(config, rules=tuple(changed if rule.id == rule_id else rule for rule in config.rules))


def _describe_rule(transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    description = instruction.required_text("description")
    return _change_rule(
        transaction, flag, environment_key, instruction, lambda rule: replace(rule, description=description)
    )


def _track_rule(transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    track = instruction.flag("trackEvents")
    return _change_rule(transaction, flag, environment_key, instruction, lambda rule: replace(rule, track_events=track))


def _add_clauses(transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    added = tuple(_clause(transaction, clause) for clause in instruction.objects("clauses"))
    return _change_rule(
        transaction, flag, environment_key, instruction, lambda rule: replace(rule, clauses=(*rule.clauses, *added))
    )


def _remove_clauses(transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    gone = instruction.texts("clauseIds")

    def without(rule: Rule) -> Rule:
        for clause_id in gone:
            _clause_of(rule, clause_id, instruction.path("clauseIds"))
        return replace(rule, clauses=tuple(clause for clause in rule.clauses if clause.get("_id") not in gone))

    return _change_rule(transaction, flag, environment_key, instruction, without)


def _update_clause(transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    wanted = _clause(transaction, instruction.object("clause"))
    return _change_clause(transaction, flag, environment_key, instruction, lambda present: {**present, **wanted})


def _add_values(transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    added = _values(instruction)
    return _change_clause(
        transaction,
        flag,
        environment_key,
        instruction,
        lambda present: {**present, "values": [*present["values"], *(v for v in added if v not in present["values"])]},
    )


def _remove_values(transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    gone = _values(instruction)
    return _change_clause(
        transaction,
        flag,
        environment_key,
        instruction,
        lambda present: {**present, "values": [value for value in present["values"] if value not in gone]},
    )


def _change_clause(
    transaction: Transaction,
    flag: Flag,
    environment_key: str,
    instruction: RequestBody,
    change: Callable[[Mapping[str, Any]], Mapping[str, Any]],
) -> FlagConfig:
    """Return the configuration with the clause that `ruleId` and `clauseId` name changed; it keeps its id."""
    clause_id = instruction.text("clauseId")

    def changed(rule: Rule) -> Rule:
        _clause_of(rule, clause_id, instruction.path("clauseId"))
        clauses = (
            {**change(clause), "_id": clause_id} if clause.get("_id") == clause_id else clause
            for clause in rule.clauses
        )
        return replace(rule, clauses=tuple(clauses))

    return _change_rule(transaction, flag, environment_key, instruction, changed)


def _clause_of(rule: Rule, clause_id: str, path: str) -> None:
    if all(clause.get("_id") != clause_id for clause in rule.clauses):
        raise invalid_request(f"{path}: rule {rule.id!r} has no clause {clause_id!r}")


def _clause(transaction: Transaction, clause: RequestBody) -> dict[str, Any]:
    return {
        "_id": transaction.world.new_uuid("clause"),
        "contextKind": clause.optional_text("contextKind") or "user",
        "attribute": clause.text("attribute"),
        "op": clause.text("op"),
        "negate": clause.flag("negate", default=False),
        "values": _values(clause),
    }


def _values(body: RequestBody) -> list[Any]:
    values = body.raw("values")
    if not isinstance(values, list):
        raise invalid_request(f"{body.path('values')} must be a list")
    return list(values)


def _serving(flag: Flag, instruction: RequestBody) -> Serving:
    """Read a variation id or rollout weights. Writes name variations by id; the flag stores their indexes."""
    if ("variationId" in instruction) == ("rolloutWeights" in instruction):
        raise invalid_request("an instruction needs either variationId or rolloutWeights")
    if "variationId" in instruction:
        return variation_index(flag, instruction)
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


INSTRUCTIONS: Mapping[str, Callable[[Transaction, Flag, str, RequestBody], FlagConfig]] = {
    "updateFallthroughVariationOrRollout": _serve_fallthrough,
    "updateRuleVariationOrRollout": _serve_rule,
    "addRule": _add_rule,
    "removeRule": _remove_rule,
    "replaceRules": _replace_rules,
    "reorderRules": _reorder_rules,
    "updateRuleDescription": _describe_rule,
    "updateRuleTrackEvents": _track_rule,
    "addClauses": _add_clauses,
    "removeClauses": _remove_clauses,
    "updateClause": _update_clause,
    "addValuesToClause": _add_values,
    "removeValuesFromClause": _remove_values,
}
