"""Operators that read: one experiment, many, results. They change nothing, so a repeat is always safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import (
    IterationNotStartedError,
    MetricNotMeasuredError,
    UnexpectedAnswerError,
)
from airflow_provider_launchdarkly.api.paging import DEFAULT_CAP
from airflow_provider_launchdarkly.operators.base import LaunchDarklyExperimentOperator, LaunchDarklyOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.models import Experiment, Iteration
    from airflow_provider_launchdarkly.operators.outputs import ExperimentOutput, ResultsOutput


class LaunchDarklyGetExperimentOperator(LaunchDarklyExperimentOperator):
    """Read an experiment whole: its fields, all its iterations with treatments, and what may be changed when.

    Safe to repeat: it only reads.

    Args:
        experiment_key: Key of the experiment.

    Returns:
        :class:`~airflow_provider_launchdarkly.operators.outputs.ExperimentOutput`.
    """

    @override
    def act(self, context: Context) -> ExperimentOutput:
        """Read the experiment with every ``expand`` field."""
        from airflow_provider_launchdarkly.api.endpoints import EVERYTHING
        from airflow_provider_launchdarkly.operators.outputs import experiment_output

        experiment = self.hook.get_experiment(self.experiment_key, expand=(*EVERYTHING, "mutableFieldsByStatus"))
        return experiment_output(self.hook.environment(), experiment, self.experiment_url)


class LaunchDarklyListExperimentsOperator(LaunchDarklyOperator):
    """Read an environment's experiments, page after page.

    Safe to repeat: it only reads. The list can be mapped over: ``Other.partial(…).expand_kwargs(list.output.map(…))``.

    Args:
        flag_key: Only experiments on this flag.
        metric_key: Only experiments that measure this metric.
        status: Only experiments whose iteration is ``not_started``, ``running`` or ``stopped`` now. LaunchDarkly's own
            filter also finds experiments that once had such an iteration; these are left out.
        lifecycle_state: ``active`` and/or ``archived``. Default: LaunchDarkly's, ``active``.
        most: Most experiments to bring. Reaching it is logged as a warning.

    Returns:
        A list of :class:`~airflow_provider_launchdarkly.operators.outputs.ExperimentOutput`.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyOperator.template_fields,
        "flag_key",
        "metric_key",
        "status",
        "lifecycle_state",
    )

    def __init__(
        self,
        *,
        flag_key: str | None = None,
        metric_key: str | None = None,
        status: str | None = None,
        lifecycle_state: Sequence[str] = (),
        most: int = DEFAULT_CAP,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"multiple_outputs": False} | kwargs)
        self.flag_key = flag_key
        self.metric_key = metric_key
        self.status = status
        self.lifecycle_state = lifecycle_state
        self.most = most

    @override
    def act(self, context: Context) -> list[ExperimentOutput]:
        """Read the experiments, and leave out those that were in the wanted status only in the past."""
        from airflow_provider_launchdarkly.api.lifecycle import ITERATIONS
        from airflow_provider_launchdarkly.operators.outputs import experiment_output, status_of

        found = self.hook.list_experiments(
            flag_key=self.flag_key,
            metric_key=self.metric_key,
            status=self.status,
            lifecycle_state=self.lifecycle_state,
            expand=ITERATIONS,
            most=self.most,
        )
        if len(found) >= self.most:
            self.log.warning("Stopped at %s experiments; there may be more.", self.most)
        wanted = [experiment for experiment in found if self.status in (None, status_of(experiment))]
        self.log.info("Found %s experiments.", len(wanted))
        env = self.hook.environment()
        return [experiment_output(env, item, self.hook.experiment_url(item.key)) for item in wanted]


class LaunchDarklyGetResultsOperator(LaunchDarklyExperimentOperator):
    """Read the results of a metric or a metric group in one iteration, over everyone and by attribute value.

    Safe to repeat: it only reads. For a decision use the sensor: a look at the results outside of its plan is how
    experiments are stopped too early.

    Args:
        experiment_key: Key of the experiment.
        metric_key: Key of a metric or metric group that the iteration measures. Default: the primary one.
        iteration_id: Id of the iteration. Default: the running one, else the one started last.
        attribute: Only slices by this context attribute. Default: all slices that LaunchDarkly gives.

    Returns:
        :class:`~airflow_provider_launchdarkly.operators.outputs.ResultsOutput`, with ``read_at`` in LaunchDarkly's
        time. Whether the key is a group's is read from the iteration.

    Raises:
        ResultsUnavailableError: LaunchDarkly does not serve results any more; as all errors that another try cannot
            cure, inside an AirflowFailException.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyExperimentOperator.template_fields,
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
        """Find the iteration and whether the key is a group's, and read the results."""
        from airflow_provider_launchdarkly.api.lifecycle import ITERATIONS
        from airflow_provider_launchdarkly.operators.outputs import metrics_output

        experiment = self.hook.get_experiment(self.experiment_key, expand=ITERATIONS)
        iteration = self._iteration(experiment)
        key, is_group = self._metric(experiment, iteration)
        answer = self.hook.read_results(self.experiment_key, key, iteration.id, is_group=is_group, traffic=not is_group)
        metrics = metrics_output(key, answer.value, self.attribute)
        if not metrics:
            raise UnexpectedAnswerError(f"the results of metric group {key!r} hold no metric")
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
            "read_at": answer.server_time.isoformat(),
            "metrics": metrics,
            "url": self.experiment_url,
        }

    def _iteration(self, experiment: Experiment) -> Iteration:
        from airflow_provider_launchdarkly.api.lifecycle.reading import pinned

        if self.iteration_id:
            return pinned(experiment, self.iteration_id)
        started = [iteration for iteration in experiment.iterations if iteration.started_at]
        if experiment.running:
            return experiment.running
        if not started:
            raise IterationNotStartedError(
                f"no iteration of experiment {experiment.key!r} has been started, so there are no results"
            )
        return max(started, key=lambda iteration: iteration.started_at.timestamp() if iteration.started_at else 0.0)

    def _metric(self, experiment: Experiment, iteration: Iteration) -> tuple[str, bool]:
        wanted = self.metric_key or (iteration.primary.key if iteration.primary else None)
        for metric in iteration.measured:
            if metric.key == wanted:
                funnel = iteration.primary_funnel is not None and iteration.primary_funnel.key == wanted
                return metric.key, metric.is_group or funnel
        known = ", ".join(metric.key for metric in iteration.measured) or "nothing"
        raise MetricNotMeasuredError(
            f"iteration {iteration.id!r} of experiment {experiment.key!r} does not measure {wanted!r}; it measures "
            f"{known}"
        )
