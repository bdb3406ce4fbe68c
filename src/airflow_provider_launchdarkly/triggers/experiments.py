"""The triggers of the sensors on an iteration: its status, its traffic, and the time that it has run.

They only read, apart from ``on_kill``.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.checks.arguments import RUNNING, STOPPED
from airflow_provider_launchdarkly.checks.dwell import check_dwell
from airflow_provider_launchdarkly.checks.iteration import check_iteration_status, check_traffic
from airflow_provider_launchdarkly.triggers._arguments import Argument, one_of, optional, seconds, text, whole_number
from airflow_provider_launchdarkly.triggers._iteration import IterationTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.checks.result import Check
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook


class IterationStatusTrigger(IterationTrigger):
    """Fire once the pinned iteration has reached a status.

    Args:
        kwargs: Those of :func:`check_iteration_status`, and of :class:`IterationTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **IterationTrigger.accepts,
        "status": Argument(one_of(RUNNING, STOPPED)),
    }

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Return the check of the iteration's status."""
        return partial(check_iteration_status, hook.environment(), **self.check_arguments())


class TrafficTrigger(IterationTrigger):
    """Fire once every treatment of the pinned iteration has a number of units.

    Args:
        kwargs: Those of :func:`check_traffic`, and of :class:`IterationTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **IterationTrigger.accepts,
        "units_per_treatment": Argument(whole_number(1)),
        "metric_key": Argument(optional(text), None),
    }

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Return the check of the iteration's traffic."""
        return partial(check_traffic, hook.environment(), **self.check_arguments())

    @override
    def shares_reading_of(self, hook: LaunchDarklyHook) -> None:
        """Return None: each poll reads results as well."""


class DwellTrigger(IterationTrigger):
    """Fire once the pinned iteration has run for a time, or is invalid since someone else stopped or replaced it.

    Args:
        dwell_seconds: The time in seconds, counted from the iteration's start.
        kwargs: See :class:`IterationTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {**IterationTrigger.accepts, "dwell_seconds": Argument(seconds())}
    dwell_seconds: float

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Return the check of the time that the iteration has run."""
        return partial(check_dwell, self.target(hook), timedelta(seconds=self.dwell_seconds))
