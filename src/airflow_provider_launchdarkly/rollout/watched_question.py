"""The base of a rollout's questions to a person: it watches the guardrails while the question is open.

Only rollouts that ask import it: Airflow's operator takes a seventh of a second.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Never

from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.triggers.hitl import HITLTrigger
from typing_extensions import override

from airflow_provider_launchdarkly.sensors._ended_wait import ENDED_BY

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_launchdarkly.sensors._harm_watch import WaitingHarmWatch, WatchedIteration

try:
    from airflow.sdk.exceptions import TaskAwaitingInput
except ImportError:  # Airflow before 3.3 waits for the answer in a trigger
    TaskAwaitingInput = None  # type: ignore[assignment, misc]

# How the operator of this Airflow begins to wait.
_ASKED: tuple[type[BaseException], ...] = (
    (TaskDeferred,) if TaskAwaitingInput is None else (TaskDeferred, TaskAwaitingInput)
)

# From 3.3 on Airflow resumes the task itself when an answer comes. Then the trigger only finds what came while a
# worker looked.
_SECONDS_BETWEEN_READS = 5.0 if TaskAwaitingInput is None else 20.0


class WatchedQuestionOperator(HITLOperator):
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

    # After so long people are reminded, and again and again; None reminds nobody.
    remind_after: timedelta | None = None

    def remind(self, context: Context, number: int, until: datetime | None) -> None:
        """Remind people, on a worker; nobody by default. It must not raise.

        Args:
            context: The task's.
            number: How many times, with this one.
            until: The time to which an answer counts.
        """

    @abstractmethod
    def watched(self, context: Context) -> WatchedIteration | None:
        """Return what runs meanwhile; None watches nothing, also from the next look of an open question on."""

    @override
    def execute(self, context: Context) -> Any:
        """Ask, and wait in a trigger that watches the guardrails; without anything to watch, as Airflow does.

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
            return super().execute(context)
        except _ASKED as asked:
            trigger, timeout = getattr(asked, "trigger", None), getattr(asked, "timeout", None)
            until = getattr(trigger, "timeout_datetime", None)
            if trigger is None and timeout is not None:
                until = datetime.now(UTC) + timedelta(seconds=_seconds(timeout))
        times = {"answer_until": until}
        if self.remind_after is not None:
            asked_at = datetime.now(UTC)
            times |= {"asked_at": asked_at, "remind_at": self._reminder(1, asked_at, until)}
        return self._wait(watched, watch, context, {name: time and time.isoformat() for name, time in times.items()})

    @override
    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Return the answer, or the verdict that closed the question; wait on if there is neither."""
        match event:
            case {"status": "error", "error": str(kind), "message": str(message)}:
                from airflow_provider_launchdarkly.sensors._base import error_of

                raise error_of(kind, message)
            case {"status": "look", "look": Mapping() as look}:
                return self._look(context, look)
            case {"status": "remind", "look": Mapping() as look}:
                return self._remind(context, look)
            case _:
                return super().execute_complete(context, event)

    def _look(self, context: Context, look: Mapping[str, Any]) -> dict[str, Any]:
        watched = self.watched(context)
        if watched is None:
            self.log.info("The guardrails are not watched any more while this question is open.")
            self._wait_unwatched(context, look.get("answer_until"))
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

    def _remind(self, context: Context, look: Mapping[str, Any]) -> Never:
        """Remind people once for the time that has come, and wait for the next multiple that is still ahead."""
        watched = self.watched(context)
        if watched is None or self.remind_after is None:
            self.log.info("Nobody is reminded any more while this question is open.")
            self._wait_unwatched(context, look.get("answer_until"))
        asked_at, due = (datetime.fromisoformat(look[name]) for name in ("asked_at", "remind_at"))
        until = None if look.get("answer_until") is None else datetime.fromisoformat(look["answer_until"])
        number = max(1, round((due - asked_at) / self.remind_after))
        self.remind(context, number, until)
        passed = (datetime.now(UTC) - asked_at) // self.remind_after
        following = self._reminder(max(number, passed) + 1, asked_at, until)
        watch = watched.on_worker(self, context)
        watch.resume(look)
        self._wait(watched, watch, context, {**look, "remind_at": following and following.isoformat()})

    def _reminder(self, number: int, asked_at: datetime, until: datetime | None) -> datetime | None:
        """Return the time of a reminder; None if the time to answer is over by then."""
        if self.remind_after is None:
            return None
        time = asked_at + number * self.remind_after
        return time if until is None or time < until else None

    def _wait_unwatched(self, context: Context, until: str | None) -> Never:
        """Wait for the answer as Airflow does, since a rollout may stop watching while the question is open."""
        trigger = HITLTrigger(
            ti_id=context["ti"].id,
            options=list(self.options),
            defaults=None if self.defaults is None else list(self.defaults),
            multiple=self.multiple,
            params=self.serialized_params,
            timeout_datetime=None if until is None else datetime.fromisoformat(until),
        )
        self.defer(trigger=trigger, method_name="execute_complete")

    def _wait(
        self, watched: WatchedIteration, watch: WaitingHarmWatch, context: Context, times: Mapping[str, Any]
    ) -> Never:
        import json

        trigger = watch.question_trigger(
            launchdarkly_conn_id=watched.launchdarkly_conn_id,
            when_killed=watched.when_killed,
            ti_id=str(context["ti"].id),
            options=list(self.options),
            defaults=None if self.defaults is None else list(self.defaults),
            multiple=self.multiple,
            params=json.dumps(self.serialized_params),
            **{name: times.get(name) for name in ("answer_until", "asked_at", "remind_at")},
            answer_interval=_SECONDS_BETWEEN_READS,
        )
        self.defer(trigger=trigger, method_name="execute_complete")


def _seconds(timeout: Any) -> float:
    return float(timeout.total_seconds() if isinstance(timeout, timedelta) else timeout)
