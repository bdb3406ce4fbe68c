"""The data model of feature flags. `models` has the rest, and the general words on it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON: TypeAlias = Any
FALLTHROUGH = "fallthrough"
WHOLE_ROLLOUT = 100_000
"""The weights of a rollout, in thousandths of a percent, add up to this."""


@dataclass(frozen=True, slots=True)
class Variation:
    """A value that a flag can serve."""

    id: str
    value: JSON
    name: str | None = None
    description: str | None = None

    @property
    def label(self) -> str:
        """The variation's name, or else its value as text."""
        return self.name or (self.value if isinstance(self.value, str) else json.dumps(self.value))


@dataclass(frozen=True, slots=True)
class WeightedVariation:
    """A share of a rollout; `variation` is an index into the flag's variations."""

    variation: int
    weight: int
    untracked: bool = False


@dataclass(frozen=True, slots=True)
class ExperimentAllocation:
    """The part of a rollout that marks it as owned by a running experiment."""

    experiment_key: str
    default_variation: int
    can_reshuffle: bool


@dataclass(frozen=True, slots=True)
class ReleaseAllocation:
    """The part of a rollout that marks it as owned by a guarded release."""

    release_id: str
    default_variation: int


@dataclass(frozen=True, slots=True)
class Rollout:
    """A percentage rollout."""

    variations: tuple[WeightedVariation, ...]
    context_kind: str = "user"
    bucket_by: str | None = None
    seed: int | None = None
    experiment: ExperimentAllocation | None = None
    release: ReleaseAllocation | None = None


Serving: TypeAlias = int | Rollout
"""The index of the variation that a rule serves, or its rollout."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A targeting rule of a flag in one environment."""

    id: str
    clauses: tuple[Mapping[str, JSON], ...]
    serving: Serving
    description: str | None = None
    track_events: bool = False
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """The keys of contexts of one kind that get a variation, by its index."""

    variation: int
    values: tuple[str, ...]
    context_kind: str = "user"


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """A flag that has to serve a variation, by its index in that flag."""

    key: str
    variation: int


@dataclass(frozen=True, slots=True)
class FlagConfig:
    """A flag in one environment."""

    version: int
    last_modified: int
    fallthrough: Serving
    off_variation: int
    salt: str
    on: bool = False
    rules: tuple[Rule, ...] = ()
    targets: tuple[Target, ...] = ()
    prerequisites: tuple[Prerequisite, ...] = ()
    track_events: bool = False
    track_events_fallthrough: bool = False

    def serving_of(self, rule_id: str) -> Serving | None:
        """Return the serving of a rule or of the fallthrough; None for an unknown rule."""
        if rule_id == FALLTHROUGH:
            return self.fallthrough
        return next((rule.serving for rule in self.rules if rule.id == rule_id), None)


@dataclass(frozen=True, slots=True)
class Flag:
    """A feature flag.

    `client_side_id` and `mobile_key` are LaunchDarkly's clientSideAvailability: whether SDKs with a client-side id or a
    mobile key may evaluate it.
    """

    key: str
    name: str
    created_at: int
    variations: tuple[Variation, ...]
    configs: Mapping[str, FlagConfig]
    version: int = 1
    description: str = ""
    tags: tuple[str, ...] = ()
    maintainer_id: str | None = None
    maintainer_team_key: str | None = None
    temporary: bool = True
    archived: bool = False
    archived_at: int | None = None
    deprecated_at: int | None = None
    purpose: str | None = None
    client_side_id: bool = False
    mobile_key: bool = False
    custom_properties: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    migration_settings: Mapping[str, JSON] | None = None
    default_on: int = 0
    default_off: int = -1

    def index_of(self, variation_id: str) -> int | None:
        """Return the index of a variation, or None. LaunchDarkly's reads have indexes where its writes have ids."""
        return next((index for index, v in enumerate(self.variations) if v.id == variation_id), None)
