"""A DAG run as Airflow tells of it, and the notes that its tasks have left: what a situation is read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.views import notes as kinds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_launchdarkly.views.model import Question

# Airflow's names of states, as its REST API writes them.
FAILED = frozenset({"failed"})
ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
WINDOW_OPERATORS = frozenset({"LaunchDarklyChangeWindowSensor", "LaunchDarklyRolloutWindowSensor"})
WATCHES = frozenset(
    {
        "LaunchDarklyWaitForSignificanceSensor",
        "LaunchDarklyWatchExtensionSensor",
        "LaunchDarklyDwellSensor",
        "LaunchDarklyTrafficSensor",
        "LaunchDarklyIterationStatusSensor",
        "LaunchDarklyReleaseSensor",
    }
)


@dataclass(frozen=True, slots=True)
class Task:
    """A task instance.

    Attributes:
        task_id: Its id.
        state: Airflow's name of its state; None while it is not due.
        operator: Its class.
        map_index: Its index in a mapped task; -1 in another.
        started_at: When its newest try started.
        ended_at: When it ended.
        opens_at: When the change window opens for which it waits, as it last found; None for every other task.
    """

    task_id: str
    state: str | None
    operator: str = ""
    map_index: int = -1
    started_at: datetime | None = None
    ended_at: datetime | None = None
    opens_at: datetime | None = None

    @property
    def awaits_window(self) -> bool:
        """True if it waits for a change window now."""
        return self.operator in WINDOW_OPERATORS and self.state is not None and self.state not in ENDED


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to people, answered or not.

    Attributes:
        task_id: The task that asks.
        question: The question.
        map_index: As of its task.
        chosen: The options that were chosen; empty while nobody has.
        who: The person who answered; None for nobody.
        answered_at: When.
        closed_at: When its task ended without an answer, for instance because a metric was harmed; None otherwise.
    """

    task_id: str
    question: Question
    map_index: int = -1
    chosen: tuple[str, ...] = ()
    who: str | None = None
    answered_at: datetime | None = None
    closed_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """True while an answer counts."""
        return not self.chosen and self.closed_at is None


@dataclass(frozen=True, slots=True)
class Run:
    """A DAG run, as far as it concerns one experiment.

    Attributes:
        dag_id: Its DAG.
        run_id: Its id.
        state: Airflow's name of its state.
        tasks: Its task instances that are not over, and those that failed; in a whole view all of them.
        asked: Its questions.
        paused: Whether its DAG is paused; None where that could not be read.
        unhealthy: The parts of Airflow that are known not to run: ``scheduler``, ``triggerer``.
    """

    dag_id: str
    run_id: str
    state: str
    tasks: tuple[Task, ...] = ()
    asked: tuple[Asked, ...] = ()
    paused: bool | None = False
    unhealthy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """A note, and the task that left it."""

    task_id: str
    map_index: int
    body: Mapping[str, Any]
    left_at: str = ""

    @property
    def at(self) -> tuple[str, bool, bool]:
        """The time by which notes sort: Airflow's where it is known, since LaunchDarkly's clock and a worker's differ.

        Of one instant, a start comes first and a stop last.
        """
        kind = self.body.get("kind")
        return self.left_at or str(self.body.get("at")), kind != kinds.START, kind == kinds.STOP
