"""Copy a flag's configuration from one environment to another (LaunchDarkly REST docs, Copy feature flag)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import conflict, invalid_request
from airflow_provider_launchdarkly.emulator.rules import flag_patch
from airflow_provider_launchdarkly.emulator.rules.flag_rules import check_rule_is_free
from airflow_provider_launchdarkly.emulator.state.flag_models import FALLTHROUGH, Rollout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag, FlagConfig, Serving
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def copy(transaction: Transaction, flag: Flag, body: RequestBody) -> None:
    """Copy all of a configuration, or the parts that `includedActions` or `excludedActions` name.

    Raises:
        ApiError: 400 for an unknown action or both lists, 404 for an unknown environment, 405 where a change needs an
            approval, 409 for another version than expected or a rule of a running experiment.
    """
    source_key, target_key = (_environment(transaction, flag, body, name) for name in ("source", "target"))
    flag_patch.check_approval(transaction, target_key, flag.key)
    source, target = flag.configs[source_key], flag.configs[target_key]
    wanted = target
    for action in _actions(body):
        wanted = _ACTIONS[action](source, wanted)
    _check_rules_are_free(transaction, flag, target_key, wanted)
    after = replace(flag, configs={**flag.configs, target_key: wanted})
    flag_patch.store(transaction, flag, after, target_key)


def _environment(transaction: Transaction, flag: Flag, body: RequestBody, name: str) -> str:
    place = body.object(name)
    key, version = place.text("key"), place.optional_integer("currentVersion")
    transaction.environment(key)
    present = flag.configs[key].version
    if version not in (None, present):
        raise conflict(f"{place.path('currentVersion')} is {version}, the flag has version {present}")
    return key


def _actions(body: RequestBody) -> list[str]:
    included, excluded = body.texts("includedActions"), body.texts("excludedActions")
    if included and excluded:
        raise invalid_request("give includedActions or excludedActions, not both")
    for action in (*included, *excluded):
        if action not in _ACTIONS:
            raise invalid_request(f"unknown action {action!r}; use {', '.join(_ACTIONS)}")
    return [action for action in _ACTIONS if action not in excluded and (action in included or not included)]


def _check_rules_are_free(transaction: Transaction, flag: Flag, environment_key: str, wanted: FlagConfig) -> None:
    present = flag.configs[environment_key]
    if wanted.fallthrough != present.fallthrough:
        check_rule_is_free(transaction, environment_key, flag, FALLTHROUGH)
    for rule in present.rules:
        if rule not in wanted.rules:
            check_rule_is_free(transaction, environment_key, flag, rule.id)


def _served(serving: Serving) -> Serving:
    """Return a serving without the mark of the experiment or release that runs on it in its environment."""
    return replace(serving, experiment=None, release=None, seed=None) if isinstance(serving, Rollout) else serving


_ACTIONS: Mapping[str, Callable[[FlagConfig, FlagConfig], FlagConfig]] = {
    "updateOn": lambda source, target: replace(target, on=source.on),
    "updateRules": lambda source, target: replace(
        target, rules=tuple(replace(rule, serving=_served(rule.serving)) for rule in source.rules)
    ),
    "updateFallthrough": lambda source, target: replace(target, fallthrough=_served(source.fallthrough)),
    "updateOffVariation": lambda source, target: replace(target, off_variation=source.off_variation),
    "updatePrerequisites": lambda source, target: replace(target, prerequisites=source.prerequisites),
    "updateTargets": lambda source, target: replace(target, targets=source.targets),
    "updateFlagConfigMigrationSettings": lambda _source, target: target,
}
