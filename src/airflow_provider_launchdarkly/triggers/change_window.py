"""Wait in the triggerer for LaunchDarkly's clock, or for the end of an iteration's time. Read, but for ``on_kill``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.checks.dwell import server_time
from airflow_provider_launchdarkly.checks.result import Check, CheckResult
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
        kwargs: What all triggers have, see :class:`PollingTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {**PollingTrigger.accepts, "until": Argument(instant)}
    until: str

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Read the clock."""
        until = datetime.fromisoformat(self.until).astimezone(UTC)

        def look() -> Procedure[CheckResult]:
            now = yield from server_time()
            reached = now >= until
            summary = f"it is {now.isoformat()}: waiting for {self.until}"
            return CheckResult(reached, summary, {"now": now.isoformat()}, is_news=False, left=until - now)

        return look
