"""A rollout as a task group: the public operators composed, and an ending for each way in which it can end.

The tasks, below the group's id (`stage_N` only where there are several stages):

* ``stage_N.approve``, ``stage_N.window``, ``stage_N.start``, ``stage_N.watch``: the first two only where needed
* ``extension.ask``, ``extension.watch``, ``before_ship.approve``, ``before_ship.window``: only where needed
* ``verdict``, then exactly one of ``ship``, ``rollback``, ``inconclusive``, ``refused`` and ``invalid``
* ``release.start``, ``release.watch`` and the ending ``regressed``: only if the winner ships through a release
* ``unwatched``: fails and tells, if none of these was reached
* ``retire.wait``, ``retire.flag``: after an ending, only with `endings.retire`
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import TaskGroup
from airflow.sdk.bases.operator import chain

from airflow_provider_launchdarkly.notifications.events import Event
from airflow_provider_launchdarkly.retries import patient_retries
from airflow_provider_launchdarkly.rollout.dry_run import (
    OVERRIDES,
    LaunchDarklyDryRunOperator,
    LaunchDarklyRunningIterationOperator,
    justification,
)
from airflow_provider_launchdarkly.rollout.endings import (
    LaunchDarklyEndingOperator,
    LaunchDarklyUnwatchedOperator,
)
from airflow_provider_launchdarkly.rollout.options import (
    Autonomy,
    Ending,
    Gate,
)
from airflow_provider_launchdarkly.rollout.release_requests import endings_of
from airflow_provider_launchdarkly.rollout.requests import experiment_fields, stage_design
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.steps import (
    LaunchDarklyStartFirstStageOperator,
    LaunchDarklyStartNextStageOperator,
    TasksBefore,
)
from airflow_provider_launchdarkly.rollout.telling import LaunchDarklyLastWords, tell
from airflow_provider_launchdarkly.rollout.verdict_task import LaunchDarklyVerdictOperator
from airflow_provider_launchdarkly.rollout.waiting_tasks import NONE_FAILED, WaitingTasks, Waits, entry_of, titled_group
from airflow_provider_launchdarkly.rollout.withheld import ENDINGS as WITHHELD_ENDINGS
from airflow_provider_launchdarkly.rollout.words import ENDINGS, UNWATCHED, VERDICT, stage_tasks
from airflow_provider_launchdarkly.sensors._base import configured_poll_interval
from airflow_provider_launchdarkly.sensors.experiments import LaunchDarklyDwellSensor
from airflow_provider_launchdarkly.sensors.significance import LaunchDarklyWaitForSignificanceSensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from airflow.sdk import BaseOperator

    from airflow_provider_launchdarkly.rollout.ship_by_release import LaunchDarklyShipByReleaseOperator


class RolloutTaskGroup(TaskGroup):
    """The task group of a rollout. Exactly one of its endings succeeds; the others are skipped."""

    def _child(self, name: str) -> BaseOperator:
        return cast("BaseOperator", self.children[f"{self.group_id}.{name}"])

    @property
    def ship(self) -> BaseOperator:
        """The task that succeeds once the winner is shipped and the flag serves it.

        With `launchdarkly_approval` it is skipped if the results turn while it waits, with the XCom ``withheld``: the
        outcome by which `rollback`, `inconclusive` or `invalid` follows. All that depends on it is skipped, too.
        """
        return self._child(Ending.SHIP)

    @property
    def rollback(self) -> BaseOperator:
        """The task that succeeds once everyone is back on the baseline because a metric was harmed."""
        return self._child(Ending.ROLLBACK)

    @property
    def inconclusive(self) -> BaseOperator:
        """The task that succeeds if no treatment won, or the data changed after a treatment had.

        If its output has ``winner`` None, the experiment is still running.
        """
        return self._child(Ending.INCONCLUSIVE)

    @property
    def refused(self) -> BaseOperator:
        """The task that succeeds if a person rejected the next stage or the shipping, or nobody answered in time.

        Its output has ``refused_by``. If its ``winner`` is None, the experiment is still running.
        """
        return self._child(Ending.REFUSED)

    @property
    def invalid(self) -> BaseOperator:
        """The task that succeeds if the experiment cannot be judged. Nothing was changed; a person has to look."""
        return self._child(Ending.INVALID)

    @property
    def regressed(self) -> BaseOperator | None:
        """The task that succeeds if the winner's release went back to the baseline; None without a release.

        Its output has ``release``, with the metrics that ``regressed``.
        """
        return cast("BaseOperator | None", self.children.get(f"{self.group_id}.{Ending.REGRESSED}"))

    @property
    def retire(self) -> BaseOperator | None:
        """The task that retires the flag, or proposes to; None without `endings.retire`.

        It runs long after the ending, and is skipped if the experiment is still running. Its output is
        :class:`.RetiredFlagOutput`.
        """
        group = cast("TaskGroup | None", self.children.get(f"{self.group_id}.retire"))
        return None if group is None else cast("BaseOperator", group.children[f"{self.group_id}.retire.flag"])

    @property
    def verdict(self) -> Any:
        """The outcome in XCom: ``ending``, ``why``, ``stage``, ``iteration_id``, ``winner``, ``verdict`` and more.

        A ship that is withheld later is no part of it: each ending's own output is what the rollout ended by.
        """
        return self._child("verdict").output


def experiment_rollout(
    rollout: Rollout | Mapping[str, Any],
    *,
    group_id: str = "rollout",
    notifiers: Sequence[Any] = (),
    poll_interval: float | None = None,
    retries: int | None = None,
    retry_delay: timedelta | float | None = None,
    **overrides: Any,
) -> RolloutTaskGroup:
    """Compose a rollout's tasks into a task group, inside a DAG or another task group.

    Each stage is a separate iteration. Starting it ends the iteration before it without a winner. Every task is safe to
    repeat. Only a ship verdict on the iteration that is stopped leads to ``ship``; a rollback waits neither for the
    change window nor for people; ``invalid`` stops nothing.

    Args:
        rollout: The rollout, or the same as plain JSON.
        group_id: The group's id.
        notifiers: Airflow notifiers to run when a person is asked, at the end, and if nobody watches any more, besides
            those that the rollout's `notify` names.
        poll_interval: Seconds between two polls while waiting. Default: ``[launchdarkly] poll_interval``.
        retries: Retries of each task. Default: those in the ``default_args`` of the DAG or task group around it, else
            :data:`.RETRIES`, enough to outlive an outage of an hour. With none, one killed task ends the run.
        retry_delay: Time before the first retry, in seconds if it is a number; each further one doubles it, up to
            :data:`.LONGEST_RETRY_DELAY`. Default: as for `retries`, else :data:`.RETRY_DELAY`.
        overrides: Keys known only when a task runs: Jinja, a Param, or the argument of a mapped task group.
            ``experiment_key``, ``experiment_name``, ``flag_key``, ``rule_id``, ``project_key``, ``environment_key``,
            and ``timezone`` of the change window.

    Returns:
        The group, with the endings ``ship``, ``rollback``, ``inconclusive``, ``refused`` and ``invalid``, with a
        release ``regressed`` as well, and ``verdict``. With `endings.retire` it has the task ``retire``, too.

    Raises:
        InvalidSettingError: The rollout is not valid; the error names each field and its value.
        ConfigurationError: `retries` or `retry_delay` is of a wrong kind or out of range.
        TypeError: There is no such override.
    """
    spec = rollout if isinstance(rollout, Rollout) else Rollout.from_json(rollout)
    if unknown := sorted(set(overrides) - set(OVERRIDES)):
        raise TypeError(f"experiment_rollout takes no {unknown[0]!r}; a task can override {', '.join(OVERRIDES)}")
    group = RolloutTaskGroup(group_id, tooltip="\n".join(spec.concerns()) or spec.notes or "")
    around = {**group.dag.default_args, **group.default_args}
    group.default_args = patient_retries(around, retries, retry_delay)
    poke_interval = poll_interval
    if poke_interval is None and "poke_interval" not in group.default_args:
        # Read once: each sensor would read it for itself, and that takes as long as making the task.
        poke_interval = configured_poll_interval()
    with group:
        composer = _Composer(
            spec, overrides, list(notifiers), poll_interval, poke_interval=poke_interval, group_id=group.group_id
        )
        composer.compose()
    return group


class _Composer(WaitingTasks):
    """Makes the tasks, within the open task group."""

    def compose(self) -> None:
        """Make all tasks."""
        if self.rollout.autonomy is Autonomy.OBSERVE:
            self.observe()
            return
        for number in range(len(self.rollout.stages)):
            if len(self.rollout.stages) == 1:
                self.stage(number)
            else:
                with titled_group(
                    f"stage_{number + 1}", self.rollout.title_of(number), self.rollout.stages[number].notes
                ):
                    self.stage(number)
        if self.rollout.extends:
            self.extension()
        waits = self.before_ship()
        verdict = LaunchDarklyVerdictOperator(
            task_id="verdict",
            rollout=self.plain,
            before=self.before,
            **waits.outputs,
            asked=self.rollout.asks_before_ship,
            waited=self.judges_again,
            trigger_rule=NONE_FAILED,
            on_success_callback=self.tell_of_verdicts(len(self.rollout.stages) - 1),
            doc_md=VERDICT,
        )
        self.follow(verdict)
        self.end(verdict)

    @property
    def judges_again(self) -> bool:
        """True if the results are judged again before a start or a ship, since it may have waited."""
        return bool(self.window) or self.rollout.launchdarkly_approval is not None

    def stage(self, number: int) -> None:
        """Make the tasks of one stage."""
        rollout = self.rollout
        words = stage_tasks(rollout, number)
        # The first task of a stage runs whichever stages before it were skipped, and skips itself if it is not next.
        first = {"trigger_rule": NONE_FAILED} if number else {}
        waits = self.before_stage(number, words, first)
        start = self.start(number, waits, **words["start"], **({} if waits.tasks else first))
        iteration = {
            "experiment_key": self.experiment_key,
            "iteration_id": entry_of(start, "iteration_id"),
            **self.where,
        }
        watch = self.watch(number, iteration, **words["watch"])
        start.shown_as = watch.shown_as = self.shown(number)
        start.notifiers = self.notifiers
        self.follow(*waits.tasks, start, watch)
        self.starts.append(start)
        self.before = replace(self.before, stages=(*self.before.stages, (start.task_id, watch.task_id)))

    def start(
        self, number: int, waits: Waits, **words: Any
    ) -> LaunchDarklyStartFirstStageOperator | LaunchDarklyStartNextStageOperator:
        """Make the task that creates a stage's iteration, and the experiment with the first, and starts it."""
        rollout = self.rollout
        design = {
            **stage_design(rollout, number),
            **{name: self.overrides[name] for name in ("flag_key", "rule_id") if name in self.overrides},
        }
        common = {
            "task_id": "start",
            **self.where,
            **design,
            **words,
            "experiment_key": self.experiment_key,
            "rollout": self.plain,
            "number": number,
            **waits.outputs,
            "asked": rollout.asks_before(number),
            "waited": self.judges_again,
            "timezone": self.overrides.get("timezone"),
            "on_success_callback": tell(rollout, Event.STAGE_ENTERED if number else Event.STARTED, stage=number),
            "on_skipped_callback": self.tell_of_verdicts(number - 1 if number else None),
        }
        if number:
            return LaunchDarklyStartNextStageOperator(
                **common, before=self.before, change_justification=justification(rollout, number)
            )
        own = {name: value for name, value in experiment_fields(rollout).items() if name != "key"}
        name = self.overrides.get("experiment_name", own.pop("name"))
        return LaunchDarklyStartFirstStageOperator(**common, **own, name=name)

    def watch(
        self, number: int, iteration: Mapping[str, Any], **words: Any
    ) -> LaunchDarklyDwellSensor | LaunchDarklyWaitForSignificanceSensor:
        """Make the sensor that ends a stage."""
        stage = self.rollout.stages[number]
        arguments = {
            "task_id": "watch",
            **iteration,
            **words,
            "on_kill": self.rollout.on_kill.value,
            "on_success_callback": self.tell_of_verdicts(number),
            "on_failure_callback": [LaunchDarklyLastWords(rollout=self.plain, stage=number)],
            **self.waiting,
        }
        if stage.gate is Gate.NONE and stage.dwell is not None:
            return LaunchDarklyDwellSensor(**arguments, dwell=stage.dwell)
        return LaunchDarklyWaitForSignificanceSensor(**arguments, **self.judged(number))

    @property
    def withholds_ship(self) -> bool:
        """True if the results are judged again by the task that ships, which may withhold the ship."""
        return self.rollout.launchdarkly_approval is not None

    def around_a_ship(self, ending: Ending) -> dict[str, Any]:
        """Return the arguments of an ending that may withhold the ship, or may follow on a ship that was withheld."""
        if self.withholds_ship and ending is Ending.SHIP:
            return {"on_skipped_callback": self.tell_of_verdicts(len(self.rollout.stages) - 1)}
        if self.withholds_ship and ending in WITHHELD_ENDINGS:
            return {"trigger_rule": NONE_FAILED}
        return {}

    def follow_ship(
        self,
        verdict: LaunchDarklyVerdictOperator,
        ship: LaunchDarklyEndingOperator | LaunchDarklyShipByReleaseOperator,
        points: Mapping[Ending, LaunchDarklyEndingOperator],
    ) -> None:
        """Let the endings of a ship that was withheld follow on the task that ships.

        Args:
            verdict: The task that says how the rollout ends.
            ship: The task that ships: the ending, or what starts the release.
            points: The endings.
        """
        verdict.ship, ship.rollback = ship.task_id, points[Ending.ROLLBACK].task_id
        for point in points.values():
            if point is not ship:
                point.ship = ship.task_id
        chain(ship, [points[ending] for ending in WITHHELD_ENDINGS])

    def end(self, verdict: LaunchDarklyVerdictOperator) -> None:
        """Make the endings, and the task that tells if none was reached."""
        asked = [task for task in self.tasks if task.task_id.endswith(".approve") or task.task_id == "approve"]
        release = self.release(verdict) if self.rollout.release else None
        points = [
            LaunchDarklyEndingOperator(
                task_id=ending.value,
                rollout=self.plain,
                outcome=verdict.output,
                ending=ending,
                again=asked[-1].task_id if ending is Ending.REFUSED and asked else self.tasks[-1].task_id,
                on_success_callback=tell(self.rollout, Event.ENDED, also=self.notifiers),
                doc_md=ENDINGS[ending],
                timezone=self.overrides.get("timezone"),
                **self.experiment,
                **(release.of_ending if release and ending in {Ending.SHIP, Ending.REGRESSED} else {}),
                **self.around_a_ship(ending),
            )
            for ending in endings_of(self.rollout)
        ]
        for point in points:
            point.shown_as = self.shown(None)
            point.notifiers = self.notifiers
        verdict.rollback = next(point.task_id for point in points if point.ending is Ending.ROLLBACK)
        if self.withholds_ship:
            by_ending = {point.ending: point for point in points}
            self.follow_ship(verdict, release.start if release else by_ending[Ending.SHIP], by_ending)
        unwatched = LaunchDarklyUnwatchedOperator(
            task_id="unwatched",
            rollout=self.plain,
            starts=[task.task_id for task in self.starts],
            endings=[task.task_id for task in points],
            tasks=[task.task_id for task in (*self.tasks, *(release.tasks if release else ()))],
            release=release.start.task_id if release else None,
            on_failure_callback=tell(self.rollout, Event.UNWATCHED, also=self.notifiers),
            doc_md=UNWATCHED,
            **self.experiment,
        )
        unwatched.shown_as, unwatched.verdict = self.shown(None), verdict.task_id
        # Airflow runs a teardown also in a run that a person has marked failed.
        chain(points, unwatched.as_teardown(on_failure_fail_dagrun=True))
        if self.rollout.retire is not None:
            self.retire(points)

    def observe(self) -> None:
        """Make the tasks that log each request and judge the running iteration. No ending is ever reached."""
        rollout = self.rollout.model_copy(update={"stages": self.rollout.stages[-1:]})
        LaunchDarklyDryRunOperator(task_id="dry_run", rollout=self.rollout, **self.overrides)
        running = LaunchDarklyRunningIterationOperator(task_id="running", rollout=rollout, **self.overrides)
        watch = LaunchDarklyWaitForSignificanceSensor(
            task_id="watch",
            experiment_key=self.experiment_key,
            iteration_id=entry_of(running, "iteration_id"),
            arrival=rollout.arrival,
            **self.where,
            policy=rollout.policy_of(0),
            results=rollout.results,
            **self.waiting,
        )
        watch.shown_as = self.shown(len(self.rollout.stages) - 1)
        verdict = LaunchDarklyVerdictOperator(
            task_id="verdict",
            rollout=rollout,
            before=TasksBefore(((running.task_id, watch.task_id),)),
        )
        chain(watch, verdict)
        LaunchDarklyDryRunOperator(task_id="would_end", rollout=rollout, outcome=verdict.output, **self.overrides)
        for ending in endings_of(self.rollout):
            LaunchDarklyEndingOperator(
                task_id=ending.value,
                rollout=rollout,
                outcome=verdict.output,
                ending=ending,
                observed=True,
                doc_md=ENDINGS[ending],
                **self.experiment,
            )
