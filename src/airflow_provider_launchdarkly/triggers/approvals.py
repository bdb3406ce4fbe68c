"""The triggers of a task that waits for LaunchDarkly's approval."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.checks.approval import (
    check_approval,
    check_handed_over,
    check_release_handed_over,
)
from airflow_provider_launchdarkly.checks.arguments import RUNNING, STOPPED
from airflow_provider_launchdarkly.triggers._arguments import Argument, instant, one_of, release_text, seconds, text
from airflow_provider_launchdarkly.triggers._base import PollingTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.checks.result import Check
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook


class ApprovalTrigger(PollingTrigger):
    """Fire once an approval request is approved, declined, applied or gone, or has waited for too long.

    It leaves the request alone, whatever ends it: the task applies or deletes it.

    Args:
        kwargs: The arguments of :func:`check_approval`, and those of :class:`PollingTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **PollingTrigger.accepts,
        "project_key": Argument(text),
        "environment_key": Argument(text),
        "flag_key": Argument(text),
        "request_id": Argument(text),
        "timeout_seconds": Argument(seconds(above=True)),
    }

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Return the check of the request."""
        return partial(check_approval, hook.environment(), **self.check_arguments())


class HandedOverTrigger(PollingTrigger):
    """Fire once a person has started or stopped an iteration in LaunchDarkly, or had the time for it.

    Args:
        kwargs: The arguments of :func:`check_handed_over`, and those of :class:`PollingTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **PollingTrigger.accepts,
        "project_key": Argument(text),
        "environment_key": Argument(text),
        "experiment_key": Argument(text),
        "iteration_id": Argument(text),
        "status": Argument(one_of(RUNNING, STOPPED)),
        "until": Argument(instant),
    }

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Return the check of the iteration."""
        return partial(check_handed_over, hook.environment(), **self.check_arguments())


class ReleaseHandedOverTrigger(PollingTrigger):
    """Fire once a person has started a release in LaunchDarkly, or had the time for it.

    Args:
        kwargs: The arguments of :func:`check_release_handed_over`, and those of :class:`PollingTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **PollingTrigger.accepts,
        "project_key": Argument(text),
        "environment_key": Argument(text),
        "flag_key": Argument(text),
        "design": Argument(release_text),
        "since": Argument(instant),
        "until": Argument(instant),
    }

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Return the check of the flag's releases."""
        return partial(check_release_handed_over, hook.environment(), **self.check_arguments())
