"""The triggers of a rollout's questions to a person: wait for the answer and the next reminder, and watch meanwhile."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from airflow.triggers.base import TriggerEvent
from typing_extensions import override

from airflow_provider_launchdarkly.checks.result import Check, CheckResult
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.triggers._arguments import (
    Argument,
    CheckedTrigger,
    instant,
    json_text,
    optional,
    seconds,
    text,
    texts,
    truth,
)
from airflow_provider_launchdarkly.triggers._base import (
    ERROR,
    SECONDS_BEFORE_FIRST_POLL,
    WAITING,
    Polls,
    error_event,
)
from airflow_provider_launchdarkly.triggers._harm_watch import LOOK, WatchingTrigger, unwatched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence

    from airflow_provider_launchdarkly.api.http.procedure import Procedure


REMIND = "remind"
"""The outcome that asks a worker to remind people."""


class ReminderTrigger(CheckedTrigger):
    """Fire with a person's answer, or as soon as a worker has to remind people. It reads nothing of LaunchDarkly.

    If both come at once, it fires with the answer.

    The answer is awaited by Airflow's own trigger, which also answers with the defaults when the time is over. So the
    event of an answer is Airflow's, unchanged. The other is ``{"status": "remind", "look": {…}}``. An answer that comes
    while a worker is at work stays in Airflow's database, and the next trigger finds it. A worker sends the reminder; a
    trigger that is started again fires for the same one.

    Args:
        ti_id: Id of the task instance that asks.
        options: What can be answered.
        defaults: The answer when the time is over; None fails the task then.
        multiple: True if several options may be chosen.
        params: The form's fields, as JSON text.
        answer_until: When the time to answer is over, in ISO 8601; None for never.
        answer_interval: Seconds between two looks for the answer.
        asked_at: When the question was asked, in ISO 8601; None if nobody is reminded.
        remind_at: When a worker has to remind people, in ISO 8601; None for never.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        "ti_id": Argument(text),
        "options": Argument(texts),
        "defaults": Argument(optional(texts), None),
        "multiple": Argument(truth, False),
        "params": Argument(json_text, "{}"),
        "answer_until": Argument(optional(instant), None),
        "answer_interval": Argument(seconds(above=True), 5.0),
        "asked_at": Argument(optional(instant), None),
        "remind_at": Argument(optional(instant), None),
    }
    ti_id: str
    options: list[str]
    defaults: list[str] | None
    multiple: bool
    params: str
    answer_until: str | None
    answer_interval: float
    asked_at: str | None
    remind_at: str | None

    @override
    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for what comes first; yield one event and end. An error of Airflow's own trigger ends it as well."""
        try:
            self.check_version()
        except Exception as error:  # noqa: BLE001 - a trigger that raises loses its task's reason
            await asyncio.sleep(SECONDS_BEFORE_FIRST_POLL)
            yield error_event(error)
            return
        waits = [asyncio.create_task(each) for each in self._waits()]
        try:
            with WAITING:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            event = await next(each for each in waits if each.done())
        except Exception as error:  # noqa: BLE001 - as above
            event = error_event(error)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        yield event

    def _waits(self) -> Sequence[Coroutine[Any, Any, TriggerEvent]]:
        """Return what is waited for; the first one counts if several come at once."""
        return (self._answer(), self._reminder_due())

    @property
    def _times(self) -> dict[str, str | None]:
        """The times that a worker needs in order to wait on."""
        return {"answer_until": self.answer_until, "asked_at": self.asked_at, "remind_at": self.remind_at}

    @property
    def _after_reminder(self) -> dict[str, Any]:
        """What a worker needs after a reminder in order to wait on."""
        return dict(self._times)

    async def _reminder_due(self) -> TriggerEvent:
        if self.remind_at is None:
            await asyncio.Event().wait()
        left = datetime.fromisoformat(str(self.remind_at)) - datetime.now(UTC)
        await asyncio.sleep(max(left.total_seconds(), SECONDS_BEFORE_FIRST_POLL))
        return TriggerEvent({"status": REMIND, "look": self._after_reminder})

    async def _answer(self) -> TriggerEvent:
        # An answer that is there already, since it came while a worker looked, must not fire too soon.
        await asyncio.sleep(SECONDS_BEFORE_FIRST_POLL)
        # Imported here, as by the operator: few triggerers need it.
        from airflow_provider_launchdarkly.triggers._answer import AnswerTrigger

        asking = AnswerTrigger(
            ti_id=UUID(self.ti_id),
            options=self.options,
            params=json.loads(self.params),
            defaults=self.defaults,
            multiple=self.multiple,
            timeout_datetime=None if self.answer_until is None else datetime.fromisoformat(self.answer_until),
            poke_interval=self.answer_interval,
        )
        return await anext(aiter(asking.run()))


class QuestionTrigger(ReminderTrigger, WatchingTrigger):
    """As :class:`ReminderTrigger`, but fire also as soon as a worker has to look for harm.

    If several come at once, it fires with the look, else with the answer. The event of a look is ``{"status": "look",
    "look": {…}}``.

    Args:
        kwargs: See :class:`ReminderTrigger` and :class:`WatchingTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {**WatchingTrigger.accepts, **ReminderTrigger.accepts}

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Return the check of the guardrails."""
        watch = self.watch(hook)

        def check_guardrails() -> Procedure[CheckResult]:
            found = yield from watch.poll()
            look = {**self.look(watch, found), **self._times}
            warning = unwatched(found.trouble) if found.trouble else None
            return CheckResult(found.due, found.summary, look, is_news=found.due, outcome=LOOK, warning=warning)

        return check_guardrails

    @override
    def _waits(self) -> Sequence[Coroutine[Any, Any, TriggerEvent]]:
        return (self._look_due(), *super()._waits())

    @property
    @override
    def _after_reminder(self) -> dict[str, Any]:
        return {"previous_seconds": self.previous_seconds, **self._times}

    async def _look_due(self) -> TriggerEvent:
        """Return the event once a worker has to look. Nothing else ends it."""
        polls: Polls | None = None
        while True:
            try:
                hook = LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)
                polls = polls or Polls(self, hook)
                event = await self.ending(polls)
                found: dict[str, Any] = event.payload
                if found["status"] != ERROR:
                    return event
                self.warn("%s", unwatched(f"{found['error']}: {found['message']}"))
            except Exception as error:  # noqa: BLE001 - the answer goes on being awaited
                self.warn("%s", unwatched(f"{type(error).__name__}: {error}"))
            await asyncio.sleep(self.poll_interval)
