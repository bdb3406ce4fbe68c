"""Read the bodies that start and stop a release (LaunchDarkly's REST API, Environment releases, client 25.0.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow_provider_launchdarkly.emulator.errors import ApiError, invalid_request
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.state.flag_models import WHOLE_ROLLOUT
from airflow_provider_launchdarkly.emulator.state.release_models import LEAVE_RULES, REMOVE_RULES, ReleaseStep

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

Cleanup = Literal["remove_rules_and_update_default_rule", "leave_rules_in_place"]
Mode = Literal["manual", "automatic"]

HEALTH_CHECKS = (
    "flag_evaluations_any",
    "flag_evaluations_with_context",
    "metric_events_any",
    "metric_events_with_context",
)
RESOLUTIONS = (
    "roll_forward_all_phases",
    "roll_forward_current_phase_and_remove_pending_phases",
    "roll_back_all_phases_and_remove_pending_phases",
    "roll_back_current_phase_and_remove_pending_phases",
)
LARGEST_GUARDED = WHOLE_ROLLOUT // 2
_OPERATORS = (
    *("in", "endsWith", "startsWith", "matches", "contains", "lessThan", "lessThanOrEqual", "greaterThan"),
    *("greaterThanOrEqual", "before", "after", "segmentMatch", "semVerEqual", "semVerLessThan", "semVerGreaterThan"),
)
_FROM_PLAN = ("randomizationUnit", "phases", "metrics", "advancementMode", "cleanupBehavior")


@dataclass(frozen=True, slots=True)
class PhaseInput:
    """A phase as asked for: on an existing rule, or with the clauses of a new one."""

    steps: tuple[ReleaseStep, ...]
    rule_id: str | None = None
    clauses: tuple[dict[str, JSON], ...] = ()
    description: str | None = None


@dataclass(frozen=True, slots=True)
class StartInput:
    """A release as asked for, with a plan's fields if it names one. `metrics` are pairs of key and autoRollback."""

    original_variation_id: str
    target_variation_id: str
    randomization_unit: str
    phases: tuple[PhaseInput, ...]
    metrics: tuple[tuple[str, bool], ...]
    advancement_mode: Mode
    cleanup_behavior: Cleanup
    before_rule_id: str | None
    bypass: tuple[str, ...]


def start_input(transaction: Transaction, environment_key: str, body: RequestBody) -> StartInput:
    """Read the body that starts a release.

    Raises:
        ApiError: 400 for a wrong field; 422 for a plan while the account has none.
    """
    original, target = body.text("originalVariationId"), body.text("targetVariationId")
    if original == target:
        raise invalid_request("originalVariationId and targetVariationId must be different")
    body.optional_text("comment")
    design = _plan(transaction, environment_key, body) if "releasePlanKey" in body else body
    metrics = _metrics(transaction, design, groups="releasePlanKey" in body)
    phases = tuple(_phase(item, guarded=bool(metrics)) for item in design.objects("phases"))
    if not phases:
        raise invalid_request(f"{design.path('phases')} must have at least one entry")
    several = len(phases) > 1
    if several and "advancementMode" not in design:
        raise invalid_request(f"{design.path('advancementMode')} is required when phases has more than one entry")
    if several and any(phase.rule_id is not None for phase in phases):
        raise invalid_request("ruleId is allowed only on a single-phase release")
    bypass = body.texts("bypassHealthChecks")
    for kind in bypass:
        if kind not in HEALTH_CHECKS:
            raise invalid_request(f"bypassHealthChecks: {kind!r} is not one of {', '.join(HEALTH_CHECKS)}")
    return StartInput(
        original_variation_id=original,
        target_variation_id=target,
        randomization_unit=_unit(transaction, design),
        phases=phases,
        metrics=metrics,
        advancement_mode=cast("Mode", design.choice("advancementMode", ("manual", "automatic"), "automatic")),
        cleanup_behavior=cast("Cleanup", design.choice("cleanupBehavior", (LEAVE_RULES, REMOVE_RULES), LEAVE_RULES)),
        before_rule_id=body.optional_text("beforeRuleId"),
        bypass=bypass,
    )


def resolution(body: RequestBody) -> tuple[Literal["forward", "back"], Literal["all_phases", "current_phase"]]:
    """Read how a stop resolves a release: forward or back, and which of its phases."""
    body.optional_text("comment")
    given = body.choice("resolution", RESOLUTIONS, "")
    way: Literal["forward", "back"] = "forward" if given.startswith("roll_forward") else "back"
    return way, "all_phases" if "all_phases" in given else "current_phase"


def _plan(transaction: Transaction, environment_key: str, body: RequestBody) -> RequestBody:
    key = body.text("releasePlanKey")
    if transaction.settings.release_plans == "unavailable":
        raise ApiError(422, "invalid_request", "environment release plans are not available for this account")
    given = [name for name in _FROM_PLAN if name in body]
    if given:
        raise invalid_request(f"releasePlanKey supplies {', '.join(_FROM_PLAN)}; omit {', '.join(given)}")
    plan = transaction.project.release_plans.get((environment_key, key))
    if plan is None:
        raise invalid_request(f"releasePlanKey: environment {environment_key!r} has no release plan {key!r}")
    return RequestBody(dict(plan), f"release plan {key!r}")


def _unit(transaction: Transaction, design: RequestBody) -> str:
    unit = design.text("randomizationUnit")
    if unit not in transaction.project.context_kinds:
        known = ", ".join(transaction.project.context_kinds)
        raise invalid_request(f"randomizationUnit: the project has no context kind {unit!r}; it has {known}")
    return unit


def _metrics(transaction: Transaction, design: RequestBody, *, groups: bool) -> tuple[tuple[str, bool], ...]:
    found: dict[str, bool] = {}
    for item in design.objects("metrics") if "metrics" in design else []:
        rolls_back = item.flag("autoRollback", default=False)
        if groups and "metricGroupKey" in item:
            keys = [member.key for member in transaction.metric_group(item.text("metricGroupKey")).metrics]
        else:
            keys = [item.text("metricKey")]
        for key in keys:
            if key not in transaction.project.metrics:
                kind = "a metric group, list its metrics" if key in transaction.project.metric_groups else "no metric"
                raise invalid_request(f"{item.path('metricKey')}: {key!r} is {kind}")
            if key in found and not groups:
                raise invalid_request(f"{item.path('metricKey')}: {key!r} is listed twice")
            found[key] = found.get(key, False) or rolls_back
    return tuple(found.items())


def _phase(item: RequestBody, *, guarded: bool) -> PhaseInput:
    if ("ruleId" in item) == ("clauses" in item):
        raise invalid_request(f"{item.path('')[:-1]} must specify exactly one of ruleId and clauses")
    steps = _steps(item, guarded=guarded)
    if "ruleId" in item:
        return PhaseInput(steps, rule_id=item.text("ruleId"))
    clauses = tuple(_clause(clause) for clause in item.objects("clauses"))
    if not clauses:
        raise invalid_request(f"{item.path('clauses')} must have at least one entry")
    return PhaseInput(steps, clauses=clauses, description=item.optional_text("description"))


def _steps(item: RequestBody, *, guarded: bool) -> tuple[ReleaseStep, ...]:
    steps: list[ReleaseStep] = []
    largest = LARGEST_GUARDED if guarded else WHOLE_ROLLOUT
    for step in item.objects("steps"):
        allocation, duration = step.integer("allocation"), step.integer("durationMillis")
        if not 1 <= allocation <= largest:
            kind = "guarded" if guarded else "progressive"
            raise invalid_request(
                f"{step.path('allocation')} must be from 1 to {largest} in a {kind} release, not {allocation}"
            )
        if steps and allocation <= steps[-1].allocation:
            raise invalid_request(f"{step.path('allocation')} must be greater than that of the step before")
        if duration < 1:
            raise invalid_request(f"{step.path('durationMillis')} must be at least 1, not {duration}")
        steps.append(ReleaseStep(allocation, duration))
    if not steps:
        raise invalid_request(f"{item.path('steps')} must have at least one entry")
    return tuple(steps)


def _clause(clause: RequestBody) -> dict[str, Any]:
    op = clause.choice("op", _OPERATORS, "")
    values = clause.raw("values")
    if not isinstance(values, list) or not all(isinstance(value, str | int | float) for value in values):
        raise invalid_request(f"{clause.path('values')} must be a list of strings, numbers and booleans")
    kind = clause.optional_text("contextKind")
    if kind is None and op != "segmentMatch":
        raise invalid_request(f"{clause.path('contextKind')} is required unless op is segmentMatch")
    return {
        **({} if kind is None else {"contextKind": kind}),
        "attribute": clause.text("attribute") if op != "segmentMatch" else clause.required_text("attribute"),
        "op": op,
        "negate": clause.flag("negate", default=False),
        "values": list(values),
    }
