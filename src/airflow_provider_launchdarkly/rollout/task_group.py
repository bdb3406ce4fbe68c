"""A rollout as a task group: the public operators composed, and four branch points for the users' own tasks."""

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
from airflow_provider_launchdarkly.retries import patient_retries
from airflow_provider_launchdarkly.rollout.dry_run import (
    OVERRIDES,
    LaunchDarklyDryRunOperator,
    LaunchDarklyRunningIterationOperator,
    justification,
)
from airflow_provider_launchdarkly.rollout.options import (
    ApprovalOption,
    Autonomy,
    Ending,
    Gate,
    Inconclusive,
    InconclusiveOption,
)
from airflow_provider_launchdarkly.rollout.requests import experiment_fields, stage_design
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.steps import (
    Condition,
    ConfirmMode,
    LaunchDarklyConfirmStepOperator,
    LaunchDarklyEnterStageOperator,
    LaunchDarklyIfOutcomeOperator,
    LaunchDarklyOutcomeOperator,
    LaunchDarklyStageIterationOperator,
    OutcomeMode,
)
from airflow_provider_launchdarkly.sensors.change_window import LaunchDarklyChangeWindowSensor
from airflow_provider_launchdarkly.sensors.experiments import LaunchDarklyDwellSensor
from airflow_provider_launchdarkly.sensors.significance import LaunchDarklyWaitForSignificanceSensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from airflow.sdk import BaseOperator

# A task after several others of which some are skipped: it runs unless one of them failed.
NONE_FAILED = "none_failed"


class RolloutTaskGroup(TaskGroup):
    """The task group of a rollout. Exactly one of its four branch points goes on; the others are skipped."""

    def _child(self, name: str) -> BaseOperator:
        return cast("BaseOperator", self.children[f"{self.group_id}.{name}"])

    @property
    def ship(self) -> BaseOperator:
        """The task that succeeds once the winner is shipped and the flag serves it."""
        return self._child(Ending.SHIP)

    @property
    def rollback(self) -> BaseOperator:
        """The task that succeeds once everyone is back on the baseline because a metric was harmed."""
        return self._child(Ending.ROLLBACK)

    @property
    def inconclusive(self) -> BaseOperator:
        """The task that succeeds if no treatment won, the winner was not approved, or the data changed.

        If its output has ``winner`` None, the experiment is still running.
        """
        return self._child(Ending.INCONCLUSIVE)

    @property
    def invalid(self) -> BaseOperator:
        """The task that succeeds if the experiment cannot be judged. Nothing was changed; a person has to look."""
        return self._child(Ending.INVALID)

    @property
    def verdict(self) -> Any:
        """The outcome in XCom: ``ending``, ``why``, ``stage``, ``iteration_id``, ``winner``, ``verdict`` and more."""
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
        notifiers: Airflow notifiers to run when a person is asked, at the end, and when the stop fails.
        poll_interval: Seconds between two polls while waiting. Default: ``[launchdarkly] poll_interval``.
        retries: Retries of each task. Default: those in the ``default_args`` of the DAG or task group around it, else
            :data:`.RETRIES`, enough to outlive an outage of ten minutes. With none, one killed task ends the run.
        retry_delay: Time before the first retry, in seconds if it is a number; each further one doubles it, up to
            :data:`.LONGEST_RETRY_DELAY`. Default: as for `retries`, else :data:`.RETRY_DELAY`.
        overrides: Keys known only when a task runs: Jinja, a Param, or the argument of a mapped task group.
            ``experiment_key``, ``experiment_name``, ``flag_key``, ``rule_id``, ``project_key``, ``environment_key``,
            and ``timezone`` of the change window.

    Returns:
        The group, with the branch points ``ship``, ``rollback``, ``inconclusive`` and ``invalid``, and ``verdict``.

    Raises:
        InvalidSettingError: The rollout is not valid; the error names each field and its value.
        TypeError: There is no such override.
    """
    spec = rollout if isinstance(rollout, Rollout) else Rollout.from_json(rollout)
    if unknown := sorted(set(overrides) - set(OVERRIDES)):
        raise TypeError(f"experiment_rollout takes no {unknown[0]!r}; a task can override {', '.join(OVERRIDES)}")
    group = RolloutTaskGroup(group_id, tooltip="\n".join(spec.concerns()) or spec.notes or "")
    given = {"retries": retries, "retry_delay": retry_delay}
    around = {**group.dag.default_args, **group.default_args}
    group.default_args = {
        **patient_retries(),
        **around,
        **{name: value for name, value in given.items() if value is not None},
    }
    with group:
        _Composer(spec, overrides, list(notifiers), poll_interval).compose()
    return group


class _Composer:
    """Makes the tasks, within the open task group."""

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
        outputs: list[dict[str, Any]] = []
        for number in range(len(self.rollout.stages)):
            if len(self.rollout.stages) == 1:
                outputs.append(self.stage(number, outputs))
            else:
                with TaskGroup(f"stage_{number + 1}", tooltip=self.rollout.stages[number].notes or ""):
                    outputs.append(self.stage(number, list(outputs)))
        extends, confirms = self.rollout.extends, self.rollout.asks_before_ship or bool(self.window)
        outcome = self.outcome(
            "verdict" if not (extends or confirms) else "stages", mode=OutcomeMode.STAGES, outputs=outputs
        )
        if extends:
            outcome = self.extension(outcome, "extension_end" if confirms else "verdict")
        if confirms:
            outcome = self.confirm_ship(outcome)
        self.end(outcome)

    def stage(self, number: int, outputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Make the tasks of one stage; return references to their outputs."""
        rollout, stage = self.rollout, self.rollout.stages[number]
        tasks: list[Any] = []
        asked = rollout.asks_before(number)
        name = stage.name or f"stage {number + 1} of {len(rollout.stages)}"
        question = f"Start {name} of {rollout.experiment.key}: {rollout.share_of_new(stage):f} % get something new?"
        entered = answer = confirm = None
        if number:
            entered = LaunchDarklyEnterStageOperator(
                task_id="enter",
                rollout=rollout,
                stage=number,
                outputs=outputs,
                question=question if asked else None,
                trigger_rule=NONE_FAILED,
            )
            tasks.append(entered)
        if asked:
            nothing_yet = "\n\n".join(filter(None, ("No iteration is running yet.", stage.notes)))
            card = _entry(entered, "card") if entered else nothing_yet
            answer = self.ask(question, card, tasks)
        self.wait_for_window(tasks)
        if asked or (entered and self.window):
            confirm = LaunchDarklyConfirmStepOperator(
                task_id="confirm",
                rollout=rollout,
                mode=ConfirmMode.NEXT_STAGE if entered else ConfirmMode.FIRST_STAGE,
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
        """Make the task that creates a stage's iteration, and the experiment with the first.

        Args:
            number: The stage's number.
            allowed: The task whose output names the iteration that the stage replaces; None for the first stage.
        """
        design = {
            **stage_design(self.rollout, number),
            **{name: self.overrides[name] for name in ("flag_key", "rule_id") if name in self.overrides},
        }
        common = {"task_id": "create", **self.where, **design, "experiment_key": self.experiment_key}
        if allowed:
            return LaunchDarklyStageIterationOperator(**common, replaces=_entry(allowed, "iteration_id"))
        own = {name: value for name, value in experiment_fields(self.rollout).items() if name != "key"}
        name = self.overrides.get("experiment_name", own.pop("name"))
        return LaunchDarklyCreateExperimentOperator(**common, **own, name=name)

    def gate(self, number: int, iteration: Mapping[str, Any], *, extended: bool = False) -> BaseOperator:
        """Make the sensor that ends a stage."""
        stage = self.rollout.stages[number]
        arguments = {"task_id": "wait", **iteration, "on_kill": self.rollout.on_kill.value, **self.waiting}
        if stage.gate is Gate.NONE and stage.dwell is not None:
            return LaunchDarklyDwellSensor(**arguments, dwell=stage.dwell)
        policy = self.rollout.policy_of(number, extended=extended)
        return LaunchDarklyWaitForSignificanceSensor(**arguments, policy=policy)

    def ask(self, subject: str, card: Any, tasks: list[Any]) -> Any:
        """Make the task that waits for approval; return a reference to the answer."""
        return self.question("approve", subject, card, tasks, options=ApprovalOption, default=ApprovalOption.REJECT)

    def question(
        self, task_id: str, subject: str, card: Any, tasks: list[Any], *, options: Iterable[str], default: str
    ) -> Any:
        """Make the task that shows a card and waits for one of the options; return a reference to the answer."""
        # Imported here because it takes a seventh of a second, and few rollouts ask.
        from airflow.providers.standard.operators.hitl import HITLOperator

        users = [{"id": user, "name": user} for user in self.rollout.approval.users]
        asking = HITLOperator(
            task_id=task_id,
            subject=subject,
            body=card,
            options=[str(option) for option in options],
            defaults=[str(default)],
            **_answer_within(HITLOperator, self.rollout.approval.timeout),
            assigned_users=cast("Any", users or None),
            notifiers=self.notifiers,
        )
        tasks.append(asking)
        return asking.output

    def wait_for_window(self, tasks: list[Any]) -> None:
        """Make the task that waits for the change window, if there is one."""
        if self.window:
            tasks.append(LaunchDarklyChangeWindowSensor(task_id="window", **self.window, **self.where, **self.waiting))

    def outcome(self, task_id: str, **arguments: Any) -> BaseOperator:
        """Make a task that returns the outcome, whichever tasks before it were skipped."""
        return LaunchDarklyOutcomeOperator(task_id=task_id, rollout=self.rollout, trigger_rule=NONE_FAILED, **arguments)

    def extension(self, outcome: BaseOperator, task_id: str) -> BaseOperator:
        """Make the tasks that follow without a winner: a person is asked, or the last stage is extended."""
        rollout = self.rollout
        last = len(rollout.stages) - 1
        with TaskGroup("extension"):
            tasks: list[Any] = []
            answer = None
            if rollout.endings.inconclusive is Inconclusive.ASK:
                longer = format_duration(rollout.endings.extension)
                question = (
                    f"{rollout.experiment.key} ended without a winner. {InconclusiveOption.EXTEND} means {longer} more."
                )
                undecided = LaunchDarklyIfOutcomeOperator(
                    task_id="if_undecided",
                    rollout=rollout,
                    outcome=outcome.output,
                    when=Condition.UNDECIDED,
                    question=question,
                )
                tasks.append(undecided)
                answer = self.question(
                    "choose",
                    question,
                    _entry(undecided, "card"),
                    tasks,
                    options=InconclusiveOption,
                    default=rollout.default_inconclusive_option,
                )
            enter = LaunchDarklyIfOutcomeOperator(
                task_id="enter", rollout=rollout, outcome=outcome.output, when=Condition.EXTENDS, answer=answer
            )
            iteration = {
                "experiment_key": self.experiment_key,
                "iteration_id": _entry(enter, "iteration_id"),
                **self.where,
            }
            wait = self.gate(last, iteration, extended=True)
            chain(*tasks, enter, wait)
        return self.outcome(
            task_id, mode=OutcomeMode.EXTENSION, outcome=outcome.output, answer=answer, extension=wait.output
        )

    def confirm_ship(self, outcome: BaseOperator) -> BaseOperator:
        """Make the tasks before shipping: people are asked, the window opens, the results are evaluated again."""
        rollout = self.rollout
        with TaskGroup("before_ship"):
            asked = rollout.asks_before_ship
            question = f"Ship the winner of {rollout.experiment.key} to everyone?"
            enter = LaunchDarklyIfOutcomeOperator(
                task_id="enter",
                rollout=rollout,
                outcome=outcome.output,
                when=Ending.SHIP,
                question=question if asked else None,
            )
            tasks: list[Any] = [enter]
            answer = self.ask(question, _entry(enter, "card"), tasks) if asked else None
            self.wait_for_window(tasks)
            confirm = LaunchDarklyConfirmStepOperator(
                task_id="confirm",
                rollout=rollout,
                mode=ConfirmMode.SHIP,
                asked=asked,
                answer=answer,
                entered=enter.output,
            )
            chain(*tasks, confirm)
        return self.outcome(
            "verdict", mode=OutcomeMode.CONFIRMATION, outcome=outcome.output, confirmation=confirm.output
        )

    def end(self, outcome: BaseOperator) -> None:
        """Make the tasks that stop the iteration and check the flag, and the branch points."""
        rollout = self.rollout
        stops = LaunchDarklyIfOutcomeOperator(
            task_id="if_stop", rollout=rollout, outcome=outcome.output, when=Condition.STOPS
        )
        stop = LaunchDarklyStopIterationOperator(
            task_id="stop",
            experiment_key=self.experiment_key,
            iteration_id=_entry(stops, "iteration_id"),
            winner=_entry(stops, "winner"),
            reason=_entry(stops, "why"),
            on_failure_callback=self.notifiers or None,
            **self.where,
        )
        verify = LaunchDarklyCheckFlagServesOperator(task_id="verify", stopped=cast("Any", stop.output), **self.where)
        chain(stops, stop, verify)
        for ending in Ending:
            point = LaunchDarklyIfOutcomeOperator(
                task_id=ending.value,
                rollout=rollout,
                outcome=outcome.output,
                when=ending,
                trigger_rule=NONE_FAILED,
                on_success_callback=self.notifiers or None,
            )
            chain(verify, point)

    def observe(self) -> None:
        """Make the tasks that log each request and judge the running iteration. No branch point ever goes on."""
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
        outputs = [{"confirmation": None, "verdict": wait.output}]
        outcome = LaunchDarklyOutcomeOperator(
            task_id="verdict", rollout=rollout, mode=OutcomeMode.STAGES, outputs=outputs
        )
        LaunchDarklyDryRunOperator(task_id="would_end", rollout=rollout, outcome=outcome.output, **self.overrides)
        for ending in Ending:
            LaunchDarklyIfOutcomeOperator(
                task_id=ending.value, rollout=rollout, outcome=outcome.output, when=ending, observed=True
            )


def _answer_within(operator: type[Any], timeout: timedelta) -> dict[str, Any]:
    """Return the argument that limits how long an answer is waited for; older operators use the task's timeout."""
    name = "response_timeout" if "response_timeout" in signature(operator.__init__).parameters else "execution_timeout"
    return {name: timeout}


def _entry(task: BaseOperator, key: str) -> Any:
    """Return a reference to one entry of a task's output, for another task's argument."""
    return cast("Any", task.output)[key]
