"""The requests of a rollout: the experiment, and the iteration of each stage. Pure; imports no Airflow.

The tasks send them, the dry run prints them, and the command `plan` compares with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.operators._design import IterationDesign
from airflow_provider_launchdarkly.rollout.options import Gate
from airflow_provider_launchdarkly.rollout.results import are_computed, own_metrics

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import ExperimentPost, FeatureFlag, IterationInput
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.rollout.spec import Rollout


def stage_design(rollout: Rollout, number: int) -> dict[str, Any]:
    """Return a stage's iteration as the operators take it.

    The metrics of the policy are always among its metrics, unless only the source of results has them.

    Args:
        rollout: The rollout.
        number: The stage's number, from 0.
    """
    experiment, policy = rollout.experiment, rollout.policy
    shares = rollout.shares(rollout.stages[number])
    metrics: dict[str, Any] = {
        metric.key: {"key": metric.key, "is_group": metric.is_group} for metric in experiment.metrics
    }
    for key in judged_metrics(policy):
        if key not in own_metrics(rollout.results):
            metrics.setdefault(key, key)
    return {
        "flag_key": experiment.flag,
        "hypothesis": experiment.hypothesis,
        "treatments": [
            {
                "variation": treatment.variation,
                "allocation_percent": f"{share.normalize():f}" if share % 1 else int(share),
                "baseline": treatment.baseline,
                **({"name": treatment.name} if treatment.name else {}),
            }
            for treatment, share in zip(experiment.treatments, shares, strict=True)
        ],
        "primary_metric": experiment.primary_metric,
        "primary_funnel": experiment.primary_funnel,
        "metrics": list(metrics.values()),
        "rule_id": experiment.rule,
        "not_in_experiment_variation": experiment.not_in_experiment_variation,
        "randomization_unit": experiment.randomization_unit,
        "can_reshuffle_traffic": rollout.reshuffle,
        "attributes": list(experiment.attributes) or None,
        "judged": rollout.stages[number].gate is not Gate.NONE,
        # The last stage decides, so a metric that it cannot judge is refused before the first one starts.
        "judged_metrics": []
        if are_computed(rollout.results)
        else list(dict.fromkeys((deciding_metric(rollout), *judged_metrics(policy)))),
    }


def deciding_metric(rollout: Rollout) -> str:
    """Return the key of the metric or funnel that decides: the policy's, else the experiment's."""
    experiment = rollout.experiment
    return rollout.policy.primary.metric or experiment.primary_metric or experiment.primary_funnel or ""


def judged_metrics(policy: Policy) -> dict[str, str]:
    """Return the metrics that a policy names, by key: the field that names each, such as ``guardrails[0].metric``."""
    found = {policy.primary.metric: "primary.metric"} if policy.primary.metric else {}
    found |= {
        part.metric: f"other_primaries[{number}].metric"
        for number, part in enumerate(policy.other_primaries)
        if part.metric
    }
    found |= {guardrail.metric: f"guardrails[{number}].metric" for number, guardrail in enumerate(policy.guardrails)}
    return found | {signal.metric: f"signals[{number}].metric" for number, signal in enumerate(policy.signals)}


def stage_iteration(rollout: Rollout, number: int, flag: FeatureFlag) -> IterationInput:
    """Return a stage's iteration as LaunchDarkly takes it.

    Args:
        rollout: The rollout.
        number: The stage's number, from 0.
        flag: Its flag.

    Raises:
        ConfigurationError: The flag has no such variation as a treatment names.
    """
    return IterationDesign(**stage_design(rollout, number)).resolve(flag)


def experiment_fields(rollout: Rollout) -> dict[str, Any]:
    """Return the experiment's fields as the operator that creates it takes them."""
    experiment = rollout.experiment
    return {
        "key": experiment.key,
        "name": experiment.name or experiment.key,
        "description": experiment.description,
        "maintainer_id": experiment.maintainer_id,
        "methodology": experiment.methodology,
        "analysis_config": experiment.analysis_config,
        "holdout_id": experiment.holdout_id,
        "tags": list(experiment.tags) or None,
    }


def experiment_post(rollout: Rollout, iteration: IterationInput) -> ExperimentPost:
    """Return the body of the POST that creates the experiment with its first iteration.

    Raises:
        ConfigurationError: LaunchDarkly would reject it.
    """
    from airflow_provider_launchdarkly.api.models import ExperimentPost

    return ExperimentPost.checked({**experiment_fields(rollout), "iteration": iteration})
