"""The internal operators of waves: they open a wave, begin a target, count how it ended, and tell when all stop.

None of them writes anything in LaunchDarkly, and each reads how the targets stand when it runs. So a try that was
killed is repeated with the same result, and a target that has begun is never skipped.

The one that opens a wave also compares the places of all targets, which only a run knows: see `wave_places`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSkipException,
    BaseOperator,
    DownstreamTasksSkipped,
)
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.retries import fail_unless_retryable
from airflow_provider_launchdarkly.rollout.confirmation import refusal
from airflow_provider_launchdarkly.rollout.wave_tally import FAILED_STATES, Standing, Tally, TargetTasks, stopped_news
from airflow_provider_launchdarkly.sensors._pause import server_now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.rollout.spec import Rollout
    from airflow_provider_launchdarkly.rollout.wave_places import Spot

T = TypeVar("T")

# The most ids in one request for states: they are part of its address.
_MOST_IDS = 100


@dataclass(slots=True)
class Board:
    """The knowledge of the tasks of waves about each other. `experiment_waves` fills it.

    Attributes:
        tolerated: How many targets may fail.
        inconclusive_fails: True to count ``inconclusive`` as failed.
        waves: The number of waves.
        targets: The targets' tasks, in the order of the waves.
        rollouts: The rollout of each target, by its key.
        own: Ids of the tasks that are no target's.
        approvals: The tasks that ask a person before a wave, by the wave's number.
    """

    tolerated: int
    inconclusive_fails: bool
    waves: int
    rollouts: Mapping[str, Rollout]
    targets: list[TargetTasks] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    approvals: dict[int, str] = field(default_factory=dict)

    def tally(self, context: Context, *closely: str) -> Tally:
        """Count how the targets stand now.

        Args:
            context: The task's context.
            closely: Targets that are under way if a stage of theirs has started, even if their tasks were cleared. That
                takes a request for each of their stages.
        """
        states = states_of(context, [task for target in self.targets for task in target.telling])
        standings = {target.key: target.standing(states) for target in self.targets}
        for target in self.targets:
            untouched = target.key in closely and standings[target.key] is Standing.UNTOUCHED
            if untouched and last_start(context, target) is not None:
                standings[target.key] = Standing.UNDER_WAY
        return Tally(standings, self.tolerated, self.inconclusive_fails)

    def refusals(self, context: Context) -> dict[int, str]:
        """Return why each wave that is refused now is refused, by its number."""
        ti: Any = context["ti"]
        states = states_of(context, list(self.approvals.values()))
        answered = {wave: task for wave, task in self.approvals.items() if states.get(task) == "success"}
        found = {wave: refusal(ti.xcom_pull(task_ids=task)) for wave, task in answered.items()}
        return {wave: why for wave, why in found.items() if why is not None}

    def withheld(self, context: Context, wave: int, tally: Tally) -> str | None:
        """Return why nothing of a wave may start; None if it may.

        Args:
            context: The task's context.
            wave: The wave's number, from 1.
            tally: How the targets stand.
        """
        if tally.exceeded:
            return tally.numbers
        for refused, why in self.refusals(context).items():
            if refused <= wave:
                return f"wave {refused} was refused: {why}"
        waiting = {Standing.UNTOUCHED, Standing.UNDER_WAY}
        before = [each for each in self.targets if each.wave < wave and tally.standings[each.key] in waiting]
        return f"{before[0].key} of wave {before[0].wave} is {tally.standings[before[0].key]}" if before else None

    def served(self, context: Context, tally: Tally) -> list[tuple[str, str]]:
        """Read who gets what in each target; return its key and the words. Never raises for LaunchDarkly."""
        from airflow_provider_launchdarkly.rollout.wave_served import served_in_target, until_when

        until = until_when()
        return [
            (
                each.key,
                served_in_target(
                    each,
                    self.rollouts[each.key],
                    tally.standings[each.key],
                    last_start(context, each),
                    context=context,
                    until=until,
                ),
            )
            for each in self.targets
        ]


def last_start(context: Context, target: TargetTasks) -> int | None:
    """Return the number of the last stage of a target that was started, from 0; None if none was.

    What a task has returned outlives a clear: Airflow deletes it only once the task runs again.
    """
    ti: Any = context["ti"]
    for number, task in reversed(list(enumerate(target.starts))):
        if (ti.xcom_pull(task_ids=task) or {}).get("iteration_id"):
            return number
    return None


def states_of(context: Context, tasks: Sequence[str]) -> dict[str, str]:
    """Return the state of each task of this run that has one."""
    ti: Any = context["ti"]
    found: dict[str, str] = {}
    for first in range(0, len(tasks), _MOST_IDS):
        some = list(tasks[first : first + _MOST_IDS])
        states = ti.get_task_states(dag_id=ti.dag_id, task_ids=some, run_ids=[ti.run_id]).get(ti.run_id, {})
        found.update({task: str(state) for task, state in states.items() if state is not None})
    return found


class LaunchDarklyWavesBaseOperator(BaseOperator):
    """The base of the operators that are no target's. Internal.

    Args:
        board: What the tasks know of each other.
    """

    ui_color = "#f2f2f7"
    ui_fgcolor = "#1a1f36"
    # Airflow keeps what it skipped from running when only that is cleared.
    inherits_from_skipmixin = True

    def __init__(self, *, board: Board, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.board = board

    def skip(self, context: Context, tasks: Sequence[str], output: Mapping[str, Any]) -> DownstreamTasksSkipped:
        """Return what skips these tasks and leaves an output."""
        ti: Any = context["ti"]
        ti.xcom_push(key="return_value", value=dict(output))
        ti.xcom_push(key="skipmixin_key", value={"skipped": list(tasks)})
        return DownstreamTasksSkipped(tasks=list(tasks))


class LaunchDarklyOpenWaveOperator(LaunchDarklyWavesBaseOperator):
    """Open a wave, unless more targets have failed than tolerated, or one of the wave before has not ended. Internal.

    It fails if two targets have the same experiment or the same rule by what their connections say now, or if one would
    retire the flag of another. Then nothing of the wave begins.

    Args:
        wave: The wave's number, from 1.
        pause: The time that passes before the wave starts; None for none.
        rollout: A rollout of the wave, whose connection reads LaunchDarkly's clock.

    Returns:
        The :class:`.Tally` as plain JSON, with ``wave``; ``why``, the reason if it does not start; and ``until``, the
        end of the pause, or None.

    Raises:
        AirflowFailException: Targets share what they must not, or the place of a target of this wave is not known.
    """

    def __init__(self, *, wave: int, rollout: Rollout, pause: timedelta | None = None, **kwargs: Any) -> None:
        super().__init__(**{"multiple_outputs": True} | kwargs)
        self.wave = wave
        self.pause = pause
        self.place = (rollout.connection, rollout.project, rollout.environment)
        # Ids of the tasks that wait before the wave starts. `experiment_waves` sets them.
        self.waits: list[str] = []

    @override
    def execute(self, context: Context) -> dict[str, Any]:
        """Return the numbers, or skip what waits before the wave."""
        tally = self.board.tally(context)
        why = self.board.withheld(context, self.wave, tally)
        found = {"wave": self.wave, **tally.to_json(), "why": why, "until": None}
        self.log.info("%s", tally.numbers)
        if why is not None:
            self.log.warning("The wave does not start: %s", why)
            raise self.skip(context, self.waits, found)
        self._require_places_of_their_own()
        return found if self.pause is None else {**found, "until": (server_now(*self.place) + self.pause).isoformat()}

    def _require_places_of_their_own(self) -> None:
        from airflow_provider_launchdarkly.rollout.wave_places import shared_now, told

        mine = {target.key for target in self.board.targets if target.wave == self.wave}
        with fail_unless_retryable():
            flaws = shared_now(self.board.rollouts, _Hooks(), mine)
        if flaws:
            raise AirflowFailException(f"{told(flaws)}. Nothing of wave {self.wave} begins")


class _Hooks:
    """LaunchDarkly behind the hooks of the rollouts' connections."""

    def __init__(self) -> None:
        self._hooks: dict[str, LaunchDarklyHook] = {}

    def spot(self, rollout: Rollout) -> Spot:
        from airflow_provider_launchdarkly.rollout.wave_places import Spot

        hook = self._hook(rollout)
        try:
            return Spot(hook.settings.client, hook.environment(rollout.project, rollout.environment))
        except AirflowNotFoundException as error:
            raise ConfigurationError(str(error)) from error

    def run(self, rollout: Rollout, work: Procedure[T]) -> T:
        return self._hook(rollout).run(work)

    def _hook(self, rollout: Rollout) -> LaunchDarklyHook:
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

        return self._hooks.setdefault(rollout.connection, LaunchDarklyHook(rollout.connection))


class LaunchDarklyBeginTargetOperator(LaunchDarklyWavesBaseOperator):
    """Let a target begin; or skip it, if more have failed than tolerated, or its wave did not start. Internal.

    A target of which a stage has started is never skipped, whatever was cleared: its tasks watch the iteration.

    Args:
        target: The target.
        wave: The number of its wave, from 1.
        requires: Ids of the tasks that have to succeed before its wave starts.

    Returns:
        ``{"target", "begun", "why"}``.
    """

    def __init__(self, *, target: str, wave: int, requires: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.wave = wave
        self.requires = list(requires)
        # Ids of the target's tasks. `experiment_waves` sets them.
        self.later: list[str] = []

    @override
    def execute(self, context: Context) -> dict[str, Any]:
        """Return that it begins, or skip it."""
        why = self._withheld(context)
        found = {"target": self.target, "begun": why is None, "why": why}
        if why is None:
            self.log.info("%s begins.", self.target)
            return found
        self.log.warning("%s stays untouched: %s", self.target, why)
        raise self.skip(context, self.later, found)

    def _withheld(self, context: Context) -> str | None:
        tally = self.board.tally(context, self.target)
        if tally.standings[self.target] is Standing.UNDER_WAY:
            return None
        if why := self.board.withheld(context, self.wave, tally):
            return why
        states = states_of(context, self.requires)
        if missing := [task for task in self.requires if states.get(task) != "success"]:
            return f"the task {missing[0]} is {states.get(missing[0])}"
        return None


class LaunchDarklyCountTargetOperator(LaunchDarklyWavesBaseOperator):
    """Succeed if more targets have failed than tolerated once this one has ended; else skip. Internal.

    Args:
        target: The target.
    """

    def __init__(self, *, target: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target = target

    @override
    def execute(self, context: Context) -> dict[str, Any]:
        """Return the numbers, or skip."""
        tally = self.board.tally(context)
        standing = tally.standings[self.target]
        if standing is Standing.UNTOUCHED or not tally.exceeded:
            raise AirflowSkipException(f"{self.target}: {standing}; {tally.numbers}")
        return tally.to_json()


class LaunchDarklyWaveRefusedOperator(LaunchDarklyWavesBaseOperator):
    """Succeed if a person refused a wave, or nobody answered in time; else skip. Internal.

    Args:
        wave: The wave's number, from 1.
    """

    def __init__(self, *, wave: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wave = wave

    @override
    def execute(self, context: Context) -> dict[str, Any]:
        """Return why, or skip."""
        no = self.board.refusals(context).get(self.wave)
        if no is None:
            raise AirflowSkipException("the wave was not refused")
        return {"why": no}


class LaunchDarklyWavesStoppedOperator(LaunchDarklyWavesBaseOperator):
    """Tell, once, that nothing further starts: the numbers, and who gets what. Internal.

    It runs as soon as one of the tasks before it has succeeded, which each do only if all have to stop. It skips itself
    if that is no longer so: after a clear, with a higher tolerance or another answer.

    Returns:
        ``event``, ``runs``, ``headline``, ``why``, ``now``, ``follows`` and ``actions``, and the :class:`.Tally` as
        plain JSON.
    """

    @override
    def execute(self, context: Context) -> dict[str, Any]:
        """Return what people are told."""
        tally = self.board.tally(context, *self.board.rollouts)
        if not tally.exceeded and not self.board.refusals(context):
            raise AirflowSkipException(f"nothing stops now: {tally.numbers}, and no wave is refused")
        found = stopped_news(tally, self.board.served(context, tally), self.board.waves)
        self.log.error("Stopped: %s. %s. %s", found["why"], found["headline"], found["now"])
        return found


class LaunchDarklyWavesSummaryOperator(LaunchDarklyWavesBaseOperator):
    """Return how each target ended, once all that begun have ended. Internal.

    Returns:
        The :class:`.Tally` as plain JSON, and ``served``: who gets what, by target.

    Raises:
        AirflowFailException: A task of the waves themselves failed, so that targets may be untouched.
    """

    @override
    def execute(self, context: Context) -> dict[str, Any]:
        """Return the summary."""
        states = states_of(context, self.board.own)
        if failed := [task for task in self.board.own if states.get(task) in FAILED_STATES]:
            # What was withheld is skipped, and nothing of it has begun; targets that have begun follow on the others.
            before = failed[0].rsplit(".", 1)[-1].startswith(("open_wave_", "pause_wave_", "approve_wave_"))
            follows = "all that follows it" if before else "what follows it and failed (Downstream, Only Failed)"
            raise AirflowFailException(f"the task {failed[0]} failed: clear it with {follows}")
        tally = self.board.tally(context, *self.board.rollouts)
        self.log.info("%s", tally.numbers)
        return {**tally.to_json(), "served": dict(self.board.served(context, tally))}
