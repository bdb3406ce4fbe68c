"""The base of a sensor that waits until a flag has served the same to everyone for long enough to be retired."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import NotFoundError
from airflow_provider_launchdarkly.links import LaunchDarklyFlagLink
from airflow_provider_launchdarkly.sensors._base import LaunchDarklyBaseSensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.checks.result import Check, CheckResult
    from airflow_provider_launchdarkly.retirement.reasons import RetirementRule
    from airflow_provider_launchdarkly.triggers._base import PollingTrigger


class LaunchDarklyServedForBaseSensor(LaunchDarklyBaseSensor):
    """Wait until a flag is old enough to be retired, or waiting does not help any more. Internal.

    The trigger waits for the time that the worker computed, and the worker then reads the flag again: a change
    meanwhile moves the time. If the flag varies, or serves something else by then, the waiting ends. Safe to repeat: it
    only reads.

    Args:
        flag_key: Key of the flag.
        kwargs: See :class:`LaunchDarklyBaseSensor`.

    Returns:
        ``{"variation_id", "now"}``: the variation that the rule names, and the time of the last poll.

    Raises:
        ConfigurationError: The project has no such environment.
        LaunchDarklyError: As the calls raise.
    """

    template_fields: Sequence[str] = (*LaunchDarklyBaseSensor.template_fields, "flag_key")
    operator_extra_links = (LaunchDarklyFlagLink(),)

    def __init__(self, *, flag_key: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flag_key = flag_key
        self._until: datetime | None = None

    @abstractmethod
    def rule(self, context: Context) -> RetirementRule:
        """Return when the flag may be retired, or skip."""

    @property
    def flag_url(self) -> str:
        """Address of the flag in LaunchDarkly's UI."""
        return self.hook.flag_url(self.flag_key)

    @override
    def make_check(self, context: Context) -> Check:
        """Return the check of the flag, or skip."""
        rule = self.rule(context)
        return lambda: self._check_flag(rule)

    def _check_flag(self, rule: RetirementRule) -> Procedure[CheckResult]:
        from airflow_provider_launchdarkly.checks.result import CheckResult, describe_time
        from airflow_provider_launchdarkly.retirement.reasons import old_enough_at
        from airflow_provider_launchdarkly.retirement.use import read_flag_everywhere

        project_key = self.hook.project()
        try:
            flag, now = yield from read_flag_everywhere(project_key, self.flag_key)
        except NotFoundError as error:
            raise AirflowSkipException(f"there is nothing to retire: {error}") from None
        until = self._until = old_enough_at(project_key, flag, rule)
        output = {"variation_id": rule.variation_id, "now": now.isoformat()}
        if until is None:
            return CheckResult(True, f"flag {flag.key} is archived, or does not serve the same any more", output)
        if until <= now:
            return CheckResult(True, f"flag {flag.key} has served the same for long enough", output)
        return CheckResult(False, f"flag {flag.key} is not touched before {describe_time(until, now)}", output)

    @override
    def trigger_class(self) -> type[PollingTrigger]:
        """Import and return the trigger that waits for a time."""
        from airflow_provider_launchdarkly.triggers.change_window import ClockTrigger

        return ClockTrigger

    @override
    def trigger_arguments(self) -> dict[str, Any]:
        """Return the arguments of the trigger, which waits for the time that the latest poll computed."""
        if self._until is None:
            raise RuntimeError("the time is computed by the first poll")
        return {**super().trigger_arguments(), "until": self._until.isoformat()}

    @override
    def _after_trigger(self, context: Context, output: Mapping[str, Any]) -> dict[str, Any]:
        """Read the flag again, and wait on if it was changed meanwhile."""
        return self._poll_or_defer(context)
