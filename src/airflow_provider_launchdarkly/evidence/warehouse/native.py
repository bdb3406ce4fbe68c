"""Evidence from the sums that LaunchDarkly's warehouse-native experiments leave in the user's warehouse.

The caller hands in a function that runs the statement of a look. It may block: this runs on a worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.config.durations import describe_span, format_duration
from airflow_provider_launchdarkly.decision.evidence import Coverage
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.suitability import (
    UndecidableExperimentError,
    require_mean,
    require_source_of_mature_units,
)
from airflow_provider_launchdarkly.evidence.source import AS_IT_IS_NOW
from airflow_provider_launchdarkly.evidence.sql_cells import (
    CellError,
    find_key,
    read_count,
    read_key,
    read_moment,
    read_number,
    shown,
)
from airflow_provider_launchdarkly.evidence.sql_rows import SqlResultsError, evidence_from_rows
from airflow_provider_launchdarkly.evidence.warehouse.absence import NoExposuresError, StaleAnalysisError
from airflow_provider_launchdarkly.evidence.warehouse.dialects import dialect_of
from airflow_provider_launchdarkly.evidence.warehouse.iteration import (
    open_ended_caution,
    pinned_metric,
    served,
    variations_of,
)
from airflow_provider_launchdarkly.evidence.warehouse.launchdarkly_metrics import value_without_events
from airflow_provider_launchdarkly.evidence.warehouse.writing import Writer, select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import TypeVar

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.decision.evidence import Evidence
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.moments import Number
    from airflow_provider_launchdarkly.evidence.source import LookContext
    from airflow_provider_launchdarkly.evidence.sql_statement import Statement
    from airflow_provider_launchdarkly.evidence.warehouse.config import WarehouseNativeResults

    _T = TypeVar("_T")

COLUMNS = ("metric", "treatment_id", "units", "exposed", "sum", "sum_squares", "latest_event_at")
"""The columns into which sums are turned, as :func:`evidence_from_rows` takes them."""

# Chi-squared of a split that is surely not the allocation (p < 1e-6, up to six treatments), and of one that may be.
_NEVER, _MAYBE = 40.0, 15.0
_MOST_PERMUTED = 6


@dataclass(frozen=True, slots=True)
class Judged:
    """A metric that is judged.

    Attributes:
        key: Its key in the policy.
        version_id: Id of the version by which the table knows it.
        missing: The value of a unit without an event; None leaves such units out.
        direction: The better direction; None if unknown.
        windowed: Whether only units whose measurement window is over count.
    """

    key: str
    version_id: str
    missing: float | None
    direction: Direction | None
    windowed: bool


@dataclass(frozen=True, slots=True)
class Sums:
    """A row of the table: one metric in one arm, in one analysis; and when the metric's first analysis was made."""

    version_id: str
    arm: str
    units: int
    with_events: int
    total: Number
    squares: Number
    last_event: datetime | None
    analyzed_at: datetime
    first_analyzed_at: datetime


class WarehouseNativeSource:
    """A source of evidence: the sums of LaunchDarkly's newest analysis until a look.

    Args:
        results: The description.
        query: Runs the statement for a look; returns the cells of each metric version of the iteration and each arm, in
            the newest analysis that has the arm, over everyone, in the order of :class:`Sums`.
    """

    def __init__(
        self, results: WarehouseNativeResults, query: Callable[[LookContext], Iterable[Sequence[Any]]]
    ) -> None:
        self._results = results
        self._query = query

    def __call__(self, look_context: LookContext, policy: Policy) -> Procedure[Evidence]:
        """Read the evidence of a look.

        Raises:
            ConfigurationError: The policy leaves units out, a metric is no mean, the iteration does not measure it, or
                arms and versions in the table are others than the settings say.
            NoExposuresError: There is no analysis of the iteration, and the policy's time for that is over.
            StaleAnalysisError: The newest analysis is too old, not the same for all metrics and arms, or half written:
                it lacks a treatment that an earlier one has, or a treatment or a metric while the policy's time for
                missing data is not over since the first analysis.
            SqlResultsError: The rows cannot be the iteration's results.
            LaunchDarklyError: As the calls raise.
        """
        try:
            require_source_of_mature_units(policy, native=True)
        except UndecidableExperimentError as error:
            raise ConfigurationError(f"policy.{error.path[0]} {error}") from None
        judged = yield from self._judged(look_context, policy)
        found = [_read(cells) for cells in self._query(look_context)]
        if not found:
            if look_context.elapsed >= policy.missing.grace:
                raise NoExposuresError(self._nothing_found(look_context))
            return self._evidence(look_context, policy, judged, ())
        newest, older = _newest(found)
        arms = self._arms(look_context, newest)
        lasts = look_context.now - min(row.first_analyzed_at for row in found)
        rows = [row for metric in judged for row in self._rows_of(metric, newest, young=lasts <= policy.missing.grace)]
        self._require_one_analysis(look_context, rows)
        self._require_every_treatment(look_context, policy, rows, older)
        _require_split(look_context, [row for row in rows if row.version_id == judged[0].version_id], arms)
        cells = [
            _cells(metric, row, arms[row.arm])
            for metric in judged
            for row in rows
            if row.version_id == metric.version_id
        ]
        evidence = self._evidence(look_context, policy, judged, cells)
        return evidence._replace(coverage=_coverage(judged, rows))

    def _evidence(
        self, look_context: LookContext, policy: Policy, judged: Sequence[Judged], rows: Sequence[Sequence[Any]]
    ) -> Evidence:
        directions = {metric.key: metric.direction for metric in judged}
        evidence = evidence_from_rows(look_context, policy, COLUMNS, rows, directions)
        open_ended = [metric.key for metric in judged if not metric.windowed]
        cautions = [open_ended_caution(open_ended)] if open_ended else []
        # The analysis that a look has waited for is later than the look's planned time.
        cautions += [] if look_context.taken is None else [AS_IT_IS_NOW]
        return evidence._replace(cautions=tuple(cautions))

    def _judged(self, look_context: LookContext, policy: Policy) -> Procedure[tuple[Judged, ...]]:
        keys = (look_context.primary_metric(policy), *(part.metric for part in policy.parts if part.metric))
        found = []
        for key in dict.fromkeys(keys):
            metric = yield from self._metric(look_context, key)
            found.append(metric)
        return tuple(found)

    def _metric(self, look_context: LookContext, key: str) -> Procedure[Judged]:
        measured = look_context.iteration.measured_metric(key)
        # A group is measured by its last metric, the end of a funnel, as in LaunchDarkly's own results.
        last = measured.metrics[-1] if measured.metrics else measured
        metric = yield from pinned_metric(look_context, last)
        try:
            require_mean(key, metric.analysis_type, metric.percentile_value)
        except UndecidableExperimentError as error:
            raise ConfigurationError(str(error)) from None
        if metric.denominator is not None:
            raise ConfigurationError(
                f"metric {key!r} is a ratio, and the table of sums has no products of numerator and denominator, which "
                "its variance takes: judge another metric, or compute it with results=DataExportResults(...)"
            )
        version_id = self._results.metric_versions.get(key) or last.version_id or metric.version_id
        if not version_id:
            raise ConfigurationError(
                f"LaunchDarkly does not show the version of metric {key!r}: set metric_versions of the results"
            )
        direction = Direction.of_success_criteria(metric.success_criteria)
        windowed = metric.window_end_offset is not None
        return Judged(key, version_id, value_without_events(metric), direction, windowed)

    def _arms(self, look_context: LookContext, found: Sequence[Sums]) -> dict[str, str]:
        """Return the treatment's id for the id of each arm."""
        known = self._known_arms(look_context)
        arms = {}
        for arm in dict.fromkeys(row.arm for row in found):
            key = find_key(arm, list(known))
            if key is None:
                raise ConfigurationError(
                    f"results.arms is {self._results.arms!r}, but arm {arm!r} in "
                    f"{self._results.aggregates.table} is none of {', '.join(known)}; {self._hint(look_context)}"
                )
            arms[arm] = known[key]
        if len(set(arms.values())) < len(arms):
            raise ConfigurationError(
                f"results.arms: two arms of {', '.join(arms)} are the same treatment; correct arms"
            )
        return arms

    def _known_arms(self, look_context: LookContext) -> dict[str, str]:
        treatments = look_context.iteration.treatments
        arms = self._results.arms
        if arms == "treatment_id":
            return {treatment.id: treatment.id for treatment in treatments}
        if arms == "variation_id":
            return variations_of(look_context.iteration)[1]
        return {arm: self._named(look_context, arm, name) for arm, name in arms.items()}

    def _named(self, look_context: LookContext, arm: str, name: str) -> str:
        treatment = look_context.iteration.treatment(name)
        if treatment is None:
            raise ConfigurationError(f"results.arms[{arm!r}] is {name!r}: {self._hint(look_context)}")
        return treatment.id

    def _hint(self, look_context: LookContext) -> str:
        served = {id_: variation for variation, id_ in variations_of(look_context.iteration)[1].items()}
        names = ", ".join(
            f"{each.id} ({each.name}, variation {served[each.id]})" for each in look_context.iteration.treatments
        )
        return f"the iteration's treatments are {names}: set arms to treatment_id, variation_id or a mapping"

    def _rows_of(self, metric: Judged, found: Sequence[Sums], *, young: bool) -> list[Sums]:
        """Return a metric's rows; `young` is True while the iteration's first analysis may still be being written."""
        rows = [row for row in found if row.version_id == metric.version_id]
        if not rows:
            known = ", ".join(dict.fromkeys(row.version_id for row in found))
            lacks = (
                f"metric {metric.key!r} has version {metric.version_id!r}, and the analyses of the iteration in "
                f"{self._results.aggregates.table} have {known}"
            )
            cure = f"set metric_versions: {{{metric.key}: …}} in the results"
            if young:
                raise StaleAnalysisError(f"{lacks}: the first one may be half written. If it stays so, {cure}")
            raise ConfigurationError(f"{lacks}: {cure}, or wait for an analysis with the metric if it was added lately")
        arms = [row.arm for row in rows]
        if len(set(arms)) < len(arms):
            raise SqlResultsError(
                f"metric {metric.key!r}: an arm has two rows of the same analysis in {self._results.aggregates.table}; "
                "is it a view that duplicates rows?"
            )
        return rows

    def _require_one_analysis(self, look_context: LookContext, rows: Sequence[Sums]) -> None:
        times = sorted({row.analyzed_at for row in rows})
        if len(times) > 1:
            raise StaleAnalysisError(
                f"the newest sums of iteration {look_context.iteration.id!r} are of several analyses, {times[0]} to "
                f"{times[-1]}, which are not mixed: one may be under way, or a metric or an arm is no longer analysed; "
                "try again when LaunchDarkly has refreshed the results, or refresh them there"
            )
        age = look_context.now - times[0]
        if age > self._results.stale_after:
            raise StaleAnalysisError(
                f"the newest analysis of iteration {look_context.iteration.id!r} is of {times[0]}, "
                f"{describe_span(age)} before the look, and stale_after is "
                f"{format_duration(self._results.stale_after)}: refresh the results in LaunchDarkly, let it refresh "
                "them more often, or set stale_after"
            )

    def _require_every_treatment(
        self, look_context: LookContext, policy: Policy, rows: Sequence[Sums], older: Sequence[Sums]
    ) -> None:
        """Refuse an analysis that lacks a treatment, unless no analysis had it for so long that it has no units."""
        known = self._known_arms(look_context)

        def treatments_of(some: Sequence[Sums], version_id: str) -> set[str]:
            keys = (find_key(row.arm, list(known)) for row in some if row.version_id == version_id)
            return {known[key] for key in keys if key is not None}

        for version_id, newest in {row.version_id: row for row in rows}.items():
            there, before = treatments_of(rows, version_id), treatments_of(older, version_id)
            lasts = look_context.now - newest.first_analyzed_at
            for treatment in served(look_context.iteration):
                # Analyses are of the whole iteration: units that one of them counted cannot be gone from the next.
                known_before = treatment.id in before
                if treatment.id not in there and (known_before or lasts <= policy.missing.grace):
                    raise StaleAnalysisError(
                        f"the newest analysis of iteration {look_context.iteration.id!r}, of {newest.analyzed_at}, has "
                        f"no sums of treatment {treatment.name} on metric version {version_id!r}"
                        f"{', which an earlier one has' if known_before else ''}: it may be half written. Try again "
                        "when LaunchDarkly has refreshed the results, or refresh them there"
                    )

    def _nothing_found(self, look_context: LookContext) -> str:
        results = self._results
        return (
            f"{results.schema_name}.{results.aggregates.table} has no analysis of iteration "
            f"{look_context.iteration.id!r} over everyone, {describe_span(look_context.elapsed)} after its start: "
            "the experiment may not be warehouse-native, or its results are in another schema; look at conn_id, schema "
            "and aggregates of the results"
        )


def _coverage(judged: Sequence[Judged], rows: Sequence[Sums]) -> Coverage:
    """Return what the sums say beside the numbers. They have neither crossovers nor the time of a row that was read."""
    keys = {metric.version_id: metric.key for metric in judged}
    without_events: dict[str, int] = {}
    for row in rows:
        key = keys[row.version_id]
        without_events[key] = without_events.get(key, 0) + row.units - row.with_events
    return Coverage(
        without_events=without_events,
        last_event=max((row.last_event for row in rows if row.last_event is not None), default=None),
    )


def _newest(found: Sequence[Sums]) -> tuple[list[Sums], list[Sums]]:
    """Return the rows of each metric version's newest analysis, and the rest: arms that are missing in it."""
    newest: dict[str, datetime] = {}
    for row in found:
        newest[row.version_id] = max(row.analyzed_at, newest.get(row.version_id, row.analyzed_at))
    is_newest = [row.analyzed_at == newest[row.version_id] for row in found]
    return [row for row, is_in in zip(found, is_newest, strict=True) if is_in], [
        row for row, is_in in zip(found, is_newest, strict=True) if not is_in
    ]


def _read(cells: Sequence[Any]) -> Sums:
    def cell(column: str, value: Any, read: Callable[[Any], _T]) -> _T:
        try:
            return read(value)
        except CellError as error:
            where = f"metric version {shown(cells[0])}, arm {shown(cells[1])}"
            raise SqlResultsError(f"{where}, column {column!r}: {error}") from None

    version_id, arm, units, with_events, total, squares, last_event, analyzed_at, first = cells
    row = Sums(
        cell("metric_version", version_id, read_key),
        cell("arm", arm, read_key),
        cell("units", units, read_count),
        # Where no unit has an event, sums may be NULL.
        cell("units_with_events", with_events or 0, read_count),
        cell("total", 0 if total is None else total, read_number),
        cell("squares", 0 if squares is None else squares, read_number),
        None if last_event is None else cell("last_event", last_event, read_moment),
        cell("analyzed_at", analyzed_at, read_moment),
        cell("analyzed_at", first, read_moment),
    )
    if row.with_events > row.units:
        raise SqlResultsError(
            f"metric version {row.version_id!r}, arm {row.arm!r}: {row.with_events} units with an event, but only "
            f"{row.units} units; look at the columns in aggregates"
        )
    return row


def _cells(metric: Judged, row: Sums, treatment_id: str) -> tuple[Any, ...]:
    """Return a row as :func:`evidence_from_rows` takes it."""
    without = row.units - row.with_events
    if metric.missing is None:
        units, total, squares = row.with_events, row.total, row.squares
    elif metric.missing == 0:
        units, total, squares = row.units, row.total, row.squares
    else:
        units = row.units
        total = row.total + without * metric.missing
        squares = row.squares + without * metric.missing**2
    return metric.key, treatment_id, units, row.units, total, squares, row.last_event


def _require_split(look_context: LookContext, rows: Sequence[Sums], arms: Mapping[str, str]) -> None:
    """Refuse a mapping of arms that the units contradict, and another one would fit."""
    treatments = look_context.iteration.treatments
    shares = [0.0 if each.allocation_percent is None else float(each.allocation_percent) for each in treatments]
    counted = {arms[row.arm]: row.units for row in rows}
    units = [counted.get(treatment.id, 0) for treatment in treatments]
    if not all(shares) or len(shares) > _MOST_PERMUTED or _misfit(units, shares) < _NEVER:
        return
    best = min(permutations(units), key=lambda order: _misfit(order, shares))
    if _misfit(best, shares) < _MAYBE:
        split = ", ".join(
            f"{treatment.name} with {share:g} % has {count} units"
            for treatment, share, count in zip(treatments, shares, units, strict=True)
        )
        raise ConfigurationError(
            f"results.arms does not fit the units: {split}. In another order they would fit, so arms are mapped to the "
            "wrong treatments: set arms to treatment_id, variation_id or a mapping"
        )


def _misfit(units: Sequence[int], shares: Sequence[float]) -> float:
    """Return Pearson's chi-squared of counts and shares."""
    total, whole = sum(units), sum(shares)
    if not total:
        return 0.0
    expected = [total * share / whole for share in shares]
    return sum((count - mean) ** 2 / mean for count, mean in zip(units, expected, strict=True))


def write_aggregates_statement(results: WarehouseNativeResults, look_context: LookContext, dialect: str) -> Statement:
    """Write the statement that reads the newest sums of each metric version and arm of an iteration, until a look.

    Args:
        results: The description.
        look_context: The iteration and the time of the look: later analyses do not count.
        dialect: The database's dialect.

    Returns:
        A statement whose rows have the cells of :class:`Sums`, in order.
    """
    table, writer = results.aggregates, Writer(dialect_of(dialect))
    shown = (table.metric_version, table.arm, table.units, table.units_with_events, table.total, table.squares)
    columns = [writer.name(column) for column in (*shown, table.last_event, table.analyzed_at)]
    analyzed = writer.microseconds(table.analyzed_at)
    version, arm = writer.name(table.metric_version), writer.name(table.arm)
    # The newest of each arm and not of the version alone: what the newest analysis lacks, or does not have yet, shows.
    newest = f"MAX({analyzed}) OVER (PARTITION BY {version}, {arm}) AS ld_newest"
    first = f"MIN({writer.name(table.analyzed_at)}) OVER (PARTITION BY {version}) AS ld_first"
    conditions = [
        f"{writer.name(table.iteration)} = {writer.bind(look_context.iteration.id)}",
        f"{writer.name(table.dimension)} IS NULL",
        f"{analyzed} <= {writer.instant(look_context.now)}",
    ]
    inner = select(
        [*columns, f"{analyzed} AS ld_analyzed", newest, first],
        writer.table(results.schema_name, table.table),
        where=conditions,
    )
    return writer.statement(
        select([*columns, "ld_first"], f"(\n{inner}\n) ld_analyses", where=["ld_analyzed = ld_newest"])
    )
