"""Wait in the triggerer for an iteration's status or traffic. Only read, but for ``on_kill``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.checks.dwell import check_dwell
from airflow_provider_launchdarkly.checks.iteration import check_iteration_status, check_traffic
from airflow_provider_launchdarkly.checks.result import Check, CheckResult
from airflow_provider_launchdarkly.evidence.source import Target
from airflow_provider_launchdarkly.triggers._iteration import IterationTrigger

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.checks.result import Check
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook


class IterationStatusTrigger(IterationTrigger):
    """Fire once the pinned iteration has reached a status.

    Args:
        status: ``running`` or ``stopped``.
        kwargs: See :class:`IterationTrigger`.
    """

    def __init__(self, *, status: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.status = status

    @override
    def arguments(self) -> dict[str, Any]:
        """Experiment, iteration and status."""
        return {**super().arguments(), "status": self.status}

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Read the experiment."""
        env = hook.environment()
        return lambda: check_iteration_status(env, self.experiment_key, self.iteration_id, self.status)


class TrafficTrigger(IterationTrigger):
    """Fire once every treatment of the pinned iteration has had so many units.

    Args:
        units_per_treatment: How many.
        metric_key: By which metric's results they are counted; None for the primary one.
        kwargs: See :class:`IterationTrigger`.
    """

    def __init__(
        self,
        *,
        units_per_treatment: int,
        metric_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units_per_treatment = units_per_treatment
        self.metric_key = metric_key

    @override
    def arguments(self) -> dict[str, Any]:
        """Experiment, iteration, units and metric."""
        return {
            **super().arguments(),
            "units_per_treatment": self.units_per_treatment,
            "metric_key": self.metric_key,
        }

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Read the experiment and, once it is started, its results."""
        env = hook.environment()
        return lambda: check_traffic(
            env, self.experiment_key, self.iteration_id, self.units_per_treatment, self.metric_key
        )


class DwellTrigger(IterationTrigger):
    """Fire once the pinned iteration has run for a time, or is invalid since somebody else stopped or replaced it.

    Args:
        dwell_seconds: How long it is to run, from its start.
        kwargs: See :class:`IterationTrigger`.
    """

    def __init__(self, *, dwell_seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dwell_seconds = dwell_seconds

    @override
    def arguments(self) -> dict[str, Any]:
        """Experiment, iteration and time."""
        return {**super().arguments(), "dwell_seconds": self.dwell_seconds}

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Read the experiment."""
        target = Target(hook.environment(), self.experiment_key, self.iteration_id)
        dwell = timedelta(seconds=self.dwell_seconds)

        def look() -> Procedure[CheckResult]:
            verdict = yield from check_dwell(target, dwell)
            output = {**verdict.to_json(), **target.to_json()}
            left = dwell - verdict.elapsed
            return CheckResult(verdict.ends, verdict.summary, output, is_news=verdict.ends, left=left)

        return look
