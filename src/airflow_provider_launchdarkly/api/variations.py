"""Find a flag's variations by name, value or id, and the share of each.

LaunchDarkly's reads name variations by index and its writes by id; people name them by name or value.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import ConfigurationError, StateError

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import FeatureFlag, FlagConfig, Serves, Variation

THOUSANDTHS = Decimal(1000)


def find_variation(flag: FeatureFlag, wanted: Any) -> Variation:
    """Find a flag's variation by id, name or value.

    Args:
        flag: The flag.
        wanted: The variation's id, its name, or its value, as JSON or as text.

    Raises:
        ConfigurationError: No variation fits, or more than one does.
    """
    for fits in (
        lambda variation: variation.id == wanted,
        lambda variation: bool(variation.name) and variation.name == wanted,
        lambda variation: type(variation.value) is type(wanted) and variation.value == wanted,
        lambda variation: isinstance(wanted, str) and as_text(variation.value) == wanted,
    ):
        found = [variation for variation in flag.variations if fits(variation)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigurationError(
                f"variation {wanted!r} fits {len(found)} variations of flag {flag.key!r}: give the id"
            )
    offered = ", ".join(repr(variation.name or variation.value) for variation in flag.variations)
    raise ConfigurationError(f"variation {wanted!r} is not one of flag {flag.key!r}; it has {offered}")


def rule_of(flag: FeatureFlag, config: FlagConfig, rule_id: str) -> Serves:
    """A flag's rule, ``fallthrough`` for the default rule.

    Raises:
        StateError: The flag has no such rule.
    """
    rule = config.rule(rule_id)
    if rule is None:
        known = ", ".join(("fallthrough", *(known.id for known in config.rules)))
        raise StateError(f"flag {flag.key!r} has no rule {rule_id!r}; it has {known}")
    return rule


def shares(flag: FeatureFlag, rule: Serves) -> dict[str, Decimal]:
    """Return percent by variation id for a rule; variations without a share are left out."""
    if rule.rollout is None or not rule.rollout.variations:
        variation = flag.variation_at(rule.variation)
        return {variation.id: Decimal(100)} if variation else {}
    found: dict[str, Decimal] = {}
    for part in rule.rollout.variations:
        variation = flag.variation_at(part.variation)
        if variation and part.weight:
            found[variation.id] = found.get(variation.id, Decimal(0)) + part.weight / THOUSANDTHS
    return found


def as_text(value: Any) -> str:
    """A value as people write it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
