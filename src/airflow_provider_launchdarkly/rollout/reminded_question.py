"""The base of a rollout's questions to a person: it reminds people while the question is open.

Only rollouts that ask import it: Airflow's operator takes a seventh of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Never

from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.triggers.hitl import HITLTrigger
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

try:
    from airflow.sdk.exceptions import TaskAwaitingInput
except ImportError:  # Airflow before 3.3 waits for the answer in a trigger
    TaskAwaitingInput = None  # type: ignore[assignment, misc]

# How the operator of this Airflow begins to wait.
ASKED: tuple[type[BaseException], ...] = (
    (TaskDeferred,) if TaskAwaitingInput is None else (TaskDeferred, TaskAwaitingInput)
)

# From 3.3 on Airflow resumes the task itself when an answer comes. Then the trigger only finds what came while a
# worker was at work.
_SECONDS_BETWEEN_READS = 5.0 if TaskAwaitingInput is None else 20.0


class RemindedQuestionOperator(HITLOperator):
    """Ask a person, and remind people until somebody answers or the time to answer is over.

    A worker is started for each reminder, since Airflow's triggers send no messages. Without `remind_after` the task
    waits as Airflow's own does. Safe to repeat: a retry or a clear asks again, and reminds from then on.

    Args:
        remind_after: People are reminded at each multiple of this time after the question; None reminds nobody.
        reminders: Airflow notifiers that remind people of the question.
        kwargs: As for Airflow's human-in-the-loop operator.

    Returns:
        The answer, as Airflow's operator returns it.
    """

    def __init__(self, *, remind_after: timedelta | None = None, reminders: Sequence[Any] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.remind_after = remind_after
        self.reminders = list(reminders)
        self.reminded = 0

    @override
    def execute(self, context: Context) -> Any:
        """Ask, and wait in a trigger that fires at the next reminder; without any, as Airflow does."""
        try:
            return super().execute(context)
        except ASKED as asked:
            times = self.times_of(asked)
            if times["remind_at"] is None:
                raise
        return self.wait_on(context, times)

    @override
    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Return the answer; remind people and wait on if the time of a reminder has come."""
        match event:
            case {"status": "error", "error": str(kind), "message": str(message)}:
                from airflow_provider_launchdarkly.sensors._base import error_of

                raise error_of(kind, message)
            case {"status": "remind", "look": Mapping() as look}:
                return self._remind(context, look)
            case _:
                return super().execute_complete(context, event)

    def remind(self, context: Context, number: int, until: datetime | None) -> None:  # noqa: ARG002 - for those that need it
        """Remind people, on a worker. What a notifier raises is logged, and the question stays open.

        Args:
            context: The task's.
            number: How many times, with this one.
            until: The time to which an answer counts.
        """
        self.reminded = number
        for notifier in self.reminders:
            try:
                notifier(context)
            except Exception as error:  # noqa: BLE001 - whatever a notifier raises, the question stays open
                self.log.warning("Not told: reminded: %s: %s", type(error).__name__, error)

    def times_of(self, asked: BaseException) -> dict[str, str | None]:
        """Return the times of a question that has just been asked, in ISO 8601.

        Args:
            asked: What Airflow's operator raises in order to wait.

        Returns:
            ``answer_until``, ``asked_at`` and ``remind_at``; None where there is none.
        """
        trigger, timeout = getattr(asked, "trigger", None), getattr(asked, "timeout", None)
        until = getattr(trigger, "timeout_datetime", None)
        if trigger is None and timeout is not None:
            until = datetime.now(UTC) + timedelta(seconds=_seconds(timeout))
        asked_at = None if self.remind_after is None else datetime.now(UTC)
        following = None if asked_at is None else self._reminder(1, asked_at, until)
        times = {"answer_until": until, "asked_at": asked_at, "remind_at": following}
        return {name: None if time is None else time.isoformat() for name, time in times.items()}

    def wait_on(self, context: Context, times: Mapping[str, Any]) -> Never:
        """Wait for the answer, and for the next reminder if there is one.

        Args:
            context: The task's.
            times: As :meth:`times_of` returns them.
        """
        trigger: Any
        if times.get("remind_at") is None:
            until = times.get("answer_until")
            trigger = HITLTrigger(
                ti_id=context["ti"].id,
                options=list(self.options),
                defaults=None if self.defaults is None else list(self.defaults),
                multiple=self.multiple,
                params=self.serialized_params,
                timeout_datetime=None if until is None else datetime.fromisoformat(until),
            )
        else:
            from airflow_provider_launchdarkly.sensors._reminder import reminder_trigger

            trigger = reminder_trigger(**self.asked_for(context, times))
        self.defer(trigger=trigger, method_name="execute_complete")

    def asked_for(self, context: Context, times: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a trigger that awaits the answer."""
        import json

        return {
            "ti_id": str(context["ti"].id),
            "options": list(self.options),
            "defaults": None if self.defaults is None else list(self.defaults),
            "multiple": self.multiple,
            "params": json.dumps(self.serialized_params),
            **{name: times.get(name) for name in ("answer_until", "asked_at", "remind_at")},
            "answer_interval": _SECONDS_BETWEEN_READS,
        }

    def _remind(self, context: Context, look: Mapping[str, Any]) -> Never:
        """Remind people once for the time that has come, and wait for the next multiple that is still ahead."""
        if self.remind_after is None:
            self.log.info("Nobody is reminded any more while this question is open.")
            self.wait_on(context, {**look, "remind_at": None})
        asked_at, due = (datetime.fromisoformat(look[name]) for name in ("asked_at", "remind_at"))
        until = None if look.get("answer_until") is None else datetime.fromisoformat(look["answer_until"])
        number = max(1, round((due - asked_at) / self.remind_after))
        self.remind(context, number, until)
        passed = (datetime.now(UTC) - asked_at) // self.remind_after
        following = self._reminder(max(number, passed) + 1, asked_at, until)
        self.wait_on(context, {**look, "remind_at": following and following.isoformat()})

    def _reminder(self, number: int, asked_at: datetime, until: datetime | None) -> datetime | None:
        """Return the time of a reminder; None if the time to answer is over by then."""
        if self.remind_after is None:
            return None
        time = asked_at + number * self.remind_after
        return time if until is None or time < until else None


def _seconds(timeout: Any) -> float:
    return float(timeout.total_seconds() if isinstance(timeout, timedelta) else timeout)
