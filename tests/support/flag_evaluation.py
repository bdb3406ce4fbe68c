"""What LaunchDarkly's SDKs serve: a small evaluation of flags, from the published JSON and the SDKs' documentation.

It shares no code with the provider, which never evaluates a context: tests compare the two.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from typing import Any

Context = Mapping[str, Mapping[str, Any]]
"""A context's attributes by its kinds; each has a ``key``."""

_LONG = float(0xFFFFFFFFFFFFFFF)


def contexts(keys: tuple[str, ...], countries: tuple[str, ...], seed: int) -> list[Context]:
    """Return contexts of every kind: each key in each country, some without a country, and strangers."""
    chance = random.Random(seed)
    found: list[Context] = []
    for key in (*keys, *(f"stranger-{chance.random()}" for _ in range(250))):
        found += [{"user": {"key": key, "country": country}} for country in (*countries, "XX")]
        found.append({"user": {"key": key}, "organization": {"key": chance.choice(keys)}})
        found.append({"organization": {"key": key}})
    return found


def evaluate(flags: Mapping[str, Any], key: str, environment: str, context: Context) -> int | None:
    """Return the index of the variation that a context gets; None for the default of the code."""
    config = flags[key]["environments"][environment]
    off: int | None = config.get("offVariation")
    if not config["on"]:
        return off
    for needed in config["prerequisites"]:
        is_on = flags[needed["key"]]["environments"][environment]["on"]
        if not is_on or evaluate(flags, needed["key"], environment, context) != needed["variation"]:
            return off
    for target in (*config["targets"], *config["contextTargets"]):
        if context.get(target["contextKind"], {}).get("key") in target["values"]:
            found: int = target["variation"]
            return found
    for rule in config["rules"]:
        if all(_matches(clause, context) for clause in rule["clauses"]):
            return _of(rule, key, config["salt"], context)
    return _of(config["fallthrough"], key, config["salt"], context)


def _matches(clause: Mapping[str, Any], context: Context) -> bool:
    value = context.get(clause["contextKind"], {}).get(clause["attribute"])
    if value is None:
        return False
    return bool((value in clause["values"]) != clause["negate"])


def _of(serves: Mapping[str, Any], key: str, salt: str, context: Context) -> int | None:
    if "rollout" not in serves:
        found: int = serves["variation"]
        return found
    rollout = serves["rollout"]
    value = context.get(rollout["contextKind"], {}).get("key", "")
    digest = hashlib.sha1(f"{key}.{salt}.{value}".encode(), usedforsecurity=False).hexdigest()[:15]
    point, reached = int(digest, 16) / _LONG, 0.0
    for part in rollout["variations"]:
        reached += part["weight"] / 100_000
        if point < reached:
            break
    index: int = part["variation"]
    return index
