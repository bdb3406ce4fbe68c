"""Judges an iteration now, whatever the time: for a decision that people have slept over. Reads only."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.decision import Policy
from airflow_provider_launchdarkly.operators.base import LaunchDarklyExperimentOperator
from airflow_provider_launchdarkly.results.look import Target, take_look
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

# As for a process that comes by once a year: whichever look was the latest is due.
WHENEVER = timedelta(days=366)


class LaunchDarklyJudgeOperator(LaunchDarklyExperimentOperator):
    """Judge an iteration by the results as they are now, against the boundary of the latest look whose time has come.

    Never waits: ``wait`` is one of its answers. Safe to repeat: it only reads.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration.
        policy: As for the sensor whose verdict is to be judged afresh.
        kwargs: Project, environment, connection, and what every task has.

    Returns:
        The verdict as plain JSON: ``ship``, ``rollback``, ``inconclusive``, ``invalid`` or ``wait``.
    """

    template_fields: Sequence[str] = (*LaunchDarklyExperimentOperator.template_fields, "iteration_id", "policy")

    def __init__(self, *, iteration_id: str, policy: Policy | Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.iteration_id = iteration_id
        self.policy = policy.to_json() if isinstance(policy, Policy) else (policy or {})
        if is_literal(self.policy):
            Policy.from_json(self.policy)

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """Read the results and decide."""
        verdict = judge_now(self.hook, self.experiment_key, self.iteration_id, self.policy)
        self.log.info("%s", verdict["summary"])
        return verdict


def judge_now(
    hook: LaunchDarklyHook, experiment_key: str, iteration_id: str, policy: Mapping[str, Any]
) -> dict[str, Any]:
    """Judge an iteration by the results as they are now. Only reads.

    Args:
        hook: The hook, with the project and environment.
        experiment_key: The experiment.
        iteration_id: The pinned iteration.
        policy: A :class:`~airflow_provider_launchdarkly.decision.Policy` as plain JSON.

    Returns:
        The verdict as plain JSON, also where it is ``wait``.
    """
    target = Target(hook.environment(), experiment_key, iteration_id)
    look = hook.run(take_look(target, Policy.from_json(policy), poll_interval=WHENEVER))
    return look.to_json()
