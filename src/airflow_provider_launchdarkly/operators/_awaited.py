"""What a person makes in LaunchDarkly in a task's place, where its API takes no approval request for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.checks.result import CheckResult
    from airflow_provider_launchdarkly.sensors._approval import Awaited


@dataclass(frozen=True, slots=True)
class IterationAwaited:
    """An iteration that a person is to start or stop.

    Attributes:
        experiment_key: The experiment.
        iteration_id: The iteration.
        status: The status that it is to have.
        details: How to do it, as a sentence; empty if there is nothing to choose.
    """

    kind: ClassVar[str] = "experiments"

    experiment_key: str
    iteration_id: str
    status: Literal["running", "stopped"]
    details: str = ""

    def what(self, env: EnvironmentRef) -> str:
        """Return the iteration in words."""
        return f"iteration {self.iteration_id!r} of experiment {self.experiment_key!r} in {env}"

    def until(self, before: Awaited) -> str | None:
        """Return when the waiting for it ends, in ISO 8601, if the task has waited for it."""
        return before.until if before.since is None else None

    def check(self, env: EnvironmentRef, before: Awaited) -> Procedure[CheckResult]:
        """Return the check of whether it is done."""
        from airflow_provider_launchdarkly.checks.approval import check_handed_over

        return check_handed_over(env, self.experiment_key, self.iteration_id, self.status, self.until(before))

    def trigger(self, launchdarkly_conn_id: str, env: EnvironmentRef, *, until: str, **_since: str) -> BaseTrigger:
        """Return the trigger that waits for it."""
        from airflow_provider_launchdarkly.sensors._approval import handed_over_trigger

        wanted = {"experiment_key": self.experiment_key, "iteration_id": self.iteration_id, "status": self.status}
        return handed_over_trigger(launchdarkly_conn_id, env, {**wanted, "until": until})


@dataclass(frozen=True, slots=True)
class ReleaseAwaited:
    """A release that a person is to start.

    Attributes:
        flag_key: The flag.
        design: The release, as JSON text of what LaunchDarkly refused.
        details: The same as a sentence.
    """

    kind: ClassVar[str] = "releases"
    status: ClassVar[str] = "started"

    flag_key: str
    design: str
    details: str

    def what(self, env: EnvironmentRef) -> str:
        """Return the release in words."""
        return f"the release of flag {self.flag_key!r} in {env}"

    def until(self, before: Awaited) -> str | None:
        """Return when the waiting for it ends, in ISO 8601, if the task has waited for it."""
        return before.until if before.since is not None else None

    def check(self, env: EnvironmentRef, before: Awaited) -> Procedure[CheckResult]:
        """Return the check of whether it is done."""
        from airflow_provider_launchdarkly.checks.approval import check_release_handed_over

        return check_release_handed_over(env, self.flag_key, self.design, before.since, self.until(before))

    def trigger(self, launchdarkly_conn_id: str, env: EnvironmentRef, *, until: str, since: str) -> BaseTrigger:
        """Return the trigger that waits for it."""
        from airflow_provider_launchdarkly.sensors._approval import release_handed_over_trigger

        wanted = {"flag_key": self.flag_key, "design": self.design, "since": since, "until": until}
        return release_handed_over_trigger(launchdarkly_conn_id, env, wanted)
