"""Makes those tasks of a rollout that wait: for a person, for the change window, and for an extended stage."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, cached_property
from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from airflow.sdk import TaskGroup
from airflow.sdk.bases.operator import chain

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.notifications.events import Event
from airflow_provider_launchdarkly.rollout.options import ApprovalOption, Inconclusive, InconclusiveOption
from airflow_provider_launchdarkly.rollout.shown import shown_rollout
from airflow_provider_launchdarkly.rollout.steps import TasksBefore
from airflow_provider_launchdarkly.rollout.telling import LaunchDarklyLastWords, tell
from airflow_provider_launchdarkly.rollout.waits import (
    LaunchDarklyRolloutWindowSensor,
    LaunchDarklyWatchExtensionSensor,
)
from airflow_provider_launchdarkly.rollout.words import (
    RELEASE_START,
    RELEASE_WATCH,
    RETIRE_WAIT,
    retire_flag,
    retirement_in_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from airflow.sdk import BaseOperator

    from airflow_provider_launchdarkly.rollout.ship_by_release import LaunchDarklyShipByReleaseOperator
    from airflow_provider_launchdarkly.rollout.spec import Rollout

# A task after several others of which some are skipped: it runs unless one of them failed.
NONE_FAILED = "none_failed"

# A release that waits for anything but a regression is healthy, and is waited for.
_ENDS_OF_RELEASE = ("completed", "reverted", "regression")


class Waits(NamedTuple):
    """The tasks that a step waits for.

    Attributes:
        asking: The task that asks a person; None if nobody is asked.
        window: The task that waits for the change window; None without one.
    """

    asking: BaseOperator | None = None
    window: BaseOperator | None = None

    @property
    def tasks(self) -> tuple[BaseOperator, ...]:
        """Those that there are, in their order."""
        return tuple(task for task in self if task is not None)

    @property
    def outputs(self) -> dict[str, Any]:
        """References to their outputs, as the next task takes them."""
        return {
            name: None if task is None else task.output for name, task in zip(("answer", "opened"), self, strict=True)
        }


class ReleaseTasks(NamedTuple):
    """The tasks of the release through which the winner ships.

    Attributes:
        start: The task that ends the iteration on its baseline, and starts the release.
        watch: The sensor that waits for its end.
    """

    start: LaunchDarklyShipByReleaseOperator
    watch: BaseOperator

    @property
    def tasks(self) -> tuple[BaseOperator, ...]:
        """Both, in their order."""
        return (self.start, self.watch)

    @property
    def of_ending(self) -> dict[str, Any]:
        """The arguments of an ending that follows on them. It also runs if they are skipped, and skips itself then."""
        return {"started": self.start.output, "release": self.watch.output, "trigger_rule": NONE_FAILED}


class WaitingTasks:
    """Makes the tasks that wait, and keeps what has been made so far. The base of what makes a rollout's tasks.

    Args:
        rollout: The rollout.
        overrides: Keys known only when a task runs.
        notifiers: Airflow notifiers of the user.
        poll_interval: Seconds between two looks at a question; None for the configured interval.
        poke_interval: Seconds between two polls of a sensor; None for that of the `default_args`.
        group_id: The group's id.
    """

    def __init__(
        self,
        rollout: Rollout,
        overrides: Mapping[str, Any],
        notifiers: list[Any],
        poll_interval: float | None,
        *,
        poke_interval: float | None,
        group_id: str | None,
    ) -> None:
        self.rollout = rollout
        self.group_id = group_id
        self.overrides = overrides
        self.notifiers = notifiers
        self.poll_interval = poll_interval
        self.waiting: dict[str, Any] = {} if poke_interval is None else {"poke_interval": poke_interval}
        self.where = {
            "project_key": overrides.get("project_key", rollout.project),
            "environment_key": overrides.get("environment_key", rollout.environment),
            "launchdarkly_conn_id": rollout.connection,
        }
        self.experiment_key = overrides.get("experiment_key", rollout.experiment.key)
        self.experiment = {"experiment_key": self.experiment_key, **without_connection(self.where)}
        self.window: dict[str, Any] = {}
        if rollout.change_window:
            self.window = {"window": rollout.change_window, "timezone": overrides.get("timezone")}
        self.tasks: list[BaseOperator] = []
        self.starts: list[BaseOperator] = []
        self.before = TasksBefore()

    def follow(self, *tasks: BaseOperator) -> None:
        """Let tasks follow one another, and the first of them all that were made before."""
        chain(*self.tasks[-1:], *tasks)
        self.tasks += tasks

    @cached_property
    def plain(self) -> dict[str, Any]:
        """The rollout as plain JSON. All tasks share it."""
        return self.rollout.to_json()

    @cached_property
    def _shown(self) -> dict[str, Any]:
        return shown_rollout(self.rollout, self.group_id)

    def shown(self, number: int | None) -> dict[str, Any]:
        """Return what the pages show of the rollout, for a task of this stage or, with None, after the stages."""
        return self._shown | {"stage": None if number is None else number + 1}

    def tell_of_verdicts(self, number: int | None) -> list[Any] | None:
        """Return the callbacks that tell of harm, and of what someone else changed, while a stage runs."""
        if number is None:
            return None
        found = [tell(self.rollout, event, stage=number) or [] for event in (Event.HARM, Event.DRIFT)]
        return [*found[0], *found[1]] or None

    def judged(self, number: int, *, extended: bool = False) -> dict[str, Any]:
        """Return how the results of a stage are judged, as the sensor takes it."""
        policy = self.rollout.policy_of(number, extended=extended)
        return {"arrival": self.rollout.arrival, "policy": policy, "results": self.rollout.results}

    def before_stage(self, number: int, words: Mapping[str, Mapping[str, Any]], first: Mapping[str, Any]) -> Waits:
        """Make the tasks that ask whether a stage may start, and wait for the change window.

        Args:
            number: The stage's number, from 0.
            words: The display name and the description of each task, by its id.
            first: Further arguments of the first task.
        """
        answer, opened = None, None
        if self.rollout.asks_before(number):
            from airflow_provider_launchdarkly.rollout.questions import LaunchDarklyApproveStageOperator

            question = self.question("approve", ApprovalOption, number - 1 if number else None)
            answer = LaunchDarklyApproveStageOperator(number=number, **question, **words["approve"], **first)
            first = {}
        if self.window:
            opened = self.wait_for_window(number, answer, **words["window"], **first)
        return Waits(answer, opened)

    def question(
        self, task_id: str, options: Iterable[str], stage: int | None, default: str = ApprovalOption.REJECT
    ) -> dict[str, Any]:
        """Return the arguments of a task that asks while a stage runs."""
        from airflow.providers.standard.operators.hitl import HITLOperator

        users = [{"id": user, "name": user} for user in self.rollout.approval.users]
        return {
            "task_id": task_id,
            "rollout": self.rollout,
            "before": self.before,
            **without_connection(self.where),
            "options": [str(option) for option in options],
            "defaults": [str(default)],
            **answer_within(HITLOperator, self.rollout.approval.timeout),
            "assigned_users": cast("Any", users or None),
            "poll_interval": self.poll_interval,
            "notifiers": tell(self.rollout, Event.ASKED, stage=stage, also=self.notifiers) or (),
            "reminders": tell(self.rollout, Event.REMINDED, stage=stage, also=self.notifiers) or (),
            "on_success_callback": self.tell_of_verdicts(stage),
        }

    def wait_for_window(self, number: int | None, asking: BaseOperator | None, **words: Any) -> BaseOperator:
        """Make the task that waits for the change window, before a stage or before shipping.

        Args:
            number: The stage's number, from 0; None for shipping.
            asking: The task that asks a person before.
            words: Further arguments.
        """
        running = len(self.rollout.stages) - 1 if number is None else number - 1
        return LaunchDarklyRolloutWindowSensor(
            task_id="window",
            rollout=self.plain,
            before=self.before,
            number=number,
            question=None if asking is None else asking.output,
            on_kill=self.rollout.on_kill.value,
            on_success_callback=self.tell_of_verdicts(running if running >= 0 else None),
            **self.window,
            **self.where,
            **self.waiting,
            **words,
        )

    def extension(self) -> None:
        """Make the tasks that follow without a winner: a person is asked, and the last stage is watched longer."""
        rollout = self.rollout
        last = len(rollout.stages) - 1
        longer = format_duration(rollout.endings.extension)
        with titled_group(
            "extension", f"extension by {longer}", f"Only without a winner: {longer} more of the last stage."
        ):
            tasks: list[Any] = []
            if rollout.endings.inconclusive is Inconclusive.ASK:
                from airflow_provider_launchdarkly.rollout.questions import LaunchDarklyAskInconclusiveOperator

                asking = LaunchDarklyAskInconclusiveOperator(
                    **self.question("ask", InconclusiveOption, last, rollout.default_inconclusive_option),
                    task_display_name="ask what now",
                    trigger_rule=NONE_FAILED,
                )
                tasks.append(asking)
                self.before = replace(self.before, ask=asking.task_id)
            watch = LaunchDarklyWatchExtensionSensor(
                task_id="watch",
                task_display_name="watch the extension",
                rollout=self.plain,
                before=self.before,
                experiment_key=self.experiment_key,
                iteration_id=entry_of(self.starts[-1], "iteration_id"),
                **self.where,
                on_kill=rollout.on_kill.value,
                on_success_callback=self.tell_of_verdicts(last),
                on_failure_callback=[LaunchDarklyLastWords(rollout=self.plain, stage=last)],
                **self.waiting,
                **self.judged(last, extended=True),
                **({} if tasks else {"trigger_rule": NONE_FAILED}),
            )
            watch.shown_as = self.shown(last)
            self.follow(*tasks, watch)
        self.before = replace(self.before, extension=watch.task_id)

    def release(self, verdict: BaseOperator) -> ReleaseTasks:
        """Make the tasks that ship a winner through a release.

        Args:
            verdict: The task that says how the rollout ends.
        """
        from airflow_provider_launchdarkly.rollout.ship_by_release import LaunchDarklyShipByReleaseOperator
        from airflow_provider_launchdarkly.sensors._base import BACKSTOP
        from airflow_provider_launchdarkly.sensors.releases import LaunchDarklyReleaseSensor

        with titled_group("release", "release of the winner", "Only with a winner: takes it to everyone in steps."):
            start = LaunchDarklyShipByReleaseOperator(
                task_id="start",
                task_display_name="start the release",
                rollout=self.plain,
                outcome=verdict.output,
                on_success_callback=tell(self.rollout, Event.RELEASE_STARTED),
                on_skipped_callback=self.tell_of_verdicts(len(self.rollout.stages) - 1),
                on_failure_callback=[LaunchDarklyLastWords(rollout=self.rollout, released=True)],
                doc_md=RELEASE_START,
                timezone=self.overrides.get("timezone"),
                **self.experiment,
            )
            start.shown_as = self.shown(None)
            start.notifiers = self.notifiers
            watch = LaunchDarklyReleaseSensor(
                task_id="watch",
                task_display_name="watch the release",
                flag_key=entry_of(start, "flag_key"),
                release_id=entry_of(start, "release_id"),
                ends_on=_ENDS_OF_RELEASE,
                notifiers=tell(self.rollout, Event.ASKED, also=self.notifiers) or (),
                timeout=BACKSTOP,
                on_failure_callback=[LaunchDarklyLastWords(rollout=self.rollout, released=True)],
                doc_md=RELEASE_WATCH,
                **self.where,
                **self.waiting,
            )
        return ReleaseTasks(start, watch)

    def retire(self, points: Sequence[BaseOperator]) -> None:
        """Make the tasks that retire the flag after the end.

        Args:
            points: The endings.
        """
        from airflow_provider_launchdarkly.rollout.retirement_tasks import (
            LaunchDarklyRetireAfterRolloutOperator,
            LaunchDarklyServedForSensor,
        )
        from airflow_provider_launchdarkly.sensors._base import BACKSTOP

        settings = self.rollout.retire
        if settings is None:
            return
        flag = {"flag_key": self.overrides.get("flag_key", self.rollout.experiment.flag), "settings": settings}
        failed = tell(self.rollout, Event.RETIREMENT_FAILED, also=self.notifiers)
        with titled_group("retire", "retirement of the flag", f"Afterwards: {retirement_in_words(self.rollout)}."):
            wait = LaunchDarklyServedForSensor(
                task_id="wait",
                task_display_name="wait until the flag may be retired",
                endings=[point.task_id for point in points],
                timeout=BACKSTOP,
                trigger_rule=NONE_FAILED,
                on_failure_callback=failed,
                doc_md=RETIRE_WAIT,
                **flag,
                **self.where,
                **self.waiting,
            )
            done = LaunchDarklyRetireAfterRolloutOperator(
                task_id="flag",
                task_display_name="retire the flag",
                variation_id=entry_of(wait, "variation_id"),
                on_success_callback=tell(self.rollout, Event.RETIREMENT),
                on_failure_callback=failed,
                doc_md=retire_flag(self.rollout),
                **flag,
                **self.where,
            )
        chain(points, wait, done)

    def before_ship(self) -> Waits:
        """Make the tasks before shipping, if there are any."""
        asks = self.rollout.asks_before_ship
        if not asks and not self.window:
            return Waits()
        first = {"trigger_rule": NONE_FAILED}
        answer, opened = None, None
        with titled_group("before_ship", "before shipping", "Only with a winner: asks a person, or awaits the window."):
            if asks:
                from airflow_provider_launchdarkly.rollout.questions import LaunchDarklyApproveShipOperator

                answer = LaunchDarklyApproveShipOperator(
                    **self.question("approve", ApprovalOption, len(self.rollout.stages) - 1),
                    task_display_name="approve shipping",
                    trigger_rule=NONE_FAILED,
                )
                first = {}
            if self.window:
                opened = self.wait_for_window(None, answer, task_display_name="window to ship", **first)
        found = Waits(answer, opened)
        self.follow(*found.tasks)
        return found


def titled_group(group_id: str, title: str, tooltip: str | None) -> TaskGroup:
    """Return a task group that shows a title, where this Airflow can."""
    shown = {"group_display_name": title} if _takes(TaskGroup, "group_display_name") else {}
    return TaskGroup(group_id, tooltip=tooltip or title, **cast("Any", shown))


def without_connection(where: Mapping[str, Any]) -> dict[str, Any]:
    """Return a place without its connection."""
    return {name: value for name, value in where.items() if name != "launchdarkly_conn_id"}


def answer_within(operator: Any, timeout: timedelta) -> dict[str, Any]:
    """Return the argument that limits how long an answer is waited for; older operators use the task's timeout."""
    return {"response_timeout" if _takes(operator, "response_timeout") else "execution_timeout": timeout}


@cache
def _takes(kind: Any, argument: str) -> bool:
    """Return whether a class of this Airflow takes an argument."""
    return argument in signature(kind.__init__).parameters


def entry_of(task: BaseOperator, key: str) -> Any:
    """Return a reference to one entry of a task's output, for another task's argument."""
    return cast("Any", task.output)[key]
