"""The base of a rollout's questions to a person: it watches the guardrails while the question is open.

Only rollouts that ask import it: Airflow's operator takes a seventh of a second.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Never

from airflow.providers.standard.operators.hitl import HITLOperator
from typing_extensions import override

from airflow_provider_launchdarkly.rollout.reminded_question import ASKED, RemindedQuestionOperator
from airflow_provider_launchdarkly.sensors._ended_wait import ENDED_BY

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_launchdarkly.sensors._harm_watch import WaitingHarmWatch, WatchedIteration


class WatchedQuestionOperator(RemindedQuestionOperator):
    """Ask a person, and watch the guardrails until somebody answers. The base of a rollout's questions.

    Harm, a broken split, or an iteration that someone else ended closes the question. A worker judges the data afresh
    before it does. Results that cannot be read never close it. After an answer nothing is looked at any more here: the
    task that writes judges the data once more, so harm that comes at the same moment wins before anything is written.
    An answer to a closed question stays in Airflow's database and does nothing.

    Safe to repeat: it only reads LaunchDarkly, apart from the decision record. A retry or a clear looks for harm, and
    asks again if there is none.

    Returns:
        The answer, as Airflow's operator returns it; or no options, nobody, and the verdict as ``ended_by``.
    """

    @abstractmethod
    def watched(self, context: Context) -> WatchedIteration | None:
        """Return what runs meanwhile; None watches nothing, also from the next look of an open question on."""

    @override
    def execute(self, context: Context) -> Any:
        """Ask, and wait in a trigger that watches the guardrails; without anything to watch, as the base does.

        If harm is seen before, as in a retry, nobody is asked.
        """
        watched = self.watched(context)
        if watched is None:
            return super().execute(context)
        watch = watched.on_worker(self, context)
        if (harm := watch.find_harm()) is not None:
            return self._close(harm)
        self.body = "\n\n".join(filter(None, (self.body, watch.in_words())))
        try:
            return HITLOperator.execute(self, context)
        except ASKED as asked:
            times = self.times_of(asked)
        return self._wait(watched, watch, context, times)

    @override
    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Return the answer, or the verdict that closed the question; wait on if there is neither."""
        match event:
            case {"status": "look", "look": Mapping() as look}:
                return self._look(context, look)
            case _:
                return super().execute_complete(context, event)

    @override
    def wait_on(self, context: Context, times: Mapping[str, Any]) -> Never:
        """Wait for the answer and the next reminder, and go on watching if a rollout still does."""
        watched = self.watched(context)
        if watched is None:
            super().wait_on(context, times)
        watch = watched.on_worker(self, context)
        watch.resume(times)
        self._wait(watched, watch, context, times)

    def _look(self, context: Context, look: Mapping[str, Any]) -> dict[str, Any]:
        watched = self.watched(context)
        if watched is None:
            self.log.info("The guardrails are not watched any more while this question is open.")
            super().wait_on(context, look)
        watch = watched.on_worker(self, context)
        harm = watch.find_harm(look)
        if harm is None:
            self._wait(watched, watch, context, look)
        return self._close(harm)

    def _close(self, harm: Mapping[str, Any]) -> dict[str, Any]:
        self.log.info("The question is closed: %s", harm.get("summary"))
        nobody: dict[str, Any] = {
            "chosen_options": [],
            "params_input": {},
            "responded_at": None,
            "responded_by_user": None,
        }
        return {**nobody, ENDED_BY: harm}

    def _wait(
        self, watched: WatchedIteration, watch: WaitingHarmWatch, context: Context, times: Mapping[str, Any]
    ) -> Never:
        trigger = watch.question_trigger(
            launchdarkly_conn_id=watched.launchdarkly_conn_id,
            when_killed=watched.when_killed,
            **self.asked_for(context, times),
        )
        self.defer(trigger=trigger, method_name="execute_complete")
