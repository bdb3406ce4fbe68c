"""Sensors on one pinned iteration: its status, and its traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.conditions.asking import LEAVE, check_on_kill, check_status, check_units
from airflow_provider_launchdarkly.links import LaunchDarklyExperimentLink
from airflow_provider_launchdarkly.sensors.base import LaunchDarklySensor
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.triggers.experiments import IterationStatusTrigger, TrafficTrigger


class LaunchDarklyIterationSensor(LaunchDarklySensor):
    """What the sensors on an iteration share.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration, usually the output of the task that created or started it.
        on_kill: What becomes of the iteration when a person marks the task, or its run, failed while it waits in the
            triggerer. ``leave`` (default): it goes on. ``rollback``: the triggerer stops it on the baseline; needs
            Airflow 3.3, and a triggerer that has taken the waiting over: not in the second after the task deferred, nor
            while it looks on a worker. Clearing, marking as success, deleting the run and a timeout leave it alone.
    """

    template_fields: Sequence[str] = (*LaunchDarklySensor.template_fields, "experiment_key", "iteration_id")
    operator_extra_links = (LaunchDarklyExperimentLink(),)

    def __init__(self, *, experiment_key: str, iteration_id: str, on_kill: str = LEAVE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experiment_key = experiment_key
        self.iteration_id = iteration_id
        check_on_kill(on_kill, heard=on_kill == LEAVE or (self.deferrable and _triggers_hear()))
        # Not `on_kill`: that is Airflow's name for a method of every task.
        self.when_killed = on_kill

    @property
    def pinned(self) -> dict[str, str]:
        """What every trigger on the iteration takes."""
        return {
            "experiment_key": self.experiment_key,
            "iteration_id": self.iteration_id,
            "when_killed": self.when_killed,
        }

    @property
    def experiment_url(self) -> str:
        """Where LaunchDarkly's UI shows the experiment."""
        return self.hook.experiment_url(self.experiment_key)


class LaunchDarklyIterationStatusSensor(LaunchDarklyIterationSensor):
    """Wait until an iteration is running, or until it is stopped, whoever does it.

    The iteration is pinned by its id and never goes back, so nothing is missed that happened before the sensor started:
    an iteration that ran and is stopped already has reached ``running`` too, and the output says where it stands now.
    An iteration that does not exist, or does not exist any more, is an error at once.

    Safe to repeat: it only reads.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration, usually the output of the task that created or started it.
        status: ``running`` or ``stopped``.
        kwargs: ``on_kill``, ``project_key``, ``environment_key``, ``launchdarkly_conn_id``, ``deferrable``,
            ``poke_interval``, ``timeout`` and what every task has, see :class:`LaunchDarklyIterationSensor`.

    Returns:
        Keys, ``iteration_id``, ``status``, ``started_at``, ``ended_at``, ``winning_treatment_id`` and
        ``winning_treatment``: plain JSON, times as ISO 8601.
    """

    template_fields: Sequence[str] = (*LaunchDarklyIterationSensor.template_fields, "status")

    def __init__(self, *, status: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.status = status
        if is_literal(status):
            check_status(status)

    @override
    def trigger(self, **shared: Any) -> IterationStatusTrigger:
        """The trigger that reads the experiment."""
        from airflow_provider_launchdarkly.triggers.experiments import IterationStatusTrigger

        check_status(self.status)
        return IterationStatusTrigger(status=self.status, **self.pinned, **shared)


class LaunchDarklyTrafficSensor(LaunchDarklyIterationSensor):
    """Wait until every treatment of an iteration has had at least so many units.

    All exposed units since the iteration's start count, those before the sensor started too. An iteration that is
    stopped with fewer is an error at once, since they will never come; so are results that LaunchDarkly does not serve
    any more. Treatments without a share of the traffic are not waited for.

    Safe to repeat: it only reads.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration, usually the output of the task that created or started it.
        units_per_treatment: How many units, from 1.
        metric_key: By which metric's results they are counted. Default: the primary one's.
        kwargs: ``on_kill``, ``project_key``, ``environment_key``, ``launchdarkly_conn_id``, ``deferrable``,
            ``poke_interval``, ``timeout`` and what every task has, see :class:`LaunchDarklyIterationSensor`.

    Returns:
        Keys, ``iteration_id``, ``status``, ``units`` by treatment's name, and ``least``, the smallest of them.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyIterationSensor.template_fields,
        "units_per_treatment",
        "metric_key",
    )

    def __init__(self, *, units_per_treatment: int, metric_key: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units_per_treatment = units_per_treatment
        self.metric_key = metric_key
        if is_literal(units_per_treatment):
            check_units(self._units())

    @override
    def trigger(self, **shared: Any) -> TrafficTrigger:
        """The trigger that reads the experiment and its results."""
        from airflow_provider_launchdarkly.triggers.experiments import TrafficTrigger

        units = self._units()
        check_units(units)
        return TrafficTrigger(units_per_treatment=units, metric_key=self.metric_key, **self.pinned, **shared)

    def _units(self) -> Any:
        """The number, which a template brings as text."""
        units: Any = self.units_per_treatment
        return int(units) if isinstance(units, str) and units.isdecimal() else units


def _triggers_hear() -> bool:
    """Whether this Airflow tells a trigger that a person has ended its task."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "on_kill")
