"""The variables of a statement: what each metric needs of each unit, and the events that it comes from. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.evidence.warehouse.definition import Aggregation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.evidence.warehouse.definition import Cap, EventsTable, MetricDefinition

NUMERIC = (Aggregation.SUM, Aggregation.AVERAGE)


class DefinitionError(ConfigurationError, ValueError):
    """A metric that cannot be computed as it is defined. The message names it and the setting."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A number per unit.

    Attributes:
        name: Prefix of its columns in the statement.
        metric: Whose events, aggregation, missing value and cap it has.
        since: Start of the time in which events count, in microseconds after the first exposure.
        until: End of it, exclusive; None is open.
        covariate: Whether it is from before the exposure.
    """

    name: str
    metric: MetricDefinition
    since: int
    until: int | None
    covariate: bool = False

    @property
    def numeric(self) -> bool:
        """True if it is made of the events' values."""
        return self.metric.aggregation in NUMERIC

    @property
    def what(self) -> str:
        """The value that each event adds."""
        return "amount" if self.numeric else "1"

    @property
    def missing(self) -> float | None:
        """The value of a unit without an event; None if it has none."""
        return 0.0 if self.metric.aggregation is Aggregation.OCCURRENCE else self.metric.missing

    @property
    def cap(self) -> Cap | None:
        """The percentiles at which its values are cut off; None if there are none."""
        cap = self.metric.cap
        return None if cap is None or (cap.lower is None and cap.upper is None) else cap

    @property
    def own_column(self) -> str:
        """The column with its value for each unit that counts and has one."""
        return f"{self.name}_capped" if self.cap else self.name

    @property
    def column(self) -> str:
        """The column with its value for each unit that counts."""
        return f"{self.name}_filled" if self.covariate and self.missing is None else self.own_column

    @property
    def whole(self) -> bool:
        """True if its sums are of whole numbers, which double precision keeps exact."""
        return not self.numeric and self.missing is not None and float(self.missing).is_integer()


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric of the statement.

    Attributes:
        metric: Its definition.
        first: The variable that is measured.
        second: The denominator, or the covariate; None if there is none.
        complete: Time after the first exposure that must be over for a unit to count, in microseconds.
    """

    metric: MetricDefinition
    first: Variable
    second: Variable | None
    complete: int

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Both, or the one there is."""
        return (self.first,) if self.second is None else (self.first, self.second)


def measured(metrics: Sequence[MetricDefinition]) -> tuple[Measured, ...]:
    """Return what the metrics need of each unit.

    Raises:
        DefinitionError: A metric cannot be computed as it is defined.
    """
    if not metrics:
        raise DefinitionError("there is no metric to compute: name at least one")
    keys = [metric.key for metric in metrics]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise DefinitionError(f"metric {twice[0]!r} is defined twice; define each metric once")
    return tuple(_measured(number, metric) for number, metric in enumerate(metrics))


def _measured(number: int, metric: MetricDefinition) -> Measured:
    _check(metric, metric.key)
    first = _own(f"x{number}", metric)
    second = None
    if metric.denominator is not None:
        _check(metric.denominator, f"{metric.key}, denominator")
        second = _own(f"y{number}", metric.denominator)
    elif metric.covariate is not None:
        second = Variable(f"y{number}", metric, -microseconds(metric.covariate), 0, covariate=True)
    ends = [each.until for each in (first, second) if each is not None and each.until is not None]
    return Measured(metric, first, second, max(0, *ends) if ends else 0)


def _own(name: str, metric: MetricDefinition) -> Variable:
    start, end = metric.window or (timedelta(), None)
    return Variable(name, metric, microseconds(start), None if end is None else microseconds(end))


def microseconds(time: timedelta) -> int:
    """Return a time in microseconds."""
    return time // timedelta(microseconds=1)


def _check(metric: MetricDefinition, where: str) -> None:
    problem = next(iter(_problems(metric)), None)
    if problem is not None:
        raise DefinitionError(f"metric {where}: {problem}")


def _problems(metric: MetricDefinition) -> list[str]:
    table, cap = metric.events_table, metric.cap
    problems = [*_problems_of_events(metric, table), *_problems_of_second(metric)]
    if metric.aggregation in NUMERIC and table.value is None:
        problems.append(
            f"aggregation {metric.aggregation} needs values, but table {table.table!r} names no value column; set value"
        )
    if metric.window is not None and not timedelta() <= metric.window[0] < metric.window[1]:
        start, end = metric.window
        problems.append(f"window from {start} to {end}: it starts at the exposure or later, and ends after its start")
    if metric.covariate is not None and metric.covariate <= timedelta():
        problems.append(f"covariate {metric.covariate} is no time before the exposure; give one such as 28 days")
    if cap is not None:
        lower, upper = cap.lower or 0, 100 if cap.upper is None else cap.upper
        if not 0 <= lower < upper <= 100:
            problems.append(f"cap from {lower} to {upper}: give percentiles from 0 to 100, the lower one first")
    if metric.percentile is not None and not 1 <= metric.percentile <= 99:
        problems.append(f"percentile {metric.percentile} is not between 1 and 99")
    return problems


def _problems_of_events(metric: MetricDefinition, table: EventsTable) -> list[str]:
    if table.event_key is None and len(metric.events) > 1:
        return [f"a funnel needs the events' keys, but table {table.table!r} names no event_key column"]
    if table.event_key is not None and not metric.events:
        return ["events is empty; name the event's key"]
    return []


def _problems_of_second(metric: MetricDefinition) -> list[str]:
    denominator = metric.denominator
    if metric.percentile is not None and (denominator is not None or metric.covariate is not None):
        return ["a percentile takes no covariate and no denominator; remove them"]
    if denominator is None:
        return []
    if metric.covariate is not None:
        return ["a ratio takes no covariate; remove covariate or denominator"]
    if denominator.denominator is not None or denominator.percentile is not None or denominator.covariate is not None:
        return ["the denominator is a ratio or a percentile, or has a covariate; give it none of them"]
    return []
