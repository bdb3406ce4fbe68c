"""The inputs and outputs of the population simulator: arms, iterations and metrics; statistics of metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class SimulatedArm:
    """A treatment of a simulated iteration.

    Attributes:
        treatment_id: The treatment's id.
        name: The treatment's name.
        variation: The name of the variation that it serves, or its JSON value as text. Ground truths refer to it.
        share: The requested share of the iteration's people, 0 to 1.
    """

    treatment_id: str
    name: str
    variation: str
    share: float


@dataclass(frozen=True, slots=True)
class Bandit:
    """The reallocation of a bandit's people.

    Attributes:
        metric: The metric that decides.
        every: The time between two reallocations.
        divide: Returns each arm's share from the metric's statistics, or None without enough data.
    """

    metric: SimulatedMetric
    every: timedelta
    divide: Callable[[MetricStatistics, SimulatedMetric], list[float] | None]


@dataclass(frozen=True, slots=True)
class SimulatedIteration:
    """An iteration that the simulator draws people for.

    Attributes:
        experiment_key: The experiment's key, unique in the project.
        number: The number of the iteration within its experiment, from 1.
        started_at: The aware time of its start.
        ended_at: The aware time of its end; None while it runs.
        arms: The arms in their order.
        audience: The share of the people that layer and holdout leave to it, 0 to 1.
        off: The periods (from, until) of aware times in which the flag is off and no people arrive; the last may
            have no end yet.
        bandit: The reallocation of a bandit; None for other experiments.
        single_people: Whether numeric values are those of single people, rounded as `individuals` says, and not only
            the statistics of a group.
    """

    experiment_key: str
    number: int
    started_at: datetime
    ended_at: datetime | None
    arms: tuple[SimulatedArm, ...]
    audience: float = 1.0
    off: tuple[tuple[datetime, datetime | None], ...] = ()
    bandit: Bandit | None = None
    single_people: bool = False


@dataclass(frozen=True, slots=True)
class SimulatedMetric:
    """A metric of a simulated iteration.

    Attributes:
        key: The metric's key. Ground truths refer to it.
        is_numeric: Whether each person has a value, or else a conversion.
        higher_is_better: The direction of ``successCriteria``.
        missing_counts_as_zero: Numeric only, whether people without an event count as 0 (``eventDefault``).
        preceding: The keys of the funnel's steps that people take before this one.
    """

    key: str
    is_numeric: bool
    higher_is_better: bool
    missing_counts_as_zero: bool = False
    preceding: tuple[str, ...] = ()


class CovariateMoments(NamedTuple):
    """Sums over the units of a covariate x, of x squared, and of its products with the metric's values y."""

    sum: float
    sum_of_squares: float
    sum_of_products: float


@dataclass(frozen=True, slots=True)
class TreatmentStatistics:
    """The sufficient statistics of a metric in one treatment.

    Attributes:
        treatment_id: The treatment's id.
        exposed: The number of people who got the treatment.
        units: The number of people who count for the metric (see `SimulatedMetric.missing_counts_as_zero`).
        sum: The sum of their values; a conversion has the value 1.
        sum_of_squares: The sum of their squared values.
        covariate: The covariate of the same units, if the ground truth has one.
        last_event_at: The end of the last hour in which an event arrived; None before the first.
        responders: The number of people whose event has arrived.
    """

    treatment_id: str
    exposed: int
    units: int
    sum: float
    sum_of_squares: float
    covariate: CovariateMoments | None
    last_event_at: datetime | None
    responders: int = 0


@dataclass(frozen=True, slots=True)
class MetricStatistics:
    """The statistics of a metric up to the full hour ``through``, by treatment in the order of the arms."""

    through: datetime
    treatments: tuple[TreatmentStatistics, ...]
