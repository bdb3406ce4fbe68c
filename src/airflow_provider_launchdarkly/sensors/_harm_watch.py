"""Watches an iteration for harm while a task waits for a person or a change window: the worker's part.

The triggerer only says that a look is due, or that harm is to be seen. What ends the waiting is judged here, afresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.checks.arguments import LEAVE
from airflow_provider_launchdarkly.checks.harm_watch import PROTECTIVE, HarmWatch
from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.config.lines import write_lines
from airflow_provider_launchdarkly.config.problems import InvalidSettingError, shown
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION
from airflow_provider_launchdarkly.telemetry import count
from airflow_provider_launchdarkly.triggers._poll_interval import configured_poll_interval

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.checks.flag_seen import FlagSeen
    from airflow_provider_launchdarkly.triggers.question import QuestionTrigger


@dataclass(frozen=True, slots=True)
class WatchedIteration:
    """An iteration whose guardrails are watched while a task waits for something else.

    Attributes:
        verdict: The verdict on it that was found last, as plain JSON: it names the iteration and the time.
        policy: The policy that judges it, as plain JSON.
        results: Where results come from, as plain JSON; None for LaunchDarkly's results endpoints.
        launchdarkly_conn_id: The Airflow connection.
        poll_interval: Seconds between two polls. Default: ``[launchdarkly] poll_interval``.
        when_killed: ``rollback`` stops it on the baseline if a person marks the task failed meanwhile.
        noted_by: Id of the task that has watched it until now, whose note the pages show; None if there is none.
    """

    verdict: Mapping[str, Any]
    policy: Mapping[str, Any]
    results: Mapping[str, Any] | None = None
    launchdarkly_conn_id: str = DEFAULT_CONNECTION
    poll_interval: float | None = None
    when_killed: str = LEAVE
    noted_by: str | None = None

    def on_worker(self, task: Any, context: Context) -> WaitingHarmWatch:
        """Return its watch on a worker, for this task."""
        return WaitingHarmWatch(self, task, context)


class WaitingHarmWatch:
    """Looks for harm on a worker.

    Args:
        watched: What is watched.
        task: The waiting task, for templates and the log.
        context: Its context.

    Raises:
        InvalidSettingError: ``watched.verdict`` is no verdict.
    """

    def __init__(self, watched: WatchedIteration, task: Any, context: Context) -> None:
        # Imported here, as everything that only a running task needs.
        from airflow_provider_launchdarkly.decision.policy import Policy
        from airflow_provider_launchdarkly.evidence.source import Target
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

        verdict, results = watched.verdict, watched.results
        try:
            keys = ("verdict", "project_key", "environment_key", "experiment_key", "iteration_id")
            _, project, environment, *iteration = [str(verdict[key]) for key in keys]
            previous = timedelta(days=float(verdict["elapsed_days"]))
        except (KeyError, TypeError, ValueError):
            raise InvalidSettingError(
                f"watch.verdict is {shown(verdict)}: pass the output of the sensor or operator that judged last"
            ) from None
        self._task, self._context, self._results, self._verdict = task, context, results, verdict
        self._noted_by = watched.noted_by
        self._hook = LaunchDarklyHook(watched.launchdarkly_conn_id, project, environment)
        seconds = configured_poll_interval() if watched.poll_interval is None else watched.poll_interval
        self._watch = HarmWatch(
            Target(self._hook.environment(), *iteration),
            Policy.from_json(watched.policy),
            previous,
            timedelta(seconds=seconds),
            results is None,
        )

    def resume(self, look: Mapping[str, Any]) -> None:
        """Go on where the trigger stood."""
        previous = look.get("previous_seconds")
        self._watch.previous = None if previous is None else timedelta(seconds=previous)

    def skip_to(self, look: Mapping[str, Any]) -> None:
        """Leave out the look for which the trigger fired, since it could not be taken."""
        self._watch.previous = timedelta(seconds=look.get("elapsed_seconds") or 0.0)

    def find_harm(self, look: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Take the look that is due, and put it on record.

        Nothing that goes wrong ends the waiting: the log says that guardrails are not watched, and
        ``launchdarkly.unwatched`` counts it.

        Args:
            look: The content of the trigger's event; None before the first deferral.

        Returns:
            The verdict that ends the waiting; None if there is none.
        """
        if look is not None:
            self.resume(look)
        try:
            return self._find_harm()
        except Exception as error:  # noqa: BLE001 - whatever a warehouse's driver raises ends no question
            count("unwatched")
            write_lines(
                self._task.log.warning,
                "Guardrails not watched, the waiting goes on: %s: %s",
                type(error).__name__,
                error,
            )
            if look is not None:
                self.skip_to(look)
            return None

    def _find_harm(self) -> dict[str, Any] | None:
        from airflow_provider_launchdarkly.audit_log.changes import spent_before
        from airflow_provider_launchdarkly.audit_log.store import looks_in, read_record
        from airflow_provider_launchdarkly.checks.crossing import read_crossing
        from airflow_provider_launchdarkly.evidence.results_config import read_results, source_name
        from airflow_provider_launchdarkly.sensors._decision_record import open_storage, record_folder, record_look
        from airflow_provider_launchdarkly.sensors._sources import source_of

        watch, folder = self._watch, record_folder(None)
        entries = () if folder is None else read_record(watch.target.to_json(), folder, open_storage)
        found, judged_by = self._hook.run(
            watch.take_due_look(
                source_of(self._results, self._task, self._context, watch.policy),
                lambda: looks_in(entries),
                read_crossing(self._verdict, watch.target).standing,
                spent_before(entries, watch.policy),
            )
        )
        write_lines(self._task.log.info, "%s", found.to_check_result().headline)
        if found.trouble:
            count("unwatched")
            write_lines(self._task.log.warning, "Guardrails not watched, the waiting goes on: %s", found.trouble)
        if found.flag is not None:
            self._tell_of_flag(found.flag, found.at)
        ends, measured = found.verdict.kind in PROTECTIVE, found.evidence
        if not ends and (measured is None or measured.only_harm):
            return None
        described = None if self._results is None else read_results(self._results)
        recorded = record_look(
            found.to_record(),
            watch.target,
            judged_by,
            source=source_name(described),
            folder=folder,
            log=partial(write_lines, self._task.log.info),
        )
        return recorded if ends else None

    def _tell_of_flag(self, seen: FlagSeen, at: datetime) -> None:
        """Put into the log and on the pages what a planned look has seen of the flag."""
        from airflow_provider_launchdarkly.sensors._notes import leave_flag_seen

        if seen.differs or seen.trouble:
            write_lines(self._task.log.warning, "Who gets what: %s", seen.differs or seen.trouble)
        if seen.at is not None:
            about, warn = self._watch.target.to_json(), partial(write_lines, self._task.log.warning)
            leave_flag_seen(self._context, self._noted_by, about, seen.to_json(), at=at, warn=warn)

    def in_words(self) -> str:
        """Return a sentence for people who read the question."""
        every = self._watch.by_any_moment.harm_looks
        when = f"every {format_duration(every)} and " if every else ""
        return (
            f"**Guardrails are watched while this is open**: {when}at each planned look. Harm closes the question and "
            "rolls back."
        )

    def trigger_arguments(self) -> dict[str, Any]:
        """Return the arguments that every :class:`WatchingTrigger` takes."""
        import json

        watch = self._watch
        return {
            **watch.target.to_json(),
            "poll_interval": watch.poll_interval.total_seconds(),
            "policy": json.dumps(watch.policy.to_json()),
            "previous_seconds": None if watch.previous is None else watch.previous.total_seconds(),
            "analysed_by_launchdarkly": watch.analysed_by_launchdarkly,
        }

    def question_trigger(self, **question: Any) -> QuestionTrigger:
        """Make the trigger that waits for an answer meanwhile.

        Args:
            question: Its other arguments.

        Raises:
            ConfigurationError: An argument is wrong; the triggerer would only find out after the deferral.
        """
        from airflow_provider_launchdarkly.triggers.question import QuestionTrigger

        trigger = QuestionTrigger(**self.trigger_arguments(), **question)
        trigger.check()
        return trigger
