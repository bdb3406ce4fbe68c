"""The instructions of LaunchDarkly's semantic patches, as typed values.

Experiments: https://launchdarkly.com/docs/api/experiments/patch-experiment
Flags: https://launchdarkly.com/docs/api/feature-flags/patch-feature-flag#using-semantic-patches-on-a-feature-flag

Each class carries its ``kind``, so a misspelt one cannot be written. Parameter names differ by resource, as
LaunchDarkly has them: an experiment's name is in ``value``, a layer's in ``name``.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator

from airflow_provider_launchdarkly.api.models.base import Write

WHOLE = 100_000
"""Rollout weights are thousandths of a percent, so this is everyone.

https://launchdarkly.com/docs/api/feature-flags/patch-feature-flag#using-semantic-patches-on-a-feature-flag
"""


class Instruction(Write):
    """One step of a semantic patch. LaunchDarkly applies all steps of a patch, or none."""

    kind: str


class FieldChange(Write):
    """A change of one experiment field: set it, add to a list, or remove."""

    operation: Literal["add", "update", "remove"]
    value: JsonValue = None

    @model_validator(mode="after")
    def _has_a_value(self) -> Self:
        if self.operation != "remove" and self.value is None:
            raise ValueError(f"operation {self.operation} needs a value")
        return self


class UpdateName(Instruction):
    """Rename the experiment. Deprecated by LaunchDarkly since client 23.0.0 for `UpdateExperimentFields`."""

    kind: Literal["updateName"] = "updateName"
    value: Annotated[str, Field(min_length=1)]


class UpdateDescription(Instruction):
    """Describe the experiment. Deprecated by LaunchDarkly since client 23.0.0 for `UpdateExperimentFields`."""

    kind: Literal["updateDescription"] = "updateDescription"
    value: str


class StartIteration(Instruction):
    """Start the draft. ``change_justification`` is required when an iteration is running already."""

    kind: Literal["startIteration"] = "startIteration"
    change_justification: str | None = None


class StopIterationWithWinner(Instruction):
    """Stop the running iteration and serve the winner's variation to everyone its rule matches.

    LaunchDarkly's docs do not mark the winner as required; its service refuses a stop without one.
    """

    kind: Literal["stopIteration"] = "stopIteration"
    winning_treatment_id: Annotated[str, Field(min_length=1)]
    winning_reason: str | None = None


class ArchiveExperiment(Instruction):
    """Hide the experiment. It cannot start iterations until it is restored."""

    kind: Literal["archiveExperiment"] = "archiveExperiment"


class RestoreExperiment(Instruction):
    """Undo the archiving."""

    kind: Literal["restoreExperiment"] = "restoreExperiment"


class UpdateExperimentFields(Instruction):
    """Change fields of the experiment or its iteration, by LaunchDarkly's field names."""

    kind: Literal["updateExperimentFields"] = "updateExperimentFields"
    value: Annotated[dict[str, FieldChange], Field(min_length=1)]


class SaveAndStartNewIteration(Instruction):
    """Stop the running iteration without a winner, copy it, apply the changes to the copy and start that.

    Not idempotent: each repeat makes one more iteration.
    """

    kind: Literal["saveAndStartNewIteration"] = "saveAndStartNewIteration"
    change_justification: str | None = None
    value: dict[str, FieldChange] | None = None


ExperimentInstruction = (
    UpdateName
    | UpdateDescription
    | StartIteration
    | StopIterationWithWinner
    | ArchiveExperiment
    | RestoreExperiment
    | UpdateExperimentFields
    | SaveAndStartNewIteration
)


class TurnFlagOn(Instruction):
    """Turn the flag on in the patch's environment. No change when it is on."""

    kind: Literal["turnFlagOn"] = "turnFlagOn"


class TurnFlagOff(Instruction):
    """Turn the flag off in the patch's environment. No change when it is off."""

    kind: Literal["turnFlagOff"] = "turnFlagOff"


class _ServesVariationOrRollout(Instruction):
    """A rule serves one variation, or a rollout by weights in thousandths of a percent by variation id."""

    variation_id: str | None = None
    rollout_weights: dict[str, Annotated[int, Field(ge=0, le=WHOLE)]] | None = None
    rollout_bucket_by: str | None = None
    rollout_context_kind: str | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if bool(self.variation_id) == bool(self.rollout_weights):
            raise ValueError("exactly one of variationId and rolloutWeights is needed")
        if self.rollout_weights and sum(self.rollout_weights.values()) != WHOLE:
            total = sum(self.rollout_weights.values())
            raise ValueError(f"rolloutWeights must add up to {WHOLE} (thousandths of a percent), adds up to {total}")
        return self


class UpdateFallthroughVariationOrRollout(_ServesVariationOrRollout):
    """Let the default rule serve a variation or a rollout."""

    kind: Literal["updateFallthroughVariationOrRollout"] = "updateFallthroughVariationOrRollout"


class UpdateRuleVariationOrRollout(_ServesVariationOrRollout):
    """Let one rule serve a variation or a rollout."""

    kind: Literal["updateRuleVariationOrRollout"] = "updateRuleVariationOrRollout"
    rule_id: Annotated[str, Field(min_length=1)]


class UpdateOffVariation(Instruction):
    """Set the variation that the flag serves while it is off."""

    kind: Literal["updateOffVariation"] = "updateOffVariation"
    variation_id: Annotated[str, Field(min_length=1)]


class OtherFlagInstruction(Instruction):
    """Any other flag instruction that LaunchDarkly publishes; its parameters are sent as given, in camelCase."""

    model_config = ConfigDict(extra="allow")

    kind: Literal[
        "addClauses",
        "addCustomProperties",
        "addPrerequisite",
        "addRule",
        "addTags",
        "addTargets",
        "addUserTargets",
        "addValuesToClause",
        "addVariation",
        "archiveFlag",
        "clearTargets",
        "clearUserTargets",
        "deleteFlag",
        "deprecateFlag",
        "makeFlagPermanent",
        "makeFlagTemporary",
        "removeClauses",
        "removeCustomProperties",
        "removeMaintainer",
        "removePrerequisite",
        "removeRule",
        "removeTags",
        "removeTargets",
        "removeUserTargets",
        "removeValuesFromClause",
        "removeVariation",
        "reorderRules",
        "replaceCustomProperties",
        "replacePrerequisites",
        "replaceRules",
        "replaceTargets",
        "replaceUserTargets",
        "restoreDeprecatedFlag",
        "restoreFlag",
        "turnOffClientSideAvailability",
        "turnOnClientSideAvailability",
        "updateClause",
        "updateDefaultVariation",
        "updateDescription",
        "updateMaintainerMember",
        "updateMaintainerTeam",
        "updateName",
        "updatePrerequisite",
        "updateRuleDescription",
        "updateRuleTrackEvents",
        "updateTrackEvents",
        "updateTrackEventsFallthrough",
        "updateVariation",
    ]

    @classmethod
    def of(cls, kind: str, **parameters: Any) -> Self:
        """Build one from its kind and parameters in LaunchDarkly's spelling.

        Raises:
            ConfigurationError: LaunchDarkly publishes no such kind.
        """
        return cls.checked({"kind": kind, **parameters})


FlagInstruction = (
    TurnFlagOn
    | TurnFlagOff
    | UpdateFallthroughVariationOrRollout
    | UpdateRuleVariationOrRollout
    | UpdateOffVariation
    | OtherFlagInstruction
)


class EndHoldout(Instruction):
    """End the holdout: its people may see experiments again."""

    kind: Literal["endHoldout"] = "endHoldout"


class RemoveExperimentFromHoldout(Instruction):
    """Take an experiment, named by its key, out of the holdout."""

    kind: Literal["removeExperiment"] = "removeExperiment"
    value: Annotated[str, Field(min_length=1)]


HoldoutInstruction = EndHoldout | RemoveExperimentFromHoldout | UpdateName | UpdateDescription


class UpdateLayerName(Instruction):
    """Rename the layer."""

    kind: Literal["updateName"] = "updateName"
    name: Annotated[str, Field(min_length=1)]


class UpdateLayerDescription(Instruction):
    """Describe the layer."""

    kind: Literal["updateDescription"] = "updateDescription"
    description: str


class UpdateExperimentReservation(Instruction):
    """Reserve a share of the layer's traffic, in whole percent. Zero is allowed only until the experiment starts."""

    kind: Literal["updateExperimentReservation"] = "updateExperimentReservation"
    experiment_key: Annotated[str, Field(min_length=1)]
    reservation_percent: Annotated[int, Field(ge=0, le=100)]


class RemoveExperimentFromLayer(Instruction):
    """Take an experiment out of the layer."""

    kind: Literal["removeExperiment"] = "removeExperiment"
    experiment_key: Annotated[str, Field(min_length=1)]


LayerInstruction = UpdateLayerName | UpdateLayerDescription | UpdateExperimentReservation | RemoveExperimentFromLayer
