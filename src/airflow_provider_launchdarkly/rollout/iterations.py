"""The iteration of a stage: its design, and the task that creates it, unless it is the one that runs already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.api.comparison import iteration_differences
from airflow_provider_launchdarkly.api.lifecycle import ITERATIONS
from airflow_provider_launchdarkly.operators.experiments import LaunchDarklyCreateIterationOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_launchdarkly.operators.outputs import IterationOutput
    from airflow_provider_launchdarkly.rollout.spec import Rollout


def stage_design(rollout: Rollout, number: int) -> dict[str, Any]:
    """A stage's iteration, as the operators take it.

    Args:
        rollout: The rollout.
        number: The stage's, from 0.
    """
    experiment = rollout.experiment
    shares = rollout.shares(rollout.stages[number])
    metrics: dict[str, Any] = {
        metric.key: {"key": metric.key, "is_group": metric.is_group} for metric in experiment.metrics
    }
    for key in (
        *(part.metric for part in rollout.policy.guardrails),
        *(part.metric for part in rollout.policy.signals),
    ):
        metrics.setdefault(key, key)
    return {
        "flag_key": experiment.flag,
        "hypothesis": experiment.hypothesis,
        "treatments": [
            {
                "variation": treatment.variation,
                "allocation_percent": str(share.normalize() if share else 0) if share % 1 else int(share),
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


class LaunchDarklyStageIterationOperator(LaunchDarklyCreateIterationOperator):
    """Create the iteration of a stage, or adopt the running one if it has this very content.

    So a stage with the allocation of the one before it goes on with its iteration, and clearing the task after the
    iteration was started makes no second one, on Airflow before 3.3 as well. Otherwise as its base class.
    """

    @override
    def act(self, context: Context) -> IterationOutput:
        """Adopt the running iteration, or create one."""
        experiment = self.hook.get_experiment(self.experiment_key, expand=ITERATIONS)
        running = experiment.running
        if running is not None:
            asked = self.design().resolve(self.hook.get_flag(self.flag_key))
            if not iteration_differences(asked, running):
                self.log.info("Iteration %s runs with this content already: nothing to do.", running.id)
                return self._describe(experiment, running, changed=False)
        return super().act(context)
