"""The internal operators that end a rollout: the endings, and what tells that nobody watches any more.

They keep the prefix ``LaunchDarkly`` because Airflow's UI shows the class of each task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, conf
from typing_extensions import override

from airflow_provider_launchdarkly.assets import EVERY_EXPERIMENT, emit_event
from airflow_provider_launchdarkly.links import LaunchDarklyExperimentLink
from airflow_provider_launchdarkly.operators.flags import LaunchDarklyCheckFlagServesOperator
from airflow_provider_launchdarkly.operators.iterations import LaunchDarklyStopIterationOperator
from airflow_provider_launchdarkly.rollout.approved_writes import WaitsForApproval, stop_in_words
from airflow_provider_launchdarkly.rollout.options import Ending
from airflow_provider_launchdarkly.rollout.steps import LaunchDarklyRolloutBaseOperator, failed_without_output
from airflow_provider_launchdarkly.rollout.withheld import outcome_now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.assets import EventName
    from airflow_provider_launchdarkly.rollout.spec import Rollout
    from airflow_provider_launchdarkly.rollout.state_machine import Outcome
    from airflow_provider_launchdarkly.rollout.unwatched import Unwatched

_FAILED = ("failed", "upstream_failed")
_NO_OTHERS = "and no others, since what follows in other targets may be under way"
_EVENTS: Mapping[Ending, EventName] = {
    Ending.SHIP: "ship",
    Ending.ROLLBACK: "rollback",
    Ending.INCONCLUSIVE: "inconclusive",
    Ending.REFUSED: "refused",
    Ending.INVALID: "invalid",
    Ending.REGRESSED: "regressed",
}


class LaunchDarklyEndingOperator(WaitsForApproval, LaunchDarklyRolloutBaseOperator):
    """One ending of a rollout: do what it says, or skip if the rollout ended otherwise. Internal.

    It stops the iteration if the outcome names a winner, and checks that the flag serves it. Safe to repeat: an
    iteration that is stopped with this winner is left alone. Where a release ships the winner, the iteration has ended
    before; then ``ship`` only checks that the flag serves the winner, and ``regressed`` stops a release that waits, and
    removes the rule that it has left behind.

    Where LaunchDarkly demands an approval for the stop, and the rollout names reviewers, the task waits for it. There a
    ship is judged again before it is written. If it must not be written any more, ``ship`` skips itself with the new
    outcome as the XCom ``withheld``, and the ending of that outcome follows. A rollback waits for nothing else.

    Args:
        rollout: The rollout.
        outcome: The outcome.
        ending: The ending.
        again: The task to clear for another try, if the experiment runs on after this ending.
        observed: True if nothing may be done, so that it always skips.
        started: The output of the task that started the winner's release.
        release: The output of the sensor that waited for its end.
        experiment_key: Key of the experiment.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        timezone: Time zone that replaces the change window's.

    Returns:
        The outcome; ``stopped``, the stop's output or None; ``unwatched``, an :class:`Unwatched` as plain JSON if the
        experiment runs on, else None; and after a release ``release``, as the sensor returned it.
    """

    template_fields: Sequence[str] = (
        *("outcome", "started", "release"),
        *("experiment_key", "project_key", "environment_key", "timezone"),
    )
    operator_extra_links = (LaunchDarklyExperimentLink(),)

    def __init__(
        self,
        *,
        outcome: Any,
        ending: Ending,
        experiment_key: str,
        again: str = "verdict",
        observed: bool = False,
        started: Any = None,
        release: Any = None,
        project_key: str | None = None,
        environment_key: str | None = None,
        timezone: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.timezone = timezone
        self.outcome = outcome
        self.ending = ending
        self.experiment_key = experiment_key
        self.again = again
        self.observed = observed
        # Id of the task that ships, if this ending also follows a ship that was withheld. `experiment_rollout` sets it.
        self.ship: str | None = None
        # True if rollouts that may be under way follow on this one. `experiment_waves` sets it.
        self.beside = False
        self.started = started
        self.release = release
        self.project_key = project_key
        self.environment_key = environment_key
        self.outlets = [*self.outlets, EVERY_EXPERIMENT]
        # The rollout as the pages show it. `experiment_rollout` sets it.
        self.shown_as: dict[str, Any] | None = None

    @property
    def experiment_url(self) -> str:
        """Address of the experiment in LaunchDarkly's UI."""
        return self.hook_of(self.rollout_spec, self.project_key, self.environment_key).experiment_url(
            self.experiment_key
        )

    @override
    def execute_complete(self, context: Context, event: Any = None, waits: Any = None) -> Any:
        """Go on after the waiting for LaunchDarkly's approval."""
        with failed_without_output():
            return super().execute_complete(context, event, waits)

    @override
    def ends_waiting(self, rollout: Rollout, context: Context) -> bool:
        """Judge the winner while its ship waits."""
        from airflow_provider_launchdarkly.rollout.state_machine import Outcome

        return self.ending is Ending.SHIP and self.ship_ends_waiting(rollout, Outcome.from_json(self.outcome), context)

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """End the rollout, or skip."""
        from airflow_provider_launchdarkly.rollout.state_machine import Outcome, outcome_after_release

        outcome = outcome_now(context, self.outcome, self.ship)
        found = Outcome.from_json(outcome)
        if self.observed:
            raise AirflowSkipException(f"observed only: it would have ended {found.ending}: {found.why}")
        # The release says which of the two it is; the other endings are not reached in either case.
        released = found.ending is Ending.SHIP and self.rollout_spec.release is not None
        if released and self.ending in {Ending.SHIP, Ending.REGRESSED}:
            found = outcome_after_release(found, self.release)
        if found.ending is not self.ending:
            raise AirflowSkipException(f"the rollout ended {found.ending}: {found.why}")
        if self.shown_as and found.stage is not None:
            # The pages' list reads this note alone, which is of no stage.
            self.shown_as = {**self.shown_as, "reached": found.stage + 1}
        if released:
            return self._end_release(found, context)
        stopped = None if found.winner is None else self._stop(found, context)
        left = self._left_running(found) if found.runs_on else None
        output = {**outcome, "stopped": stopped, "unwatched": left.to_json() if left else None}
        if stopped is None and found.verdict is not None:
            about = {key: found.verdict[key] for key in ("project_key", "environment_key", "experiment_key")}
            emit_event(context, self.outlets, _EVENTS[found.ending], {**about, **output})
        if left:
            from airflow_provider_launchdarkly.sensors._notes import leave_end

            told: dict[str, Any] = {
                "ending": found.ending.value,
                "why": found.why,
                "do": list(left.do),
                "url": left.url,
                **({"now": left.now} if left.iteration_ended else {}),
            }
            verdict: Mapping[str, Any] = found.verdict or {}
            leave_end(self, context, verdict, stage=found.stage, verdict=verdict, **told)
            self.log.warning("%s", left.last_line)
        else:
            self.log.info("%s: %s", found.ending, found.why)
        return output

    def _stop(self, found: Outcome, context: Context) -> Any:
        rollout = self.rollout_spec
        common: dict[str, Any] = {"task_id": self.task_id, "launchdarkly_conn_id": rollout.connection}
        where: dict[str, Any] = {"project_key": self.project_key, "environment_key": self.environment_key}
        stop = LaunchDarklyStopIterationOperator(
            **common,
            **where,
            experiment_key=self.experiment_key,
            iteration_id=str(found.iteration_id),
            winner=found.winner,
            reason=found.why,
        )
        # The task's own outlets: the event is emitted on them.
        stop.outlets = self.outlets
        stop.shown_as = self.shown_as
        if found.ending is Ending.SHIP and rollout.launchdarkly_approval is not None:
            self.confirm_ship(rollout, found, context)
        change = stop_in_words(rollout, found, self.experiment_key, self.outcome.get("confirmation"))
        stopped = self.write(stop, rollout, change, context)
        LaunchDarklyCheckFlagServesOperator(**common, **where, stopped=stopped).act(context)
        return stopped

    def _end_release(self, found: Outcome, context: Context) -> dict[str, Any]:
        """See to it that everyone gets what the release's end says, and tell."""
        from airflow_provider_launchdarkly.rollout.ship_by_release import end_release

        shown = end_release(self, self.rollout_spec, found, context, started=self.started, ended=self.release)
        output = {**self.outcome, **found.to_json(), "stopped": None, "release": shown, "unwatched": None}
        about = {key: self.started[key] for key in ("project_key", "environment_key", "experiment_key")}
        emit_event(context, self.outlets, _EVENTS[found.ending], {**about, **output})
        self.log.info("%s: %s", found.ending, found.why)
        return output

    def _clear(self) -> str:
        if not self.beside:
            return f"clear the task {self.again} with all that follows it"
        return f"clear the task {self.again} and those of {_group(self.task_id)} that follow it, {_NO_OTHERS}"

    def _left_running(self, found: Outcome) -> Unwatched:
        from airflow_provider_launchdarkly.rollout.seen_now import seen_now
        from airflow_provider_launchdarkly.rollout.unwatched import RUN_ANEW, unwatched

        verdict: Mapping[str, Any] = found.verdict or {}
        rollout = self.rollout_spec
        seen = seen_now(
            lambda: self.hook_of(rollout, self.project_key, self.environment_key),
            rollout,
            experiment_key=str(found.experiment_key),
            iteration_id=found.iteration_id,
        )
        return unwatched(
            rollout,
            f"the rollout ended {found.ending}, {found.why}.",
            experiment_key=str(found.experiment_key),
            again=RUN_ANEW if seen.ended else f"To go on, {self._clear()}.",
            seen=seen,
            number=found.stage,
            iteration_id=found.iteration_id,
            project_key=verdict.get("project_key"),
            environment_key=verdict.get("environment_key"),
            url=self.experiment_url,
        )


class LaunchDarklyUnwatchedOperator(LaunchDarklyRolloutBaseOperator):
    """Fail and tell what runs if the rollout has stopped watching without an ending; skip after every ending. Internal.

    It is a teardown, so that Airflow runs it whatever happened to the other tasks: failed, killed, timed out, or marked
    failed by a person, alone or with their run. It rests on what the tasks before returned, and says so if LaunchDarkly
    cannot be read. Safe to repeat: it only reads.

    Args:
        rollout: The rollout.
        starts: Ids of the tasks that start a stage, in their order.
        endings: Ids of the endings.
        tasks: Ids of all other tasks of the rollout, in their order.
        release: Id of the task that starts the winner's release; None without a release.
        experiment_key: Key of the experiment.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.

    Raises:
        AirflowFailException: Always, unless the rollout came to an ending or was never begun. Its message is the text;
            ``return_value`` in XCom is an :class:`Unwatched` as plain JSON, with ``event`` ``unwatched``.
    """

    template_fields: Sequence[str] = ("experiment_key", "project_key", "environment_key")
    operator_extra_links = (LaunchDarklyExperimentLink(),)

    def __init__(
        self,
        *,
        starts: Sequence[str],
        endings: Sequence[str],
        tasks: Sequence[str],
        experiment_key: str,
        release: str | None = None,
        project_key: str | None = None,
        environment_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.starts = list(starts)
        self.endings = list(endings)
        self.tasks = list(tasks)
        self.release = release
        self.experiment_key = experiment_key
        self.project_key = project_key
        self.environment_key = environment_key
        # Id of the task that says how the rollout ends. `experiment_rollout` sets it.
        self.verdict: str | None = None
        # The task that lets this rollout begin, in a promotion. `experiment_promotion` sets it.
        self.after: str | None = None
        # True if rollouts that may be under way follow on this one. `experiment_waves` sets it.
        self.beside = False
        # The rollout as the pages show it. `experiment_rollout` sets it.
        self.shown_as: dict[str, Any] | None = None

    @property
    def experiment_url(self) -> str:
        """Address of the experiment in LaunchDarkly's UI."""
        return self.hook_of(self.rollout_spec, self.project_key, self.environment_key).experiment_url(
            self.experiment_key
        )

    @override
    def act(self, context: Context) -> Any:
        """Skip, or tell and fail."""
        states = self._states(context)
        reached = [task for task in self.endings if states.get(task) == "success"]
        if reached:
            raise AirflowSkipException(f"the rollout came to its ending {_name(reached[0])}")
        running = self._running(context)
        failed = [task for task in self._own if states.get(task) == "failed"]
        if self.after is not None and running is None and not failed:
            # An environment or a target before it failed, and tells so itself.
            raise AirflowSkipException("what comes before it has not shipped, so the rollout was not begun")
        if running is None and not failed and not any(state in _FAILED for state in states.values()):
            raise AirflowSkipException("the rollout was not begun")
        first = failed[0] if failed else ""
        why = f"the task {first} failed; its log says why." if first else "the run was ended before the rollout was."
        found = self._words(context, running, why, self._clear(context, states, first), first)
        context["ti"].xcom_push(key="return_value", value={"event": "unwatched", **found.to_json()})
        if found.iteration_ended and running is not None:
            self._leave_note(found, running, context)
        self.log.error("%s", found.last_line)
        raise AirflowFailException(found.text)

    @property
    def _own(self) -> list[str]:
        return [*([self.after] if self.after else []), *self.tasks, *self.endings]

    def left_by_a_run_that_timed_out(self, context: Context) -> Unwatched | None:
        """Return what runs on after ``dagrun_timeout``; None if the rollout came to an ending, or has started nothing.

        Airflow skips all that has not run then, this task too. Read in the DAG processor.

        Args:
            context: The context of the DAG's callback.
        """
        running = self._running(context)
        if running is None or "success" in {self._states(context).get(task) for task in self.endings}:
            return None
        return self._words(
            context, running, "the run took longer than its dagrun_timeout.", self._clear(context, {}, "")
        )

    def _states(self, context: Context) -> dict[str, str]:
        """Return the state of each task of this rollout, by its id."""
        ti: Any = context["ti"]
        index = -1 if ti.map_index is None else ti.map_index
        wanted = self._own
        found = ti.get_task_states(dag_id=ti.dag_id, task_ids=wanted, run_ids=[ti.run_id], map_index=index)
        states = found.get(ti.run_id, {})
        # Airflow names a mapped task instance by its id and its index.
        names = {task: task if index < 0 else f"{task}_{index}" for task in wanted}
        return {task: str(states[name]) for task, name in names.items() if states.get(name) is not None}

    def _running(self, context: Context) -> tuple[int, Mapping[str, Any]] | None:
        """Return the last stage that was started, by its number from 0, and what its task returned."""
        ti: Any = context["ti"]
        for number, task in reversed(list(enumerate(self.starts))):
            started = ti.xcom_pull(task_ids=task, map_indexes=ti.map_index)
            if started and started.get("iteration_id"):
                return number, started
        return None

    def _clear(self, context: Context, states: Mapping[str, str], first: str) -> str:
        """Return what to clear.

        Airflow counts `upstream_failed` as failed. What a person has ended is skipped, which a clear of what failed
        leaves out.
        """
        where = f" ({_address(context, first)})" if first else ""
        if not self.beside:
            return f"clear {first or 'the tasks that did not succeed'} with all that follows{where}"
        if first and any(states.get(task) in _FAILED for task in self.endings):
            return f"clear {first} with what follows and failed (Downstream, Only Failed), {_NO_OTHERS}{where}"
        return f"clear the tasks of {_group(self.task_id)} that did not succeed, {_NO_OTHERS}{where}"

    def _release_output(self, context: Context) -> Mapping[str, Any] | None:
        """Return what the task that starts the winner's release has returned; None if it has not, or there is none."""
        ti: Any = context["ti"]
        output: Mapping[str, Any] | None = (
            ti.xcom_pull(task_ids=self.release, map_indexes=ti.map_index) if self.release else None
        )
        return output

    def _leave_note(self, found: Unwatched, running: tuple[int, Mapping[str, Any]], context: Context) -> None:
        """Let the pages show that the experiment has ended, unless the task that starts the release has told."""
        from airflow_provider_launchdarkly.sensors._notes import leave_end, shows_hand_over_of_release

        number, started = running
        if self._release_output(context):
            return
        if self.release and found.release_id is None and shows_hand_over_of_release(context, self.release, started):
            return
        told = {"ending": "unwatched", "why": found.why, "do": list(found.do), "now": found.now, "url": found.url}
        if found.served is not None:
            told["what"] = f"Nobody ends this rollout. {found.follows}"
        leave_end(self, context, started, stage=number, **told)

    def _words(
        self,
        context: Context,
        running: tuple[int, Mapping[str, Any]] | None,
        why: str,
        clear: str,
        first: str = "",
    ) -> Unwatched:
        from airflow_provider_launchdarkly.rollout.seen_now import seen_now
        from airflow_provider_launchdarkly.rollout.unwatched import RUN_ANEW, unwatched

        rollout = self.rollout_spec
        number, started = (None, {}) if running is None else running
        seen = seen_now(
            lambda: self.hook_of(rollout, self.project_key, self.environment_key),
            rollout,
            experiment_key=self.experiment_key,
            iteration_id=started.get("iteration_id"),
            release=self._release_output(context),
        )
        if not seen.ended:
            same = "the same iteration goes on, and nothing" if seen.release is None else "nothing"
            again = f"To watch it again, {clear}: {same} is started twice."
        elif first in self.endings and seen.winner not in self._wanted(context, started):
            again = f"Another try of {first} changes nothing. {RUN_ANEW}"
        else:
            again = f"To let the rollout come to its ending, {clear}: nothing is started twice."
        return unwatched(
            rollout,
            why,
            experiment_key=self.experiment_key,
            again=again,
            number=number,
            iteration_id=started.get("iteration_id"),
            project_key=started.get("project_key") or self.project_key,
            environment_key=started.get("environment_key") or self.environment_key,
            seen=seen,
            url=started.get("url"),
        )

    def _wanted(self, context: Context, started: Mapping[str, Any]) -> list[str]:
        """Return the ids of the treatments that the ending may stop with: the winner, or the baseline; or none."""
        from airflow_provider_launchdarkly.rollout.state_machine import BASELINE

        ti: Any = context["ti"]
        output = ti.xcom_pull(task_ids=self.verdict, map_indexes=ti.map_index) if self.verdict else None
        ship = next((task for task in self.endings if _name(task) == Ending.SHIP), None)
        winner = outcome_now(context, output, ship).get("winner") if output else None
        if winner is None:
            return []
        if winner != BASELINE and winner.get("verdict") == Ending.SHIP:
            return [str(winner.get("treatment_id"))]
        return [each["treatment_id"] for each in started.get("treatments", ()) if each["baseline"]]


def _group(task_id: str) -> str:
    return task_id.rpartition(".")[0]


def _name(task_id: str) -> str:
    return task_id.rsplit(".", 1)[-1]


def _address(context: Context, task_id: str) -> str:
    """Return a task's address in Airflow's UI."""
    ti: Any = context["ti"]
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return f"{base}/dags/{ti.dag_id}/runs/{ti.run_id}/tasks/{task_id}"
