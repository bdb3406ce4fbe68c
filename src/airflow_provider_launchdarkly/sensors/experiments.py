"""Sensors on one iteration of an experiment: its status, its traffic, and the time that it has run."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.checks.arguments import validate_status, validate_units
from airflow_provider_launchdarkly.config.durations import format_duration, parse_duration
from airflow_provider_launchdarkly.sensors._base import BACKSTOP, LaunchDarklyIterationBaseSensor
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.checks.result import Check, CheckResult
    from airflow_provider_launchdarkly.triggers.experiments import DwellTrigger, IterationStatusTrigger, TrafficTrigger


class LaunchDarklyIterationStatusSensor(LaunchDarklyIterationBaseSensor):
    """Wait until an iteration is running, or until it is stopped, no matter who starts or stops it.

    The iteration is pinned by its id and its status never goes back, so the sensor misses nothing that happened before
    it began. An iteration that ran and is stopped has reached ``running`` too; the output gives its status now. An
    iteration that does not exist is an error at once.

    Safe to repeat: it only reads.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration, usually the output of the task that created or started it.
        status: ``running`` or ``stopped``.
        kwargs: ``on_kill``, ``project_key``, ``environment_key``, ``launchdarkly_conn_id``, ``deferrable``,
            ``poke_interval``, ``timeout`` and the arguments of every task, see
            :class:`LaunchDarklyIterationBaseSensor`.

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
    def make_check(self, context: Context) -> Check:
        """Return the check of the iteration's status."""
        from airflow_provider_launchdarkly.checks.iteration import check_iteration_status

        validate_status(self.status)
        return partial(
            check_iteration_status, self.hook.environment(), self.experiment_key, self.iteration_id, self.status
        )

    @override
    def trigger_class(self) -> type[IterationStatusTrigger]:
        """Import and return the trigger with the same check."""
        from airflow_provider_launchdarkly.triggers.experiments import IterationStatusTrigger

        return IterationStatusTrigger


class LaunchDarklyTrafficSensor(LaunchDarklyIterationBaseSensor):
    """Wait until every treatment of an iteration has a number of units. Reads results, and judges none.

    An iteration that is stopped with fewer units is an error at once: it will never have them.

    Safe to repeat: it only reads.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration, usually the output of the task that created or started it.
        units_per_treatment: Number of units in each treatment, from 1.
        metric_key: Metric whose results give the counts. Default: the primary one.
        kwargs: ``on_kill``, ``project_key``, ``environment_key``, ``launchdarkly_conn_id``, ``deferrable``,
            ``poke_interval``, ``timeout`` and the arguments of every task, see
            :class:`LaunchDarklyIterationBaseSensor`.

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
    def make_check(self, context: Context) -> Check:
        """Return the check of the iteration's traffic."""
        from airflow_provider_launchdarkly.checks.iteration import check_traffic

        units = self._units()
        validate_units(units)
        return partial(
            check_traffic, self.hook.environment(), self.experiment_key, self.iteration_id, units, self.metric_key
        )

    @override
    def trigger_class(self) -> type[TrafficTrigger]:
        """Import and return the trigger with the same check."""
        from airflow_provider_launchdarkly.triggers.experiments import TrafficTrigger

        return TrafficTrigger

    @override
    def trigger_arguments(self) -> dict[str, Any]:
        """Return the trigger's arguments, the number of units as a number."""
        return super().trigger_arguments() | {"units_per_treatment": self._units()}

    def _units(self) -> Any:
        """Return the number of units, which a template gives as text."""
        units: Any = self.units_per_treatment
        return int(units) if isinstance(units, str) and units.isdecimal() else units


class LaunchDarklyDwellSensor(LaunchDarklyIterationBaseSensor):
    """Wait until an iteration has run for a time. Judges nothing.

    The time counts from the iteration's start, by LaunchDarkly's clock, so a retry, a clear or a restart does not begin
    it anew. Safe to repeat: it only reads.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration. If someone else stops or replaces it, the verdict is ``invalid`` at once.
        dwell: The time: a timedelta, or text such as ``2d``.
        timeout: Seconds after which Airflow fails the task. Default: 366 days.
        kwargs: ``on_kill``, ``project_key``, ``environment_key``, ``launchdarkly_conn_id``, ``deferrable``,
            ``poke_interval`` and the arguments of every task, see :class:`LaunchDarklyIterationBaseSensor`.

    Returns:
        A verdict as plain JSON: ``inconclusive`` with reason ``plan_ended`` when the time is over, or ``invalid``.
    """

    template_fields: Sequence[str] = (*LaunchDarklyIterationBaseSensor.template_fields, "dwell")

    def __init__(self, *, dwell: timedelta | str, timeout: timedelta | float = BACKSTOP, **kwargs: Any) -> None:
        super().__init__(timeout=timeout, **kwargs)
        self.dwell = format_duration(dwell) if isinstance(dwell, timedelta) else dwell
        if is_literal(self.dwell):
            try:
                parse_duration(self.dwell)
            except ValueError as error:
                raise ConfigurationError(f"dwell: {error}") from None

    @override
    def make_check(self, context: Context) -> Check:
        """Return the check of the time that the iteration has run."""
        from airflow_provider_launchdarkly.checks.dwell import check_dwell

        return partial(check_dwell, self.target, parse_duration(self.dwell))

    @override
    def trigger_class(self) -> type[DwellTrigger]:
        """Import and return the trigger with the same check."""
        from airflow_provider_launchdarkly.triggers.experiments import DwellTrigger

        return DwellTrigger

    @override
    def trigger_arguments(self) -> dict[str, Any]:
        """Return the trigger's arguments, the time in seconds."""
        return super().trigger_arguments() | {"dwell_seconds": parse_duration(self.dwell).total_seconds()}

    @override
    def _poll(self, context: Context) -> CheckResult:
        result = super()._poll(context)
        self.leave_note(context, result)
        return result

    @override
    def _after_trigger(self, context: Context, output: Mapping[str, Any]) -> dict[str, Any]:
        """Check again: while the DAG was paused, someone may have stopped the iteration, and its time has gone on."""
        return self._poll_or_defer(context)
