"""Start and stop releases by LaunchDarkly's rules (REST API, Environment releases, client 25.0.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.emulator.errors import ApiError, conflict, forbidden, invalid_request, not_found
from airflow_provider_launchdarkly.emulator.rules import release_transitions as transitions
from airflow_provider_launchdarkly.emulator.rules.flag_status import last_requested
from airflow_provider_launchdarkly.emulator.rules.lifecycle import store_config
from airflow_provider_launchdarkly.emulator.rules.release_inputs import resolution, start_input
from airflow_provider_launchdarkly.emulator.rules.simulated_iteration import ground_truth
from airflow_provider_launchdarkly.emulator.rules.targeting import with_config
from airflow_provider_launchdarkly.emulator.state.flag_models import FALLTHROUGH, Flag, FlagConfig, Rule
from airflow_provider_launchdarkly.emulator.state.release_models import (
    REMOVE_RULES,
    Release,
    ReleaseMetric,
    ReleasePhase,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_launchdarkly.emulator.rules.release_inputs import StartInput
    from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

KEPT_MILLIS = 90 * 24 * 3_600_000
"""A release that ended longer ago is neither listed nor found."""


def shown(transaction: Transaction, environment_key: str, flag_key: str) -> list[Release]:
    """Return a flag's releases in an environment that are still shown, newest first."""
    transaction.environment(environment_key)
    transaction.flag(flag_key)
    since = transaction.now - KEPT_MILLIS
    found = transaction.releases(environment_key, flag_key)
    return [r for r in reversed(found) if r.ended_at is None or r.ended_at >= since]


def release(transaction: Transaction, environment_key: str, flag_key: str, release_id: str) -> Release:
    """Return a release of a flag in an environment, or raise a 404."""
    for known in shown(transaction, environment_key, flag_key):
        if known.id == release_id:
            return known
    raise not_found(f"release {release_id!r} not found on flag {flag_key!r} in environment {environment_key!r}")


def start(transaction: Transaction, environment_key: str, flag_key: str, body: RequestBody) -> Release:
    """Start a release: its rules, its first phase and that phase's first step."""
    flag = transaction.flag(flag_key)
    transaction.environment(environment_key)
    wanted = start_input(transaction, environment_key, body)
    for name, variation_id in (
        ("originalVariationId", wanted.original_variation_id),
        ("targetVariationId", wanted.target_variation_id),
    ):
        if flag.index_of(variation_id) is None:
            raise invalid_request(f"{name}: flag {flag_key!r} has no variation {variation_id!r}")
    config = flag.configs[environment_key]
    if flag.archived or not config.on:
        raise conflict(f"the flag must be on in environment {environment_key!r}")
    if any(known.active for known in transaction.releases(environment_key, flag_key)):
        raise ApiError(409, "release_already_active", "a release is already active on this flag in this environment")
    if wanted.cleanup_behavior == REMOVE_RULES and transaction.owner_of(environment_key, flag_key, FALLTHROUGH):
        raise conflict("the default rule is used by a running experiment")
    if wanted.metrics and transaction.settings.guarded_releases == "unavailable":
        raise forbidden("guarded releases are not available on this account's plan")
    _check_health(transaction, flag, wanted)
    rules = [_rule(transaction, flag, environment_key, wanted, place) for place in range(len(wanted.phases))]
    started = transitions.start_phase(_new(transaction, environment_key, flag_key, wanted, rules), 0, transaction.now)
    transaction.put_release(started)
    transaction.record("release.started", environment=environment_key, flag=flag_key, release=started.id)
    with_rules = replace(flag, configs={**flag.configs, environment_key: _with_rules(config, wanted, rules)})
    _store(transaction, flag, with_rules, started)
    return started


def stop(transaction: Transaction, environment_key: str, flag_key: str, release_id: str, body: RequestBody) -> Release:
    """Stop a release as its `resolution` says. One that has ended stays as it is."""
    before = release(transaction, environment_key, flag_key, release_id)
    way, scope = resolution(body)
    if not before.active:
        return before
    if scope == "current_phase" and before.current is None:
        raise invalid_request("the release is between phases: use a resolution for all phases")
    if way == "forward":
        after = transitions.roll_forward(before, transaction.now, scope)
    else:
        after = transitions.revert(before, transaction.now, "reverted_manual", scope)
    _change(transaction, after, "release.stopped")
    return after


def act(transaction: Transaction, release_id: str, action: str) -> Release:
    """Dismiss the regression that a release waits for, or advance it to its next phase, as LaunchDarkly's UI can.

    No published route does either.

    Raises:
        ApiError: 404 without such a release, 400 if it does not wait for this.
    """
    before = transaction.project.releases.get(release_id)
    if before is None:
        raise not_found(f"release {release_id!r} not found")
    change = _ACTIONS[action](before, transaction.now)
    if change is None:
        state = f"{before.status} ({before.reason})"
        raise invalid_request(f"release {release_id!r} is {state}: there is nothing to {action}")
    _change(transaction, change, f"release.{action}")
    return change


def discard_interrupted(transaction: Transaction, flag_key: str) -> None:
    """End the active releases of a flag where it is off or archived now: `reverted_discarded`."""
    for active in transaction.releases(flag_key=flag_key):
        flag = transaction.flag(flag_key)
        if active.active and (flag.archived or not flag.configs[active.environment_key].on):
            ended = transitions.revert(active, transaction.now, "reverted_discarded", "current_phase")
            _change(transaction, ended, "release.discarded")


def _dismissed(waiting: Release, now: int) -> Release | None:
    return transitions.dismiss(waiting, now) if waiting.reason == "waiting_regression_detected" else None


def _advanced(waiting: Release, now: int) -> Release | None:
    if not waiting.between_phases:
        return None
    pending = next(index for index, phase in enumerate(waiting.phases) if phase.status == "pending")
    return transitions.start_phase(waiting, pending, now)


_ACTIONS: Mapping[str, Callable[[Release, int], Release | None]] = {"dismiss": _dismissed, "advance": _advanced}


def _change(transaction: Transaction, after: Release, kind: str) -> None:
    transaction.put_release(after)
    transaction.record(kind, environment=after.environment_key, flag=after.flag_key, release=after.id)
    flag = transaction.flag(after.flag_key)
    _store(transaction, flag, flag, after)


def _store(transaction: Transaction, before: Flag, prepared: Flag, after: Release) -> None:
    """Store the flag as a release has it now, with its version raised if that differs."""
    environment_key = after.environment_key
    served = transitions.on_flag(prepared, after)
    if served != before.configs[environment_key]:
        store_config(
            transaction, before, environment_key, with_config(before, environment_key, served, transaction.now)
        )


def _new(
    transaction: Transaction, environment_key: str, flag_key: str, wanted: StartInput, rules: Iterable[Rule]
) -> Release:
    return Release(
        id=transaction.world.new_uuid("release"),
        environment_key=environment_key,
        flag_key=flag_key,
        original_variation_id=wanted.original_variation_id,
        target_variation_id=wanted.target_variation_id,
        randomization_unit=wanted.randomization_unit,
        phases=tuple(
            ReleasePhase(
                id=transaction.world.new_uuid("release-phase"),
                rule_id=rule.id,
                steps=phase.steps,
                description=rule.description,
            )
            for phase, rule in zip(wanted.phases, rules, strict=True)
        ),
        created_at=transaction.now,
        metrics=tuple(ReleaseMetric(key, transaction.metric(key).version_id, back) for key, back in wanted.metrics),
        advancement_mode=wanted.advancement_mode,
        cleanup_behavior=wanted.cleanup_behavior,
    )


def _rule(transaction: Transaction, flag: Flag, environment_key: str, wanted: StartInput, place: int) -> Rule:
    """Return the existing rule of a phase, or a new one, after the checks that LaunchDarkly documents for both."""
    config, phase = flag.configs[environment_key], wanted.phases[place]
    if phase.rule_id is not None:
        rule = next((rule for rule in config.rules if rule.id == phase.rule_id), None)
        if rule is None:
            raise invalid_request(f"phases[0].ruleId: flag {flag.key!r} has no rule {phase.rule_id!r}")
        if rule.disabled:
            raise invalid_request(f"phases[0].ruleId: rule {phase.rule_id!r} is disabled")
        if transaction.owner_of(environment_key, flag.key, rule.id) is not None:
            raise conflict("the targeting rule is used by a running experiment")
        _check_kind_clause(rule.clauses, wanted.randomization_unit)
        return rule
    _check_kind_clause(phase.clauses, wanted.randomization_unit)
    before = [rule.clauses for rule in config.rules] + [earlier.clauses for earlier in wanted.phases[:place]]
    for index, clauses in enumerate(before):
        if _plain(clauses) == _plain(phase.clauses):
            raise invalid_request(f"new rule is exact duplicate of an existing rule at index {index}")
    described = [rule.description for rule in config.rules] + [p.description for p in wanted.phases[:place]]
    if phase.description is not None and phase.description in described:
        raise invalid_request("duplicate rule description not allowed")
    return Rule(
        id=transaction.world.new_uuid("rule"),
        clauses=tuple({"_id": transaction.world.new_uuid("clause"), **clause} for clause in phase.clauses),
        serving=0,
        description=phase.description,
    )


def _check_kind_clause(clauses: Iterable[Mapping[str, Any]], unit: str) -> None:
    needed = {"contextKind": unit, "attribute": "kind", "op": "in", "negate": False, "values": [unit]}
    if needed not in _plain(clauses):
        raise invalid_request(
            f'each phase\'s rule must include the clause {{"contextKind": "{unit}", "attribute": "kind", "op": "in", '
            f'"values": ["{unit}"]}}, not negated and with no other values'
        )


def _plain(clauses: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return clauses without their ids, each with all of its fields."""
    return [{"negate": False} | {name: value for name, value in clause.items() if name != "_id"} for clause in clauses]


def _with_rules(config: FlagConfig, wanted: StartInput, rules: list[Rule]) -> FlagConfig:
    new = tuple(rule for rule, phase in zip(rules, wanted.phases, strict=True) if phase.rule_id is None)
    place = len(config.rules)
    if wanted.before_rule_id is not None:
        ids = [rule.id for rule in config.rules]
        if wanted.before_rule_id not in ids:
            raise invalid_request(f"beforeRuleId: the flag has no rule {wanted.before_rule_id!r}")
        place = ids.index(wanted.before_rule_id)
    return replace(config, rules=(*config.rules[:place], *new, *config.rules[place:]))


def _check_health(transaction: Transaction, flag: Flag, wanted: StartInput) -> None:
    """Raise a 400 with all health checks that fail and are not bypassed."""
    unit = wanted.randomization_unit
    failing: list[dict[str, str]] = []
    evaluated = last_requested(transaction, flag) is not None
    as_unit = unit in {known.key for known in transaction.randomization_units}
    if not evaluated:
        failing.append({"kind": "flag_evaluations_any", "message": "the flag has not recently been evaluated"})
    if not (evaluated and as_unit):
        message = f"the flag has not recently been evaluated for contexts of the kind {unit!r}"
        failing.append({"kind": "flag_evaluations_with_context", "message": message})
    truth = ground_truth(transaction, flag.key)
    for key, _ in wanted.metrics:
        metric = transaction.metric(key)
        has_events = evaluated and truth.metric(key, is_numeric=metric.is_numeric) is not None
        if not has_events:
            failing.append(
                {"kind": "metric_events_any", "metricKey": key, "message": f"metric {key!r} has received no events"}
            )
        if not (has_events and as_unit and unit in metric.randomization_units):
            message = f"metric {key!r} has received no events for contexts of the kind {unit!r}"
            failing.append({"kind": "metric_events_with_context", "metricKey": key, "message": message})
    blocking = [check for check in failing if check["kind"] not in wanted.bypass]
    if blocking:
        raise ApiError(400, "health_checks_failed", "release health checks failed", details={"failingChecks": blocking})
