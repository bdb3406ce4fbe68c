"""A rollout as a task group: the public operators composed, and four tasks to which users attach their own.

Whoever needs another shape composes the same operators; nothing here does what they cannot.
"""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import TaskGroup
from airflow.sdk.bases.operator import chain

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.operators.experiments import LaunchDarklyCreateExperimentOperator
from airflow_provider_launchdarkly.operators.flags import LaunchDarklyCheckFlagServesOperator
from airflow_provider_launchdarkly.operators.iterations import (
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
)
from airflow_provider_launchdarkly.rollout import state_machine
from airflow_provider_launchdarkly.rollout.dry_run import (
    OVERRIDES,
    LaunchDarklyDryRunOperator,
    LaunchDarklyRunningIterationOperator,
    justification,
)
from airflow_provider_launchdarkly.rollout.iterations import LaunchDarklyStageIterationOperator
from airflow_provider_launchdarkly.rollout.requests import post, stage_design
from airflow_provider_launchdarkly.rollout.spec import Autonomy, Fallback, Gate, Inconclusive, Rollout
from airflow_provider_launchdarkly.rollout.steps import (
    LaunchDarklyConcludeOperator,
    LaunchDarklyConfirmStepOperator,
    LaunchDarklyEnterStageOperator,
    LaunchDarklyIfEndingOperator,
)
from airflow_provider_launchdarkly.sensors.change_window import LaunchDarklyChangeWindowSensor
from airflow_provider_launchdarkly.sensors.experiments import LaunchDarklyDwellSensor
from airflow_provider_launchdarkly.sensors.significance import LaunchDarklyWaitForSignificanceSensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from airflow.sdk import BaseOperator

ENDINGS = ("ship", "rollback", "inconclusive", "invalid")

# A task that follows from several others of which some are skipped: it runs unless one of them failed.
NONE_FAILED = "none_failed"


class RolloutTaskGroup(TaskGroup):
    """A rollout's tasks. Of its four branch points exactly one goes on, the others are skipped."""

    def _point(self, name: str) -> BaseOperator:
        return cast("BaseOperator", self.children[f"{self.group_id}.{name}"])

    @property
    def ship(self) -> BaseOperator:
        """Goes on once the winner is shipped and the flag serves it."""
        return self._point("ship")

    @property
    def rollback(self) -> BaseOperator:
        """Goes on once everyone is back on the baseline, because something was harmed."""
        return self._point("rollback")

    @property
    def inconclusive(self) -> BaseOperator:
        """Goes on if nothing won, nobody agreed, or the data changed; ``winner`` None says that it still runs."""
        return self._point("inconclusive")

    @property
    def invalid(self) -> BaseOperator:
        """Goes on if the experiment cannot be judged. Everything is as it was; somebody has to look."""
        return self._point("invalid")

    @property
    def verdict(self) -> Any:
        """How it ended, as XCom carries it: ``ending``, ``why``, ``stage``, ``iteration_id``, ``verdict`` and more."""
        return self._point("verdict").output


def experiment_rollout(
    rollout: Rollout | Mapping[str, Any],
    *,
    group_id: str = "rollout",
    notifiers: Sequence[Any] = (),
    poll_interval: float | None = None,
    **overrides: Any,
) -> RolloutTaskGroup:
    """Compose a rollout's tasks into a task group, inside a DAG or another task group.

    Each stage is an iteration of its own, created and then started in place of the one before it, which ends without
    a winner. Every task is safe to repeat. ``ship`` is reached only by a ship verdict on the very iteration that is
    stopped; a rollback waits for no window and nobody; ``invalid`` holds.

    Args:
        rollout: The rollout, or the same as plain JSON.
        group_id: The group's id.
        notifiers: Airflow notifiers that are told when a person is asked, and how it ended.
        poll_interval: Seconds between two reads while waiting. Default: ``[launchdarkly] poll_interval``.
        overrides: Keys that are known only when a task runs: Jinja, a Param, or the argument of a mapped task group.
            ``experiment_key``, ``experiment_name``, ``flag_key``, ``rule_id``, ``project_key``, ``environment_key``,
            and ``timezone`` of the change window.

    Returns:
        The group, with the branch points ``ship``, ``rollback``, ``inconclusive`` and ``invalid``, and ``verdict``.

    Raises:
        pydantic.ValidationError: The rollout is wrong; it names each field and its value.
        TypeError: There is no such override.
    """
    spec = rollout if isinstance(rollout, Rollout) else Rollout.from_json(rollout)
    if unknown := sorted(set(overrides) - set(OVERRIDES)):
        raise TypeError(
            f"experiment_rollout takes no {unknown[0]!r}; what tasks may override is {', '.join(OVERRIDES)}"
        )
    group = RolloutTaskGroup(group_id, tooltip="\n".join(spec.concerns()) or spec.notes or "")
    with group:
        _Composer(spec, overrides, list(notifiers), poll_interval).compose()
    return group


class _Composer:
    """Makes the tasks, within the task group that is open."""

    def __init__(
        self, rollout: Rollout, overrides: Mapping[str, Any], notifiers: list[Any], poll_interval: float | None
    ) -> None:
        self.rollout = rollout
        self.overrides = overrides
        self.notifiers = notifiers
        self.waiting: dict[str, Any] = {} if poll_interval is None else {"poke_interval": poll_interval}
        self.where = {
            "project_key": overrides.get("project_key", rollout.project),
            "environment_key": overrides.get("environment_key", rollout.environment),
            "launchdarkly_conn_id": rollout.connection,
        }
        self.experiment_key = overrides.get("experiment_key", rollout.experiment.key)
        self.window: dict[str, Any] = {}
        if rollout.change_window:
            self.window = {"window": rollout.change_window, "timezone": overrides.get("timezone")}

    def compose(self) -> None:
        """Make all tasks."""
        if self.rollout.autonomy is Autonomy.OBSERVE:
            self.observe()
            return
        records: list[dict[str, Any]] = []
        for number in range(len(self.rollout.stages)):
            if len(self.rollout.stages) == 1:
                records.append(self.stage(number, records))
            else:
                with TaskGroup(f"stage_{number + 1}", tooltip=self.rollout.stages[number].notes or ""):
                    records.append(self.stage(number, list(records)))
        extends, confirms = self.rollout.extends, state_machine.asks_before_ship(self.rollout) or bool(self.window)
        found = self.conclude("verdict" if not (extends or confirms) else "stages", part="stages", records=records)
        if extends:
            found = self.extension(found, "extension_end" if confirms else "verdict")
        if confirms:
            found = self.confirm_ship(found)
        self.end(found)

    def stage(self, number: int, records: list[dict[str, Any]]) -> dict[str, Any]:
        """One stage's tasks; returns where its record will be found."""
        rollout, stage = self.rollout, self.rollout.stages[number]
        tasks: list[Any] = []
        asked = state_machine.asks_before(rollout, number)
        name = stage.name or f"stage {number + 1} of {len(rollout.stages)}"
        question = f"Start {name} of {rollout.experiment.key}: {rollout.share_of_new(stage):f} % get something new?"
        entered = answer = confirm = None
        if number:
            entered = LaunchDarklyEnterStageOperator(
                task_id="enter",
                rollout=rollout,
                stage=number,
                records=records,
                question=question if asked else None,
                trigger_rule=NONE_FAILED,
            )
            tasks.append(entered)
        if asked:
            card = _entry(entered, "card") if entered else "\n\n".join(filter(None, ("Nothing runs yet.", stage.notes)))
            answer = self.ask(question, card, tasks)
        self.wait_for_window(tasks)
        if asked or (entered and self.window):
            confirm = LaunchDarklyConfirmStepOperator(
                task_id="confirm",
                rollout=rollout,
                begins=entered is None,
                asked=asked,
                answer=answer,
                entered=entered.output if entered else None,
            )
            tasks.append(confirm)
        create = self.create(number, (confirm or entered) if number else None)
        iteration = {
            "experiment_key": self.experiment_key,
            "iteration_id": _entry(create, "iteration_id"),
            **self.where,
        }
        start = LaunchDarklyStartIterationOperator(
            task_id="start",
            **iteration,
            turn_flag_on=rollout.turn_flag_on,
            change_justification=justification(rollout, number) if number else None,
            if_running="adopt" if number else rollout.if_running.value,
        )
        wait = self.gate(number, iteration)
        chain(*tasks, create, start, wait)
        return {"confirmation": confirm.output if confirm else None, "verdict": wait.output}

    def create(self, number: int, allowed: BaseOperator | None) -> BaseOperator:
        """The task that creates a stage's iteration, and the experiment with the first.

        Args:
            number: The stage's.
            allowed: The task that says which iteration the stage takes the place of; None for the first.
        """
        design = {
            **stage_design(self.rollout, number),
            **{name: self.overrides[name] for name in ("flag_key", "rule_id") if name in self.overrides},
        }
        common = {"task_id": "create", **self.where, **design, "experiment_key": self.experiment_key}
        if allowed:
            return LaunchDarklyStageIterationOperator(**common, replaces=_entry(allowed, "iteration_id"))
        own = {name: value for name, value in post(self.rollout).items() if name != "key"}
        name = self.overrides.get("experiment_name", own.pop("name"))
        return LaunchDarklyCreateExperimentOperator(**common, **own, name=name)

    def gate(self, number: int, iteration: Mapping[str, Any], *, extended: bool = False) -> BaseOperator:
        """The sensor that a stage is left by."""
        stage = self.rollout.stages[number]
        how = {"task_id": "wait", **iteration, "on_kill": self.rollout.on_kill.value, **self.waiting}
        if stage.gate is Gate.NONE and stage.dwell is not None:
            return LaunchDarklyDwellSensor(**how, dwell=stage.dwell)
        policy = self.rollout.policy_of(number, extended=extended)
        return LaunchDarklyWaitForSignificanceSensor(**how, policy=policy)

    def ask(self, subject: str, card: Any, tasks: list[Any]) -> Any:
        """The task that waits for approval; returns where the answer will be found."""
        return self.question(
            "approve",
            subject,
            card,
            tasks,
            options=[state_machine.APPROVE, state_machine.REJECT],
            default=state_machine.REJECT,
        )

    def question(
        self, task_id: str, subject: str, card: Any, tasks: list[Any], *, options: list[str], default: str
    ) -> Any:
        """The task that shows a card and waits for one of the options."""
        # Costs a seventh of a second, which only those who ask pay.
        from airflow.providers.standard.operators.hitl import HITLOperator

        users = [{"id": user, "name": user} for user in self.rollout.approval.users]
        asking = HITLOperator(
            task_id=task_id,
            subject=subject,
            body=card,
            options=options,
            defaults=[default],
            **_answer_within(HITLOperator, self.rollout.approval.timeout),
            assigned_users=cast("Any", users or None),
            notifiers=self.notifiers,
        )
        tasks.append(asking)
        return asking.output

    def wait_for_window(self, tasks: list[Any]) -> None:
        """The task that waits for the change window, if there is one."""
        if self.window:
            tasks.append(LaunchDarklyChangeWindowSensor(task_id="window", **self.window, **self.where, **self.waiting))

    def conclude(self, task_id: str, **what: Any) -> BaseOperator:
        """A conclusion, which is drawn whichever tasks before it were skipped."""
        return LaunchDarklyConcludeOperator(task_id=task_id, rollout=self.rollout, trigger_rule=NONE_FAILED, **what)

    def extension(self, found: BaseOperator, task_id: str) -> BaseOperator:
        """What follows without a winner: people are asked, or the last stage is let run on."""
        rollout = self.rollout
        last = len(rollout.stages) - 1
        with TaskGroup("extension"):
            tasks: list[Any] = []
            answer = None
            if rollout.endings.inconclusive is Inconclusive.ASK:
                longer = format_duration(rollout.endings.extension)
                question = (
                    f"{rollout.experiment.key} ended without a winner. {state_machine.EXTEND} means {longer} more."
                )
                undecided = LaunchDarklyIfEndingOperator(
                    task_id="if_undecided", rollout=rollout, conclusion=found.output, open_=True, question=question
                )
                tasks.append(undecided)
                answer = self.question(
                    "choose",
                    question,
                    _entry(undecided, "card"),
                    tasks,
                    options=[state_machine.TO_BASELINE, state_machine.EXTEND, state_machine.LEAVE],
                    default=state_machine.TO_BASELINE
                    if rollout.approval.otherwise is Fallback.BASELINE
                    else state_machine.LEAVE,
                )
            enter = LaunchDarklyIfEndingOperator(
                task_id="enter", rollout=rollout, conclusion=found.output, extends=True, answer=answer
            )
            iteration = {
                "experiment_key": self.experiment_key,
                "iteration_id": _entry(enter, "iteration_id"),
                **self.where,
            }
            wait = self.gate(last, iteration, extended=True)
            chain(*tasks, enter, wait)
        return self.conclude(task_id, part="extension", conclusion=found.output, answer=answer, extension=wait.output)

    def confirm_ship(self, found: BaseOperator) -> BaseOperator:
        """Before the winner is shipped: people are asked, the window is waited for, the data are judged afresh."""
        rollout = self.rollout
        with TaskGroup("before_ship"):
            asked = state_machine.asks_before_ship(rollout)
            question = f"Ship the winner of {rollout.experiment.key} to everyone?"
            enter = LaunchDarklyIfEndingOperator(
                task_id="enter",
                rollout=rollout,
                conclusion=found.output,
                ending="ship",
                question=question if asked else None,
            )
            tasks: list[Any] = [enter]
            answer = self.ask(question, _entry(enter, "card"), tasks) if asked else None
            self.wait_for_window(tasks)
            confirm = LaunchDarklyConfirmStepOperator(
                task_id="confirm", rollout=rollout, ships=True, asked=asked, answer=answer, entered=enter.output
            )
            chain(*tasks, confirm)
        return self.conclude("verdict", part="confirmation", conclusion=found.output, confirmation=confirm.output)

    def end(self, found: BaseOperator) -> None:
        """Stop the iteration if the end says so, check the flag, and go on at one of the branch points."""
        rollout = self.rollout
        stops = LaunchDarklyIfEndingOperator(task_id="if_stop", rollout=rollout, conclusion=found.output, stops=True)
        stop = LaunchDarklyStopIterationOperator(
            task_id="stop",
            experiment_key=self.experiment_key,
            iteration_id=_entry(stops, "iteration_id"),
            winner=_entry(stops, "winner"),
            reason=_entry(stops, "why"),
            **self.where,
        )
        verify = LaunchDarklyCheckFlagServesOperator(task_id="verify", stopped=cast("Any", stop.output), **self.where)
        chain(stops, stop, verify)
        for ending in ENDINGS:
            chain(verify, self.branch_point(ending, found))

    def branch_point(self, ending: str, found: BaseOperator) -> BaseOperator:
        """The task that goes on at one end, and tells of it."""
        return LaunchDarklyIfEndingOperator(
            task_id=ending,
            rollout=self.rollout,
            conclusion=found.output,
            ending=ending,
            trigger_rule=NONE_FAILED,
            on_success_callback=self.notifiers or None,
        )

    def observe(self) -> None:
        """Print what would be sent, judge what runs, and go on at no branch point: nothing has happened."""
        rollout = self.rollout.model_copy(update={"stages": self.rollout.stages[-1:]})
        LaunchDarklyDryRunOperator(task_id="dry_run", rollout=self.rollout, **self.overrides)
        running = LaunchDarklyRunningIterationOperator(task_id="running", rollout=rollout, **self.overrides)
        iteration = {
            "experiment_key": self.experiment_key,
            "iteration_id": _entry(running, "iteration_id"),
            **self.where,
        }
        wait = LaunchDarklyWaitForSignificanceSensor(
            task_id="wait", **iteration, policy=rollout.policy_of(0), **self.waiting
        )
        records = [{"confirmation": None, "verdict": wait.output}]
        found = LaunchDarklyConcludeOperator(task_id="verdict", rollout=rollout, part="stages", records=records)
        LaunchDarklyDryRunOperator(task_id="would_end", rollout=rollout, conclusion=found.output, **self.overrides)
        for ending in ENDINGS:
            LaunchDarklyIfEndingOperator(
                task_id=ending, rollout=rollout, conclusion=found.output, ending=ending, observed=True
            )


def _answer_within(operator: type[Any], timeout: timedelta) -> dict[str, Any]:
    """The argument by which a human-in-the-loop operator limits its waiting; older ones take the task's timeout."""
    name = "response_timeout" if "response_timeout" in signature(operator.__init__).parameters else "execution_timeout"
    return {name: timeout}


def _entry(task: BaseOperator, key: str) -> Any:
    """One entry of a task's output, for another task's argument."""
    return cast("Any", task.output)[key]
