"""Sensors on one pinned iteration: its status, and its traffic."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.checks.arguments import validate_status, validate_units
from airflow_provider_launchdarkly.config.durations import format_duration, parse_duration
from airflow_provider_launchdarkly.sensors._base import BACKSTOP, LaunchDarklyIterationBaseSensor
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.triggers.experiments import DwellTrigger, IterationStatusTrigger, TrafficTrigger


class LaunchDarklyIterationStatusSensor(LaunchDarklyIterationBaseSensor):
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
            ``poke_interval``, ``timeout`` and what every task has, see :class:`LaunchDarklyIterationBaseSensor`.

    Returns:
        Keys, ``iteration_id``, ``status``, ``started_at``, ``ended_at``, ``winning_treatment_id`` and
        ``winning_treatment``: plain JSON, times as ISO 8601.
    """

    template_fields: Sequence[str] = (*LaunchDarklyIterationBaseSensor.template_fields, "status")

    def __init__(self, *, status: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.status = status
        if is_literal(status):
            validate_status(status)

    @override
    def trigger(self, **shared: Any) -> IterationStatusTrigger:
        """The trigger that reads the experiment."""
        from airflow_provider_launchdarkly.triggers.experiments import IterationStatusTrigger

        validate_status(self.status)
        return IterationStatusTrigger(status=self.status, **self.pinned, **shared)


class LaunchDarklyTrafficSensor(LaunchDarklyIterationBaseSensor):
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
            ``poke_interval``, ``timeout`` and what every task has, see :class:`LaunchDarklyIterationBaseSensor`.

    Returns:
        Keys, ``iteration_id``, ``status``, ``units`` by treatment's name, and ``least``, the smallest of them.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyIterationBaseSensor.template_fields,
        "units_per_treatment",
        "metric_key",
    )

    def __init__(self, *, units_per_treatment: int, metric_key: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units_per_treatment = units_per_treatment
        self.metric_key = metric_key
        if is_literal(units_per_treatment):
            validate_units(self._units())

    @override
    def trigger(self, **shared: Any) -> TrafficTrigger:
        """The trigger that reads the experiment and its results."""
        from airflow_provider_launchdarkly.triggers.experiments import TrafficTrigger

        units = self._units()
        validate_units(units)
        return TrafficTrigger(units_per_treatment=units, metric_key=self.metric_key, **self.pinned, **shared)

    def _units(self) -> Any:
        """The number, which a template brings as text."""
        units: Any = self.units_per_treatment
        return int(units) if isinstance(units, str) and units.isdecimal() else units


class LaunchDarklyDwellSensor(LaunchDarklyIterationBaseSensor):
    """Wait until an iteration has run for a time. Judges nothing.

    The time is absolute: from the iteration's start, by LaunchDarkly's clock, so a retry, a clear or a restart does
    not begin it anew. Safe to repeat: it only reads.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration. If someone else stops or replaces it, that is ``invalid`` at once.
        dwell: How long it is to run: a timedelta, or text such as ``2d``.
        timeout: Seconds after which Airflow fails the task. Default: 366 days.
        kwargs: ``on_kill``, ``project_key``, ``environment_key``, ``launchdarkly_conn_id``, ``deferrable``,
            ``poke_interval`` and what every task has, see
            :class:`LaunchDarklyIterationBaseSensor`.

    Returns:
        A verdict as plain JSON: ``inconclusive`` with reason ``plan_ended`` when the time is over, or ``invalid``.
    """

    template_fields: Sequence[str] = (*LaunchDarklyIterationBaseSensor.template_fields, "dwell")

    def __init__(self, *, dwell: timedelta | str, timeout: timedelta | float = BACKSTOP, **kwargs: Any) -> None:
        super().__init__(timeout=timeout, **kwargs)
        self.dwell = format_duration(dwell) if isinstance(dwell, timedelta) else dwell
        if is_literal(self.dwell):
            parse_duration(self.dwell)

    @override
    def trigger(self, **shared: Any) -> DwellTrigger:
        """The trigger that reads the experiment."""
        from airflow_provider_launchdarkly.triggers.experiments import DwellTrigger

        return DwellTrigger(dwell_seconds=parse_duration(self.dwell).total_seconds(), **self.pinned, **shared)

    @override
    def _output(self, context: Context, found: Mapping[str, Any]) -> dict[str, Any]:
        """Look again: while the DAG was paused somebody may have stopped it, and its time has gone on."""
        return self._look_or_defer(context)
