"""The second half of a look's statement: from the events of units to values, and to sums for each treatment. Pure."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, assert_never

from airflow_provider_launchdarkly.evidence.sql_rows import SecondVariableKind
from airflow_provider_launchdarkly.evidence.warehouse.definition import Aggregation
from airflow_provider_launchdarkly.evidence.warehouse.writing import select

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_launchdarkly.evidence.warehouse.definition import ExportLook
    from airflow_provider_launchdarkly.evidence.warehouse.events import Events
    from airflow_provider_launchdarkly.evidence.warehouse.variables import Measured, Variable
    from airflow_provider_launchdarkly.evidence.warehouse.writing import Writer

# The normal quantile of the interval between two order statistics that gives a percentile's standard error: 95%.
_Z = 1.959963984540054


class ValueSteps:
    """Writes the steps from each unit's events to the rows of the result."""

    def __init__(
        self, metrics: Sequence[Measured], look: ExportLook, arms: Mapping[str, int], events: Events, writer: Writer
    ) -> None:
        self._metrics = metrics
        self._variables = [variable for metric in metrics for variable in metric.variables]
        self._look = look
        self._arms = arms
        self._events = events
        self._writer = writer
        # What is computed over the events of each unit, and its column.
        self._aggregates: dict[str, str] = {}

    def steps(self, joined: str) -> dict[str, str]:
        """Return the steps by name, the last of which is read by :meth:`rows`.

        Args:
            joined: The step with a row for each event of each unit.
        """
        values = self._values()  # first, since it names what is computed over each unit's events
        steps = {"ld_units_with_sums": self._sums_of_units(joined), "ld_values": values}
        last = "ld_values"
        if any(variable.cap for variable in self._variables):
            steps |= {"ld_ranked": self._ranked(), "ld_limits": self._limits(), "ld_capped": self._capped()}
            last = "ld_capped"
        return steps | {"ld_shifted": self._shifted(last), "ld_totals": self._totals()}

    def _sums_of_units(self, joined: str) -> str:
        """Count, sum and latest event for each variable, computed once where several variables need the same."""
        columns = ["unit_key", *(f"MAX({name}) AS unit_{name}" for name in ("arm", "crossed", "first_us", "last_us"))]
        columns += [f"{text} AS {column}" for text, column in self._aggregates.items()]
        if ids := self._events.ids:
            repeated = " + ".join(f"COUNT({text}) - COUNT(DISTINCT {text})" for text in ids)
            columns.append(f"{repeated} AS repeated_rows")
        return select(columns, joined, after="\nGROUP BY unit_key")

    def _number(self, variable: Variable) -> str:
        """The column with the number of a unit's events for a variable, those with a value if it is made of values."""
        return self._aggregate("COUNT", variable, variable.what)

    def _aggregate(self, function: str, variable: Variable, what: str) -> str:
        return self._column(f"{function}(CASE WHEN {self._events.counted(variable)} THEN {what} END)")

    def _column(self, text: str) -> str:
        return self._aggregates.setdefault(text, f"e{len(self._aggregates)}")

    def _values(self) -> str:
        """Each variable's value, NULL where the unit does not count."""
        columns = [
            *(f"unit_{name} AS {name}" for name in ("arm", "crossed", "last_us")),
            *(["repeated_rows"] if self._events.ids else []),
        ]
        for number, metric in enumerate(self._metrics):
            counted = " AND ".join(self._counted(metric))
            columns += [f"CASE WHEN {counted} THEN {self._value(each)} END AS {each.name}" for each in metric.variables]
            without = " AND ".join([*self._complete(metric), f"{self._number(metric.first)} = 0"])
            columns.append(f"CASE WHEN {without} THEN 1 ELSE 0 END AS eventless{number}")
            # What arrived last tells how fresh the data are, so each step of a funnel counts, taken in order or not.
            latest = self._column(f"MAX(CASE WHEN {self._events.of_any_step(metric.first)} THEN event_us END)")
            columns.append(f"CASE WHEN {counted} THEN {latest} END AS last{number}")
            columns += [
                f"CASE WHEN {self._in_percentiles(each, metric)} THEN 1 ELSE 0 END AS {each.name}_in"
                for each in metric.variables
                if each.cap
            ]
        return select(columns, "ld_units_with_sums")

    def _complete(self, metric: Measured) -> list[str]:
        conditions = ["unit_crossed = 0"]
        if metric.complete:
            end = min(self._look.looked_at, self._look.ended_at or self._look.looked_at)
            conditions.append(f"unit_first_us <= {self._writer.instant(end - timedelta(microseconds=metric.complete))}")
        return conditions

    def _counted(self, metric: Measured) -> list[str]:
        conditions = self._complete(metric)
        return conditions + [
            f"{self._number(each)} > 0" for each in metric.variables if each.missing is None and not each.covariate
        ]

    def _in_percentiles(self, variable: Variable, metric: Measured) -> str:
        conditions = self._counted(metric)
        imputed = variable.cap is not None and variable.cap.with_imputed and variable.missing is not None
        return " AND ".join(conditions if imputed else [*conditions, f"{self._number(variable)} > 0"])

    def _value(self, variable: Variable) -> str:
        number, double = self._number(variable), self._writer.dialect.double
        match variable.metric.aggregation:
            case Aggregation.OCCURRENCE:
                return f"CAST(CASE WHEN {number} > 0 THEN 1 ELSE 0 END AS {double})"
            case Aggregation.COUNT:
                value = f"CAST({number} AS {double})"
            case Aggregation.SUM:
                value = self._aggregate("SUM", variable, variable.what)
            case Aggregation.AVERAGE:
                value = f"{self._aggregate('SUM', variable, variable.what)} / {number}"
            case unreachable:
                assert_never(unreachable)
        other = "" if variable.missing is None else f" ELSE {self._writer.double(variable.missing)}"
        return f"CASE WHEN {number} > 0 THEN {value}{other} END"

    def _ranked(self) -> str:
        columns = ["v.*"]
        for each in self._variables:
            if each.cap:
                order = f"PARTITION BY v.{each.name}_in ORDER BY v.{each.name}"
                columns.append(f"ROW_NUMBER() OVER ({order}) AS {each.name}_position")
                columns.append(f"SUM(v.{each.name}_in) OVER () AS {each.name}_many")
        return select(columns, "ld_values v")

    def _limits(self) -> str:
        """Of n values, cut off the n q / 100 lowest, rounded down, or those above place n q / 100, rounded up.

        LaunchDarkly docs, "Metric winsorization": of 5, 120, 135, 140, 145, 150, 155, 160, 170, 950 the 10th percentile
        is 120, and the 90th is 170.
        """
        columns = ["r.*"]
        for each in self._variables:
            for percentile, name in _limits_of(each):
                reached = _at_percentile if name == "high" else _above_percentile
                at = reached(f"r.{each.name}_position", f"r.{each.name}_many", percentile)
                value = f"CASE WHEN r.{each.name}_in = 1 AND {at} THEN r.{each.name} END"
                columns.append(f"MIN({value}) OVER () AS {each.name}_{name}")
        return select(columns, "ld_ranked r")

    def _capped(self) -> str:
        """Only what counts in the percentiles is cut off: the value of a unit without events is set, and no outlier."""
        columns = ["c.*"]
        for each in self._variables:
            if limits := _limits_of(each):
                cases = " ".join(
                    f"WHEN c.{each.name}_in = 1 AND c.{each.name} {'<' if name == 'low' else '>'} c.{each.name}_{name} "
                    f"THEN c.{each.name}_{name}"
                    for _, name in limits
                )
                columns.append(f"CASE {cases} ELSE c.{each.name} END AS {each.name}_capped")
        return select(columns, "ld_limits c")

    def _shifted(self, last: str) -> str:
        """Values far from 0 would lose their variance in the rounding of squares: their mean is subtracted first."""
        columns = ["v.*"]
        for metric in self._metrics:
            first = f"v.{metric.first.column}"
            for each in metric.variables:
                mean = f"AVG(v.{each.own_column}) OVER ()"
                if not each.whole:
                    columns.append(f"{mean} AS {each.name}_center")
                if each.column != each.own_column:
                    # A unit without a past gets the mean of those with one, in every treatment alike.
                    filled = f"COALESCE(v.{each.own_column}, {mean}, 0)"
                    columns.append(f"CASE WHEN {first} IS NOT NULL THEN {filled} END AS {each.column}")
            if metric.metric.percentile is not None:
                order = f"PARTITION BY v.arm, CASE WHEN {first} IS NULL THEN 0 ELSE 1 END ORDER BY {first}"
                columns.append(f"ROW_NUMBER() OVER ({order}) AS {metric.first.name}_place")
                columns.append(f"COUNT({first}) OVER (PARTITION BY v.arm) AS {metric.first.name}_number")
        return select(columns, f"{last} v")

    def _totals(self) -> str:
        columns = [
            "arm",
            "SUM(1 - crossed) AS exposed",
            "SUM(crossed) AS crossovers",
            "MAX(last_us) AS latest_exposure",
            *(["SUM(repeated_rows) AS repeated"] if self._events.ids else []),
        ]
        for number, metric in enumerate(self._metrics):
            columns += [
                f"COUNT({metric.first.name}) AS units{number}",
                f"SUM(eventless{number}) AS without{number}",
                f"MAX(last{number}) AS latest{number}",
                *(_sums(metric) if metric.metric.percentile is None else _order_statistics(metric)),
            ]
        return select(columns, "ld_shifted", after="\nGROUP BY arm")

    def rows(self) -> str:
        """Return the last SELECT, which turns the columns of each metric into a row."""
        writer, double = self._writer, self._writer.dialect.double

        def of_metric(columns: Sequence[str]) -> str:
            return "CASE metric_no " + " ".join(f"WHEN {at} THEN {text}" for at, text in enumerate(columns)) + " END"

        def each(prefix: str) -> str:
            return of_metric([f"{prefix}{number}" for number in range(len(self._metrics))])

        arms = " ".join(f"WHEN {number} THEN {writer.text(treatment)}" for treatment, number in self._arms.items())
        columns = [
            f"{of_metric([writer.text(metric.metric.key) for metric in self._metrics])} AS metric",
            f"CASE arm {arms} END AS treatment_id",
            f"{each('units')} AS units",
            "exposed",
        ]
        for name, kind, suffix in _NUMBERS:
            texts = [_total(metric, kind, suffix) for metric in self._metrics]
            if any(texts):
                columns.append(f"{of_metric([text or f'CAST(NULL AS {double})' for text in texts])} AS {name}")
        columns += [
            f"{each('latest')} AS latest_event_at",
            f"{each('without')} AS units_without_events",
            "crossovers",
            "latest_exposure AS latest_exposure_at",
            *(["repeated AS repeated_events"] if self._events.ids else []),
        ]
        numbers = " UNION ALL ".join(f"SELECT {number} AS metric_no" for number in range(len(self._metrics)))
        return select(columns, f"ld_totals CROSS JOIN ({numbers}) ld_metrics", after="\nORDER BY metric_no, arm")


# The columns with numbers that the statement returns: name, which variable they are of, and what.
_NUMBERS = [
    *((suffix, None, suffix) for suffix in ("sum", "sum_squares", "shift", "mean", "variance")),
    *(
        (f"{kind}_{suffix}", kind, suffix)
        for kind in SecondVariableKind
        for suffix in ("sum", "sum_squares", "shift", "product")
    ),
]


def _total(metric: Measured, second: SecondVariableKind | None, suffix: str) -> str | None:
    """Return the column of the totals behind a column of the rows; None if the metric has no such number."""
    if second is None:
        is_percentile = metric.metric.percentile is not None
        return f"{metric.first.name}_{suffix}" if (suffix in {"mean", "variance"}) == is_percentile else None
    if metric.second is None or metric.second.covariate != (second is SecondVariableKind.COVARIATE):
        return None
    return f"{metric.second.name}_{suffix}"


def _limits_of(variable: Variable) -> list[tuple[float, str]]:
    cap = variable.cap
    if cap is None:
        return []
    return [(each, name) for each, name in ((cap.lower, "low"), (cap.upper, "high")) if each is not None]


def _at_percentile(position: str, number: str, percentile: float) -> str:
    """The condition that a place in an order is at the percentile or above, in whole numbers: no rounding moves it."""
    share = Fraction(str(percentile)) / 100
    return f"{position} * {share.denominator} >= {number} * {share.numerator}"


def _above_percentile(position: str, number: str, percentile: float) -> str:
    """The condition that a place in an order is above the percentile."""
    return _at_percentile(position, number, percentile).replace(">=", ">")


def _sums(metric: Measured) -> list[str]:
    """Sums, sums of squares and products of one metric's variables, over the units that count."""
    columns = []
    for each in metric.variables:
        value, same = _shifted_value(each), _same(each)
        shift = "0" if each.whole else f"CASE WHEN {same} THEN MIN({each.column}) ELSE MIN({each.name}_center) END"
        total, squares = f"SUM({value})", f"SUM({value} * {value})"
        if not each.whole:
            total, squares = (f"CASE WHEN {same} THEN 0 ELSE {text} END" for text in (total, squares))
        if each is metric.first:
            total, squares = (_of_some_denominator(metric, text) for text in (total, squares))
        columns += [
            f"{total} AS {each.name}_sum",
            f"{squares} AS {each.name}_sum_squares",
            f"{shift} AS {each.name}_shift",
        ]
    if metric.second is not None:
        columns.append(f"{_product(metric.first, metric.second)} AS {metric.second.name}_product")
    return columns


def _of_some_denominator(metric: Measured, text: str) -> str:
    """A number of a metric; for a ratio NULL, no data yet, while no unit of a treatment has a denominator."""
    if metric.second is None or metric.second.covariate:
        return text
    below = metric.second.column
    return f"CASE WHEN MIN({below}) = 0 AND MAX({below}) = 0 THEN NULL ELSE {text} END"


def _product(first: Variable, second: Variable) -> str:
    product = f"SUM({_shifted_value(first)} * {_shifted_value(second)})"
    if same := " OR ".join(_same(each) for each in (first, second) if not each.whole):
        product = f"CASE WHEN {same} THEN 0 ELSE {product} END"
    return product


def _shifted_value(variable: Variable) -> str:
    return variable.column if variable.whole else f"({variable.column} - {variable.name}_center)"


def _same(variable: Variable) -> str:
    """The condition that all units of a group have the same value, whose variance no rounding may blur."""
    return f"MIN({variable.column}) = MAX({variable.column})"


def _order_statistics(metric: Measured) -> list[str]:
    """A percentile of the units' values, and the variance per unit that gives its standard error.

    Deng, Knoblich & Lu (2018), "Applying the delta method in metric analytics", KDD, section 4: the value at place
    ``n p`` of n has a 95% interval from place ``n p - z sqrt(n p (1 - p))`` to ``n p + z sqrt(n p (1 - p))``, whose
    width is ``2 z`` standard errors. There is no number while one of the places is beyond the values, or both hold the
    same value.
    """
    percentile = metric.metric.percentile
    assert percentile is not None  # noqa: S101 - narrows the type: asked where there is one
    name, value, share = metric.first.name, metric.first.column, percentile / 100
    place, number = f"{name}_place", f"{name}_number"
    distance = f"({place} - {number} * {share!r})"
    far = f"{distance} * {distance} >= {number} * {_Z**2 * share * (1 - share)!r}"
    low = f"MAX(CASE WHEN {value} IS NOT NULL AND {distance} <= 0 AND {far} THEN {value} END)"
    high = f"MIN(CASE WHEN {value} IS NOT NULL AND {distance} >= 0 AND {far} THEN {value} END)"
    at = _at_percentile(place, number, percentile)
    found = f"MIN(CASE WHEN {value} IS NOT NULL AND {at} THEN {value} END)"
    variance = f"MAX({number}) * ({high} - {low}) * ({high} - {low}) / {4 * _Z**2!r}"
    return [
        f"CASE WHEN {high} > {low} THEN {found} END AS {name}_mean",
        f"CASE WHEN {high} > {low} THEN {variance} END AS {name}_variance",
    ]
