"""Change a flag's state, targets, prerequisites and tracking in one environment by instructions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import invalid_request
from airflow_provider_launchdarkly.emulator.rules.flag_rules import variation_index
from airflow_provider_launchdarkly.emulator.state.flag_models import Prerequisite, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag, FlagConfig
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

_USER = "user"


def with_targets(config: FlagConfig, targets: Iterable[Target]) -> FlagConfig:
    """Return the configuration with other targets, those without a key left out.

    Raises:
        ApiError: 400, a key is targeted by two variations.
    """
    kept = tuple(target for target in targets if target.values)
    seen: set[tuple[str, str]] = set()
    for target in kept:
        for value in target.values:
            if (target.context_kind, value) in seen:
                raise invalid_request(f"the {target.context_kind} {value!r} is targeted by more than one variation")
            seen.add((target.context_kind, value))
    return replace(config, targets=kept)


def _add_targets(_transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    return _with_added(flag.configs[environment_key], _target(flag, instruction))


def _add_user_targets(
    _transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody
) -> FlagConfig:
    return _with_added(flag.configs[environment_key], replace(_target(flag, instruction), context_kind=_USER))


def _with_added(config: FlagConfig, added: Target) -> FlagConfig:
    targets = list(config.targets)
    for place, present in enumerate(targets):
        if (present.variation, present.context_kind) == (added.variation, added.context_kind):
            targets[place] = replace(present, values=tuple(dict.fromkeys((*present.values, *added.values))))
            return with_targets(config, targets)
    return with_targets(config, (*targets, added))


def _remove_targets(
    _transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody
) -> FlagConfig:
    return _without(flag.configs[environment_key], _target(flag, instruction))


def _remove_user_targets(
    _transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody
) -> FlagConfig:
    return _without(flag.configs[environment_key], replace(_target(flag, instruction), context_kind=_USER))


def _without(config: FlagConfig, gone: Target) -> FlagConfig:
    return with_targets(
        config,
        (
            replace(target, values=tuple(value for value in target.values if value not in gone.values))
            if (target.variation, target.context_kind) == (gone.variation, gone.context_kind)
            else target
            for target in config.targets
        ),
    )


def _clear_targets(_transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody) -> FlagConfig:
    config, variation = flag.configs[environment_key], variation_index(flag, instruction)
    return replace(config, targets=tuple(t for t in config.targets if t.variation != variation))


def _clear_user_targets(
    _transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody
) -> FlagConfig:
    config, variation = flag.configs[environment_key], variation_index(flag, instruction)
    return replace(
        config, targets=tuple(t for t in config.targets if (t.variation, t.context_kind) != (variation, _USER))
    )


def _replace_targets(
    _transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody
) -> FlagConfig:
    empty = replace(flag.configs[environment_key], targets=())
    return _with_all(empty, [_target(flag, body) for body in instruction.objects("targets")])


def _replace_user_targets(
    _transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody
) -> FlagConfig:
    config = flag.configs[environment_key]
    wanted = [replace(_target(flag, body), context_kind=_USER) for body in instruction.objects("targets")]
    missing = set(range(len(flag.variations))) - {target.variation for target in wanted}
    if missing:
        label = flag.variations[min(missing)].label
        raise invalid_request(f"{instruction.path('targets')} must have each variation; {label!r} is missing")
    others = replace(config, targets=tuple(t for t in config.targets if t.context_kind != _USER))
    return _with_all(others, wanted)


def _with_all(config: FlagConfig, targets: Iterable[Target]) -> FlagConfig:
    for target in targets:
        config = _with_added(config, target)
    return config


def _target(flag: Flag, body: RequestBody) -> Target:
    if "values" not in body:
        raise invalid_request(f"{body.path('values')} is required")
    kind = body.optional_text("contextKind") or _USER
    return Target(variation_index(flag, body), tuple(dict.fromkeys(body.texts("values"))), kind)


def _add_prerequisite(
    transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody
) -> FlagConfig:
    config, added = flag.configs[environment_key], _prerequisite(transaction, flag, environment_key, instruction)
    others = tuple(p for p in config.prerequisites if p.key != added.key)
    return config if added in config.prerequisites else replace(config, prerequisites=(*others, added))


def _update_prerequisite(
    transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody
) -> FlagConfig:
    config, wanted = flag.configs[environment_key], _prerequisite(transaction, flag, environment_key, instruction)
    if all(present.key != wanted.key for present in config.prerequisites):
        raise invalid_request(f"{instruction.path('key')}: flag {flag.key!r} has no prerequisite {wanted.key!r}")
    return replace(config, prerequisites=tuple(wanted if p.key == wanted.key else p for p in config.prerequisites))


def _remove_prerequisite(
    _transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody
) -> FlagConfig:
    config, gone = flag.configs[environment_key], instruction.text("key")
    return replace(config, prerequisites=tuple(p for p in config.prerequisites if p.key != gone))


def _replace_prerequisites(
    transaction: Transaction, flag: Flag, environment_key: str, instruction: RequestBody
) -> FlagConfig:
    wanted = tuple(
        _prerequisite(transaction, flag, environment_key, body) for body in instruction.objects("prerequisites")
    )
    if len({prerequisite.key for prerequisite in wanted}) < len(wanted):
        raise invalid_request(f"{instruction.path('prerequisites')} must name each flag once")
    return replace(flag.configs[environment_key], prerequisites=wanted)


def _prerequisite(transaction: Transaction, flag: Flag, environment_key: str, body: RequestBody) -> Prerequisite:
    key = body.text("key")
    other = transaction.project.flags.get(key)
    if other is None:
        raise invalid_request(f"{body.path('key')}: there is no feature flag {key!r}")
    if flag.key in _needed(transaction, environment_key, key):
        raise invalid_request(f"{body.path('key')}: flag {flag.key!r} would be its own prerequisite")
    return Prerequisite(key, variation_index(other, body))


def _needed(transaction: Transaction, environment_key: str, key: str) -> set[str]:
    """Return a flag, its prerequisites, and theirs."""
    found: set[str] = set()
    left = [key]
    while left:
        name = left.pop()
        if name not in found and name in transaction.project.flags:
            found.add(name)
            left += [p.key for p in transaction.flag(name).configs[environment_key].prerequisites]
    return found


INSTRUCTIONS: Mapping[str, Callable[[Transaction, Flag, str, RequestBody], FlagConfig]] = {
    "turnFlagOn": lambda _transaction, flag, environment_key, _: replace(flag.configs[environment_key], on=True),
    "turnFlagOff": lambda _transaction, flag, environment_key, _: replace(flag.configs[environment_key], on=False),
    "updateOffVariation": lambda _transaction, flag, environment_key, instruction: replace(
        flag.configs[environment_key], off_variation=variation_index(flag, instruction)
    ),
    "updateTrackEvents": lambda _transaction, flag, environment_key, instruction: replace(
        flag.configs[environment_key], track_events=instruction.flag("trackEvents")
    ),
    "updateTrackEventsFallthrough": lambda _transaction, flag, environment_key, instruction: replace(
        flag.configs[environment_key], track_events_fallthrough=instruction.flag("trackEvents")
    ),
    "addTargets": _add_targets,
    "addUserTargets": _add_user_targets,
    "removeTargets": _remove_targets,
    "removeUserTargets": _remove_user_targets,
    "clearTargets": _clear_targets,
    "clearUserTargets": _clear_user_targets,
    "replaceTargets": _replace_targets,
    "replaceUserTargets": _replace_user_targets,
    "addPrerequisite": _add_prerequisite,
    "updatePrerequisite": _update_prerequisite,
    "removePrerequisite": _remove_prerequisite,
    "replacePrerequisites": _replace_prerequisites,
}
