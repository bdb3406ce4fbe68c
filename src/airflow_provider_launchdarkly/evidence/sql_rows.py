"""Evidence from the rows of a SQL query on the user's warehouse.

The caller hands in a function that runs the query. A number that cannot be true is an error that names the metric, the
treatment and the column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from numbers import Real
from typing import TYPE_CHECKING, Any, assert_never

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.decision.evidence import Evidence, Measurement, MetricEvidence
from airflow_provider_launchdarkly.decision.policy import Direction
from airflow_provider_launchdarkly.evidence.moments import (
    ImpossibleMomentsError,
    Moments,
    add_second_variable,
    adjust_by_covariate,
    centre,
    ratio_of_means,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import Metric
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import LookContext

REQUIRED = ("metric", "treatment_id", "units")
OPTIONAL = ("exposed", "latest_event_at")


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


COLUMNS = (
    *REQUIRED,
    *(name for form in NumberForm for name in form.value),
    *(name for kind in SecondVariableKind for name in kind.columns),
    *OPTIONAL,
)


class SqlResultsError(ValueError):
    """Rows that cannot be the iteration's results. The message names metric, treatment and column."""


@dataclass(frozen=True, slots=True)
class _Row:
    metric: str
    treatment_id: str
    units: int
    exposed: int
    moments: Moments | None
    second: SecondVariableKind | None
    latest: datetime | None


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
    judged |= {guardrail.metric: guardrail.direction for guardrail in policy.guardrails}
    judged |= {signal.metric: signal.direction for signal in policy.signals}
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
    found = _distinct(_Reader(look_context, dict(zip(names, row, strict=True))).row() for row in rows)
    primary = look_context.primary_metric(policy)
    judged = list(directions)
    measured = {row.metric for row in found}
    for key in judged:
        if found and key not in measured:
            raise SqlResultsError(f"metric {key!r}: the query returned no row; it has {', '.join(sorted(measured))}")
    deciding = [row for row in found if row.metric == primary]
    return Evidence(
        elapsed=look_context.elapsed,
        treatments=look_context.treatments({row.treatment_id: row.exposed for row in deciding}),
        metrics=tuple(
            MetricEvidence(
                key, _measurements(look_context, [row for row in found if row.metric == key]), directions[key]
            )
            for key in judged
        ),
        primary_metric=primary,
        started_at=look_context.started_at,
        unchanged_for=look_context.unchanged_since(max((row.latest for row in deciding if row.latest), default=None)),
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
            raise SqlResultsError(f"metric {row.metric!r}, treatment {row.treatment_id!r}: the query returned two rows")
        found[row.metric, row.treatment_id] = row
    return list(found.values())


def _measurements(look_context: LookContext, rows: Sequence[_Row]) -> tuple[Measurement, ...]:
    filled = [row for row in rows if row.moments is not None]
    kinds = {row.second for row in filled}
    if len(kinds) > 1:
        raise SqlResultsError(
            f"metric {rows[0].metric!r}: some treatments have a covariate or a denominator, and others have not"
        )
    moments = [row.moments for row in filled if row.moments is not None]
    match next(iter(kinds), None):
        case SecondVariableKind.COVARIATE:
            moments = list(adjust_by_covariate(moments))
        case SecondVariableKind.DENOMINATOR:
            moments = [_ratio(row) for row in filled]
        case None:
            pass
        case unreachable:
            assert_never(unreachable)
    numbers = {row.treatment_id: moment for row, moment in zip(filled, moments, strict=True)}
    return tuple(
        Measurement(treatment.id, found.units, found.mean, found.std_dev)
        if (found := numbers.get(treatment.id)) is not None
        else Measurement(treatment.id, 0, None, None)
        for treatment in look_context.iteration.treatments
    )


def _ratio(row: _Row) -> Moments:
    assert row.moments is not None  # noqa: S101 - narrows the type: only filled rows come here
    try:
        return ratio_of_means(row.moments)
    except ImpossibleMomentsError as error:
        column = SecondVariableKind.DENOMINATOR.columns[0]
        raise _row_error(row.metric, row.treatment_id, column, str(error)) from None


class _Reader:
    """Reads one row; its errors name metric, treatment and column."""

    def __init__(self, look_context: LookContext, cells: Mapping[str, Any]) -> None:
        self._look_context = look_context
        self._cells = cells

    def row(self) -> _Row:
        units = self._count("units")
        exposed = self._count("exposed") if self._given("exposed") else units
        if exposed < units:
            raise self._error("units", f"{units} units, but only {exposed} exposed")
        moments, second = self._moments(units) if units else (None, None)
        return _Row(self._key("metric"), self._treatment(), units, exposed, moments, second, self._latest())

    def _moments(self, units: int) -> tuple[Moments, SecondVariableKind | None]:
        first = self._first(units)
        given = [kind for kind in SecondVariableKind if any(self._given(column) for column in kind.columns)]
        if len(given) > 1:
            raise self._error("denominator_sum", "a ratio metric takes no covariate; leave one of the two NULL")
        if not given:
            return first, None
        total, squares, product = given[0].columns
        try:
            both = add_second_variable(first, self._number(total), self._number(squares), self._number(product))
        except ImpossibleMomentsError as error:
            raise self._error(product, str(error)) from None
        return both, given[0]

    def _first(self, units: int) -> Moments:
        given = [form for form in NumberForm if any(self._given(column) for column in form.value)]
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
        return Moments(units, conversions / units, conversions * (1.0 - conversions / units))

    def _from_mean(self, units: int) -> Moments:
        variance = self._number("variance") if units > 1 or self._given("variance") else 0.0
        if variance < 0:
            raise self._error("variance", f"{variance:g} is negative")
        return Moments(units, self._number("mean"), variance * (units - 1))

    def _from_sums(self, units: int) -> Moments:
        total, squares = self._number("sum"), self._number("sum_squares")
        try:
            return Moments(units, *centre(units, total, squares))
        except ImpossibleMomentsError as error:
            raise self._error("sum_squares", f"{squares:g}: {error}") from None

    def _given(self, column: str) -> bool:
        return self._cells.get(column) is not None

    def _key(self, column: str) -> str:
        value = self._cells.get(column)
        if not isinstance(value, str) or not value:
            raise self._error(column, f"{value!r} is no key; return text")
        return value

    def _treatment(self) -> str:
        found = self._cells.get("treatment_id")
        known = self._look_context.iteration.treatments
        if found not in {treatment.id for treatment in known}:
            names = ", ".join(f"{treatment.id} ({treatment.name})" for treatment in known)
            raise self._error(
                "treatment_id", f"iteration {self._look_context.iteration.id} has no such treatment; it has {names}"
            )
        return str(found)

    def _number(self, column: str) -> float:
        value = self._cells.get(column)
        if value is None:
            raise self._error(column, "there is no value")
        if isinstance(value, bool) or not isinstance(value, Real | Decimal):
            raise self._error(column, f"{value!r} is no number")
        number = float(value)
        if not math.isfinite(number):
            raise self._error(column, f"{value!r} is not finite")
        return number

    def _count(self, column: str) -> int:
        number = self._number(column)
        if number < 0 or number != int(number):
            raise self._error(column, f"{self._cells[column]} is no count")
        return int(number)

    def _latest(self) -> datetime | None:
        value = self._cells.get("latest_event_at")
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise self._error("latest_event_at", f"{value!r} is no ISO 8601 time") from None
        elif isinstance(value, Real | Decimal) and not isinstance(value, bool):
            value = datetime.fromtimestamp(self._number("latest_event_at"), UTC)
        if value is None:
            return None
        if not isinstance(value, datetime):
            raise self._error("latest_event_at", f"{value!r} is no time: give a timestamp, ISO 8601 text or epoch")
        # A timestamp without a zone is taken as UTC, as warehouses keep them.
        return value if value.tzinfo else value.replace(tzinfo=UTC)

    def _error(self, column: str, problem: str) -> SqlResultsError:
        return _row_error(self._cells.get("metric"), self._cells.get("treatment_id"), column, problem)


def _row_error(metric: Any, treatment: Any, column: str, problem: str) -> SqlResultsError:
    return SqlResultsError(f"metric {metric!r}, treatment {treatment!r}, column {column!r}: {problem}")
