"""Find a flag's variations by name, value or id, and the share of each.

LaunchDarkly's reads name variations by index and its writes by id; people name them by name or value.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
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
        wanted: The variation's id, its name, or its value: as Python has it, as JSON, or as text of either. Numbers are
            equal as in JSON (``1`` and ``1.0``), and a boolean is no number.

    Raises:
        ConfigurationError: No variation fits, or more than one does.
    """
    texts = {as_text(wanted), str(wanted)}
    for fits in (
        lambda variation: variation.id == wanted,
        lambda variation: bool(variation.name) and variation.name == wanted,
        lambda variation: equal(variation.value, wanted),
        lambda variation: isinstance(wanted, str) and means(wanted, variation.value),
        # A name or a text such as "1" or "true", written without quotes.
        lambda variation: (
            not isinstance(wanted, str)
            and {variation.name, variation.value if isinstance(variation.value, str) else None} & texts
        ),
    ):
        found = [variation for variation in flag.variations if fits(variation)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigurationError(
                f"variation {wanted!r} fits {len(found)} variations of flag {flag.key!r}: give the id"
            )
    offered = ", ".join(repr(variation.name or variation.value) for variation in flag.variations)
    quotes = "" if isinstance(wanted, str) else "; put a name in quotes"
    raise ConfigurationError(f"variation {wanted!r} is not one of flag {flag.key!r}; it has {offered}{quotes}")


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


def find_rule_id(flag: FeatureFlag, wanted: str) -> str:
    """Return the id of a flag's rule, which is named by its id or by its description.

    Each environment has rules of its own, so an id says nothing in another one; a description does.

    Args:
        flag: The flag, read with one environment.
        wanted: The rule's id or its description; ``fallthrough`` is the default rule.

    Returns:
        The text itself if no description fits and it can be an id: LaunchDarkly says whether there is such a rule.

    Raises:
        ConfigurationError: Several rules have this description, or none has it and it cannot be an id.
    """
    rules = [rule for config in flag.environments.values() for rule in config.rules]
    if any(rule.id == wanted for rule in rules):
        return wanted
    found = [rule.id for rule in rules if rule.description and rule.description == wanted]
    if len(found) > 1:
        raise ConfigurationError(
            f"rule {wanted!r} is the description of {len(found)} rules of flag {flag.key!r}: give the id"
        )
    if not found and any(character.isspace() for character in wanted):
        known = ", ".join(repr(rule.description or rule.id) for rule in rules)
        raise ConfigurationError(f"flag {flag.key!r} has no rule {wanted!r}; it has {known or 'only fallthrough'}")
    return found[0] if found else wanted


def served_twice(wanted: Sequence[Any]) -> int | None:
    """Return the number, from 0, of the first variation that an earlier one equals; None if all differ.

    Args:
        wanted: Variations as people name them. A name and a value of one variation differ here: only its flag tells.
    """
    for number, each in enumerate(wanted):
        if any(equal(each, earlier) for earlier in wanted[:number]):
            return number
    return None


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
    """Return a value as people write it: text as it is, anything else as JSON, with whole numbers as ``1``."""
    return value if isinstance(value, str) else json.dumps(_whole(value), ensure_ascii=False, default=str)


def label_of(value: Any) -> str:
    """Return the name of a variation that has none: its value as text, and ``""`` for an empty text."""
    return as_text(value) or '""'


def means(text: str, value: Any) -> bool:
    """Return whether a text is a value: as JSON (``1.0``, ``{"a": true}``) or as Python prints it (``True``)."""
    return text in {as_text(value), label_of(value)} or any(equal(found, value) for found in readings(text))


def readings(text: str) -> Iterator[Any]:
    """Yield the values other than text that a text is, as JSON and as Python prints it."""
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if not isinstance(found, str):
            yield found


def equal(one: Any, other: Any) -> bool:
    """Compare as JSON does: a boolean is no number, and 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def _whole(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _whole(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
