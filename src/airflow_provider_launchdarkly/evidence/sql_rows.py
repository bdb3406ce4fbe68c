"""Evidence from the rows of a SQL query on the user's warehouse.

The caller hands in a function that runs the query. A number that cannot be true is an error that names the metric, the
treatment and the column.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar, assert_never

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.decision.evidence import Coverage, Evidence, Measurement, MetricEvidence
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.evidence.moments import (
    ImpossibleMomentsError,
    Moments,
    add_second_variable,
    adjust_by_covariate,
    as_float,
    centre,
    moved,
    ratio_of_means,
    rounded,
)
from airflow_provider_launchdarkly.evidence.sql_cells import (
    CellError,
    find_key,
    read_count,
    read_key,
    read_moment,
    read_number,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import Metric
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.moments import Number
    from airflow_provider_launchdarkly.evidence.source import LookContext

_T = TypeVar("_T")

REQUIRED = ("metric", "treatment_id", "units")
OPTIONAL = ("exposed", "latest_event_at")
SHIFT = "shift"
COVERAGE = ("units_without_events", "crossovers", "latest_exposure_at", "repeated_events")


class NumberForm(Enum):
    """The forms in which a row may give a metric's numbers, each with its columns."""

    CONVERSIONS = ("conversions",)
    MEAN = ("mean", "variance")
    SUMS = ("sum", "sum_squares")


class SecondVariableKind(StrEnum):
    """The kinds of second variable of a row, named as the prefix of their columns."""

    COVARIATE = "covariate"
    DENOMINATOR = "denominator"

    @property
    def columns(self) -> tuple[str, str, str]:
        """The columns for the sum, the sum of squares, and the sum of products with the metric's own values."""
        return f"{self}_sum", f"{self}_sum_squares", f"{self}_product"

    @property
    def shift(self) -> str:
        """The column for what was subtracted from each value before it was added up."""
        return f"{self}_{SHIFT}"


COLUMNS = (
    *REQUIRED,
    *(name for form in NumberForm for name in form.value),
    *(name for kind in SecondVariableKind for name in kind.columns),
    SHIFT,
    *(kind.shift for kind in SecondVariableKind),
    *OPTIONAL,
    *COVERAGE,
)


UNRIPE = (
    "only what had happened by the look was judged, unless the query leaves young units out: the policy has no "
    "maturity, so a treatment that only acts sooner may look better for a while"
)


class SqlResultsError(ConfigurationError, ValueError):
    """Rows that cannot be the iteration's results. The message names metric, treatment and column."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A row. Its moments are None while the metric has no data."""

    metric: str
    treatment_id: str
    units: int
    exposed: int | None
    moments: Moments | None
    second: SecondVariableKind | None
    latest: datetime | None
    without_events: int | None = None
    crossovers: int | None = None
    latest_exposure: datetime | None = None


def evidence_from_sql(
    look_context: LookContext,
    policy: Policy,
    query: Callable[[LookContext], tuple[Sequence[str], Iterable[Sequence[Any]]]],
) -> Procedure[Evidence]:
    """Run the query and read the metrics that the policy judges.

    Args:
        look_context: The iteration and the time of the look.
        policy: Names the metrics; without a primary one, the iteration's primary metric is judged.
        query: Runs the query for a look; returns column names and rows. It may block: this runs on a worker.

    Returns:
        The evidence. The direction of a metric that the iteration measures too comes from LaunchDarkly's
        ``successCriteria``, unless the policy sets it.

    Raises:
        SqlResultsError: The rows cannot be the iteration's results.
        LaunchDarklyError: As the reading of a metric raises.
    """
    directions: dict[str, Direction | None] = {}
    judged = {look_context.primary_metric(policy): policy.primary.direction}
    judged |= {part.metric: part.direction for part in policy.parts[1:] if part.metric}
    for key, wanted in judged.items():
        directions[key] = None if wanted is not None else (yield from _direction(look_context, key))
    columns, rows = query(look_context)
    return evidence_from_rows(look_context, policy, columns, rows, directions)


def _direction(look_context: LookContext, key: str) -> Procedure[Direction | None]:
    """Return a metric's direction in LaunchDarkly; None for a metric that the iteration does not measure."""
    measured = next((metric for metric in look_context.iteration.measured if metric.key == key), None)
    if measured is None:
        return None
    last = measured.metrics[-1].key if measured.metrics else measured.key
    metric: Metric = (yield endpoints.get_metric(look_context.target.environment.project_key, last)).value
    return Direction.of_success_criteria(metric.success_criteria)


def evidence_from_rows(
    look_context: LookContext,
    policy: Policy,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    directions: Mapping[str, Direction | None],
) -> Evidence:
    """Turn rows into evidence.

    A treatment without a row, with no units, with NULL in all of a metric's numbers, or with nothing but zeros in a
    ratio's, has no data yet on that metric.

    Args:
        look_context: The iteration and the time of the look.
        policy: Names the metrics.
        columns: Names of the columns, in any case.
        rows: The values, in the same order.
        directions: LaunchDarkly's direction of each metric of the policy; None where the policy sets it, or where
            LaunchDarkly does not measure the metric.

    Raises:
        SqlResultsError: The rows cannot be the iteration's results.
    """
    names = _checked_columns(columns)
    judged = list(directions)
    cells = (dict(zip(names, row, strict=True)) for row in rows)
    found = _distinct(_Reader(look_context, judged, row).row() for row in cells)
    primary = look_context.primary_metric(policy)
    measured = {row.metric for row in found}
    for key in judged:
        if found and key not in measured:
            raise SqlResultsError(f"metric {key!r}: the query returned no row; it has {', '.join(sorted(measured))}")
    deciding = [row for row in found if row.metric == primary]
    _check_exposed(found, deciding)
    return Evidence(
        elapsed=look_context.elapsed,
        treatments=look_context.treatments(_exposed(found, deciding)),
        metrics=tuple(
            MetricEvidence(
                key, _measurements(look_context, [row for row in found if row.metric == key]), directions[key]
            )
            for key in judged
        ),
        primary_metric=primary,
        started_at=look_context.started_at,
        unchanged_for=look_context.unchanged_since(max((row.latest for row in deciding if row.latest), default=None)),
        cautions=() if policy.maturity else (UNRIPE,),
        coverage=_coverage(look_context, found),
    )


def _coverage(look_context: LookContext, rows: Sequence[_Row]) -> Coverage | None:
    """Return what the rows say beside the numbers; None if they have no column for it."""
    without_events: dict[str, int] = {}
    crossovers: dict[str, int] = {}
    for row in rows:
        if row.without_events is not None:
            without_events[row.metric] = without_events.get(row.metric, 0) + row.without_events
        if row.crossovers is not None:  # the same in each metric's row
            crossovers[row.treatment_id] = max(row.crossovers, crossovers.get(row.treatment_id, 0))
    exposures = [row.latest_exposure for row in rows if row.latest_exposure]
    if not (without_events or crossovers or exposures):
        return None
    events = [row.latest for row in rows if row.latest]
    last = max([*exposures, *events], default=None)
    return Coverage(
        crossovers=sum(crossovers.values()) if crossovers else None,
        without_events=without_events,
        last_event=max(events, default=None),
        last_batch=last,
        lateness=None if last is None else max(look_context.at - last, look_context.at - look_context.at),
    )


def _exposed(rows: Sequence[_Row], deciding: Sequence[_Row]) -> dict[str, int]:
    """Return the exposed units of each treatment: those of the primary metric's row, else the most of any row."""
    most: dict[str, int] = {}
    for row in rows:
        count = row.units if row.exposed is None else row.exposed
        most[row.treatment_id] = max(count, most.get(row.treatment_id, 0))
    return most | {row.treatment_id: row.exposed for row in deciding if row.exposed is not None}


def _check_exposed(rows: Sequence[_Row], deciding: Sequence[_Row]) -> None:
    """Refuse a metric with more units than the primary metric's rows say were exposed: one query reads both."""
    exposed = {row.treatment_id: row.exposed for row in deciding}
    for row in rows:
        most = exposed.get(row.treatment_id)
        if most is not None and row.units > most:
            raise _row_error(
                row.metric,
                row.treatment_id,
                "units",
                f"{row.units} units, but only {most} exposed in the rows of the primary metric; count each unit once, "
                "and in every metric the same units",
            )


def _checked_columns(columns: Sequence[str]) -> tuple[str, ...]:
    names = tuple(str(column).lower() for column in columns)
    for name in REQUIRED:
        if name not in names:
            raise SqlResultsError(f"column {name!r} is missing; the query returned {', '.join(names)}")
    for name in names:
        if name not in COLUMNS:
            raise SqlResultsError(f"column {name!r} is not known; there are {', '.join(COLUMNS)}")
        if names.count(name) > 1:
            raise SqlResultsError(f"column {name!r} is returned twice")
    return names


def _distinct(rows: Iterable[_Row]) -> list[_Row]:
    found: dict[tuple[str, str], _Row] = {}
    for row in rows:
        if (row.metric, row.treatment_id) in found:
            raise SqlResultsError(
                f"metric {row.metric!r}, treatment {row.treatment_id!r}: the query returned two rows; group by the "
                "treatment alone, and by ids in one case where tables write them differently"
            )
        found[row.metric, row.treatment_id] = row
    return list(found.values())


def _measurements(look_context: LookContext, rows: Sequence[_Row]) -> tuple[Measurement, ...]:
    moments = {row.treatment_id: found for row, found in _moments(rows) if found is not None}
    return tuple(
        Measurement(treatment.id, found.units, as_float(found.mean), found.std_dev)
        if (found := moments.get(treatment.id)) is not None
        else Measurement(treatment.id, 0, None, None)
        for treatment in look_context.iteration.treatments
    )


def _moments(rows: Sequence[_Row]) -> Iterable[tuple[_Row, Moments | None]]:
    """Return the rows of one metric, each with what is judged: adjusted, a ratio, or None while there is no data."""
    filled = [row for row in rows if row.moments is not None]
    kinds = {row.second for row in filled}
    if SecondVariableKind.DENOMINATOR in kinds:
        # SUM is NULL over no denominators at all: without numerators either, there is no ratio yet.
        filled = [row for row in filled if row.second is not None or not _all_zero(row)]
        kinds = {row.second for row in filled}
    if len(kinds) > 1:
        raise SqlResultsError(
            f"metric {rows[0].metric!r}: some treatments have a covariate or a denominator, and others have not; where "
            "a sum may be over no values, write COALESCE(SUM(…), 0)"
        )
    moments = [row.moments for row in filled if row.moments is not None]
    match next(iter(kinds), None):
        case SecondVariableKind.COVARIATE:
            return zip(filled, adjust_by_covariate(moments), strict=True)
        case SecondVariableKind.DENOMINATOR:
            return [(row, _ratio(row)) for row in filled]
        case None:
            return zip(filled, moments, strict=True)
        case unreachable:
            assert_never(unreachable)


def _all_zero(row: _Row) -> bool:
    return row.moments is not None and row.moments.mean == 0 and row.moments.sum_of_squares == 0


def _ratio(row: _Row) -> Moments | None:
    assert row.moments is not None  # noqa: S101 - narrows the type: only filled rows come here
    second = row.moments.second
    if second is not None and second.mean == 0 and second.sum_of_squares == 0 and _all_zero(row):
        return None
    try:
        return ratio_of_means(row.moments)
    except ImpossibleMomentsError as error:
        column = SecondVariableKind.DENOMINATOR.columns[0]
        raise _row_error(row.metric, row.treatment_id, column, str(error)) from None


class _Reader:
    """Reads one row; its errors name metric, treatment and column."""

    def __init__(self, look_context: LookContext, judged: Sequence[str], cells: Mapping[str, Any]) -> None:
        self._look_context = look_context
        self._judged = judged
        self._cells = cells

    def row(self) -> _Row:
        units = self._count("units")
        exposed = self._count("exposed") if self._given("exposed") else None
        if exposed is not None and exposed < units:
            raise self._error("units", f"{units} units, but only {exposed} exposed; count each unit once")
        repeated = self._count("repeated_events") if self._given("repeated_events") else 0
        if repeated:
            raise self._error(
                "repeated_events",
                f"{repeated} events stand more than once in what is read, with the same id, and would count as often; "
                "read the table itself, or a view that joins nothing to it which repeats its rows. Where a table of "
                "events has no id, rows with the same unit, event, time and value are meant: name its column with ids "
                "as `id`, or write `id: null` if such rows are events of their own",
            )
        moments, second = self._moments(units) if units else (None, None)
        if moments is not None:
            moments = moved(moments, self._shift(SHIFT), self._shift(second.shift) if second else 0)
        return _Row(
            self._metric(),
            self._treatment(),
            units,
            exposed,
            moments,
            second,
            latest=self._moment("latest_event_at"),
            without_events=self._count("units_without_events") if self._given("units_without_events") else None,
            crossovers=self._count("crossovers") if self._given("crossovers") else None,
            latest_exposure=self._moment("latest_exposure_at"),
        )

    def _moments(self, units: int) -> tuple[Moments | None, SecondVariableKind | None]:
        first = self._first(units)
        given = [kind for kind in SecondVariableKind if any(self._given(column) for column in kind.columns)]
        if len(given) > 1:
            raise self._error("denominator_sum", "a ratio metric takes no covariate; leave one of the two NULL")
        if first is None or not given:
            return first, None
        total, squares, product = given[0].columns
        try:
            both = add_second_variable(first, self._number(total), self._number(squares), self._number(product))
        except ImpossibleMomentsError as error:
            raise self._error(product, str(error)) from None
        return both, given[0]

    def _first(self, units: int) -> Moments | None:
        """Return the metric's own moments; None while no unit has a value, when aggregates are NULL."""
        given = [form for form in NumberForm if any(self._given(column) for column in form.value)]
        if not given and any(column in self._cells for form in NumberForm for column in form.value):
            return None
        if len(given) != 1:
            forms = "; or ".join(" and ".join(form.value) for form in NumberForm)
            problem = "has no numbers" if not given else "has numbers in more than one form"
            column = given[1].value[0] if given else NumberForm.CONVERSIONS.value[0]
            raise self._error(column, f"the row {problem}; it takes {forms}")
        match given[0]:
            case NumberForm.CONVERSIONS:
                return self._from_conversions(units)
            case NumberForm.MEAN:
                return self._from_mean(units)
            case NumberForm.SUMS:
                return self._from_sums(units)
            case unreachable:
                assert_never(unreachable)

    def _from_conversions(self, units: int) -> Moments:
        conversions = self._count("conversions")
        if conversions > units:
            raise self._error("conversions", f"{conversions} of {units} units")
        return Moments(units, Fraction(conversions, units), conversions * (1 - Fraction(conversions, units)))

    def _from_mean(self, units: int) -> Moments:
        mean = self._number("mean")
        if units == 1:
            return Moments(units, mean, 0, rounded=True)
        if not self._given("variance"):
            raise self._error(
                "variance",
                f"there is no value: fewer than two of the {units} units have one. AVG and VAR_SAMP skip NULL; count "
                "the same units as they do, with COUNT(x), or write COALESCE(x, 0) in all three",
            )
        variance = self._number("variance")
        if variance < 0:
            raise self._error("variance", f"{as_float(variance):g} is negative")
        return Moments(units, mean, Fraction(variance) * (units - 1), rounded=True)

    def _from_sums(self, units: int) -> Moments:
        total, squares = self._number("sum"), self._number("sum_squares")
        try:
            return Moments(units, *centre(units, total, squares), rounded=rounded(total, squares))
        except ImpossibleMomentsError as error:
            raise self._error("sum_squares", f"{as_float(squares):g}: {error}") from None

    def _moment(self, column: str) -> datetime | None:
        return self._read(column, read_moment) if self._given(column) else None

    def _shift(self, column: str) -> Number:
        return self._number(column) if self._given(column) else 0

    def _given(self, column: str) -> bool:
        return self._cells.get(column) is not None

    def _metric(self) -> str:
        found: str | None = self._read("metric", lambda value: find_key(value, self._judged))
        return found or self._read("metric", read_key)

    def _treatment(self) -> str:
        known = self._look_context.iteration.treatments
        found = self._read("treatment_id", lambda value: find_key(value, [treatment.id for treatment in known]))
        if found is None:
            names = ", ".join(f"{treatment.id} ({treatment.name})" for treatment in known)
            raise self._error(
                "treatment_id", f"iteration {self._look_context.iteration.id} has no such treatment; it has {names}"
            )
        return found

    def _number(self, column: str) -> Number:
        if not self._given(column):
            raise self._error(column, "there is no value")
        return self._read(column, read_number)

    def _count(self, column: str) -> int:
        if not self._given(column):
            raise self._error(column, "there is no value")
        return self._read(column, read_count)

    def _read(self, column: str, read: Callable[[Any], _T]) -> _T:
        try:
            return read(self._cells.get(column))
        except CellError as error:
            raise self._error(column, str(error)) from None

    def _error(self, column: str, problem: str) -> SqlResultsError:
        return _row_error(self._cells.get("metric"), self._cells.get("treatment_id"), column, problem)


def _row_error(metric: Any, treatment: Any, column: str, problem: str) -> SqlResultsError:
    return SqlResultsError(f"metric {shown(metric)}, treatment {shown(treatment)}, column {column!r}: {problem}")
