"""Wait in the triggerer for LaunchDarkly's clock, or for the end of an iteration's time. Read, but for ``on_kill``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.conditions.seen import Seen, Watch
from airflow_provider_launchdarkly.results.clock import dwelling, server_time
from airflow_provider_launchdarkly.results.look import Target
from airflow_provider_launchdarkly.triggers.arguments import Argument, instant, number
from airflow_provider_launchdarkly.triggers.iteration import IterationTrigger
from airflow_provider_launchdarkly.triggers.polling import PollingTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.api.procedure import Procedure
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook


class ClockTrigger(PollingTrigger):
    """Fire once LaunchDarkly's clock has reached a time.

    Args:
        until: The time, in ISO 8601, with its offset.
        kwargs: What all triggers have, see :class:`~airflow_provider_launchdarkly.triggers.polling.PollingTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {**PollingTrigger.accepts, "until": Argument(instant)}
    until: str

    @override
    def watch(self, hook: LaunchDarklyHook) -> Watch:
        """Read the clock."""
        until = datetime.fromisoformat(self.until).astimezone(UTC)

        def look() -> Procedure[Seen]:
            now = yield from server_time()
            reached = now >= until
            summary = f"it is {now.isoformat()}: waiting for {self.until}"
            return Seen(reached, summary, {"now": now.isoformat()}, is_news=False, left=until - now)

        return look


class DwellTrigger(IterationTrigger):
    """Fire once the pinned iteration has run for a time, or is invalid since somebody else stopped or replaced it.

    Args:
        dwell_seconds: How long it is to run, from its start.
        kwargs: See :class:`~airflow_provider_launchdarkly.triggers.iteration.IterationTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {**IterationTrigger.accepts, "dwell_seconds": Argument(number(0))}
    dwell_seconds: float

    @override
    def watch(self, hook: LaunchDarklyHook) -> Watch:
        """Read the experiment."""
        target = Target(hook.environment(), self.experiment_key, self.iteration_id)
        dwell = timedelta(seconds=self.dwell_seconds)

        def look() -> Procedure[Seen]:
            verdict = yield from dwelling(target, dwell)
            output = {**verdict.to_json(), **target.to_json()}
            left = dwell - verdict.elapsed
            return Seen(verdict.ends, verdict.summary, output, is_news=verdict.ends, left=left)

        return look
