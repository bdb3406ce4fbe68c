"""Wait in the triggerer for an iteration's status or traffic. Only read, but for ``on_kill``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.conditions.asking import RUNNING, STOPPED
from airflow_provider_launchdarkly.conditions.iteration import look_for_status, look_for_traffic
from airflow_provider_launchdarkly.triggers.arguments import Argument, one_of, optional, text, whole_number
from airflow_provider_launchdarkly.triggers.iteration import IterationTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.conditions.seen import Watch
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook


class IterationStatusTrigger(IterationTrigger):
    """Fire once the pinned iteration has reached a status.

    Args:
        status: ``running`` or ``stopped``.
        kwargs: See :class:`~airflow_provider_launchdarkly.triggers.iteration.IterationTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **IterationTrigger.accepts,
        "status": Argument(one_of(RUNNING, STOPPED)),
    }
    status: str

    @override
    def watch(self, hook: LaunchDarklyHook) -> Watch:
        """Read the experiment."""
        env = hook.environment()
        return lambda: look_for_status(env, self.experiment_key, self.iteration_id, self.status)


class TrafficTrigger(IterationTrigger):
    """Fire once every treatment of the pinned iteration has had so many units.

    Args:
        units_per_treatment: How many.
        metric_key: By which metric's results they are counted; None for the primary one.
        kwargs: See :class:`~airflow_provider_launchdarkly.triggers.iteration.IterationTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **IterationTrigger.accepts,
        "units_per_treatment": Argument(whole_number(1)),
        "metric_key": Argument(optional(text), None),
    }
    units_per_treatment: int
    metric_key: str | None

    @override
    def watch(self, hook: LaunchDarklyHook) -> Watch:
        """Read the experiment and, once it is started, its results."""
        env = hook.environment()
        return lambda: look_for_traffic(
            env, self.experiment_key, self.iteration_id, self.units_per_treatment, self.metric_key
        )
