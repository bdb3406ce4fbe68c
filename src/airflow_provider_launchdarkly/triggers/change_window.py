"""The trigger of the sensor on a change window: wait for LaunchDarkly's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.checks.dwell import server_time
from airflow_provider_launchdarkly.checks.result import Check, CheckResult, describe_time
from airflow_provider_launchdarkly.triggers._arguments import Argument, instant
from airflow_provider_launchdarkly.triggers._base import PollingTrigger

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
        until = datetime.fromisoformat(self.until).astimezone(UTC)

        def check_clock() -> Procedure[CheckResult]:
            now = yield from server_time()
            summary = f"waiting until {describe_time(until, now)}"
            return CheckResult(now >= until, summary, {"now": now.isoformat()}, is_news=False, left=until - now)

        return check_clock
