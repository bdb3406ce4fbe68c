"""Feature flags. Reads give variation indexes, patches want variation ids."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from airflow_provider_launchdarkly.api.models.base import Instant, Many, Page, Read, Table, Text, Write, YesNo
from airflow_provider_launchdarkly.api.models.experiments import FALLTHROUGH


class Variation(Read):
    """One value that the flag can serve."""

    id: Text = Field(default="", alias="_id")
    value: JsonValue = None
    name: Text = ""
    description: Text = ""


class WeightedVariation(Read):
    """A variation, by index, with its weight in thousandths of a percent."""

    variation: int = 0
    weight: int = 0
    untracked: YesNo = Field(default=False, alias="_untracked")


class ExperimentAllocation(Read):
    """The mark of a running experiment (``type`` "experiment") or guarded rollout ("measuredRollout") on a rule."""

    default_variation: int | None = None
    can_reshuffle: bool | None = None
    type: str | None = None


class Rollout(Read):
    """A split by weights."""

    variations: Many[WeightedVariation] = ()
    experiment_allocation: ExperimentAllocation | None = None
    bucket_by: str | None = None
    context_kind: str | None = None
    seed: int | None = None


class Clause(Read):
    """One condition of a rule."""

    id: Text = Field(default="", alias="_id")
    attribute: Text = ""
    op: Text = ""
    negate: YesNo = False
    context_kind: str | None = None
    values: Many[JsonValue] = ()


class Serves(Read):
    """A rule's target: a variation by index, or a rollout."""

    variation: int | None = None
    rollout: Rollout | None = None


class Rule(Serves):
    """One targeting rule."""

    id: Text = Field(default="", alias="_id")
    description: Text = ""
    clauses: Many[Clause] = ()
    track_events: YesNo = False


class Target(Read):
    """Keys of contexts of one kind that get a variation, by index."""

    values: Many[str] = ()
    variation: int | None = None
    context_kind: str | None = None


class Prerequisite(Read):
    """A flag that has to serve a variation, by that flag's index, before this flag serves what its rules say."""

    key: Text = ""
    variation: int | None = None


class FlagConfig(Read):
    """The flag in one environment. ``version`` is what an experiment on the flag has to name.

    ``last_modified`` is the last change of anything in it, so what it serves has been the same since then at least.
    """

    on: YesNo = False
    archived: YesNo = False
    version: int | None = None
    last_modified: Instant = None
    targets: Many[Target] = ()
    context_targets: Many[Target] = ()
    rules: Many[Rule] = ()
    fallthrough: Serves | None = None
    off_variation: int | None = None
    prerequisites: Many[Prerequisite] = ()

    def rule(self, rule_id: str) -> Serves | None:
        """The rule with this id, ``fallthrough`` for the default rule; None when there is none."""
        if rule_id == FALLTHROUGH:
            return self.fallthrough
        return next((rule for rule in self.rules if rule.id == rule_id), None)


class FeatureFlag(Read):
    """A flag with those environments that were asked for."""

    key: str
    name: Text = ""
    kind: Text = ""
    description: Text = ""
    version: int | None = Field(default=None, alias="_version")
    creation_date: Instant = None
    archived: YesNo = False
    deprecated: YesNo = False
    temporary: bool | None = None
    purpose: str | None = Field(default=None, alias="_purpose")
    tags: Many[str] = ()
    maintainer_id: str | None = None
    maintainer_team_key: str | None = None
    variations: Many[Variation] = ()
    environments: Table[FlagConfig] = Field(default_factory=dict)

    def variation(self, variation_id: str) -> Variation | None:
        """The variation with this id; None when there is none."""
        return next((variation for variation in self.variations if variation.id == variation_id), None)

    def variation_at(self, index: int | None) -> Variation | None:
        """The variation at this index, as reads name it; None when there is none."""
        return self.variations[index] if index is not None and 0 <= index < len(self.variations) else None


class FlagStatus(Read):
    """A flag's status by what requests get: ``new``, ``inactive``, ``active`` or ``launched``."""

    name: Text = ""
    last_requested: Instant = None
    default: JsonValue = None


class FlagStatuses(Read):
    """A flag's status by environment."""

    key: Text = ""
    environments: Table[FlagStatus] = Field(default_factory=dict)


class FlagPage(Page):
    """One page of flags."""

    items: Many[FeatureFlag] = ()


class DependentEnvironment(Read):
    """An environment in which a flag has another as a prerequisite."""

    key: Text = ""
    name: Text = ""


class DependentFlag(Read):
    """A flag that has another one as a prerequisite, in some environments."""

    key: Text = ""
    name: Text = ""
    environments: Many[DependentEnvironment] = ()


class DependentFlags(Read):
    """All flags that have one flag as a prerequisite; LaunchDarkly does not page them."""

    items: Many[DependentFlag] = ()


class VariationInput(Write):
    """One value that a new flag can serve."""

    value: JsonValue
    name: str | None = None
    description: str | None = None


class DefaultsInput(Write):
    """The variations, by index, that a new flag serves when on and when off."""

    on_variation: int
    off_variation: int


class ClientSideAvailabilityInput(Write):
    """The kinds of client-side SDKs that see the flag."""

    using_environment_id: bool
    using_mobile_key: bool


class FlagPost(Write):
    """A new flag. Without variations it is a boolean one; it is off everywhere unless ``is_flag_on``."""

    key: Annotated[str, Field(min_length=1, pattern=r"^\S+$")]
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    variations: tuple[VariationInput, ...] | None = None
    defaults: DefaultsInput | None = None
    client_side_availability: ClientSideAvailabilityInput | None = None
    temporary: bool | None = None
    tags: tuple[str, ...] | None = None
    is_flag_on: bool | None = None
    custom_properties: dict[str, JsonValue] | None = None
    migration_settings: dict[str, JsonValue] | None = None
    initial_prerequisites: tuple[dict[str, JsonValue], ...] | None = None
    maintainer_id: str | None = None
    maintainer_team_key: str | None = None
    purpose: Literal["migration", "holdout"] | None = None


CopyAction = Literal[
    "updateOn",
    "updateRules",
    "updateFallthrough",
    "updateOffVariation",
    "updatePrerequisites",
    "updateTargets",
    "updateFlagConfigMigrationSettings",
]
"""A part of a flag's configuration that can be copied to another environment."""
