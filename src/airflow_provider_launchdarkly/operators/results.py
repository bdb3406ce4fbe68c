"""The operator on an iteration's results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import IterationNotStartedError, UnexpectedResponseError
from airflow_provider_launchdarkly.operators._base import LaunchDarklyExperimentBaseOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.models import Experiment, Iteration
    from airflow_provider_launchdarkly.operators._outputs import ResultsOutput


class LaunchDarklyGetResultsOperator(LaunchDarklyExperimentBaseOperator):
    """Read the results of a metric or a metric group in one iteration, over everyone and by attribute value.

    Safe to repeat: it only reads. For a decision use :class:`LaunchDarklyWaitForSignificanceSensor`: deciding on looks
    that were not planned stops experiments too early.

    Args:
        experiment_key: Key of the experiment.
        metric_key: Key of a metric or metric group that the iteration measures. Default: the primary one.
        iteration_id: Id of the iteration. Default: the running one, else the one started last.
        attribute: Only slices by this context attribute. Default: all slices that LaunchDarkly gives.

    Returns:
        :class:`.ResultsOutput`, with ``read_at`` by LaunchDarkly's clock. The iteration shows whether the key is a
        group's.

    Raises:
        AirflowFailException: From ``ResultsUnavailableError``, if LaunchDarkly no longer serves results, and from every
            other error that another try cannot cure.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyExperimentBaseOperator.template_fields,
        "metric_key",
        "iteration_id",
        "attribute",
    )

    def __init__(
        self,
        *,
        metric_key: str | None = None,
        iteration_id: str | None = None,
        attribute: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.metric_key = metric_key
        self.iteration_id = iteration_id
        self.attribute = attribute

    @override
    def act(self, context: Context) -> ResultsOutput:
        """Find the iteration and the metric, and read the results."""
        from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
        from airflow_provider_launchdarkly.operators._outputs import metrics_output

        experiment = self.hook.get_experiment(self.experiment_key, expand=ITERATIONS)
        iteration = self._iteration(experiment)
        metric = iteration.measured_metric(self.metric_key)
        key, is_group = metric.key, metric.is_group
        response = self.hook.read_results(
            self.experiment_key, key, iteration.id, is_group=is_group, traffic=not is_group
        )
        metrics = metrics_output(key, response.value, self.attribute)
        if not metrics:
            raise UnexpectedResponseError(f"the results of metric group {key!r} hold no metric")
        env = self.hook.environment()
        return {
            **metrics[-1],
            "metric_key": key,
            "project_key": env.project_key,
            "environment_key": env.environment_key,
            "experiment_key": experiment.key,
            "iteration_id": iteration.id,
            "iteration_status": iteration.status,
            "is_group": is_group,
            "read_at": response.server_time.isoformat(),
            "metrics": metrics,
            "url": self.experiment_url,
        }

    def _iteration(self, experiment: Experiment) -> Iteration:
        from airflow_provider_launchdarkly.api.reads.experiments import pinned

        if self.iteration_id:
            return pinned(experiment, self.iteration_id)
        latest = experiment.latest_started
        if latest is None:
            raise IterationNotStartedError(
                f"no iteration of experiment {experiment.key!r} has been started, so there are no results"
            )
        return latest
