"""Which variations a flag can serve in one environment. Pure, and never too few.

It reads the configuration alone and evaluates no context: a rule that matches nobody counts as one that matches. So a
flag of which this says that everyone gets one variation cannot vary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.api.models import FlagConfig, Serves

NOTHING = -1
"""Stands for the default that the code names: LaunchDarkly serves no variation."""


def served(config: FlagConfig) -> frozenset[int]:
    """Return the indexes of all variations that somebody may get, with `NOTHING` for the code's own default.

    A prerequisite that is not met serves the off variation, so a flag with prerequisites may serve that too.
    """
    return frozenset(index for _, index in _served(config))


def where_served(config: FlagConfig) -> dict[int, tuple[str, ...]]:
    """Return the parts of the configuration that serve each variation, in words, by the variation's index."""
    places: dict[int, dict[str, None]] = {}
    for place, index in _served(config):
        places.setdefault(index, {})[place] = None
    return {index: tuple(found) for index, found in places.items()}


def owner(config: FlagConfig) -> str | None:
    """Return what LaunchDarkly has marked a rule of the flag with: an experiment, or a guarded rollout; else None."""
    for serves in (config.fallthrough, *config.rules):
        allocation = serves.rollout.experiment_allocation if serves and serves.rollout else None
        if allocation is not None:
            return "a guarded rollout" if allocation.type == "measuredRollout" else "an experiment"
    return None


def _served(config: FlagConfig) -> Iterator[tuple[str, int]]:
    if not config.on:
        yield "off", _index(config.off_variation)
        return
    if config.prerequisites:
        yield "an unmet prerequisite", _index(config.off_variation)
    for target in (*config.targets, *config.context_targets):
        if target.values:
            yield "individual targets", _index(target.variation)
    for number, rule in enumerate(config.rules, 1):
        for index in _of_rule(rule):
            yield f"rule {number}", index
    for index in _of_rule(config.fallthrough):
        yield "the default rule", index


def _of_rule(serves: Serves | None) -> Iterator[int]:
    if serves is None or serves.rollout is None:
        yield _index(serves.variation if serves else None)
        return
    found = [part.variation for part in serves.rollout.variations if part.weight > 0]
    allocation = serves.rollout.experiment_allocation
    if allocation is not None and allocation.default_variation is not None:
        found.append(allocation.default_variation)
    yield from found or [NOTHING]


def _index(variation: int | None) -> int:
    return NOTHING if variation is None else variation
