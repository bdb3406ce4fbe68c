"""The outputs of the operators: plain JSON with finite numbers, typed. Pure.

XCom carries JSON: times are ISO 8601 text, and percentages are text, as in LaunchDarkly's API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from airflow_provider_launchdarkly.api.models import MetricGroupResults
from airflow_provider_launchdarkly.api.models.base import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Experiment, Iteration, MetricResults, TreatmentResult


class TreatmentOutput(TypedDict):
    """One treatment of an iteration."""

    treatment_id: str | None
    name: str
    baseline: bool
    allocation_percent: str
    variation_id: str | None


class IterationOutput(TypedDict):
    """An experiment and its pinned iteration. ``changed`` is False if nothing had to change."""

    project_key: str
    environment_key: str
    experiment_key: str
    iteration_id: str
    status: str
    treatments: list[TreatmentOutput]
    url: str
    changed: bool


class StopOutput(IterationOutput):
    """A stopped iteration, its winner, and the variation that the rule serves since."""

    winning_treatment_id: str
    winning_treatment: str
    winning_reason: str | None
    flag_key: str
    rule_id: str
    variation_id: str
    variation: Any


class IterationDetails(TypedDict):
    """One iteration of an experiment, with all its fields."""

    iteration_id: str
    status: str
    hypothesis: str
    created_at: str | None
    started_at: str | None
    ended_at: str | None
    randomization_unit: str | None
    flags: dict[str, str]
    primary_metric: str | None
    metrics: list[str]
    attributes: list[str]
    treatments: list[TreatmentOutput]
    winning_treatment_id: str | None
    winning_reason: str | None


class ExperimentOutput(TypedDict):
    """An experiment with its iterations.

    ``status`` is ``running`` if an iteration runs, else ``not_started`` if there is a draft, else that of the current
    iteration; ``running_iteration_id`` and ``draft_iteration_id`` are None if there is none. Times are ISO 8601.
    """

    project_key: str
    environment_key: str
    experiment_key: str
    name: str
    description: str
    maintainer_id: str
    type: str | None
    methodology: str | None
    analysis_config: dict[str, Any] | None
    data_source: str | None
    holdout_id: str | None
    tags: list[str]
    archived: bool
    status: str | None
    running_iteration_id: str | None
    draft_iteration_id: str | None
    iterations: list[IterationDetails]
    mutable_fields: dict[str, dict[str, list[str]]]
    url: str


class ChangedExperimentOutput(ExperimentOutput):
    """An experiment after a write. ``changed`` is False if nothing had to change."""

    changed: bool


class TreatmentResultOutput(TypedDict):
    """Results of one treatment; None if LaunchDarkly gives no number."""

    treatment_id: str
    name: str
    units: int | None
    traffic: int | None
    mean: float | None
    data_mean: float | None
    data_std_dev: float | None
    p_best: float | None
    credible_interval: list[float | None] | None


class SliceOutput(TypedDict):
    """Results for one value of an attribute."""

    attribute: str
    attribute_value: str
    treatments: list[TreatmentResultOutput]


class MetricResultsOutput(TypedDict):
    """Results of one metric: over everyone, and by attribute value."""

    metric_key: str
    treatments: list[TreatmentResultOutput]
    slices: list[SliceOutput]
    probability_of_mismatch: float | None


class ResultsOutput(MetricResultsOutput):
    """Results of a metric, or of a metric group.

    ``metrics`` has one entry for each metric of a group, in its order, or one entry for a single metric. The fields
    beside it are those of that metric; for a group, of its last metric, which is the end of a funnel.
    """

    project_key: str
    environment_key: str
    experiment_key: str
    iteration_id: str
    iteration_status: str
    is_group: bool
    read_at: str
    metrics: list[MetricResultsOutput]
    url: str


def treatments_of(iteration: Iteration) -> list[TreatmentOutput]:
    """Return the treatments of an iteration."""
    return [
        {
            "treatment_id": treatment.id,
            "name": treatment.name,
            "baseline": treatment.baseline,
            "allocation_percent": str(treatment.allocation_percent),
            "variation_id": next((parameter.variation_id for parameter in treatment.parameters), None),
        }
        for treatment in iteration.treatments
    ]


def experiment_output(env: EnvironmentRef, experiment: Experiment, url: str) -> ExperimentOutput:
    """Return an experiment with the iterations that were read with it."""
    running, draft = experiment.running, next(iter(experiment.drafts), None)
    analysis = experiment.analysis_config
    return {
        "project_key": env.project_key,
        "environment_key": experiment.environment_key or env.environment_key,
        "experiment_key": experiment.key,
        "name": experiment.name,
        "description": experiment.description,
        "maintainer_id": experiment.maintainer_id,
        "type": experiment.type,
        "methodology": experiment.methodology,
        "analysis_config": analysis.model_dump(mode="json", exclude_none=True) if analysis else None,
        "data_source": experiment.data_source,
        "holdout_id": experiment.holdout_id,
        "tags": list(experiment.tags),
        "archived": experiment.archived,
        "status": status_of(experiment),
        "running_iteration_id": running.id if running else None,
        "draft_iteration_id": draft.id if draft else None,
        "iterations": [_iteration(iteration) for iteration in experiment.iterations],
        "mutable_fields": {
            status: {field: list(operations) for field, operations in fields.items()}
            for status, fields in experiment.mutable_fields_by_status.items()
        },
        "url": url,
    }


def status_of(experiment: Experiment) -> str | None:
    """Return an experiment's status: LaunchDarkly may show its draft or its running iteration in either place."""
    shown = experiment.running or next(iter(experiment.drafts), None) or experiment.current_iteration
    return shown.status if shown else None


def metrics_output(
    metric_key: str, results: MetricResults | MetricGroupResults, attribute: str | None
) -> list[MetricResultsOutput]:
    """Return the results of a metric, or of each metric of a group, with the slices of one attribute or of all."""
    if isinstance(results, MetricGroupResults):
        return [_metric(part.metric.key, part.results, attribute) for part in results.metrics]
    return [_metric(metric_key, results, attribute)]


def _iteration(iteration: Iteration) -> IterationDetails:
    return {
        "iteration_id": iteration.id,
        "status": iteration.status,
        "hypothesis": iteration.hypothesis,
        "created_at": iso(iteration.created_at),
        "started_at": iso(iteration.started_at),
        "ended_at": iso(iteration.ended_at),
        "randomization_unit": iteration.randomization_unit,
        "flags": {key: flag.targeting_rule for key, flag in iteration.flags.items()},
        "primary_metric": iteration.primary.key if iteration.primary else None,
        "metrics": [metric.key for metric in iteration.measured],
        "attributes": list(iteration.attributes),
        "treatments": treatments_of(iteration),
        "winning_treatment_id": iteration.winning_treatment_id,
        "winning_reason": iteration.winning_reason,
    }


def _metric(metric_key: str, results: MetricResults, attribute: str | None) -> MetricResultsOutput:
    return {
        "metric_key": metric_key,
        "treatments": _treatments(results.total),
        "slices": [
            {
                "attribute": part.attribute or "",
                "attribute_value": part.attribute_value or "",
                "treatments": _treatments(part.treatment_results),
            }
            for part in results.slices
            if attribute in (None, part.attribute)
        ],
        "probability_of_mismatch": results.probability_of_mismatch,
    }


def _treatments(results: Sequence[TreatmentResult]) -> list[TreatmentResultOutput]:
    return [
        {
            "treatment_id": result.treatment_id,
            "name": result.treatment_name,
            "units": result.units,
            "traffic": result.traffic,
            "mean": result.mean,
            "data_mean": result.data_mean,
            "data_std_dev": result.data_std_dev,
            "p_best": result.p_best,
            "credible_interval": (
                [result.credible_interval.lower, result.credible_interval.upper] if result.credible_interval else None
            ),
        }
        for result in results
    ]
