"""Look at the flag that an iteration runs on: is it on, and does its rule still serve the allocation? Pure procedures.

An iteration's allocation says what people get only while its flag is on and the flag's rule is as the start left it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.endpoints.flags import get_flag
from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.api.variations import find_rule_id, label_of, shares

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import FeatureFlag, Iteration, Serves

# Percent by which a share may differ: LaunchDarkly's weights have thousandths.
_ROUNDING = Decimal("0.01")
_WHOLE = Decimal(100)


@dataclass(frozen=True, slots=True)
class FlagSeen:
    """A flag's configuration, beside the iteration that runs, or ran, on it.

    Attributes:
        flag: Its key.
        at: When it was read, by LaunchDarkly's clock; None if it could not be.
        served: Who gets what, as name, percent and whether it is the baseline; empty where the configuration does not
            say.
        differs: How that differs from the iteration, in words; empty if it does not.
        trouble: Why it could not be read; empty if it could.
    """

    flag: str
    at: datetime | None = None
    served: tuple[tuple[str, float, bool], ...] = ()
    differs: str = ""
    trouble: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON for a note; empty if the flag could not be read."""
        if self.at is None:
            return {}
        arms = [{"name": name, "percent": percent, "baseline": baseline} for name, percent, baseline in self.served]
        return {"flag": self.flag, "at": self.at.isoformat(), "treatments": arms, "differs": self.differs}


def see_flag(env: EnvironmentRef, iteration: Iteration) -> Procedure[FlagSeen | None]:
    """Read the flag of an iteration, in one request. A flag that cannot be read is no error, but unknown.

    Args:
        env: Project and environment.
        iteration: The iteration, running or stopped, with its treatments.

    Returns:
        None if the iteration names no flag.
    """
    flag_key = next(iter(iteration.flags), None)
    if flag_key is None:
        return None
    try:
        response = yield get_flag(env.project_key, flag_key, environments=(env.environment_key,))
    except LaunchDarklyError as error:
        return FlagSeen(flag_key, trouble=_unread(flag_key, error))
    return compare_flag(env, response.value, iteration, response.server_time)


def see_rule(env: EnvironmentRef, flag_key: str, rule: str) -> Procedure[FlagSeen]:
    """Read what a flag's rule serves, where no iteration is on it, in one request.

    Args:
        env: Project and environment.
        flag_key: Key of the flag.
        rule: Id or description of the rule; ``fallthrough`` is the default rule.
    """
    try:
        response = yield get_flag(env.project_key, flag_key, environments=(env.environment_key,))
        flag: FeatureFlag = response.value
        rule_id = find_rule_id(flag, rule)
    except LaunchDarklyError as error:
        return FlagSeen(flag_key, trouble=_unread(flag_key, error))
    names = {each.id: each.name or label_of(each.value) for each in flag.variations}
    return _compare(env, flag, rule_id, _Expected(names), response.server_time)


def compare_flag(env: EnvironmentRef, flag: FeatureFlag, iteration: Iteration, at: datetime) -> FlagSeen:
    """Compare a flag's configuration with the iteration on it.

    Args:
        env: Project and environment.
        flag: The flag, with its configuration there.
        iteration: The iteration, with its treatments.
        at: When the flag was read.
    """
    baseline = iteration.baseline.variation_of(flag.key) if iteration.baseline else None
    expected = _Expected(_names(flag, iteration), baseline, _wanted(iteration, flag.key))
    return _compare(env, flag, iteration.flags[flag.key].targeting_rule, expected, at)


@dataclass(frozen=True, slots=True)
class _Expected:
    """Names by variation, the baseline's variation, and percent by variation; None where nothing is expected."""

    names: Mapping[str, str]
    baseline: str | None = None
    wanted: Mapping[str, Decimal] | None = None

    def arms(self, served: Mapping[str, Decimal]) -> tuple[tuple[str, float, bool], ...]:
        found = ((self.names[key], float(share), key == self.baseline) for key, share in _rounded(served).items())
        return tuple(sorted(found, key=lambda arm: not arm[2]))


def _compare(env: EnvironmentRef, flag: FeatureFlag, rule_id: str, expected: _Expected, at: datetime) -> FlagSeen:
    config, names = flag.environments.get(env.environment_key), expected.names
    if config is None or flag.archived or config.archived:
        what = "archived" if config is not None else f"not in environment {env.environment_key}"
        return FlagSeen(flag.key, at, differs=f"flag {flag.key} is {what}")
    if not config.on:
        off = flag.variation_at(config.off_variation)
        served = {off.id: _WHOLE} if off else {}
        gets = names[off.id] if off else "the default that the code names, since it has no off variation"
        return FlagSeen(flag.key, at, expected.arms(served), f"flag {flag.key} is off: everyone gets {gets}")
    rule, where = config.rule(rule_id), "the default rule" if rule_id == "fallthrough" else f"rule {rule_id}"
    if rule is None:
        return FlagSeen(flag.key, at, differs=f"flag {flag.key} has no longer {where}, which the experiment is on")
    served = _of_all(_tracked(flag, rule))
    arms = expected.arms(served)
    if expected.wanted is None or _same(served, expected.wanted):
        return FlagSeen(flag.key, at, arms)
    only = next(iter(served)) if len(served) == 1 else None
    split = ", ".join(f"{share.normalize():f} % {names[key]}" for key, share in _rounded(served).items())
    gives = f"{names[only]} to everyone whom it matches" if only else split or "nobody a variation"
    return FlagSeen(flag.key, at, arms, f"{where} of flag {flag.key} was changed: it serves {gives}")


def _unread(flag_key: str, error: LaunchDarklyError) -> str:
    return f"flag {flag_key} could not be read ({error}), so it may be off or changed"


def _names(flag: FeatureFlag, iteration: Iteration) -> dict[str, str]:
    """Return each variation's name: that of the treatments which serve it, else its own."""
    return {
        variation.id: " / ".join(
            treatment.name for treatment in iteration.treatments if treatment.variation_of(flag.key) == variation.id
        )
        or variation.name
        or label_of(variation.value)
        for variation in flag.variations
    }


def _wanted(iteration: Iteration, flag_key: str) -> dict[str, Decimal] | None:
    """Return percent by variation, as the iteration or its end says; None where it does not."""
    if iteration.stopped:
        winner = iteration.treatment(iteration.winning_treatment_id) if iteration.winning_treatment_id else None
        variation = winner.variation_of(flag_key) if winner else None
        return {variation: _WHOLE} if variation else None
    found: dict[str, Decimal] = {}
    for treatment in iteration.treatments:
        variation = treatment.variation_of(flag_key)
        if variation is None or treatment.allocation_percent is None:
            return None
        found[variation] = found.get(variation, Decimal(0)) + treatment.allocation_percent
    return _of_all(found) or None


def _tracked(flag: FeatureFlag, rule: Serves) -> dict[str, Decimal]:
    """Return the shares of a rule among the people who are in the experiment: LaunchDarkly marks the others."""
    if rule.rollout is None:
        return shares(flag, rule)
    inside = tuple(part for part in rule.rollout.variations if not part.untracked)
    rollout = rule.rollout.model_copy(update={"variations": inside or rule.rollout.variations})
    return shares(flag, rule.model_copy(update={"rollout": rollout}))


def _of_all(found: Mapping[str, Decimal]) -> dict[str, Decimal]:
    total = sum(found.values(), Decimal(0))
    return {key: _WHOLE * share / total for key, share in found.items() if share} if total else {}


def _same(served: Mapping[str, Decimal], wanted: Mapping[str, Decimal]) -> bool:
    keys = served.keys() | wanted.keys()
    return all(abs(served.get(key, Decimal(0)) - wanted.get(key, Decimal(0))) <= _ROUNDING for key in keys)


def _rounded(found: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {key: round(share, 3) for key, share in found.items()}
