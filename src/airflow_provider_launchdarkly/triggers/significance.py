"""Waits in the triggerer for an experiment's verdict. Reads only, holds no secret.

What one look is, and when one is due, is ``results.look``'s.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.conditions.seen import Seen, Watch
from airflow_provider_launchdarkly.decision import Policy
from airflow_provider_launchdarkly.results.look import Target, take_look
from airflow_provider_launchdarkly.triggers.polling import PollingTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.api.procedure import Procedure
    from airflow_provider_launchdarkly.api.request import EnvironmentRef


class SignificanceTrigger(PollingTrigger):
    """Fire once, with the verdict on one iteration, or with the error that ends the waiting.

    Args:
        experiment_key: The experiment.
        iteration_id: The pinned iteration.
        policy: A :class:`~airflow_provider_launchdarkly.decision.Policy` as plain JSON.
        kwargs: What all triggers have, see :class:`~airflow_provider_launchdarkly.triggers.polling.PollingTrigger`.
    """

    outcome: ClassVar[str] = "verdict"

    def __init__(self, *, experiment_key: str, iteration_id: str, policy: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experiment_key = experiment_key
        self.iteration_id = iteration_id
        self.policy = dict(policy)

    @override
    def arguments(self) -> dict[str, Any]:
        """Experiment, iteration and policy."""
        return {"experiment_key": self.experiment_key, "iteration_id": self.iteration_id, "policy": self.policy}

    @override
    def watch(self, env: EnvironmentRef) -> Watch:
        """Look at the results when the policy's plan says so, and decide."""
        policy = Policy.from_json(self.policy)
        target = Target(env, self.experiment_key, self.iteration_id)
        interval = timedelta(seconds=self.poll_interval)
        previous: timedelta | None = None

        def look() -> Procedure[Seen]:
            nonlocal previous
            look = yield from take_look(target, policy, previous=previous, poll_interval=interval)
            previous = look.verdict.elapsed
            return Seen(look.ends, look.verdict.summary, look.to_json(), is_news=look.read_results or look.ends)

        return look
