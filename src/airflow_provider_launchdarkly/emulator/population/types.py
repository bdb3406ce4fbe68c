"""What the drawing of people is told, and what it tells: arms, iterations, metrics; sums over people measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class SimulatedArm:
    """One treatment of an iteration.

    Attributes:
        treatment_id: LaunchDarkly's id of it.
        name: the treatment's name.
        variation: that variation's name, or its JSON value as text; truths refer to this.
        share: of the iteration's people, 0 to 1.
    """

    treatment_id: str
    name: str
    variation: str
    share: float


@dataclass(frozen=True, slots=True)
class Bandit:
    """How a bandit divides its people: anew every so often, by what ``metric`` has shown until then.

    ``divide`` gives each arm's share, or None as long as the data does not say.
    """

    metric: SimulatedMetric
    every: timedelta
    divide: Callable[[MetricStatistics, SimulatedMetric], list[float] | None]


@dataclass(frozen=True, slots=True)
class SimulatedIteration:
    """One iteration that was started.

    Attributes:
        experiment_key: unique in the world.
        number: within the experiment, 1, 2, …
        started_at: aware.
        ended_at: aware, None while it runs.
        arms: in order.
        audience: the share of the people that its layer and holdout leave it, 0 to 1.
        off: aware times from and to which the flag was off; nobody comes then. The last one may have no end yet.
        bandit: for an iteration that divides its people anew while it runs.
    """

    experiment_key: str
    number: int
    started_at: datetime
    ended_at: datetime | None
    arms: tuple[SimulatedArm, ...]
    audience: float = 1.0
    off: tuple[tuple[datetime, datetime | None], ...] = ()
    bandit: Bandit | None = None


@dataclass(frozen=True, slots=True)
class SimulatedMetric:
    """What counts of a metric.

    Attributes:
        key: the metric's key; the truth refers to it.
        is_numeric: a value per person (True) or whether they converted (False).
        higher_is_better: from ``successCriteria``.
        missing_counts_as_zero: numeric only: people without an event count as 0 (``eventDefault``).
        preceding: keys of the steps before it if it is read as a step of a funnel: people must have taken those first.
    """

    key: str
    is_numeric: bool
    higher_is_better: bool
    missing_counts_as_zero: bool = False
    preceding: tuple[str, ...] = ()


class CovariateMoments(NamedTuple):
    """Sums over the units of a covariate x and of its products with the metric's values y."""

    sum: float
    sum_of_squares: float
    sum_of_products: float


@dataclass(frozen=True, slots=True)
class TreatmentStatistics:
    """What was measured of one treatment.

    Attributes:
        treatment_id: whose.
        exposed: people who met the treatment.
        units: those who count for the metric (see `SimulatedMetric.missing_counts_as_zero`).
        sum: of their values; conversions count 1.
        sum_of_squares: of their values.
        covariate: of the same units, where the truth gives one.
        last_event_at: the end of the last hour in which an event arrived, None before the first.
    """

    treatment_id: str
    exposed: int
    units: int
    sum: float
    sum_of_squares: float
    covariate: CovariateMoments | None
    last_event_at: datetime | None


@dataclass(frozen=True, slots=True)
class MetricStatistics:
    """What was measured of one metric up to the full hour ``through``, by treatment in the order of the arms."""

    through: datetime
    treatments: tuple[TreatmentStatistics, ...]
