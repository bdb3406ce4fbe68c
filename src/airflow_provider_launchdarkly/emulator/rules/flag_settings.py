"""Change a flag in all environments by instructions: its variations, settings and lifecycle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.emulator.errors import conflict, invalid_request
from airflow_provider_launchdarkly.emulator.rules.flag_rules import variation_index
from airflow_provider_launchdarkly.emulator.rules.lifecycle import check_member
from airflow_provider_launchdarkly.emulator.state.flag_models import Rollout, Variation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag, FlagConfig, Serving
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def check_values(variations: Iterable[Variation]) -> None:
    """Raise a 400 if two variations have the same value."""
    values = [variation.value for variation in variations]
    # `1 == True` in Python, not in JSON.
    if any((type(a), a) == (type(b), b) for i, a in enumerate(values) for b in values[:i]):
        raise invalid_request("variations must have different values")


def check_team(transaction: Transaction, key: str) -> None:
    """Raise a 400 for a maintainer that is not a team of the account."""
    if key not in transaction.world.teams:
        raise invalid_request(
            f"there is no team {key!r}; the account has {', '.join(transaction.world.teams) or 'none'}"
        )


def delete(transaction: Transaction, flag: Flag) -> None:
    """Delete a flag at the commit, which no experiment and no other flag may need (409)."""
    for experiment in transaction.experiments():
        if any(iteration.flag.flag_key == flag.key for iteration in experiment.iterations):
            raise conflict(f"feature flag {flag.key!r} is used by experiment {experiment.key!r}")
    _check_not_needed(transaction, flag)
    transaction.delete_flag(flag.key)
    transaction.record("flag.deleted", flag=flag.key)


def dependents(transaction: Transaction, flag: Flag) -> dict[str, list[str]]:
    """Return the keys of the flags that have a flag as a prerequisite, with the environments in which they do."""
    found: dict[str, list[str]] = {}
    for other in transaction.project.flags.values():
        for environment_key, config in other.configs.items():
            if any(needed.key == flag.key for needed in config.prerequisites):
                found.setdefault(other.key, []).append(environment_key)
    return found


def _check_not_needed(transaction: Transaction, flag: Flag, variation: int | None = None) -> None:
    for other in transaction.project.flags.values():
        for config in other.configs.values():
            for needed in config.prerequisites:
                if needed.key == flag.key and variation in (None, needed.variation):
                    raise conflict(f"feature flag {flag.key!r} is a prerequisite of {other.key!r}")


def _add_variation(transaction: Transaction, flag: Flag, instruction: RequestBody) -> Flag:
    added = Variation(
        id=transaction.world.new_uuid("variation"),
        value=instruction.raw("value"),
        name=instruction.optional_text("name"),
        description=instruction.optional_text("description"),
    )
    check_values((*flag.variations, added))
    pinned = flag.default_off % len(flag.variations)
    return replace(flag, variations=(*flag.variations, added), default_off=pinned)


def _update_variation(_transaction: Transaction, flag: Flag, instruction: RequestBody) -> Flag:
    index = variation_index(flag, instruction)
    changed = flag.variations[index]
    if instruction.has("value"):
        changed = replace(changed, value=instruction.raw("value"))
    if "name" in instruction:
        changed = replace(changed, name=instruction.required_text("name"))
    if "description" in instruction:
        changed = replace(changed, description=instruction.required_text("description"))
    variations = (*flag.variations[:index], changed, *flag.variations[index + 1 :])
    check_values(variations)
    return replace(flag, variations=variations)


def _remove_variation(transaction: Transaction, flag: Flag, instruction: RequestBody) -> Flag:
    index = variation_index(flag, instruction)
    label, variation_id = flag.variations[index].label, flag.variations[index].id
    if len(flag.variations) < 3:
        raise invalid_request(f"variation {label!r} cannot be removed: a flag has at least two")
    for environment_key, config in flag.configs.items():
        if index in _served(config):
            raise conflict(f"variation {label!r} is served in environment {environment_key!r}")
    for experiment in transaction.experiments():
        for treatment in (t for iteration in experiment.iterations for t in iteration.treatments):
            if any(parameter.variation_id == variation_id for parameter in treatment.parameters):
                raise conflict(f"variation {label!r} is used by experiment {experiment.key!r}")
    _check_not_needed(transaction, flag, index)
    default_off = flag.default_off % len(flag.variations)
    if index in (flag.default_on, default_off):
        raise conflict(f"variation {label!r} is a default variation of the flag")

    def moved(number: int) -> int:
        return number - (number > index)

    _move_prerequisites(transaction, flag.key, moved)
    return replace(
        flag,
        variations=(*flag.variations[:index], *flag.variations[index + 1 :]),
        default_on=moved(flag.default_on),
        default_off=moved(default_off),
        configs={key: _moved_config(config, index, moved) for key, config in flag.configs.items()},
    )


def _served(config: FlagConfig) -> set[int]:
    served = {config.off_variation, *(target.variation for target in config.targets)}
    for serving in (config.fallthrough, *(rule.serving for rule in config.rules)):
        if isinstance(serving, Rollout):
            served |= {share.variation for share in serving.variations if share.weight}
            served |= {serving.experiment.default_variation} if serving.experiment else set()
        else:
            served.add(serving)
    return served


def _moved_config(config: FlagConfig, gone: int, moved: Callable[[int], int]) -> FlagConfig:
    def serving(present: Serving) -> Serving:
        if not isinstance(present, Rollout):
            return moved(present)
        shares = tuple(replace(s, variation=moved(s.variation)) for s in present.variations if s.variation != gone)
        owner = present.experiment
        if owner is not None:
            owner = replace(owner, default_variation=moved(owner.default_variation))
        return replace(present, variations=shares, experiment=owner)

    return replace(
        config,
        off_variation=moved(config.off_variation),
        fallthrough=serving(config.fallthrough),
        rules=tuple(replace(rule, serving=serving(rule.serving)) for rule in config.rules),
        targets=tuple(replace(target, variation=moved(target.variation)) for target in config.targets),
    )


def _move_prerequisites(transaction: Transaction, key: str, moved: Callable[[int], int]) -> None:
    """Let the flags that need this one name the same variations by their new indexes."""
    for other in list(transaction.project.flags.values()):
        configs = {
            name: replace(
                config,
                prerequisites=tuple(
                    replace(p, variation=moved(p.variation)) if p.key == key else p for p in config.prerequisites
                ),
            )
            for name, config in other.configs.items()
        }
        if configs != other.configs:
            transaction.put_flag(replace(other, configs=configs))


def _update_defaults(_transaction: Transaction, flag: Flag, instruction: RequestBody) -> Flag:
    # The table of parameters writes a small first letter, the example a capital one.
    return replace(
        flag,
        default_on=_default(flag, instruction, flag.default_on, "onVariationValue", "OnVariationValue"),
        default_off=_default(flag, instruction, flag.default_off, "offVariationValue", "OffVariationValue"),
    )


def _default(flag: Flag, instruction: RequestBody, present: int, *names: str) -> int:
    given = [name for name in names if instruction.has(name)]
    return _index_of_value(flag, instruction.raw(given[0]), instruction.path(given[0])) if given else present


def _index_of_value(flag: Flag, value: Any, path: str) -> int:
    for index, variation in enumerate(flag.variations):
        if (type(variation.value), variation.value) == (type(value), value):
            return index
    raise invalid_request(f"{path}: flag {flag.key!r} has no variation with the value {value!r}")


def _add_tags(_transaction: Transaction, flag: Flag, instruction: RequestBody) -> Flag:
    return replace(flag, tags=tuple(dict.fromkeys((*flag.tags, *instruction.texts("values")))))


def _remove_tags(_transaction: Transaction, flag: Flag, instruction: RequestBody) -> Flag:
    gone = instruction.texts("values")
    return replace(flag, tags=tuple(tag for tag in flag.tags if tag not in gone))


def _add_properties(_transaction: Transaction, flag: Flag, instruction: RequestBody) -> Flag:
    key = instruction.text("key")
    present = flag.custom_properties.get(key, {}).get("value", [])
    values = list(dict.fromkeys((*present, *instruction.texts("values"))))
    return _with_property(flag, key, {"name": instruction.text("name"), "value": values})


def _replace_properties(_transaction: Transaction, flag: Flag, instruction: RequestBody) -> Flag:
    values = list(instruction.texts("values"))
    return _with_property(flag, instruction.text("key"), {"name": instruction.text("name"), "value": values})


def _remove_properties(_transaction: Transaction, flag: Flag, instruction: RequestBody) -> Flag:
    key, gone = instruction.text("key"), instruction.texts("values")
    present = flag.custom_properties.get(key)
    if present is None:
        return flag
    left = [value for value in present["value"] if value not in gone]
    return _with_property(flag, key, {**present, "value": left} if left else None)


def _with_property(flag: Flag, key: str, wanted: Mapping[str, Any] | None) -> Flag:
    others = {name: value for name, value in flag.custom_properties.items() if name != key or wanted is not None}
    return replace(flag, custom_properties=others if wanted is None else {**others, key: wanted})


def _availability(*, available: bool) -> Callable[[Transaction, Flag, RequestBody], Flag]:
    def change(_transaction: Transaction, flag: Flag, instruction: RequestBody) -> Flag:
        if instruction.choice("value", ("usingMobileKey", "usingEnvironmentId"), "") == "usingMobileKey":
            return replace(flag, mobile_key=available)
        return replace(flag, client_side_id=available)

    return change


def _maintained_by_member(transaction: Transaction, flag: Flag, instruction: RequestBody) -> Flag:
    member = instruction.text("value")
    check_member(transaction, member)
    return replace(flag, maintainer_id=member, maintainer_team_key=None)


def _maintained_by_team(transaction: Transaction, flag: Flag, instruction: RequestBody) -> Flag:
    team = instruction.text("value")
    check_team(transaction, team)
    return replace(flag, maintainer_id=None, maintainer_team_key=team)


def _archive(transaction: Transaction, flag: Flag, _: RequestBody) -> Flag:
    _check_not_needed(transaction, flag)
    return flag if flag.archived else replace(flag, archived=True, archived_at=transaction.now)


def _delete(transaction: Transaction, flag: Flag, _: RequestBody) -> Flag:
    delete(transaction, flag)
    return flag


def _deprecate(transaction: Transaction, flag: Flag, _: RequestBody) -> Flag:
    return flag if flag.deprecated_at is not None else replace(flag, deprecated_at=transaction.now)


INSTRUCTIONS: Mapping[str, Callable[[Transaction, Flag, RequestBody], Flag]] = {
    "addVariation": _add_variation,
    "updateVariation": _update_variation,
    "removeVariation": _remove_variation,
    "updateDefaultVariation": _update_defaults,
    "updateName": lambda _transaction, flag, instruction: replace(flag, name=instruction.text("value")),
    "updateDescription": lambda _transaction, flag, instruction: replace(
        flag, description=instruction.optional_text("value") or ""
    ),
    "addTags": _add_tags,
    "removeTags": _remove_tags,
    "addCustomProperties": _add_properties,
    "replaceCustomProperties": _replace_properties,
    "removeCustomProperties": _remove_properties,
    "makeFlagPermanent": lambda _transaction, flag, _: replace(flag, temporary=False),
    "makeFlagTemporary": lambda _transaction, flag, _: replace(flag, temporary=True),
    "turnOnClientSideAvailability": _availability(available=True),
    "turnOffClientSideAvailability": _availability(available=False),
    "updateMaintainerMember": _maintained_by_member,
    "updateMaintainerTeam": _maintained_by_team,
    "removeMaintainer": lambda _transaction, flag, _: replace(flag, maintainer_id=None, maintainer_team_key=None),
    "archiveFlag": _archive,
    "restoreFlag": lambda _transaction, flag, _: replace(flag, archived=False, archived_at=None),
    "deprecateFlag": _deprecate,
    "restoreDeprecatedFlag": lambda _transaction, flag, _: replace(flag, deprecated_at=None),
    "deleteFlag": _delete,
}
