"""Tells people of a rollout's events: makes the callbacks of its tasks, and sends the messages from them.

A callback runs after its task's state has been reported, so no write waits for a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseNotifier
from typing_extensions import override

from airflow_provider_launchdarkly.notifications.events import Event, is_wanted
from airflow_provider_launchdarkly.rollout.spec import Rollout, plain
from airflow_provider_launchdarkly.sensors._ended_wait import verdict_that_ended

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_launchdarkly.rollout.news import Happening

# The events whose message says who gets what while an iteration or a release runs. An ending has read it itself.
_SAY_WHO_GETS_WHAT = frozenset(
    {Event.ASKED, Event.REMINDED, Event.STARTED, Event.STAGE_ENTERED, Event.RELEASE_STARTED, Event.HARM, Event.DRIFT}
)


def tell(rollout: Rollout, event: Event, *, stage: int | None = None, also: Sequence[Any] = ()) -> list[Any] | None:
    """Return the notifiers that tell of an event, for a task's ``on_…_callback`` or a question's ``notifiers``.

    Args:
        rollout: The rollout, whose `notify` names the channels.
        event: The event.
        stage: Number of the stage that runs then, from 0; None if none does, or if the task's output says it.
        also: Airflow notifiers that are called as well, with the task's context.

    Returns:
        The notifiers; None if there are none. For ``unwatched`` the last one writes the last line of the task's log.
    """
    wanted = any(is_wanted(channel.events, event) for channel in rollout.notify)
    own = [LaunchDarklyRolloutNotifier(event=event, rollout=rollout, stage=stage)] if wanted else []
    last = [LaunchDarklyLastWords(rollout=rollout, stage=stage)] if event is Event.UNWATCHED else []
    return [*own, *also, *last] or None


class LaunchDarklyRolloutNotifier(BaseNotifier):
    """Tell people of one event of a rollout, through the channels that the rollout names.

    It reads what it tells from the output of the task whose callback it is. It never raises and never waits long: an
    error is told in the log. Safe to repeat: see :mod:`.notifications.sending`.

    Args:
        event: The event.
        rollout: The rollout, or the same as plain JSON.
        stage: Number of the stage that runs then, from 0; None if none does, or if the task's output says it.
        context: Set by Airflow.
    """

    def __init__(
        self,
        *,
        event: Event | str,
        rollout: Rollout | Mapping[str, Any],
        stage: int | None = None,
        context: Context | None = None,
    ) -> None:
        self.event = Event(event)
        self.rollout = plain(rollout)
        self.stage = stage
        super().__init__(context)

    @override
    def notify(self, context: Context) -> None:
        """Send the message, if the event happened."""
        try:
            self._tell(context)
        except Exception as error:  # noqa: BLE001 - telling is best effort, whatever a context holds
            self.log.warning("Not told: %s: %s: %s. The rollout goes on.", self.event, type(error).__name__, error)

    def _tell(self, context: Context) -> None:
        # Imported here, as everything that only a running task needs.
        from airflow_provider_launchdarkly.notifications.sending import send_to_all
        from airflow_provider_launchdarkly.rollout.news import message_of
        from airflow_provider_launchdarkly.rollout.notify import channels_of

        rollout = Rollout.from_json(self.rollout)
        happening = self._happening(rollout, context)
        message = message_of(self.event, rollout, happening)
        if message is None:
            return
        if self._is_to_read(happening):
            task: Any = getattr(context["ti"], "task", None)
            now = _read_served(rollout, happening.output, happening.stage, task)
            message = message_of(self.event, rollout, replace(happening, now=now)) or message
        send_to_all(message, channels_of(rollout.notify), context, self.log)

    def _happening(self, rollout: Rollout, context: Context) -> Happening:
        from airflow_provider_launchdarkly.rollout.news import Happening

        ti: Any = context["ti"]
        task = getattr(ti, "task", None)
        # A change that a person has to make in LaunchDarkly is told before the task has any output. What the last check
        # before a write finds is in no output that has the form of a verdict.
        found = getattr(task, "last_check" if self.event in {Event.HARM, Event.DRIFT} else "handed_over", None)
        output = found or _output_of(ti)
        error = context.get("exception")
        place = (ti.dag_id, ti.run_id, str(getattr(ti, "map_index", -1)))
        return Happening(
            place=(*place, ti.task_id) if self.event in {Event.UNWATCHED, Event.RETIREMENT_FAILED} else place,
            stage=_stage_in(output, self.stage),
            output=output,
            now="" if found else str(getattr(task, "served_now", "")),
            question=str(getattr(task, "subject", "") or ""),
            reminder=int(getattr(task, "reminded", 0)),
            answers=tuple(answer.text for answer in getattr(task, "offered", ())),
            error=f"task {ti.task_id} failed: {error}" if error else "",
            at=datetime.now(UTC),
            links=tuple(
                _links(rollout, ti, output, of_flag=self.event is Event.RETIREMENT or bool(output.get("waits")))
            ),
        )

    def _is_to_read(self, happening: Happening) -> bool:
        """Return whether the message says who gets what, and no task has read that for it."""
        if happening.now or happening.output.get("now"):
            return False
        return self.event in _SAY_WHO_GETS_WHAT or (self.event is Event.UNWATCHED and "wanted_by" in happening.output)


class LaunchDarklyLastWords(BaseNotifier):
    """Write as the last line of a failed task's log what people get, as far as is known. Reads and sends nothing.

    Args:
        rollout: The rollout, or the same as plain JSON.
        stage: Number of the stage that runs then, from 0; None if none does.
        released: True if the winner ships through a release then.
        context: Set by Airflow.
    """

    def __init__(
        self,
        *,
        rollout: Rollout | Mapping[str, Any],
        stage: int | None = None,
        released: bool = False,
        context: Context | None = None,
    ) -> None:
        self.rollout = plain(rollout)
        self.stage = stage
        self.released = released
        super().__init__(context)

    @override
    def notify(self, context: Context) -> None:
        """Write the line."""
        from airflow_provider_launchdarkly.config.lines import write_lines
        from airflow_provider_launchdarkly.rollout.serving import served_in

        ti: Any = context["ti"]
        output = _output_of(ti)
        if self.released:
            words = (
                "Failed. If the release has started, LaunchDarkly goes on with it, and people get what its step says. "
                "Else they get what the flag serves. To go on from there, clear this task: nothing is done twice."
            )
        elif output.get("event") == Event.UNWATCHED:
            words = f"Unwatched. {output.get('now')} {' '.join(output.get('do') or ())}"
        elif self.stage is None:
            words = "Failed. It was not read what people get now: look in LaunchDarkly."
        else:
            served = served_in(Rollout.from_json(self.rollout), self.stage)
            words = (
                f"Failed. This rollout has set: {served}. No guardrail is watched until this task is cleared. The task "
                "unwatched reads what people get now."
            )
        write_lines(self.log.error, "%s", " ".join(words.split()))


def _output_of(ti: Any) -> Mapping[str, Any]:
    """Return what a task has returned so far, or the verdict that ended its waiting; nothing if there is neither."""
    found = ti.xcom_pull(task_ids=ti.task_id, map_indexes=getattr(ti, "map_index", -1))
    return verdict_that_ended(found) or (found if isinstance(found, Mapping) else {})


def _read_served(rollout: Rollout, output: Mapping[str, Any], stage: int | None, task: Any) -> str:
    """Read who gets what now, for a bounded time.

    Args:
        rollout: The rollout.
        output: The output of the task that tells: it names the iteration.
        stage: Number of the stage that runs, from 0; None if none does.
        task: The task.
    """
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.notifications.sending import LONGEST_SEND, ends_within
    from airflow_provider_launchdarkly.rollout.served_now import Setting, served_now
    from airflow_provider_launchdarkly.rollout.serving import served_while_released

    released = output.get("release_id") is not None and output.get("treatment") is not None
    after = served_while_released(rollout, str(output["treatment"])) if released else ""
    iteration = output.get("iteration_id")
    key = (output.get("experiment_key") or rollout.experiment.key) if iteration else None
    setting = Setting(rollout, key, iteration, stage, after, released)
    found = [setting.unread(f"LaunchDarkly did not answer within {LONGEST_SEND:g} s")]

    def read() -> None:
        place = _place_of(rollout, output, task)
        found.append(served_now(lambda: LaunchDarklyHook(rollout.connection, *place), setting))

    ends_within(LONGEST_SEND, read)
    return found[-1].text


def _place_of(rollout: Rollout, output: Mapping[str, Any], task: Any) -> tuple[str | None, str | None]:
    """Return the keys of project and environment; None for the connection's."""
    project = output.get("project_key") or getattr(task, "project_key", None) or rollout.project
    environment = output.get("environment_key") or getattr(task, "environment_key", None) or rollout.environment
    return project, environment


def _stage_in(output: Mapping[str, Any], default: int | None) -> int | None:
    """Return the stage's number, from 0. What a task returns counts from 1."""
    stage: int | None = output.get("stage")
    return default if stage is None else stage - 1


def _links(rollout: Rollout, ti: Any, output: Mapping[str, Any], *, of_flag: bool = False) -> Sequence[tuple[str, str]]:
    """Return the links to page, task, run, and LaunchDarkly: the experiment there, or the flag if it is about that.

    Links that cannot be made are left out.
    """
    from airflow_provider_launchdarkly.links import experiment_page

    found: list[tuple[str, str]] = []
    task = getattr(ti, "log_url", None)
    if page := experiment_page(task):
        found.append(("Experiment in Airflow", page))
    if isinstance(task, str) and "://" in task:
        found.append(("Task in Airflow", task))
        if "/tasks/" in task:
            found.append(("Run in Airflow", task.partition("/tasks/")[0]))
    if output.get("runs"):  # it is about many experiments
        return found
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

    hook = LaunchDarklyHook(rollout.connection, *_place_of(rollout, output, getattr(ti, "task", None)))
    try:
        key = str(output.get("experiment_key") or rollout.experiment.key)
        found.append(("LaunchDarkly", hook.flag_url(output["flag_key"]) if of_flag else hook.experiment_url(key)))
    except Exception:  # noqa: BLE001 - a message without its link is better than none
        return found
    return found
