"""Waves as task groups: a rollout for each target, in lanes, and what opens each wave.

The tasks:

* ``open_wave_N``, ``pause_wave_N``, ``approve_wave_N``, ``refused_wave_N``: the last three only where needed
* ``wave_N.begin_TARGET``: lets the target begin, or skips it
* ``wave_N.TARGET.…``: the tasks of :mod:`.task_group`, in a group that goes by the target's key
* ``wave_N.count_TARGET``: succeeds once more targets have failed than tolerated
* ``stopped``: tells, once, that nothing further starts
* ``summary``: how each target ended

A wave has as many lanes as targets may be under way. In a lane each target follows on the one before, so Airflow's own
order of tasks holds the limit, whether tasks run, wait deferred, or wait for a person. A pool cannot: a target's tasks
give their slots back between each other, and another target would take them while this one goes unwatched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk.bases.operator import chain
from airflow.sdk.definitions._internal.contextmanager import TaskGroupContext

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.notifications.events import Event
from airflow_provider_launchdarkly.retries import patient_retries
from airflow_provider_launchdarkly.rollout.endings import LaunchDarklyEndingOperator, LaunchDarklyUnwatchedOperator
from airflow_provider_launchdarkly.rollout.entries import group_id_of
from airflow_provider_launchdarkly.rollout.options import ApprovalOption, Ending
from airflow_provider_launchdarkly.rollout.task_group import RolloutTaskGroup, experiment_rollout
from airflow_provider_launchdarkly.rollout.telling import tell
from airflow_provider_launchdarkly.rollout.waiting_tasks import NONE_FAILED, answer_within, entry_of, titled_group
from airflow_provider_launchdarkly.rollout.wave_steps import (
    Board,
    LaunchDarklyBeginTargetOperator,
    LaunchDarklyCountTargetOperator,
    LaunchDarklyOpenWaveOperator,
    LaunchDarklyWaveRefusedOperator,
    LaunchDarklyWavesStoppedOperator,
    LaunchDarklyWavesSummaryOperator,
)
from airflow_provider_launchdarkly.rollout.wave_tally import TargetTasks
from airflow_provider_launchdarkly.rollout.waves import Waves
from airflow_provider_launchdarkly.sensors._base import BACKSTOP
from airflow_provider_launchdarkly.sensors._pause import LaunchDarklyPauseSensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from airflow.sdk import BaseOperator

    from airflow_provider_launchdarkly.rollout.spec import Rollout
    from airflow_provider_launchdarkly.rollout.waves import Wave

ALL_DONE = "all_done"
ONE_SUCCESS = "one_success"


@dataclass(frozen=True, slots=True)
class WaveTasks:
    """The tasks of waves.

    Attributes:
        targets: The task group of each target, by the target's key, in the order of the waves.
        start: The first task.
        stopped: The task that succeeds once nothing further starts, because too many failed or a wave was refused.
        summary: The last task: how each target ended, and who gets what.
    """

    targets: Mapping[str, RolloutTaskGroup]
    start: BaseOperator
    stopped: BaseOperator
    summary: BaseOperator


def experiment_waves(
    rollout: Waves | Mapping[str, Any],
    *,
    notifiers: Sequence[Any] = (),
    poll_interval: float | None = None,
    retries: int | None = None,
    retry_delay: timedelta | float | None = None,
    **overrides: Any,
) -> WaveTasks:
    """Compose the same rollout for many targets, in waves, inside a DAG or another task group.

    Each target is a rollout with a task group of its own, as :func:`experiment_rollout` makes it. A wave starts once
    all targets of the one before have ended. Once more targets have failed than tolerated, nothing further starts: what
    is under way ends as its own rules say, and the rest stays untouched. Every task is safe to repeat.

    Args:
        rollout: The waves, or the same as plain JSON: a rollout with ``targets`` and ``waves``.
        notifiers: As for :func:`experiment_rollout`, for each target and for ``stopped``.
        poll_interval: As for :func:`experiment_rollout`.
        retries: As for :func:`experiment_rollout`, and for the tasks between the targets.
        retry_delay: As for `retries`.
        overrides: ``timezone`` of the change windows, known only when a task runs, the same for each target.

    Returns:
        The task group of each target, the first task, and those that tell how it ended.

    Raises:
        InvalidSettingError: The rollout is not valid; the error names each field and its value.
        ConfigurationError: `retries` or `retry_delay` is of a wrong kind or out of range.
        TypeError: There is no such override.
        ValueError: The task group around it is mapped, in which Airflow cannot skip what follows.
    """
    spec = rollout if isinstance(rollout, Waves) else Waves.from_json(rollout)
    if unknown := sorted(set(overrides) - {"timezone"}):
        raise TypeError(f"experiment_waves takes no {unknown[0]!r}: write what differs in `targets`")
    shared = {"notifiers": notifiers, "poll_interval": poll_interval, **overrides}
    return _Composer(spec, shared, {"retries": retries, "retry_delay": retry_delay}).compose()


class _Composer:
    """Makes the tasks, within the open DAG or task group."""

    def __init__(self, spec: Waves, shared: Mapping[str, Any], retries: Mapping[str, Any]) -> None:
        self.spec = spec
        self.shared, self.retries = shared, retries
        self.rollouts = dict(zip(spec.targets, spec.rollouts, strict=True))
        self.board = Board(spec.tolerated, spec.settings.inconclusive_fails, len(spec.waves), self.rollouts)
        self.groups: dict[str, RolloutTaskGroup] = {}
        self.stopping: list[BaseOperator] = []

    @property
    def defaults(self) -> dict[str, Any]:
        """The arguments of each task that is no target's."""
        around = TaskGroupContext.get_current(None)
        outer = {**around.dag.default_args, **around.default_args} if around else {}
        return patient_retries(outer, **self.retries)

    def compose(self) -> WaveTasks:
        """Make all tasks."""
        last: list[Any] = []
        first: BaseOperator | None = None
        for number, keys in enumerate(self.spec.waves):
            steps = self.before_wave(number, keys)
            first = first or steps[0]
            chain(last or [], steps[0])
            last = self.wave(number, keys, steps)
        stopped = LaunchDarklyWavesStoppedOperator(
            task_id="stopped",
            board=self.board,
            trigger_rule=ONE_SUCCESS,
            on_success_callback=tell(self._told(), Event.STOPPED, also=self.shared["notifiers"]),
            doc_md="Tells that nothing further starts: how many failed, and who gets what.",
            **self.defaults,
        )
        summary = LaunchDarklyWavesSummaryOperator(
            task_id="summary",
            board=self.board,
            trigger_rule=ALL_DONE,
            doc_md="How each target ended, once all that began have ended.",
            **self.defaults,
        )
        chain(self.stopping, stopped)
        chain([*last, stopped], summary)
        self.board.own = [*self.board.own, stopped.task_id]
        return WaveTasks(self.groups, cast("BaseOperator", first), stopped, summary)

    def _told(self) -> Rollout:
        """Return a rollout with the channels of all targets."""
        first = self.spec.rollouts[0]
        channels = {each.model_dump_json(): each for rollout in self.spec.rollouts for each in rollout.notify}
        return first.model_copy(update={"notify": tuple(channels.values())})

    def before_wave(self, number: int, keys: Sequence[str]) -> list[BaseOperator]:
        """Make the tasks before a wave: what opens it, and what it waits for."""
        wave, rollout = self.spec.settings.order[number], self.rollouts[keys[0]]
        name = f"wave_{number + 1}"
        opens = LaunchDarklyOpenWaveOperator(
            task_id=f"open_{name}",
            board=self.board,
            wave=number + 1,
            rollout=rollout,
            pause=wave.pause,
            doc_md="Opens the wave, unless more targets have failed than tolerated.",
            **({"trigger_rule": ALL_DONE} if number else {}),
            **self.defaults,
        )
        if any(opens.iter_mapped_task_groups()):
            raise ValueError("waves cannot be in a mapped task group: make them for each of its elements")
        steps: list[BaseOperator] = [opens]
        if wave.pause is not None:
            interval = self.shared["poll_interval"]
            pause = LaunchDarklyPauseSensor(
                task_id=f"pause_{name}",
                until=entry_of(opens, "until"),
                project_key=rollout.project,
                environment_key=rollout.environment,
                launchdarkly_conn_id=rollout.connection,
                timeout=BACKSTOP,
                doc_md=f"Waits {format_duration(wave.pause)} after the end of the wave before.",
                **({} if interval is None else {"poke_interval": interval}),
                **self.defaults,
            )
            steps.append(pause)
        if wave.approval:
            steps.append(self.question(wave, number, keys, rollout))
        opens.waits = [task.task_id for task in steps[1:]]
        chain(*steps)
        self.board.own += [task.task_id for task in steps]
        if wave.approval:
            refused = LaunchDarklyWaveRefusedOperator(
                task_id=f"refused_{name}",
                board=self.board,
                wave=number + 1,
                trigger_rule=ALL_DONE,
                doc_md="Succeeds if a person refused the wave, or nobody answered in time.",
                **self.defaults,
            )
            chain(steps[-1], refused)
            self.board.approvals[number + 1] = steps[-1].task_id
            self.stopping.append(refused)
            self.board.own.append(refused.task_id)
        return steps

    def question(self, wave: Wave, number: int, keys: Sequence[str], rollout: Rollout) -> BaseOperator:
        """Make the task that asks whether a wave may start."""
        from airflow.providers.standard.operators.hitl import HITLOperator

        from airflow_provider_launchdarkly.rollout.wave_question import LaunchDarklyApproveWaveOperator

        users = [{"id": user, "name": user} for user in rollout.approval.users]
        return LaunchDarklyApproveWaveOperator(
            task_id=f"approve_wave_{number + 1}",
            board=self.board,
            targets=keys,
            notes=wave.notes,
            subject=f"Start wave {number + 1} of {len(self.spec.waves)}, with {len(keys)} targets?",
            options=[str(option) for option in ApprovalOption],
            defaults=[str(ApprovalOption.REJECT)],
            assigned_users=cast("Any", users or None),
            notifiers=tell(self._told(), Event.ASKED, also=self.shared["notifiers"]) or (),
            remind_after=rollout.approval.remind_after,
            reminders=tell(self._told(), Event.REMINDED, also=self.shared["notifiers"]) or (),
            **answer_within(HITLOperator, rollout.approval.timeout),
            **self.defaults,
        )

    def wave(self, number: int, keys: Sequence[str], steps: Sequence[BaseOperator]) -> list[BaseOperator]:
        """Make the targets of a wave, in lanes; return the last task of each lane."""
        lanes: dict[int, BaseOperator] = {}
        wave = self.spec.settings.order[number]
        requires = [task.task_id for task in steps]
        title = f"wave {number + 1} of {len(self.spec.waves)}"
        with titled_group(f"wave_{number + 1}", title, wave.notes or ", ".join(keys)):
            for place, key in enumerate(keys):
                begin = LaunchDarklyBeginTargetOperator(
                    task_id=f"begin_{group_id_of(key)}",
                    board=self.board,
                    target=key,
                    wave=number + 1,
                    requires=requires,
                    trigger_rule=ALL_DONE,
                    doc_md=f"Lets {key} begin, or leaves it untouched if nothing further starts.",
                    **self.defaults,
                )
                lane = place % self.spec.settings.max_under_way
                chain(lanes.get(lane, steps[-1]), begin)
                lanes[lane] = self.target(number, key, begin)
        return list(lanes.values())

    def target(self, number: int, key: str, begin: LaunchDarklyBeginTargetOperator) -> BaseOperator:
        """Make the rollout of a target after the task that begins it; return the task that counts it."""
        group = experiment_rollout(self.rollouts[key], group_id=group_id_of(key), **self.retries, **self.shared)
        tasks = [cast("BaseOperator", task) for task in group.iter_tasks()]
        chain(begin, group)
        first = next(task for task in tasks if begin.task_id in task.upstream_task_ids)
        # Those that run even if the tasks before them are skipped follow on `begin` themselves: when they are cleared,
        # Airflow skips only what follows directly on what skipped it.
        chain(begin, [task for task in tasks if task.trigger_rule == NONE_FAILED])
        begin.later = [task.task_id for task in tasks]
        # A rollout that only observes has none.
        unwatched = cast("LaunchDarklyUnwatchedOperator | None", group.children.get(f"{group.group_id}.unwatched"))
        if unwatched is not None:
            unwatched.after = begin.task_id
        for task in tasks:
            if isinstance(task, (LaunchDarklyEndingOperator, LaunchDarklyUnwatchedOperator)):
                task.beside = True
        count = LaunchDarklyCountTargetOperator(
            task_id=f"count_{group_id_of(key)}",
            board=self.board,
            target=key,
            trigger_rule=ALL_DONE,
            doc_md=f"Succeeds if more targets have failed than tolerated once {key} has ended; else it is skipped.",
            **self.defaults,
        )
        # Its flag is retired long after its ending, and nothing waits for that.
        chain(group if group.retire is None else [each for each in tasks if _is_ending(each)], count)
        self.groups[key] = group
        self.stopping.append(count)
        self.board.own += [begin.task_id, count.task_id]
        self.board.targets.append(
            TargetTasks(
                key,
                number + 1,
                begin.task_id,
                first.task_id,
                tuple(name for ending in Ending if (name := f"{group.group_id}.{ending}") in group.children),
                tuple(unwatched.starts) if unwatched is not None else (),
                unwatched.release if unwatched is not None else None,
            )
        )
        return count


def _is_ending(task: BaseOperator) -> bool:
    return isinstance(task, LaunchDarklyEndingOperator)
