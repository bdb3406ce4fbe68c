"""Turn flags on or off, and let a rule serve a variation or a rollout."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.endpoints.approvals import list_approval_requests
from airflow_provider_launchdarkly.api.endpoints.experiments import list_experiments
from airflow_provider_launchdarkly.api.endpoints.flags import archive_flag as archive_request
from airflow_provider_launchdarkly.api.endpoints.flags import get_flag, patch_flag
from airflow_provider_launchdarkly.api.endpoints.releases import list_releases
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    ConflictError,
    Difference,
    FlagOffError,
    LaunchDarklyError,
    RuleOwnedError,
    StateError,
)
from airflow_provider_launchdarkly.api.http.paging import collect
from airflow_provider_launchdarkly.api.models import (
    FALLTHROUGH,
    TurnFlagOff,
    TurnFlagOn,
    UpdateFallthroughVariationOrRollout,
    UpdateRuleVariationOrRollout,
)
from airflow_provider_launchdarkly.api.models.instructions import WHOLE
from airflow_provider_launchdarkly.api.reads.flags import read_flag
from airflow_provider_launchdarkly.api.writes.ensure import Ensured, ensure, fields_as_asked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request
    from airflow_provider_launchdarkly.api.models import FeatureFlag, FlagConfig, FlagInstruction, Serves


@dataclass(frozen=True, slots=True)
class Serving:
    """The target of a rule: one variation, or a rollout.

    Attributes:
        variation_id: The variation for everyone.
        weights: Or a rollout: weights by variation id, in thousandths of a percent, adding up to 100,000.
        context_kind: By which kind of context a rollout splits; LaunchDarkly's default is ``user``.
        bucket_by: By which attribute a rollout splits; LaunchDarkly's default is the context's key.
    """

    variation_id: str | None = None
    weights: Mapping[str, int] | None = None
    context_kind: str | None = None
    bucket_by: str | None = None


def weights_of(shares: Mapping[str, Decimal | float | str]) -> dict[str, int]:
    """Turn percentages into rollout weights, exactly.

    Args:
        shares: Percent by variation id, 0 to 100, adding up to 100.

    Returns:
        Thousandths of a percent by variation id, adding up to 100,000.

    Raises:
        ConfigurationError: A share is no percentage, is finer than a thousandth of a percent, or the sum is not 100.
    """
    weights = {}
    for variation_id, share in shares.items():
        try:
            weight = Decimal(str(share)) * 1000
        except InvalidOperation:
            raise ConfigurationError(f"share of variation {variation_id!r} is {share!r}: write a percentage") from None
        if not weight.is_finite() or weight != weight.to_integral_value() or not 0 <= weight <= WHOLE:
            raise ConfigurationError(
                f"share of variation {variation_id!r} is {share!r}: 0 to 100 percent are possible, in steps of 0.001"
            )
        weights[variation_id] = int(weight)
    if sum(weights.values()) != WHOLE:
        raise ConfigurationError(f"shares {dict(shares)!r} add up to {sum(weights.values()) / 1000:g} %, not to 100")
    return weights


def turn_flag(
    env: EnvironmentRef, flag_key: str, *, on: bool, comment: str | None = None
) -> Procedure[Ensured[FeatureFlag]]:
    """Turn a flag on or off in one environment.

    Safe to repeat: a flag in this state is left alone.

    Args:
        env: Project and environment.
        flag_key: The flag.
        on: The state to reach.
        comment: Text for LaunchDarkly's audit log.

    Raises:
        FlagOffError: The flag is archived.
        LaunchDarklyError: As the calls raise.
    """
    return change_flag(env, flag_key, on=on, comment=comment)


def serve(
    env: EnvironmentRef,
    flag_key: str,
    serving: Serving,
    *,
    rule_id: str = FALLTHROUGH,
    comment: str | None = None,
) -> Procedure[Ensured[FeatureFlag]]:
    """Let a flag's rule serve one variation or a rollout.

    Safe to repeat: a rule that serves this already is left alone. LaunchDarkly refuses the change while an experiment
    or a guarded rollout runs on the rule.

    Args:
        env: Project and environment.
        flag_key: The flag.
        serving: What to serve.
        rule_id: The rule's id, ``fallthrough`` for the default rule.
        comment: Text for LaunchDarkly's audit log.

    Raises:
        ConfigurationError: Not exactly one of variation and weights is given, or the flag has no such variation.
        StateError: The flag has no such rule.
        RuleOwnedError: An experiment runs on the rule; the message names it.
        LaunchDarklyError: As the calls raise.
    """
    return change_flag(env, flag_key, serving=serving, rule_id=rule_id, comment=comment)


def change_flag(
    env: EnvironmentRef,
    flag_key: str,
    *,
    on: bool | None = None,
    serving: Serving | None = None,
    rule_id: str = FALLTHROUGH,
    comment: str | None = None,
) -> Procedure[Ensured[FeatureFlag]]:
    """Turn a flag on or off and set what a rule serves, in one write: both take effect, or neither.

    Safe to repeat: only what differs is written.

    Args:
        env: Project and environment.
        flag_key: The flag.
        on: True or False; None to leave it.
        serving: What the rule is to serve; None to leave it.
        rule_id: The rule's id, ``fallthrough`` for the default rule.
        comment: Text for LaunchDarkly's audit log.

    Raises:
        ConfigurationError: Not exactly one of variation and weights is given, or the flag has no such variation.
        StateError: The flag has no such rule.
        FlagOffError: The flag is archived, and was to be turned on or off.
        RuleOwnedError: An experiment runs on the rule; the message names it.
        LaunchDarklyError: As the calls raise.
    """
    serve_it = None if serving is None else _instruction(serving, rule_id)
    turn_it: FlagInstruction | None = None if on is None else TurnFlagOn() if on else TurnFlagOff()

    def turning(flag: FeatureFlag) -> tuple[Difference, ...]:
        return () if on is None else _turning_differences(flag, flag.environments[env.environment_key], on=on)

    def served(flag: FeatureFlag) -> tuple[Difference, ...]:
        config = flag.environments[env.environment_key]
        return () if serving is None else _serving_differences(flag, config, serving, rule_id)

    def write(flag: FeatureFlag) -> Request[FeatureFlag]:
        turn, serve = (turn_it if turning(flag) else None), (serve_it if served(flag) else None)
        # A flag goes off before its rule changes, and on after it. The audit log lists the changes in this order.
        ordered = (serve, turn) if on else (turn, serve)
        return patch_flag(env, flag_key, [part for part in ordered if part is not None], comment=comment)

    def explain(error: LaunchDarklyError, _flag: FeatureFlag) -> Procedure[LaunchDarklyError | None]:
        if not isinstance(error, ConflictError) or serving is None:
            return None
        return (yield from raise_if_owned(env, flag_key, rule_id, error, doing="what the rule serves cannot change"))

    wanted = [f"is {'on' if on else 'off'}"] if on is not None else []
    if serving is not None:
        wanted.append(f"serves by rule {rule_id!r} what was asked")
    return ensure(
        fields_as_asked(
            f"flag {flag_key!r} {' and '.join(wanted)} in {env}",
            read=lambda: read_flag(env, flag_key),
            differences=lambda flag: (*turning(flag), *served(flag)),
            write=write,
            explain=explain,
        )
    )


def archive_flag(project_key: str, flag_key: str, *, comment: str | None = None) -> Procedure[Ensured[FeatureFlag]]:
    """Archive a flag in all environments. Safe to repeat: an archived flag is left alone.

    Args:
        project_key: The project.
        flag_key: The flag.
        comment: Text for LaunchDarkly's audit log.

    Raises:
        ConflictError: The flag is a prerequisite of another one.
        NotFoundError: There is no such flag.
        LaunchDarklyError: As the calls raise.
    """

    def read() -> Procedure[FeatureFlag]:
        response = yield get_flag(project_key, flag_key)
        found: FeatureFlag = response.value
        return found

    return ensure(
        fields_as_asked(
            f"flag {flag_key!r} is archived",
            read=read,
            differences=lambda flag: () if flag.archived else (Difference("archived", True, False),),
            write=lambda _flag: archive_request(project_key, flag_key, comment=comment),
        )
    )


def _instruction(serving: Serving, rule_id: str) -> UpdateFallthroughVariationOrRollout | UpdateRuleVariationOrRollout:
    fields = {
        "variation_id": serving.variation_id,
        "rollout_weights": dict(serving.weights) if serving.weights else None,
        "rollout_context_kind": serving.context_kind,
        "rollout_bucket_by": serving.bucket_by,
    }
    if rule_id == FALLTHROUGH:
        return UpdateFallthroughVariationOrRollout.checked(fields)
    return UpdateRuleVariationOrRollout.checked({"rule_id": rule_id, **fields})


def _turning_differences(flag: FeatureFlag, config: FlagConfig, *, on: bool) -> tuple[Difference, ...]:
    if flag.archived or config.archived:
        raise FlagOffError(f"flag {flag.key!r} is archived, so it cannot be turned on or off")
    return () if config.on == on else (Difference("on", on, config.on),)


def _serving_differences(
    flag: FeatureFlag, config: FlagConfig, serving: Serving, rule_id: str
) -> tuple[Difference, ...]:
    rule = config.rule(rule_id)
    if rule is None:
        known = ", ".join((FALLTHROUGH, *(known.id for known in config.rules)))
        raise StateError(f"flag {flag.key!r} has no rule {rule_id!r}; it has {known}")
    for variation_id in (serving.variation_id, *(serving.weights or ())):
        if variation_id and flag.variation(variation_id) is None:
            known = ", ".join(f"{variation.id} ({variation.name})" for variation in flag.variations)
            raise ConfigurationError(f"flag {flag.key!r} has no variation {variation_id!r}; it has {known}")
    found = _served(flag, rule)
    if serving.variation_id:
        return () if found == serving.variation_id else (Difference("variationId", serving.variation_id, found),)
    wanted = {variation_id: weight for variation_id, weight in (serving.weights or {}).items() if weight}
    if found != wanted:
        return (Difference("rolloutWeights", wanted, found),)
    rollout = rule.rollout
    kind = (rollout and rollout.context_kind) or "user"
    bucket = (rollout and rollout.bucket_by) or "key"
    return tuple(
        Difference(field, asked, shown)
        for field, asked, shown in (
            ("rolloutContextKind", serving.context_kind or "user", kind),
            ("rolloutBucketBy", serving.bucket_by or "key", bucket),
        )
        if asked != shown
    )


def _served(flag: FeatureFlag, rule: Serves) -> str | dict[str, int] | None:
    """Return a rule's target by variation id: LaunchDarkly's reads name variations by index."""
    if rule.rollout is None or not rule.rollout.variations:
        variation = flag.variation_at(rule.variation)
        return variation.id if variation else None
    if rule.rollout.experiment_allocation is not None:
        return None
    weights: dict[str, int] = {}
    for part in rule.rollout.variations:
        variation = flag.variation_at(part.variation)
        if variation and part.weight:
            weights[variation.id] = weights.get(variation.id, 0) + part.weight
    return weights


def raise_if_owned(
    env: EnvironmentRef,
    flag_key: str,
    rule_id: str,
    conflict: ConflictError,
    *,
    doing: str,
    myself: str | None = None,
) -> Procedure[ConflictError]:
    """Raise a named error if a conflict will last because another experiment or a release holds the rule.

    LaunchDarkly responds with the same 409 to a race.

    Args:
        env: Project and environment.
        flag_key: The flag.
        rule_id: The rule.
        conflict: LaunchDarkly's response.
        doing: The write that failed, for the message.
        myself: Key of the experiment that writes; it may own the rule.

    Returns:
        The conflict. If nothing holds the rule, and approval requests of the flag are open, its message names them as
        what may be the cause.

    Raises:
        RuleOwnedError: An experiment runs on the rule, or an active release holds it.
        ConflictError: The given one, if the owner cannot be looked up. Naming the owner is best effort.
    """
    try:
        others = yield from collect(list_experiments(env, flag_key=flag_key, status="running"))
    except LaunchDarklyError:
        raise conflict from None
    for other in others:
        # LaunchDarkly's filter matches any iteration, a past one too: what counts is the one that runs now.
        held = other.running.flags.get(flag_key) if other.running else None
        if other.key != myself and held and held.targeting_rule == rule_id:
            raise RuleOwnedError(
                f"{doing}: rule {rule_id!r} of flag {flag_key!r} belongs to the running experiment "
                f"{other.key!r}. Stop that one first, or use another rule",
                call=conflict.call,
                refusal=conflict.refusal,
                owner=other.key,
                flag_key=flag_key,
                rule_id=rule_id,
            ) from conflict
    try:
        response = yield list_releases(env, flag_key)
    except LaunchDarklyError:
        return conflict
    for release in response.value.items:
        at_its_end = rule_id == FALLTHROUGH and release.cleanup_behavior == "remove_rules_and_update_default_rule"
        if not release.ended and (at_its_end or any(phase.rule_id == rule_id for phase in release.phases)):
            raise RuleOwnedError(
                f"{doing}: rule {rule_id!r} of flag {flag_key!r} is held by release {release.id!r}, which is "
                f"{release.status}. Wait until it ends, stop it first, or use another rule",
                call=conflict.call,
                refusal=conflict.refusal,
                owner=release.id,
                flag_key=flag_key,
                rule_id=rule_id,
            ) from conflict
    return (yield from _with_open_requests(env, flag_key, conflict))


def _with_open_requests(env: EnvironmentRef, flag_key: str, conflict: ConflictError) -> Procedure[ConflictError]:
    """Return a conflict whose message names the approval requests of the flag that are open, if there are any."""
    try:
        listed = (yield list_approval_requests(env, flag_key)).value.items
    except LaunchDarklyError:
        return conflict
    found = [f"{request.id} ({request.description})" for request in listed if request.open]
    if not found:
        return conflict
    return ConflictError(
        f"{conflict}. Neither an experiment nor a release holds it. Approval requests of flag {flag_key!r} are open in "
        f"{env} and may be the cause: {', '.join(found)}. Have them applied, declined or deleted in LaunchDarkly",
        call=conflict.call,
        refusal=conflict.refusal,
    )
