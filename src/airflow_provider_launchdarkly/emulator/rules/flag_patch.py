"""Apply a semantic patch to a flag.

LaunchDarkly REST docs, Patch feature flag: a patch applies all its instructions or none, and succeeds without a change
if the flag already has the requested state. A rule that a running experiment owns cannot change (409).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import invalid_request, method_not_allowed
from airflow_provider_launchdarkly.emulator.rules import flag_rules, flag_settings, flag_targets
from airflow_provider_launchdarkly.emulator.rules.lifecycle import record_flag_toggle, store_config
from airflow_provider_launchdarkly.emulator.rules.releases import discard_interrupted
from airflow_provider_launchdarkly.emulator.rules.targeting import with_config

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def apply_patch(transaction: Transaction, key: str, body: RequestBody, *, approved: bool = False) -> None:
    """Apply every instruction in order, and raise the flag's version by one if anything changed.

    Without an approval, a change in an environment that requires one is a 405.
    """
    before = transaction.flag(key)
    environment_key = body.optional_text("environmentKey")
    if not approved:
        check_approval(transaction, environment_key, key)
    flag = before
    for instruction in body.objects("instructions"):
        kind = instruction.text("kind")
        if kind in flag_settings.INSTRUCTIONS:
            flag = flag_settings.INSTRUCTIONS[kind](transaction, flag, instruction)
        elif kind in _IN_ENVIRONMENT:
            if environment_key is None:
                raise invalid_request(f"environmentKey is required for {kind}")
            config = _IN_ENVIRONMENT[kind](transaction, flag, environment_key, instruction)
            flag = replace(flag, configs={**flag.configs, environment_key: config})
        else:
            raise invalid_request(f"{instruction.path('kind')}: unknown instruction {kind!r}")
    store(transaction, before, flag, environment_key)


def check_approval(transaction: Transaction, environment_key: str | None, flag_key: str) -> None:
    """Raise a 405 for a change in an environment that requires approvals. It names the requests that are pending."""
    if environment_key is None or not transaction.settings.flag_approval(transaction.environment(environment_key)):
        return
    pending = [
        request.id
        for request in transaction.approval_requests.values()
        if (request.environment_key, request.flag_key) == (environment_key, flag_key)
        if request.status == "pending" and request.review_status == "pending"
    ]
    waiting = f"; pending already: {', '.join(pending)}" if pending else ""
    raise method_not_allowed(f"approval is required: create an approval request instead{waiting}")


def store(transaction: Transaction, before: Flag, after: Flag, environment_key: str | None) -> None:
    """Store a patched flag that differs from the one before, with its version and its environment's raised by one."""
    if after == before:
        return
    if environment_key is not None and after.configs[environment_key] != before.configs[environment_key]:
        base = replace(after, configs={**after.configs, environment_key: before.configs[environment_key]})
        store_config(
            transaction,
            before,
            environment_key,
            with_config(base, environment_key, after.configs[environment_key], transaction.now),
        )
        on = after.configs[environment_key].on
        if on != before.configs[environment_key].on:
            record_flag_toggle(transaction, environment_key, after.key, on=on)
            discard_interrupted(transaction, after.key)
        return
    transaction.put_flag(replace(after, version=before.version + 1))
    transaction.record("flag.changed", flag=after.key)
    if after.archived:
        discard_interrupted(transaction, after.key)


INSTRUCTIONS = (*flag_targets.INSTRUCTIONS, *flag_rules.INSTRUCTIONS, *flag_settings.INSTRUCTIONS)
"""All that LaunchDarkly publishes (client 25.0.1, patch_feature_flag)."""
_IN_ENVIRONMENT = {**flag_targets.INSTRUCTIONS, **flag_rules.INSTRUCTIONS}
