"""Wait in the triggerer for an iteration's status or traffic. Only read, but for ``on_kill``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.checks.arguments import RUNNING, STOPPED
from airflow_provider_launchdarkly.checks.dwell import check_dwell
from airflow_provider_launchdarkly.checks.iteration import check_iteration_status, check_traffic
from airflow_provider_launchdarkly.checks.result import Check, CheckResult
from airflow_provider_launchdarkly.evidence.source import Target
from airflow_provider_launchdarkly.triggers._arguments import (
    Argument,
    number,
    one_of,
    optional,
    text,
    whole_number,
)
from airflow_provider_launchdarkly.triggers._iteration import IterationTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.checks.result import Check
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook


class IterationStatusTrigger(IterationTrigger):
    """Fire once the pinned iteration has reached a status.

    Args:
        status: ``running`` or ``stopped``.
        kwargs: See :class:`IterationTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **IterationTrigger.accepts,
        "status": Argument(one_of(RUNNING, STOPPED)),
    }
    status: str

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

    accepts: ClassVar[Mapping[str, Argument]] = {
        **IterationTrigger.accepts,
        "units_per_treatment": Argument(whole_number(1)),
        "metric_key": Argument(optional(text), None),
    }
    units_per_treatment: int
    metric_key: str | None

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

    accepts: ClassVar[Mapping[str, Argument]] = {**IterationTrigger.accepts, "dwell_seconds": Argument(number(0))}
    dwell_seconds: float

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
