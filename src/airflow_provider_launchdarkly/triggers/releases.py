"""The trigger of the sensor on a release."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.checks.arguments import FAIL, OUTCOMES, UNMEASURED
from airflow_provider_launchdarkly.checks.release import check_release
from airflow_provider_launchdarkly.triggers._arguments import Argument, one_of, optional, some_of, text
from airflow_provider_launchdarkly.triggers._base import PollingTrigger
from airflow_provider_launchdarkly.triggers._notes import change_release
from airflow_provider_launchdarkly.triggers._sharing import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.checks.result import Check, CheckResult
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook


class ReleaseTrigger(PollingTrigger):
    """Fire once a release has come to one of the wanted outcomes, or waits for a person who is to be told.

    Triggers that await releases of the same flag, environment and connection share one reader: each round is one
    request for the flag's list, however many they are. LaunchDarkly has no list over several flags, so waits on
    different flags each read their own. A trigger reads its release alone to decide anything but to wait on, and if no
    list shows it.

    Args:
        kwargs: The arguments of :func:`check_release`, and those of :class:`PollingTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **PollingTrigger.accepts,
        "project_key": Argument(text),
        "environment_key": Argument(text),
        "flag_key": Argument(text),
        "release_id": Argument(text),
        "ends_on": Argument(some_of(*OUTCOMES)),
        "if_unmeasured": Argument(one_of(*UNMEASURED), FAIL),
        "told": Argument(optional(text), None),
    }
    flag_key: str
    release_id: str
    _shown: Mapping[str, Any] | None = None

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Return the check of the release."""
        return partial(check_release, hook.environment(), **self.check_arguments())

    @override
    def shares_reading_of(self, hook: LaunchDarklyHook) -> tuple[Place, str]:
        """Return the release in its flag's list."""
        return Place(hook.environment(), self.flag_key), self.release_id

    @override
    async def show(self, result: CheckResult) -> None:
        """Change the task's note on the release, if this poll has news for it."""
        if self.task_instance and not result.ends and result.output != self._shown:
            self._shown = result.output
            await change_release(self.task_instance, result.output, self.warn)
