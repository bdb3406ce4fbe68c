"""The triggers of the sensor on a change window: wait for LaunchDarkly's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.checks.dwell import server_time
from airflow_provider_launchdarkly.checks.result import Check, CheckResult, describe_time
from airflow_provider_launchdarkly.triggers._arguments import Argument, instant
from airflow_provider_launchdarkly.triggers._base import PollingTrigger
from airflow_provider_launchdarkly.triggers._harm_watch import LOOK, WatchingTrigger, unwatched

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook


class ClockTrigger(PollingTrigger):
    """Fire once LaunchDarkly's clock has reached a time.

    Args:
        until: The time, in ISO 8601, with its offset.
        kwargs: See :class:`PollingTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {**PollingTrigger.accepts, "until": Argument(instant)}
    until: str

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Return the check of the clock."""

        def check_clock() -> Procedure[CheckResult]:
            return _clock(self.until, (yield from server_time()))

        return check_clock


class WatchedClockTrigger(WatchingTrigger):
    """Fire once LaunchDarkly's clock has reached a time, or as soon as a worker has to look for harm.

    Args:
        until: The time, in ISO 8601, with its offset.
        kwargs: See :class:`WatchingTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {**WatchingTrigger.accepts, "until": Argument(instant)}
    until: str

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Return the check of the clock and of the guardrails."""
        watch = self.watch(hook)

        def check_both() -> Procedure[CheckResult]:
            trouble = None
            try:
                found = yield from watch.poll()
            except LaunchDarklyError as error:
                if error.retryable:
                    raise
                # The clock can still be read, and the window goes on being awaited.
                trouble = f"{type(error).__name__}: {error}"
                return _clock(self.until, (yield from server_time()), warning=unwatched(trouble))
            if found.due:
                return CheckResult(True, found.summary, self.look(watch, found), outcome=LOOK)
            return _clock(self.until, found.at, warning=unwatched(found.trouble) if found.trouble else None)

        return check_both


def _clock(until: str, now: datetime, warning: str | None = None) -> CheckResult:
    end = datetime.fromisoformat(until).astimezone(UTC)
    summary = f"waiting until {describe_time(end, now)}"
    return CheckResult(now >= end, summary, {"now": now.isoformat()}, is_news=False, left=end - now, warning=warning)
