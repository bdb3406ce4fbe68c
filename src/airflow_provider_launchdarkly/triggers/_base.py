"""The base of all triggers: sleep, poll, and fire once the waiting is over.

Triggers only read and hold no secret. The one exception, which a DAG has to ask for, is ``on_kill`` of the triggers on
an iteration. Each poll runs the check that ``make_check()`` returns; the sensor's ``poke()`` runs the same check.
"""

from __future__ import annotations

import asyncio
import logging
import random
from abc import abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow.triggers.base import TriggerEvent
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError, WaitingFailedError
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.telemetry import count, gauge
from airflow_provider_launchdarkly.triggers._arguments import Argument, CheckedTrigger, optional, seconds, text
from airflow_provider_launchdarkly.triggers._circuit import LONGEST_SPREAD
from airflow_provider_launchdarkly.triggers._shared_reader import Settled, wait_on
from airflow_provider_launchdarkly.triggers._sharing import circuit_of, reader_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from airflow_provider_launchdarkly.checks.result import Check, CheckResult
    from airflow_provider_launchdarkly.triggers._shared_reader import Reading
    from airflow_provider_launchdarkly.triggers._sharing import Place

log = logging.getLogger(__name__)

# If a trigger fires within about ten seconds of its deferral, the scheduler can fail its task: it may see the resumed
# task before the executor's report that the deferring process has ended
# (https://github.com/apache/airflow/issues/71580).
SECONDS_BEFORE_FIRST_POLL = 10.0

# Shortly before the time is over, poll once more instead of over and over.
SHORTEST_DELAY = 1.0

ERROR = "error"


class PollingTrigger(CheckedTrigger):
    """Fire once: with the result that ended the waiting, or with an error.

    It is safe to run a trigger twice, or to move it to another triggerer: it derives everything from its arguments and
    from LaunchDarkly. The event is ``{"status": outcome, outcome: …}`` or ``{"status": "error", "error": …, "message":
    …}``. Wrong arguments end in such an error, too, and so does whatever else goes wrong: nothing is raised.

    Args:
        launchdarkly_conn_id: The Airflow connection.
        project_key: The project; None if none is read.
        environment_key: The environment; None if none is read.
        poll_interval: Seconds between two polls, at most.
    """

    outcome: ClassVar[str] = "finding"
    accepts: ClassVar[Mapping[str, Argument]] = {
        "launchdarkly_conn_id": Argument(text),
        "project_key": Argument(optional(text)),
        "environment_key": Argument(optional(text)),
        "poll_interval": Argument(seconds(above=True)),
    }
    # Arguments of the trigger itself; the check takes all others, by the same names.
    not_for_the_check: ClassVar[frozenset[str]] = frozenset(accepts)
    launchdarkly_conn_id: str
    project_key: str | None
    environment_key: str | None
    poll_interval: float

    @abstractmethod
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Return a fresh check, whose every call polls once."""

    def check_arguments(self) -> dict[str, Any]:
        """Return the check's arguments by name."""
        return {name: getattr(self, name) for name in self.accepts if name not in self.not_for_the_check}

    def shares_reading_of(self, hook: LaunchDarklyHook) -> tuple[Place, str] | None:  # noqa: ARG002
        """Return the list, and the key in it, on which alone a poll mostly decides to wait on; None if none does."""
        return None

    async def show(self, result: CheckResult) -> None:
        """Let people see a result that is news. Most triggers have none before the one that they fire with."""

    @override
    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until a result ends the waiting; yield one event and end."""
        try:
            self.check_version()
            hook = LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)
            polls = Polls(self, hook)
        except Exception as error:  # noqa: BLE001 - a trigger that raises loses its task's reason
            await asyncio.sleep(SECONDS_BEFORE_FIRST_POLL)
            yield error_event(error)
            return
        with WAITING:
            event = await self.ending(polls)
        yield event

    async def ending(self, polls: Polls) -> TriggerEvent:
        """Poll until a result or an error ends the waiting; return its event."""
        try:
            return await self._ending(polls)
        except Exception as error:  # noqa: BLE001 - a trigger that raises loses its task's reason
            return error_event(error)

    async def _ending(self, polls: Polls) -> TriggerEvent:
        # Spread over the interval: the triggerer may start thousands at once.
        delay = random.uniform(SECONDS_BEFORE_FIRST_POLL, max(self.poll_interval, SECONDS_BEFORE_FIRST_POLL))  # noqa: S311
        earliest = SECONDS_BEFORE_FIRST_POLL
        while True:
            result = await polls.next_result(delay, earliest)
            delay, earliest = self.poll_interval, 0.0
            count("polls")
            if result.is_news and result.output.get("evidence"):
                count("looks")
            if result.left is not None:
                delay = min(delay, max(result.left.total_seconds(), SHORTEST_DELAY))
            if result.is_news:
                await self.show(result)
                for text in (result.headline, *(f"Caution: {caution}" for caution in result.cautions)):
                    self.say("%s", text)
            if result.warning:
                self.warn("%s", result.warning)
            if result.ends:
                outcome = result.outcome or self.outcome
                return TriggerEvent({"status": outcome, outcome: result.output})
            # Not kept until the next poll: thousands of waits would hold as many results.
            del result


class Polls:
    """The polls of one trigger, each on a shared reading if that is enough, else alone.

    Args:
        trigger: The trigger.
        hook: Its hook.
    """

    __slots__ = ("_check", "_circuit", "_hook", "_interval", "_settled", "_shared")

    def __init__(self, trigger: PollingTrigger, hook: LaunchDarklyHook) -> None:
        self._hook = hook
        self._interval = trigger.poll_interval
        self._check = trigger.make_check(hook)
        self._shared = trigger.shares_reading_of(hook)
        self._circuit = circuit_of(hook.launchdarkly_conn_id)
        self._settled: Settled | None = None

    async def next_result(self, delay: float, earliest: float) -> CheckResult:
        """Wait, and poll once.

        Args:
            delay: Seconds until the poll at the latest.
            earliest: Seconds before which it must not be.

        Raises:
            LaunchDarklyError: A failure that cannot pass, or that has lasted for longer than the tolerance.
        """
        if self._shared is None:
            await asyncio.sleep(delay)
            return await self._circuit.call(self._alone)
        # Something that is due, such as a look, needs a reading of its own.
        exact = not earliest and delay < self._interval / 2
        result, is_alone = await self._together(delay, earliest, exact=exact)
        if result is not None:
            return result
        return await self._circuit.call(self._alone, self._after_outage if is_alone and not exact else None)

    async def _alone(self) -> CheckResult:
        return await self._hook.arun(self._check(), retry=False)

    async def _together(self, delay: float, earliest: float = 0.0, *, exact: bool) -> tuple[CheckResult | None, bool]:
        """Poll on a shared reading; return its result, None if it takes one alone, and whether there was none."""
        assert self._shared is not None, "only a trigger that shares"  # noqa: S101
        place, key = self._shared
        reader = reader_of(self._hook.launchdarkly_conn_id, place)
        reading = await reader.next_reading(
            key, interval=self._interval, delay=delay, earliest=earliest, exact=exact, settled=self._settled
        )
        self._settled = None
        if reading is None:
            return None, True
        result = wait_on(self._check(), place.single(key), reading.response)
        if result is None:
            reader.was_not_enough()
        else:
            self._settled = self._settle(reading, result)
        return result, False

    async def _after_outage(self) -> CheckResult | None:
        spread = random.uniform(0, min(LONGEST_SPREAD, self._interval))  # noqa: S311
        return (await self._together(spread, exact=False))[0]

    def _settle(self, reading: Reading, result: CheckResult) -> Settled | None:
        """Return for how long polls that bring the same reading need not be judged again."""
        if result.same_for is None:
            return None
        # Close to a known end, the trigger itself says when it wants to poll.
        margin = timedelta() if result.left is None else timedelta(seconds=2 * self._interval)
        return Settled(reading.mark, reading.response.server_time + result.same_for - margin)


class _Waiting:
    """Shows the triggers of this process that wait, as a gauge. Thousands wait in it, so it holds nothing for each."""

    def __init__(self) -> None:
        self._number = 0

    def __enter__(self) -> None:
        self._number += 1
        gauge("waiting", self._number)

    def __exit__(self, *_: object) -> None:
        self._number -= 1
        gauge("waiting", self._number)


WAITING: Final = _Waiting()
"""What a trigger waits in, to be counted."""


def error_event(error: Exception) -> TriggerEvent:
    """Return the event of an error. The worker raises it by its name, so one that is not ours gets a name of ours."""
    if not isinstance(error, LaunchDarklyError):
        # Into the log of the task, whose context this runs in.
        log.error("The waiting failed", exc_info=error)
        error = WaitingFailedError(f"the waiting failed in the triggerer, whose log has more: {_in_short(error)}")
    return TriggerEvent({"status": ERROR, "error": type(error).__name__, "message": str(error)})


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
