"""A raw experiment as the product sees it: iteration, policy and context of the look; and the evidence to be found."""

from __future__ import annotations

from typing import Any

from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.models import Iteration
from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.decision.evidence import Evidence, MetricEvidence
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction, Guardrail, Primary
from airflow_provider_launchdarkly.evidence.source import LookContext, Target
from airflow_provider_launchdarkly.evidence.warehouse.definition import MetricDefinition
from support.raw_answers import Answer
from support.raw_rows import RawExperiment


def policy_of(experiment: RawExperiment) -> Policy:
    """Return the policy by which an experiment is judged: its first metric decides, the others are guardrails."""
    primary, *guardrails = experiment.metrics
    strict = experiment.number % 3 == 0
    return Policy(
        primary=Primary(metric=primary.key, direction=primary.direction or Direction.HIGHER),
        guardrails=tuple(
            Guardrail(
                metric=metric.key,
                direction=metric.direction or Direction.HIGHER,
                margin=0.2 if strict else 0.0,
                prove=strict and number == 0,
            )
            for number, metric in enumerate(guardrails)
        ),
        min_duration="3d",
        max_duration="14d",
        min_units_per_treatment=10,
        burn_in=experiment.burn_in,
        maturity=experiment.maturity,
    )


def iteration_of(experiment: RawExperiment) -> Iteration:
    """Return the iteration as LaunchDarkly's API gives it."""
    look = experiment.look
    weights = experiment.shares
    return Iteration.model_validate(
        {
            "_id": look.iteration_id,
            "status": "running" if look.ended_at is None else "stopped",
            "startedAt": int(look.started_at.timestamp() * 1000),
            "endedAt": None if look.ended_at is None else int(look.ended_at.timestamp() * 1000),
            "randomizationUnit": look.unit_kind,
            "primarySingleMetric": {"key": experiment.metrics[0].key},
            "metrics": [{"key": metric.key} for metric in experiment.metrics],
            "flags": {look.flag_key: {"ruleId": "fallthrough"}},
            "treatments": [
                {
                    "_id": treatment,
                    "name": treatment,
                    "baseline": number == 0,
                    "allocationPercent": str(100 * weights[number] / sum(weights)),
                    "parameters": [{"flagKey": look.flag_key, "variationId": variation}],
                }
                for number, (variation, treatment) in enumerate(look.treatments.items())
            ],
        }
    )


def look_context_of(experiment: RawExperiment) -> LookContext:
    """Return the context of the look."""
    look = experiment.look
    target = Target(EnvironmentRef("demo", "production"), f"experiment-{experiment.number}", look.iteration_id)
    return LookContext(
        target,
        iteration_of(experiment),
        look.started_at,
        look.looked_at,
        burn_in=experiment.burn_in,
        maturity=experiment.maturity,
    )


def evidence_of(experiment: RawExperiment, found: Answer) -> Evidence:
    """Return the evidence that a source should find."""
    context, primary = look_context_of(experiment), experiment.metrics[0].key
    return Evidence(
        elapsed=context.elapsed,
        treatments=context.treatments(found.exposed),
        metrics=tuple(
            MetricEvidence(metric.key, tuple(found.measured[metric.key].values())) for metric in experiment.metrics
        ),
        primary_metric=primary,
        started_at=context.started_at,
        unchanged_for=context.unchanged_since(found.latest[primary]),
    )


def results_of(experiment: RawExperiment, conn_id: str, schema: str) -> dict[str, Any]:
    """Return the description of results as a user writes it, with the metrics defined in it."""
    metrics: dict[str, Any] = {}
    for metric in experiment.metrics:
        if metric.denominator is None:
            metrics[metric.key] = _settings(metric)
        else:
            parts = {"numerator": f"{metric.key}-above", "denominator": f"{metric.key}-below"}
            metrics |= {
                metric.key: parts,
                parts["numerator"]: _settings(metric),
                parts["denominator"]: _settings(metric.denominator),
            }
    return {
        "source": "data_export",
        "conn_id": conn_id,
        "schema": schema,
        "metrics": metrics,
        "environment_id": experiment.look.environment_id,
        **({} if experiment.where is None else {"where": experiment.where}),
    }


def _settings(metric: MetricDefinition) -> dict[str, Any]:
    """Return a metric as a user writes it."""
    found: dict[str, Any] = {
        "event": metric.events[0] if len(metric.events) == 1 else list(metric.events),
        "aggregation": metric.aggregation.value,
        "missing": "leave_out" if metric.missing is None else metric.missing,
    }
    if metric.window is not None:
        found["window"] = [format_duration(time) for time in metric.window]
    if metric.cap is not None:
        cap = {"lower": metric.cap.lower, "upper": metric.cap.upper, "with_imputed": metric.cap.with_imputed}
        found["cap"] = {name: value for name, value in cap.items() if value is not None}
    if metric.percentile is not None:
        found["percentile"] = metric.percentile
    if metric.covariate is not None:
        found["covariate"] = format_duration(metric.covariate)
    return found
