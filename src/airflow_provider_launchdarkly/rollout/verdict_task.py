"""The internal operator that says how a rollout ends.

It keeps the prefix ``LaunchDarkly`` because Airflow's UI shows the class of each task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.rollout.options import Ending
from airflow_provider_launchdarkly.rollout.steps import LaunchDarklyRolloutBaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.rollout.confirmation import Confirmation
    from airflow_provider_launchdarkly.rollout.spec import Rollout
    from airflow_provider_launchdarkly.rollout.state_machine import Outcome
    from airflow_provider_launchdarkly.rollout.steps import TasksBefore


class LaunchDarklyVerdictOperator(LaunchDarklyRolloutBaseOperator):
    """Return how the rollout ends, from the outputs of its tasks. Internal.

    Before a winner ships, the results are judged again if people were asked, a change window was awaited, or
    LaunchDarkly's approval may be. Safe to repeat, also after the winner is shipped, and after this run has rolled it
    back: it only reads, apart from the decision record.

    Args:
        rollout: The rollout.
        before: The tasks before it.
        answer: The answer to the question before shipping.
        opened: The output of the wait for the change window before shipping.
        asked: True if a person was asked before shipping.
        waited: True if a change window was awaited before shipping, or LaunchDarkly's approval may be.

    Returns:
        An :class:`Outcome` as plain JSON; ``policy``, by which it was decided; and ``confirmation``, the last judgement
        before shipping, or None. If the task ``ship`` is withheld afterwards, that task has the newer outcome as the
        XCom ``withheld``.
    """

    template_fields: Sequence[str] = ("answer", "opened")

    def __init__(
        self,
        *,
        before: TasksBefore,
        answer: Any = None,
        opened: Any = None,
        asked: bool = False,
        waited: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.before = before
        self.answer = answer
        self.opened = opened
        self.asked = asked
        self.waited = waited
        # Ids of the tasks whose outputs tell of a rollback before a clear. `experiment_rollout` sets them.
        self.ship: str | None = None
        self.rollback: str | None = None
        # The verdict of the last check, which is told if it found harm or another's change.
        self.last_check: Mapping[str, Any] | None = None

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """Return the outcome."""
        from airflow_provider_launchdarkly.rollout.state_machine import (
            outcome_after_confirmation,
            outcome_so_far,
        )

        rollout = self.rollout_spec
        found = outcome_so_far(rollout, self.before.outputs(context))
        confirmation = None
        if found.ending is Ending.SHIP and (self.asked or self.waited):
            confirmation = self._confirmation(rollout, found, context).to_json()
            found = outcome_after_confirmation(rollout, found, confirmation)
        self.log.info("%s: %s", found.ending, found.why)
        policy = None if found.stage is None else rollout.policy_of(found.stage, extended=found.extended).to_json()
        return {**found.to_json(), "policy": policy, "confirmation": confirmation}

    def _confirmation(self, rollout: Rollout, found: Outcome, context: Context) -> Confirmation:
        from airflow_provider_launchdarkly.rollout.confirmation import (
            Confirmation,
            confirm_ship,
            refusal,
            withheld_by_harm,
        )
        from airflow_provider_launchdarkly.rollout.judging import is_shipped, judged_again
        from airflow_provider_launchdarkly.rollout.withheld import verdict_of_rollback

        verdict: Mapping[str, Any] = found.verdict or {}
        harm = withheld_by_harm(self.answer, self.opened)
        refused = self.asked and harm is None and refusal(self.answer) is not None
        if not refused and is_shipped(rollout, verdict):
            # After a clear: what is shipped has no results to judge any more.
            return Confirmation(True, "it is shipped already", verdict=verdict)
        if harm is not None:
            return harm
        fresh = verdict_of_rollback(rollout, verdict, context, ship=self.ship, rollback=self.rollback)
        fresh = fresh or judged_again(self, rollout, verdict, found.stage, context, extended=found.extended)
        self.last_check = {**fresh, "stage": (found.stage or 0) + 1}
        return confirm_ship(verdict, asked=self.asked, answer=self.answer, fresh=fresh)
