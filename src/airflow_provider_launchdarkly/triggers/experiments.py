"""Wait in the triggerer for an iteration's status or traffic. Read only, hold no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.conditions.iteration import look_for_status, look_for_traffic
from airflow_provider_launchdarkly.triggers.polling import PollingTrigger

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.conditions.seen import Watch
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook


class IterationStatusTrigger(PollingTrigger):
    """Fire once the pinned iteration has reached a status.

    Args:
        experiment_key: The experiment.
        iteration_id: The pinned iteration.
        status: ``running`` or ``stopped``.
        kwargs: What all triggers have, see :class:`~airflow_provider_launchdarkly.triggers.polling.PollingTrigger`.
    """

    def __init__(self, *, experiment_key: str, iteration_id: str, status: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experiment_key = experiment_key
        self.iteration_id = iteration_id
        self.status = status

    @override
    def arguments(self) -> dict[str, Any]:
        """Experiment, iteration and status."""
        return {"experiment_key": self.experiment_key, "iteration_id": self.iteration_id, "status": self.status}

    @override
    def watch(self, hook: LaunchDarklyHook) -> Watch:
        """Read the experiment."""
        env = hook.environment()
        return lambda: look_for_status(env, self.experiment_key, self.iteration_id, self.status)


class TrafficTrigger(PollingTrigger):
    """Fire once every treatment of the pinned iteration has had so many units.

    Args:
        experiment_key: The experiment.
        iteration_id: The pinned iteration.
        units_per_treatment: How many.
        metric_key: By which metric's results they are counted; None for the primary one.
        kwargs: What all triggers have, see :class:`~airflow_provider_launchdarkly.triggers.polling.PollingTrigger`.
    """

    def __init__(
        self,
        *,
        experiment_key: str,
        iteration_id: str,
        units_per_treatment: int,
        metric_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.experiment_key = experiment_key
        self.iteration_id = iteration_id
        self.units_per_treatment = units_per_treatment
        self.metric_key = metric_key

    @override
    def arguments(self) -> dict[str, Any]:
        """Experiment, iteration, units and metric."""
        return {
            "experiment_key": self.experiment_key,
            "iteration_id": self.iteration_id,
            "units_per_treatment": self.units_per_treatment,
            "metric_key": self.metric_key,
        }

    @override
    def watch(self, hook: LaunchDarklyHook) -> Watch:
        """Read the experiment and, once it is started, its results."""
        env = hook.environment()
        return lambda: look_for_traffic(
            env, self.experiment_key, self.iteration_id, self.units_per_treatment, self.metric_key
        )
