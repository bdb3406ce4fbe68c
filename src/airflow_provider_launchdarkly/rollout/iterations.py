"""The task that creates the iteration of a stage, unless it is the one that runs already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import IterationReplacedError
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
from airflow_provider_launchdarkly.api.writes.comparison import iteration_differences
from airflow_provider_launchdarkly.operators.iterations import LaunchDarklyCreateIterationOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.operators._outputs import IterationOutput


class LaunchDarklyStageIterationOperator(LaunchDarklyCreateIterationOperator):
    """Create the iteration of a stage, or adopt the running one if it has this very content.

    So a stage with the allocation of the one before it goes on with its iteration, and clearing the task after the
    iteration was started makes no second one, on Airflow before 3.3 as well. Otherwise as its base class.

    Args:
        replaces: Id of the iteration that the stage takes the place of. If that one is not under way any more, because
            somebody stopped or replaced it, nothing is created: the rollout has lost hold of the experiment.
        kwargs: As for its base class.
    """

    template_fields: Sequence[str] = (*LaunchDarklyCreateIterationOperator.template_fields, "replaces")

    def __init__(self, *, replaces: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.replaces = replaces

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
        found = running.id if running else None
        if found is None or found != self.replaces:
            raise IterationReplacedError(
                f"iteration {self.replaces!r} of experiment {self.experiment_key!r}, which this stage takes the place "
                f"of, is not under way any more: {found or 'none'} is. Nothing was created; look at the experiment",
                pinned=str(self.replaces),
                found=found,
            )
        return super().act(context)
