"""Waits until an experiment's results are really significant, or until the plan ends without."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.sensors.experiments import LaunchDarklyIterationSensor
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger

# The plan's maximum duration ends the waiting with a verdict; Airflow's timeout is only a backstop behind it.
BACKSTOP = timedelta(days=366)


class LaunchDarklyWaitForSignificanceSensor(LaunchDarklyIterationSensor):
    """Wait for the verdict on one iteration: ``ship``, ``rollback``, ``inconclusive`` or ``invalid``.

    Looks at the results when the policy's plan says so, by LaunchDarkly's clock, and nowhere between: the boundary at
    each look is computed from the plan alone, so a retry, a clear or a restart of the triggerer changes nothing. All
    verdicts end the task in success; what follows from them is the next task's business, and only ``ship`` ships.

    By default it defers: after one look on the worker it waits in the triggerer. With ``deferrable=False``, modes
    ``poke`` and ``reschedule`` decide by the same code; in ``reschedule`` mode keep ``poke_interval`` well below the
    spacing of the looks, since each poke is a process that remembers nothing.

    Safe to repeat: it only reads.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration to judge. Another iteration under way, or this one stopped by someone else,
            is ``invalid`` at once.
        policy: What is to be decided and how: a :class:`~airflow_provider_launchdarkly.decision.Policy`, or the same
            as a mapping. Default: the default policy.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.
        deferrable: False occupies a worker (``mode="poke"``) or starts a process for each poke (``"reschedule"``).
        poke_interval: Seconds between two reads of the experiment's state. Default: ``[launchdarkly] poll_interval``.
        timeout: Seconds after which Airflow fails the task, however the experiment stands. Default: 366 days, since
            the policy's maximum duration ends the waiting with a verdict.

    Returns:
        The verdict as plain JSON, with every number that it rests on.

    Raises:
        LaunchDarklyError: LaunchDarkly could not be read; ``ResultsUnavailableError`` where its results endpoints are
            gone, which is never taken for "not significant yet".
    """

    outcome: ClassVar[str] = "verdict"
    template_fields: Sequence[str] = (*LaunchDarklyIterationSensor.template_fields, "policy")

    def __init__(
        self,
        *,
        policy: Policy | Mapping[str, Any] | None = None,
        timeout: timedelta | float = BACKSTOP,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, **kwargs)
        self.policy = policy.to_json() if isinstance(policy, Policy) else dict(policy or {})
        if is_literal(self.policy):
            Policy.from_json(self.policy)

    @override
    def trigger(self, **shared: Any) -> SignificanceTrigger:
        """The trigger that looks at the results when the plan says so."""
        from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger

        return SignificanceTrigger(
            experiment_key=self.experiment_key, iteration_id=self.iteration_id, policy=self.policy, **shared
        )

    @override
    def _is_output(self, found: Mapping[str, Any]) -> bool:
        return isinstance(found.get("verdict"), str)

    @override
    def _told(self, output: Mapping[str, Any]) -> str:
        return str(output["summary"])
