"""LaunchDarkly experiments, run by Apache Airflow.

Every public name is here. Each loads its module when it is first used, so a DAG file pays only for what it imports.
docs/reference/compatibility.md says which names, formats and settings are public, and how each may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly._lazy import on_first_use
from airflow_provider_launchdarkly._version import __version__ as __version__

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.errors import LaunchDarklyError as LaunchDarklyError
    from airflow_provider_launchdarkly.assets import EVERY_EXPERIMENT as EVERY_EXPERIMENT
    from airflow_provider_launchdarkly.assets import EVERY_RELEASE as EVERY_RELEASE
    from airflow_provider_launchdarkly.assets import experiment_asset as experiment_asset
    from airflow_provider_launchdarkly.assets import experiment_events as experiment_events
    from airflow_provider_launchdarkly.assets import experiment_uri as experiment_uri
    from airflow_provider_launchdarkly.assets import flag_asset as flag_asset
    from airflow_provider_launchdarkly.assets import flag_uri as flag_uri
    from airflow_provider_launchdarkly.change_windows.window import ChangeWindow as ChangeWindow
    from airflow_provider_launchdarkly.decision.futility import Futility as Futility
    from airflow_provider_launchdarkly.decision.policy import Policy as Policy
    from airflow_provider_launchdarkly.decision.policy_parts import Budget as Budget
    from airflow_provider_launchdarkly.decision.policy_parts import Direction as Direction
    from airflow_provider_launchdarkly.decision.policy_parts import Guardrail as Guardrail
    from airflow_provider_launchdarkly.decision.policy_parts import Looks as Looks
    from airflow_provider_launchdarkly.decision.policy_parts import Mismatch as Mismatch
    from airflow_provider_launchdarkly.decision.policy_parts import Missing as Missing
    from airflow_provider_launchdarkly.decision.policy_parts import OnData as OnData
    from airflow_provider_launchdarkly.decision.policy_parts import PortfolioShare as PortfolioShare
    from airflow_provider_launchdarkly.decision.policy_parts import Primary as Primary
    from airflow_provider_launchdarkly.decision.policy_parts import ReleaseGuardrail as ReleaseGuardrail
    from airflow_provider_launchdarkly.decision.policy_parts import Signal as Signal
    from airflow_provider_launchdarkly.decision.policy_parts import Traffic as Traffic
    from airflow_provider_launchdarkly.decision.verdict import Kind as Kind
    from airflow_provider_launchdarkly.decision.verdict import Reason as Reason
    from airflow_provider_launchdarkly.decision.verdict import Verdict as Verdict
    from airflow_provider_launchdarkly.evidence.arrival import DataArrival as DataArrival
    from airflow_provider_launchdarkly.evidence.sql_config import SqlResults as SqlResults
    from airflow_provider_launchdarkly.evidence.warehouse.config import DataExportResults as DataExportResults
    from airflow_provider_launchdarkly.evidence.warehouse.config import WarehouseNativeResults as WarehouseNativeResults
    from airflow_provider_launchdarkly.evidence.warehouse.metric_files import read_metrics as read_metrics
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook as LaunchDarklyHook
    from airflow_provider_launchdarkly.notifications.notifier import LaunchDarklyNotifier as LaunchDarklyNotifier
    from airflow_provider_launchdarkly.operators.experiments import (
        LaunchDarklyArchiveExperimentOperator as LaunchDarklyArchiveExperimentOperator,
    )
    from airflow_provider_launchdarkly.operators.experiments import (
        LaunchDarklyCreateExperimentOperator as LaunchDarklyCreateExperimentOperator,
    )
    from airflow_provider_launchdarkly.operators.experiments import (
        LaunchDarklyGetExperimentOperator as LaunchDarklyGetExperimentOperator,
    )
    from airflow_provider_launchdarkly.operators.experiments import (
        LaunchDarklyListExperimentsOperator as LaunchDarklyListExperimentsOperator,
    )
    from airflow_provider_launchdarkly.operators.experiments import (
        LaunchDarklyRestoreExperimentOperator as LaunchDarklyRestoreExperimentOperator,
    )
    from airflow_provider_launchdarkly.operators.experiments import (
        LaunchDarklyUpdateExperimentOperator as LaunchDarklyUpdateExperimentOperator,
    )
    from airflow_provider_launchdarkly.operators.flags import (
        LaunchDarklyCheckFlagServesOperator as LaunchDarklyCheckFlagServesOperator,
    )
    from airflow_provider_launchdarkly.operators.flags import LaunchDarklySetFlagOperator as LaunchDarklySetFlagOperator
    from airflow_provider_launchdarkly.operators.iterations import (
        LaunchDarklyCreateIterationOperator as LaunchDarklyCreateIterationOperator,
    )
    from airflow_provider_launchdarkly.operators.iterations import (
        LaunchDarklyJudgeOperator as LaunchDarklyJudgeOperator,
    )
    from airflow_provider_launchdarkly.operators.iterations import (
        LaunchDarklySaveAndStartIterationOperator as LaunchDarklySaveAndStartIterationOperator,
    )
    from airflow_provider_launchdarkly.operators.iterations import (
        LaunchDarklyStartIterationOperator as LaunchDarklyStartIterationOperator,
    )
    from airflow_provider_launchdarkly.operators.iterations import (
        LaunchDarklyStopIterationOperator as LaunchDarklyStopIterationOperator,
    )
    from airflow_provider_launchdarkly.operators.projects import (
        LaunchDarklyUpdateExperimentationSettingsOperator as LaunchDarklyUpdateExperimentationSettingsOperator,
    )
    from airflow_provider_launchdarkly.operators.releases import (
        LaunchDarklyGetReleaseOperator as LaunchDarklyGetReleaseOperator,
    )
    from airflow_provider_launchdarkly.operators.releases import (
        LaunchDarklyStartReleaseOperator as LaunchDarklyStartReleaseOperator,
    )
    from airflow_provider_launchdarkly.operators.releases import (
        LaunchDarklyStopReleaseOperator as LaunchDarklyStopReleaseOperator,
    )
    from airflow_provider_launchdarkly.operators.results import (
        LaunchDarklyGetResultsOperator as LaunchDarklyGetResultsOperator,
    )
    from airflow_provider_launchdarkly.operators.retirement import (
        LaunchDarklyHygieneReportOperator as LaunchDarklyHygieneReportOperator,
    )
    from airflow_provider_launchdarkly.operators.retirement import (
        LaunchDarklyRetireFlagOperator as LaunchDarklyRetireFlagOperator,
    )
    from airflow_provider_launchdarkly.retries import retry_policy as retry_policy
    from airflow_provider_launchdarkly.rollout.dag import rollout_dag as rollout_dag
    from airflow_provider_launchdarkly.rollout.loading import load_rollouts as load_rollouts
    from airflow_provider_launchdarkly.rollout.promotion import Promotion as Promotion
    from airflow_provider_launchdarkly.rollout.promotion_group import experiment_promotion as experiment_promotion
    from airflow_provider_launchdarkly.rollout.release_group import ReleaseTaskGroup as ReleaseTaskGroup
    from airflow_provider_launchdarkly.rollout.release_group import release_promotion as release_promotion
    from airflow_provider_launchdarkly.rollout.release_promotion import ReleasePromotion as ReleasePromotion
    from airflow_provider_launchdarkly.rollout.spec import Rollout as Rollout
    from airflow_provider_launchdarkly.rollout.task_group import RolloutTaskGroup as RolloutTaskGroup
    from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout as experiment_rollout
    from airflow_provider_launchdarkly.rollout.timetable import ChangeWindowTimetable as ChangeWindowTimetable
    from airflow_provider_launchdarkly.rollout.wave_group import WaveTasks as WaveTasks
    from airflow_provider_launchdarkly.rollout.wave_group import experiment_waves as experiment_waves
    from airflow_provider_launchdarkly.rollout.waves import Waves as Waves
    from airflow_provider_launchdarkly.sensors.change_window import (
        LaunchDarklyChangeWindowSensor as LaunchDarklyChangeWindowSensor,
    )
    from airflow_provider_launchdarkly.sensors.experiments import LaunchDarklyDwellSensor as LaunchDarklyDwellSensor
    from airflow_provider_launchdarkly.sensors.experiments import (
        LaunchDarklyIterationStatusSensor as LaunchDarklyIterationStatusSensor,
    )
    from airflow_provider_launchdarkly.sensors.experiments import LaunchDarklyTrafficSensor as LaunchDarklyTrafficSensor
    from airflow_provider_launchdarkly.sensors.flags import LaunchDarklyFlagStateSensor as LaunchDarklyFlagStateSensor
    from airflow_provider_launchdarkly.sensors.releases import LaunchDarklyReleaseSensor as LaunchDarklyReleaseSensor
    from airflow_provider_launchdarkly.sensors.significance import (
        LaunchDarklyWaitForSignificanceSensor as LaunchDarklyWaitForSignificanceSensor,
    )
    from airflow_provider_launchdarkly.triggers.experiment_events import (
        ExperimentEventTrigger as ExperimentEventTrigger,
    )
    from airflow_provider_launchdarkly.triggers.release_events import ReleaseEventTrigger as ReleaseEventTrigger

if not TYPE_CHECKING:
    __getattr__, __all__ = on_first_use(
        __name__,
        {
            "api.errors": ("LaunchDarklyError",),
            "assets": (
                "EVERY_EXPERIMENT",
                "EVERY_RELEASE",
                "experiment_asset",
                "experiment_events",
                "experiment_uri",
                "flag_asset",
                "flag_uri",
            ),
            "change_windows.window": ("ChangeWindow",),
            "decision.futility": ("Futility",),
            "decision.policy": ("Policy",),
            "decision.policy_parts": (
                "Budget",
                "Direction",
                "Guardrail",
                "Looks",
                "Mismatch",
                "Missing",
                "OnData",
                "PortfolioShare",
                "Primary",
                "ReleaseGuardrail",
                "Signal",
                "Traffic",
            ),
            "decision.verdict": (
                "Kind",
                "Reason",
                "Verdict",
            ),
            "evidence.arrival": ("DataArrival",),
            "evidence.sql_config": ("SqlResults",),
            "evidence.warehouse.config": (
                "DataExportResults",
                "WarehouseNativeResults",
            ),
            "evidence.warehouse.metric_files": ("read_metrics",),
            "hooks.launchdarkly": ("LaunchDarklyHook",),
            "notifications.notifier": ("LaunchDarklyNotifier",),
            "operators.experiments": (
                "LaunchDarklyArchiveExperimentOperator",
                "LaunchDarklyCreateExperimentOperator",
                "LaunchDarklyGetExperimentOperator",
                "LaunchDarklyListExperimentsOperator",
                "LaunchDarklyRestoreExperimentOperator",
                "LaunchDarklyUpdateExperimentOperator",
            ),
            "operators.flags": (
                "LaunchDarklyCheckFlagServesOperator",
                "LaunchDarklySetFlagOperator",
            ),
            "operators.iterations": (
                "LaunchDarklyCreateIterationOperator",
                "LaunchDarklyJudgeOperator",
                "LaunchDarklySaveAndStartIterationOperator",
                "LaunchDarklyStartIterationOperator",
                "LaunchDarklyStopIterationOperator",
            ),
            "operators.projects": ("LaunchDarklyUpdateExperimentationSettingsOperator",),
            "operators.releases": (
                "LaunchDarklyGetReleaseOperator",
                "LaunchDarklyStartReleaseOperator",
                "LaunchDarklyStopReleaseOperator",
            ),
            "operators.results": ("LaunchDarklyGetResultsOperator",),
            "operators.retirement": ("LaunchDarklyHygieneReportOperator", "LaunchDarklyRetireFlagOperator"),
            "retries": ("retry_policy",),
            "rollout.dag": ("rollout_dag",),
            "rollout.loading": ("load_rollouts",),
            "rollout.promotion": ("Promotion",),
            "rollout.promotion_group": ("experiment_promotion",),
            "rollout.release_group": ("ReleaseTaskGroup", "release_promotion"),
            "rollout.release_promotion": ("ReleasePromotion",),
            "rollout.spec": ("Rollout",),
            "rollout.task_group": (
                "RolloutTaskGroup",
                "experiment_rollout",
            ),
            "rollout.timetable": ("ChangeWindowTimetable",),
            "rollout.wave_group": ("WaveTasks", "experiment_waves"),
            "rollout.waves": ("Waves",),
            "sensors.change_window": ("LaunchDarklyChangeWindowSensor",),
            "sensors.experiments": (
                "LaunchDarklyDwellSensor",
                "LaunchDarklyIterationStatusSensor",
                "LaunchDarklyTrafficSensor",
            ),
            "sensors.flags": ("LaunchDarklyFlagStateSensor",),
            "sensors.releases": ("LaunchDarklyReleaseSensor",),
            "sensors.significance": ("LaunchDarklyWaitForSignificanceSensor",),
            "triggers.experiment_events": ("ExperimentEventTrigger",),
            "triggers.release_events": ("ReleaseEventTrigger",),
        },
    )
