"""Events of an experiment: iterations that were started or stopped, and the verdict on the running one.

Pure procedures without memory, for the watcher's trigger: the same read gives the same events, each with a name by
which the watcher notes that it has fired.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.endpoints import get_experiment
from airflow_provider_launchdarkly.api.errors import NotFoundError
from airflow_provider_launchdarkly.api.models.base import iso
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
from airflow_provider_launchdarkly.checks.arguments import START, STOP, VERDICT
from airflow_provider_launchdarkly.checks.significance import check_significance
from airflow_provider_launchdarkly.decision.verdict import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Experiment, Iteration, Metric
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import Target

# These verdicts only say that the iteration ended between two reads, which fires as its stop.
_ENDED_ELSEWHERE = {Reason.ITERATION_REPLACED, Reason.ITERATION_STOPPED}


@dataclass(frozen=True, slots=True)
class IterationEvent:
    """An event that happens once to an iteration.

    Attributes:
        kind: ``start``, ``stop`` or ``verdict``.
        iteration_id: The iteration.
        content: Payload of the trigger's event: plain JSON.
    """

    kind: str
    iteration_id: str
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the event, the same in every read."""
        return f"{self.kind}:{self.iteration_id}"


@dataclass(frozen=True, slots=True)
class State:
    """The state of an experiment in one read.

    Attributes:
        events: Starts and stops, oldest first.
        running: Id of the running iteration, if any.
        iterations: Ids of all iterations.
        exists: Whether there is such an experiment.
    """

    events: tuple[IterationEvent, ...] = ()
    running: str | None = None
    iterations: frozenset[str] = frozenset()
    exists: bool = True


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
        return State(exists=False)
    return state_of(env, experiment)


def state_of(env: EnvironmentRef, experiment: Experiment) -> State:
    """Return which iterations of an experiment were started and stopped."""
    history = [entry for iteration in experiment.iterations for entry in _history(env, experiment, iteration)]
    return State(
        events=tuple(event for _, event in sorted(history, key=lambda entry: entry[0])),
        running=experiment.running.id if experiment.running else None,
        iterations=frozenset(iteration.id for iteration in experiment.iterations),
    )


def read_verdict(
    target: Target,
    policy: Policy,
    *,
    previous: timedelta | None,
    poll_interval: timedelta,
    definitions: dict[str, Metric] | None = None,
) -> Procedure[tuple[IterationEvent | None, timedelta, bool]]:
    """Check the significance of the running iteration, as the sensor does.

    Args:
        target: The iteration.
        policy: As for :func:`check_significance`.
        previous: As for :func:`check_significance`.
        poll_interval: As for :func:`check_significance`.
        definitions: As for :func:`check_significance`.

    Returns:
        The verdict as an event, if it ends the waiting, else None; ``elapsed``, the next poll's ``previous``; and
        whether this was a planned look at results.

    Raises:
        LaunchDarklyError: As :func:`check_significance` raises.
    """
    found = yield from check_significance(
        target, policy, previous=previous, poll_interval=poll_interval, definitions=definitions
    )
    verdict = found.verdict
    looked = found.evidence is not None and (verdict.ends or not found.evidence.only_harm)
    if not verdict.ends or verdict.reason in _ENDED_ELSEWHERE:
        return None, verdict.elapsed, looked
    content = {"event": verdict.kind.value, **target.to_json(), "verdict": found.to_json()}
    return IterationEvent(VERDICT, target.iteration_id, content), verdict.elapsed, looked


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
        yield (_order(iteration.ended_at), 1), IterationEvent(STOP, iteration.id, {"event": STOP, **content, **ending})


def _order(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
