"""What has happened to an experiment: iterations that were started or stopped, and the verdict on the running one.

Pure procedures, for the event trigger. They remember nothing: the same read tells the same happenings, each with a name
by which whoever watches knows what it has told already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.endpoints import get_experiment
from airflow_provider_launchdarkly.api.errors import NotFoundError
from airflow_provider_launchdarkly.api.models.base import iso
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
from airflow_provider_launchdarkly.checks.significance import check_significance
from airflow_provider_launchdarkly.decision.verdict import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Experiment, Iteration
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import Target

START, STOP, VERDICT = "start", "stop", "verdict"

# These verdicts only say that the iteration ended between two reads: that is told as its stop.
_OVER = {Reason.ITERATION_REPLACED, Reason.ITERATION_STOPPED}


@dataclass(frozen=True, slots=True)
class IterationEvent:
    """Something that happens once to an iteration.

    Attributes:
        kind: ``start``, ``stop`` or ``verdict``.
        iteration_id: The iteration.
        content: What an event says of it: plain JSON.
    """

    kind: str
    iteration_id: str
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """By what it is known: the same in every read."""
        return f"{self.kind}:{self.iteration_id}"


@dataclass(frozen=True, slots=True)
class State:
    """What one read of an experiment shows.

    Attributes:
        happenings: Starts and stops, oldest first.
        running: Id of the iteration under way, if any.
        iterations: Ids of all iterations.
    """

    iteration_events: tuple[IterationEvent, ...] = ()
    running: str | None = None
    iterations: frozenset[str] = frozenset()


def read_state(env: EnvironmentRef, experiment_key: str) -> Procedure[State]:
    """Read which iterations were started and stopped.

    Returns:
        The state; an empty one while the experiment does not exist.

    Raises:
        LaunchDarklyError: As the call raises.
    """
    try:
        experiment: Experiment = (yield get_experiment(env, experiment_key, expand=ITERATIONS)).value
    except NotFoundError:
        return State()
    told = [entry for iteration in experiment.iterations for entry in _history(env, experiment, iteration)]
    return State(
        iteration_events=tuple(happening for _, happening in sorted(told, key=lambda entry: entry[0])),
        running=experiment.running.id if experiment.running else None,
        iterations=frozenset(iteration.id for iteration in experiment.iterations),
    )


def read_verdict(
    target: Target, policy: Policy, *, previous: timedelta | None, poll_interval: timedelta
) -> Procedure[tuple[IterationEvent | None, timedelta]]:
    """Look at the running iteration, as the sensor would.

    Args:
        target: The iteration.
        policy: As of :func:`check_significance`.
        previous: The same.
        poll_interval: The same.

    Returns:
        The verdict, if there is one that ends the waiting; and the time since the start, for the next ``previous``.

    Raises:
        LaunchDarklyError: As the look raises.
    """
    look = yield from check_significance(target, policy, previous=previous, poll_interval=poll_interval)
    verdict = look.verdict
    if not verdict.ends or verdict.reason in _OVER:
        return None, verdict.elapsed
    said = look.to_json()
    keys = {key: said[key] for key in ("project_key", "environment_key", "experiment_key", "iteration_id")}
    content = {"event": verdict.kind.value, **keys, "verdict": said}
    return IterationEvent(VERDICT, target.iteration_id, content), verdict.elapsed


def _history(
    env: EnvironmentRef, experiment: Experiment, iteration: Iteration
) -> Iterator[tuple[tuple[float, int], IterationEvent]]:
    content = {
        "project_key": env.project_key,
        "environment_key": env.environment_key,
        "experiment_key": experiment.key,
        "iteration_id": iteration.id,
        "started_at": iso(iteration.started_at),
    }
    if iteration.running or iteration.stopped:
        yield (_order(iteration.started_at), 0), IterationEvent(START, iteration.id, {"event": START, **content})
    if iteration.stopped:
        winner = iteration.treatment(iteration.winning_treatment_id or "")
        ending = {
            "ended_at": iso(iteration.ended_at),
            "winning_treatment_id": iteration.winning_treatment_id,
            "winning_treatment": winner.name if winner else None,
            "winning_reason": iteration.winning_reason,
        }
        happening = IterationEvent(STOP, iteration.id, {"event": STOP, **content, **ending})
        yield (_order(iteration.ended_at), 1), happening


def _order(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
