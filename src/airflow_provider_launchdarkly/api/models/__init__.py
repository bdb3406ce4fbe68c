"""Models of LaunchDarkly's JSON: read tolerantly, written strictly. Plain data, no I/O.

Each name loads the module it lives in when it is first used: building a model costs a third of a millisecond, there are
a hundred, and a task needs a few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly._lazy import on_first_use

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models.base import *  # noqa: F403
    from airflow_provider_launchdarkly.api.models.experiment_inputs import *  # noqa: F403
    from airflow_provider_launchdarkly.api.models.experiments import *  # noqa: F403
    from airflow_provider_launchdarkly.api.models.flags import *  # noqa: F403
    from airflow_provider_launchdarkly.api.models.holdouts import *  # noqa: F403
    from airflow_provider_launchdarkly.api.models.instructions import *  # noqa: F403
    from airflow_provider_launchdarkly.api.models.metrics import *  # noqa: F403
    from airflow_provider_launchdarkly.api.models.projects import *  # noqa: F403
    from airflow_provider_launchdarkly.api.models.results import *  # noqa: F403

if not TYPE_CHECKING:
    __getattr__, __all__ = on_first_use(
        __name__,
        {
            "base": (
                "Text",
                "YesNo",
                "Many",
                "Table",
                "Instant",
                "iso",
                "Number",
                "Read",
                "NoContent",
                "Link",
                "Page",
                "Write",
            ),
            "experiment_inputs": (
                "Methodology",
                "DataSource",
                "ExperimentType",
                "Key",
                "Percent",
                "MetricInput",
                "TreatmentParameterInput",
                "TreatmentInput",
                "FlagInput",
                "IterationInput",
                "AnalysisConfigInput",
                "ExperimentPost",
                "RandomizationUnitInput",
                "ExperimentationSettingsPut",
            ),
            "experiments": (
                "FALLTHROUGH",
                "IterationStatus",
                "TreatmentParameter",
                "Treatment",
                "IterationFlag",
                "MeasuredMetric",
                "LayerSnapshot",
                "CovariateInfo",
                "Iteration",
                "AnalysisConfig",
                "Experiment",
                "ExperimentPage",
                "RandomizationUnit",
                "ExperimentationSettings",
            ),
            "flags": (
                "Variation",
                "WeightedVariation",
                "ExperimentAllocation",
                "Rollout",
                "Clause",
                "Serves",
                "Rule",
                "FlagConfig",
                "FeatureFlag",
                "FlagStatus",
                "FlagStatuses",
                "CopyAction",
                "FlagPage",
                "VariationInput",
                "DefaultsInput",
                "ClientSideAvailabilityInput",
                "FlagPost",
            ),
            "holdouts": (
                "RelatedExperiment",
                "Holdout",
                "HoldoutPage",
                "HoldoutPost",
                "LayerReservation",
                "LayerConfig",
                "Layer",
                "LayerPage",
                "LayerPost",
            ),
            "instructions": (
                "WHOLE",
                "Instruction",
                "FieldChange",
                "UpdateName",
                "UpdateDescription",
                "StartIteration",
                "StopIterationWithWinner",
                "ArchiveExperiment",
                "RestoreExperiment",
                "UpdateExperimentFields",
                "SaveAndStartNewIteration",
                "ExperimentInstruction",
                "TurnFlagOn",
                "TurnFlagOff",
                "UpdateFallthroughVariationOrRollout",
                "UpdateRuleVariationOrRollout",
                "UpdateOffVariation",
                "OtherFlagInstruction",
                "FlagInstruction",
                "EndHoldout",
                "RemoveExperimentFromHoldout",
                "HoldoutInstruction",
                "UpdateLayerName",
                "UpdateLayerDescription",
                "UpdateExperimentReservation",
                "RemoveExperimentFromLayer",
                "LayerInstruction",
            ),
            "metrics": (
                "SuccessCriteria",
                "EventDefault",
                "Metric",
                "MetricPage",
                "MetricInGroup",
                "MetricGroup",
                "MetricGroupPage",
                "EventDefaultInput",
                "UrlInput",
                "MetricPost",
                "PatchOperation",
                "MetricInGroupInput",
                "MetricGroupPost",
            ),
            "projects": (
                "ApprovalSettings",
                "Environment",
                "EnvironmentPage",
                "Project",
                "ProjectPage",
                "CallerIdentity",
                "Member",
                "MemberPage",
                "Versions",
            ),
            "results": (
                "Interval",
                "RelativeDifference",
                "Distribution",
                "NormalModel",
                "BetaModel",
                "TreatmentResult",
                "MetricSeen",
                "SlicedResults",
                "MetricResults",
                "GroupedMetric",
                "MetricInGroupResults",
                "MetricGroupResults",
                "LegacyTotal",
                "LegacyVariationData",
                "LegacySeries",
                "LegacyStats",
                "LegacyMetadata",
                "LegacyResults",
            ),
        },
    )
