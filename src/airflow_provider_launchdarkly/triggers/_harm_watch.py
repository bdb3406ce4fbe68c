"""The base of the triggers of a question and of a change window: they watch an iteration for harm meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_launchdarkly.checks.harm_watch import HarmWatch
from airflow_provider_launchdarkly.telemetry import count
from airflow_provider_launchdarkly.triggers._arguments import (
    Argument,
    optional,
    policy_text,
    read_policy,
    seconds,
    truth,
)
from airflow_provider_launchdarkly.triggers._iteration import IterationTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.checks.harm_watch import Watched
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

LOOK = "look"
"""The outcome that asks a worker to look."""


class WatchingTrigger(IterationTrigger):
    """Base of the triggers that watch an iteration for harm while they wait for something else.

    If harm is found, or a look is due that belongs on a worker, it fires with ``look``. A worker then judges the data
    afresh, and waits on if it finds no harm. It never fires because harm could not be looked at: the log says so, and
    ``launchdarkly.unwatched`` counts it.

    Args:
        policy: The policy of the stage that has passed, as JSON text.
        previous_seconds: Time of a worker's latest poll, in seconds after the iteration's start; None if there is none.
        analysed_by_launchdarkly: True if the results are LaunchDarkly's: then looks for harm alone are taken here.
        kwargs: See :class:`IterationTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **IterationTrigger.accepts,
        "policy": Argument(policy_text),
        "previous_seconds": Argument(optional(seconds()), None),
        "analysed_by_launchdarkly": Argument(truth, True),
    }
    policy: str
    previous_seconds: float | None
    analysed_by_launchdarkly: bool

    def watch(self, hook: LaunchDarklyHook) -> HarmWatch:
        """Return a fresh watch."""
        return HarmWatch(
            self.target(hook),
            read_policy(self.policy),
            None if self.previous_seconds is None else timedelta(seconds=self.previous_seconds),
            timedelta(seconds=self.poll_interval),
            self.analysed_by_launchdarkly,
        )

    def look(self, watch: HarmWatch, found: Watched) -> dict[str, Any]:
        """Return the content of the event that asks a worker to look."""
        previous = watch.previous
        return {
            "previous_seconds": None if previous is None else previous.total_seconds(),
            "elapsed_seconds": found.elapsed.total_seconds(),
        }


def unwatched(trouble: str) -> str:
    """Count that harm could not be looked at; return the line for the log."""
    count("unwatched")
    return f"Guardrails not watched, the waiting goes on: {trouble}"
