"""The check of a release before it starts, which `plan` makes as well, and its comparison with LaunchDarkly. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.endpoints import get_flag, list_releases
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    Difference,
    FlagOffError,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider_launchdarkly.api.reads.metrics import find_metric
from airflow_provider_launchdarkly.api.reads.releases import every_release
from airflow_provider_launchdarkly.api.variations import find_rule_id, find_variation, label_of, rule_of, shares
from airflow_provider_launchdarkly.api.writes.left_rules import on_left_rule
from airflow_provider_launchdarkly.api.writes.releases import release_differences, same_release, without_descriptions
from airflow_provider_launchdarkly.api.writes.shipping import check_releasable
from airflow_provider_launchdarkly.operators._release_design import ReleaseArguments
from airflow_provider_launchdarkly.rollout.drift import Drift, DriftStatus, raise_no_environment
from airflow_provider_launchdarkly.rollout.release_requests import approvals_demanded
from airflow_provider_launchdarkly.rollout.release_spec import arguments_of

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import FeatureFlag, ReleasePost, Variation
    from airflow_provider_launchdarkly.rollout.release_spec import ReleaseRollout


@dataclass(frozen=True, slots=True)
class Releasable:
    """The flag, rule and variations that a release names, as they are in one environment.

    Attributes:
        flag: The flag, as read just now.
        rule_id: The rule, ``fallthrough`` for the default rule.
        original: The variation to move from.
        target: The variation to move to.
    """

    flag: FeatureFlag
    rule_id: str
    original: Variation
    target: Variation

    def serves(self, env: EnvironmentRef, variation: Variation) -> bool:
        """Return whether the rule serves a variation to everyone whom it matches, if the flag is on."""
        rule = rule_of(self.flag, self.flag.environments[env.environment_key], self.rule_id)
        return set(shares(self.flag, rule)) == {variation.id}

    def is_on(self, env: EnvironmentRef) -> bool:
        """Return whether the flag is on."""
        return self.flag.environments[env.environment_key].on

    def served_in_words(self, env: EnvironmentRef) -> str:
        """Return what the rule serves: ``100 % Bold``."""
        found = shares(self.flag, rule_of(self.flag, self.flag.environments[env.environment_key], self.rule_id))
        named = {each.id: each.name or label_of(each.value) for each in self.flag.variations}
        return ", ".join(f"{percent:g} % {named[each]}" for each, percent in found.items()) or "nothing"


def find_releasable(rollout: ReleaseRollout, env: EnvironmentRef) -> Procedure[Releasable]:
    """Find the flag, the rule, the variations and the metrics of a release in an environment. Only reads.

    Args:
        rollout: The release.
        env: Its project and environment.

    Raises:
        ConfigurationError: The project has no such environment or metric, or the flag no such variation; several rules
            have the description; or LaunchDarkly serves no releases to this token.
        StateError: The flag has no such rule there, or LaunchDarkly would take no release on it.
        NotFoundError: The flag does not exist.
        LaunchDarklyError: As the calls raise.
    """
    release = rollout.release
    flag: FeatureFlag = (yield get_flag(env.project_key, release.flag, environments=(env.environment_key,))).value
    if env.environment_key not in flag.environments:
        yield from raise_no_environment(env)
    rule_id = find_rule_id(flag, release.rule)
    rule_of(flag, flag.environments[env.environment_key], rule_id)
    original, target = find_variation(flag, release.original), find_variation(flag, release.target)
    if original.id == target.id:
        raise ConfigurationError(
            f"release.original {release.original!r} and release.target {release.target!r} are one variation of flag "
            f"{flag.key!r}: name two"
        )
    check_releasable(env, flag, rule_id, release.randomization_unit, otherwise="name another rule")
    try:
        yield list_releases(env, flag.key, limit=1)
    except (NotFoundError, PermissionDeniedError) as error:
        raise ConfigurationError(
            f"release: LaunchDarkly serves no releases to this token ({error}). Give the token the right"
        ) from error
    for metric in release.guarding:
        yield from find_metric(env.project_key, metric.metric, is_group=False)
    return Releasable(flag, rule_id, original, target)


def compare_release(rollout: ReleaseRollout, env: EnvironmentRef) -> Procedure[Drift]:
    """Compare a release with LaunchDarkly: not started, under way, or done.

    Args:
        rollout: The release.
        env: Its project and environment.

    Returns:
        ``equal`` if the rule serves the target to everyone already, or if this very release is active; ``drifted`` if
        another one is, or if the rule serves something else than the original; else ``create``.

    Raises:
        FlagOffError: The flag is archived.
        StateError: As :func:`check_left_rules` raises.
        LaunchDarklyError: As :func:`find_releasable` raises.
    """
    found = yield from find_releasable(rollout, env)
    flag, release = found.flag, rollout.release
    warnings = yield from approvals_demanded(env, "release", "the release", reviewed=_reviewed(rollout))
    if flag.archived:
        raise FlagOffError(f"flag {flag.key!r} is archived: nothing is released on it. Restore it, or leave it out")
    if not found.is_on(env) and not rollout.turn_flag_on:
        warnings += (f"turn_flag_on: flag {flag.key!r} is off in {env}: set it, or turn the flag on before",)
    arguments = ReleaseArguments(
        before_rule_id=None, release_plan_key=None, advancement_mode=None, **arguments_of(release, found.rule_id)
    )
    post = arguments.post(found.original.id, found.target.id, run="plan")
    releases = (yield from every_release(env, flag.key)).items
    for active in releases:
        if active.ended:
            continue
        status = f"release {active.status}"
        if same_release(env, flag, post, active, since=None):
            return Drift(DriftStatus.EQUAL, iteration_status=status, warnings=warnings)
        differs = release_differences(without_descriptions(post), active, {})
        return Drift(DriftStatus.DRIFTED, differs, iteration_status=status, warnings=warnings)
    if found.serves(env, found.target):
        if found.is_on(env):
            return Drift(DriftStatus.EQUAL, iteration_status="released", warnings=warnings)
        off = Difference(f"flag {flag.key}", f"on, and rule {release.rule} serves {label_of(release.original)}", "off")
        return Drift(DriftStatus.DRIFTED, (off,), warnings=warnings)
    if not found.serves(env, found.original):
        served = found.served_in_words(env)
        differs = (Difference(f"rule {release.rule}", f"100 % {label_of(release.original)}", served),)
        return Drift(DriftStatus.DRIFTED, differs, warnings=warnings)
    on_left_rule(env, flag, post, releases)
    fields = {
        "flag": f"{release.flag}, rule {release.rule}",
        "from": label_of(release.original),
        "to": label_of(release.target),
        "steps": release.steps_in_words,
        "guarded by": ", ".join(metric.metric for metric in release.guarding) or "nothing",
    }
    differs = tuple(Difference(name, value, None) for name, value in fields.items())
    return Drift(DriftStatus.CREATE, differs, warnings=warnings)


def check_left_rules(env: EnvironmentRef, flag: FeatureFlag, post: ReleasePost) -> Procedure[None]:
    """Check that no rule is in the way of a release's new one. Only reads.

    Args:
        env: Project and environment.
        flag: The flag, as read just now.
        post: The release.

    Raises:
        StateError: A rule with the same clauses is there, and may not be used.
        LaunchDarklyError: As the calls raise.
    """
    on_left_rule(env, flag, post, (yield from every_release(env, flag.key)).items)


def _reviewed(rollout: ReleaseRollout) -> bool:
    return rollout.launchdarkly_approval is not None
