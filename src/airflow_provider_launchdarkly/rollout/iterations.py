"""The task that creates the iteration of a stage, unless it is the one that runs already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from airflow_provider_launchdarkly.api.comparison import iteration_differences
from airflow_provider_launchdarkly.api.lifecycle import ITERATIONS
from airflow_provider_launchdarkly.operators.experiments import LaunchDarklyCreateIterationOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_launchdarkly.operators.outputs import IterationOutput


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
