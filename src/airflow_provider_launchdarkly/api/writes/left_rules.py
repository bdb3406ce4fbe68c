"""A release where an earlier one has left a rule with the same clauses: LaunchDarkly takes no second one. Pure.

A release that went back leaves its rule, and so does one that completed, unless its cleanup removes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import StateError
from airflow_provider_launchdarkly.api.reads.releases import KEPT
from airflow_provider_launchdarkly.api.variations import shares

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import (
        EnvironmentRelease,
        FeatureFlag,
        ReleaseClauseInput,
        ReleasePhaseInput,
        ReleasePost,
        Rule,
    )

# How the descriptions of the rules begin that tasks and rollouts make.
_OWN = ("Airflow: ", "Ships ")


def plain_clause(clause: Mapping[str, Any]) -> dict[str, Any]:
    """Return a clause without its id, with the default of its negation."""
    names = ("attribute", "contextKind", "op", "values")
    fields: dict[str, Any] = {name: clause[name] for name in names if name in clause}
    return fields | {"negate": bool(clause.get("negate")), "values": list(clause.get("values", ()))}


def plain_clauses(rule: Rule) -> list[dict[str, Any]]:
    """Return a rule's clauses in the same form."""
    return [plain_clause(clause.model_dump(by_alias=True, exclude_none=True)) for clause in rule.clauses]


def asked_clauses(clauses: Sequence[ReleaseClauseInput]) -> list[dict[str, Any]]:
    """Return the clauses of a new rule in the same form."""
    return [plain_clause(clause.to_wire()) for clause in clauses]


def on_left_rule(
    env: EnvironmentRef, flag: FeatureFlag, post: ReleasePost, releases: Sequence[EnvironmentRelease]
) -> ReleasePost:
    """Return the release as LaunchDarkly takes it: on the rule that an earlier release has left, or as it is.

    Such a rule is used only if nobody gets anything else by that than by a new one: a release of a task or a rollout
    made it, it has the same clauses, and it serves the variation that the release starts from to everyone.

    Args:
        env: Project and environment.
        flag: The flag, as read just now.
        post: The release.
        releases: The flag's releases there.

    Raises:
        StateError: A rule has the same clauses, or the same description, and may not be used. The message says why,
            and what to do.
    """
    rules = flag.environments[env.environment_key].rules
    for place, phase in enumerate(post.phases or ()):
        same = [rule for rule in rules if phase.clauses and plain_clauses(rule) == asked_clauses(phase.clauses)]
        if same:
            rule = same[0]
            if wrong := _not_own(rule, phase, releases) or _hindrance(flag, post, rule, rules):
                raise StateError(
                    f"rule {rule.id!r} of flag {flag.key!r} in {env} ({rule.description or 'no description'}) has the "
                    f"clauses of phases[{place}], and LaunchDarkly takes no two rules with the same clauses. {wrong}"
                )
            return _on(post, phase, rule.id)
        if phase.description and phase.description in [rule.description for rule in rules]:
            raise StateError(
                f"phases[{place}].description is {phase.description!r}, as that of a rule of flag {flag.key!r}: "
                "LaunchDarkly takes no two rules with the same description. Write another one, or remove that rule"
            )
    return post


def on_same_rule(env: EnvironmentRef, flag: FeatureFlag, post: ReleasePost) -> ReleasePost:
    """Return the release on the rule that has the clauses of its only phase, whoever made it; or as it is.

    For comparing with releases that may run on that rule. :func:`on_left_rule` says whether one may start there.
    """
    phase = (post.phases or ())[0]
    for rule in flag.environments[env.environment_key].rules:
        if phase.clauses and plain_clauses(rule) == asked_clauses(phase.clauses):
            return _on(post, phase, rule.id)
    return post


def begun_on_left_rule(
    env: EnvironmentRef,
    flag: FeatureFlag,
    post: ReleasePost,
    release: EnvironmentRelease,
    releases: Sequence[EnvironmentRelease],
) -> ReleasePost:
    """Return what :func:`on_left_rule` has made of the release that is asked for, if it has become this one.

    Args:
        env: Project and environment.
        flag: The flag.
        post: The release that is asked for.
        release: A release that this procedure, or an earlier try of its task, may have started.
        releases: The flag's releases there.
    """
    phases, found = post.phases or (), release.phases
    rule_id = found[0].rule_id if len(phases) == len(found) == 1 else None
    if rule_id is None or not phases[0].clauses or not _left(rule_id, releases, before=release):
        return post
    rules = [rule for rule in flag.environments[env.environment_key].rules if rule.id == rule_id]
    if any(plain_clauses(rule) != asked_clauses(phases[0].clauses) for rule in rules):
        return post
    return _on(post, phases[0], rule_id)


def _on(post: ReleasePost, phase: ReleasePhaseInput, rule_id: str) -> ReleasePost:
    on_rule = phase.model_copy(update={"clauses": None, "description": None, "rule_id": rule_id})
    return post.model_copy(update={"phases": (on_rule,), "before_rule_id": None})


def _left(
    rule_id: str, releases: Sequence[EnvironmentRelease], before: EnvironmentRelease | None = None
) -> EnvironmentRelease | None:
    """Return the newest release that has ended on a rule; None if none has."""
    until = before.created_at if before is not None else None
    for release in releases:
        earlier = before is None or (
            release.id != before.id
            and until is not None
            and release.created_at is not None
            and release.created_at <= until
        )
        if release.ended and earlier and any(phase.rule_id == rule_id for phase in release.phases):
            return release
    return None


def _not_own(rule: Rule, phase: ReleasePhaseInput, releases: Sequence[EnvironmentRelease]) -> str:
    """Return that no release of a task has left a rule, and what to do; empty if one has."""
    own = rule.description.startswith(_OWN) or (rule.description != "" and rule.description == phase.description)
    if own and _left(rule.id, releases) is not None:
        return ""
    return (
        f"No release of a task has left it, of those that ended in the last {KEPT.days} days. Release on it with "
        "rule_id (`rule` in a rollout with `release`), or remove it in LaunchDarkly"
    )


def _hindrance(flag: FeatureFlag, post: ReleasePost, rule: Rule, rules: Sequence[Rule]) -> str:
    """Return why the release may not use a rule that an earlier one has left, and what to do; empty if it may."""
    if len(post.phases or ()) > 1:
        return (
            "An earlier release left it, and one of several phases takes only new rules. Remove it in LaunchDarkly. "
            "With cleanup_behavior='remove_rules_and_update_default_rule' a release that completes removes its rules"
        )
    served = shares(flag, rule)
    if set(served) != {post.original_variation_id}:
        gets = ", ".join(f"{percent:g} % {_name(flag, each)}" for each, percent in served.items()) or "nothing"
        return (
            f"An earlier release has left it, and it serves {gets}, where this release starts from everyone on "
            f"{_name(flag, post.original_variation_id)}. Start from what it serves, or set or remove the rule in "
            "LaunchDarkly"
        )
    ids = [each.id for each in rules]
    if post.before_rule_id is not None and ids[ids.index(rule.id) + 1 :][:1] != [post.before_rule_id]:
        return (
            f"An earlier release has left it, and it is not right before before_rule_id {post.before_rule_id!r}. Leave "
            "before_rule_id out, or remove the rule in LaunchDarkly"
        )
    return ""


def _name(flag: FeatureFlag, variation_id: str) -> str:
    found = flag.variation(variation_id)
    return repr(variation_id if found is None else found.name or found.value)
