"""What a rollout says to LaunchDarkly: the experiment, and the iteration of each stage. Pure; imports no Airflow.

The tasks send it, the dry run prints it, and `plan` compares with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.models import ExperimentPost
from airflow_provider_launchdarkly.operators._design import IterationDesign

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import FeatureFlag, IterationInput
    from airflow_provider_launchdarkly.rollout.spec import Rollout


def stage_design(rollout: Rollout, number: int) -> dict[str, Any]:
    """A stage's iteration, as the operators take it.

    The policy's metrics are measured in any case, since it cannot judge what is not measured.

    Args:
        rollout: The rollout.
        number: The stage's, from 0.
    """
    experiment, policy = rollout.experiment, rollout.policy
    shares = rollout.shares(rollout.stages[number])
    metrics: dict[str, Any] = {
        metric.key: {"key": metric.key, "is_group": metric.is_group} for metric in experiment.metrics
    }
    for key in (*(part.metric for part in policy.guardrails), *(part.metric for part in policy.signals)):
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
    }


def stage_iteration(rollout: Rollout, number: int, flag: FeatureFlag) -> IterationInput:
    """A stage's iteration, as LaunchDarkly takes it.

    Args:
        rollout: The rollout.
        number: The stage's, from 0.
        flag: Its flag.

    Raises:
        ConfigurationError: A treatment's variation is none of the flag's.
    """
    return IterationDesign(**stage_design(rollout, number)).resolve(flag)


def post(rollout: Rollout) -> dict[str, Any]:
    """The experiment's own fields, as the operator that creates it takes them."""
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
    """The experiment as it would be created, with its first iteration.

    Raises:
        ConfigurationError: LaunchDarkly would not take it.
    """
    return ExperimentPost.checked({**post(rollout), "iteration": iteration})
