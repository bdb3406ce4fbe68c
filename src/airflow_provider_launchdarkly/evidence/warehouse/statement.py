"""Writes the one statement of a look, which computes all metrics from exposures and events. Pure.

The statement is a chain of steps, each of which reads the one before, so that no database scans a table twice, whether
it keeps a common table expression or writes it in where it is used:

1. ``ld_exposures``: the iteration's exposures. ``ld_units``: a row for each unit, with its first exposure.
2. ``ld_events``: the events of all metrics. ``ld_matched``: those of the units. ``ld_joined``: the same, without what
   is out of a unit's time. ``ld_step…``: when each unit took each step of a funnel.
3. ``ld_units_with_sums``: a row for each unit with count and sum for each variable. ``ld_values``: its values.
   ``ld_ranked``, ``ld_limits``, ``ld_capped``: the same, cut off at percentiles.
4. ``ld_shifted``: the same beside each variable's mean, which is subtracted before numbers are squared.
5. ``ld_totals``: a row for each treatment. The statement returns a row for each metric and treatment.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.evidence.warehouse.definition import WHOLE_ROW
from airflow_provider_launchdarkly.evidence.warehouse.dialects import dialect_of
from airflow_provider_launchdarkly.evidence.warehouse.events import Events
from airflow_provider_launchdarkly.evidence.warehouse.values import ValueSteps
from airflow_provider_launchdarkly.evidence.warehouse.variables import DefinitionError, measured
from airflow_provider_launchdarkly.evidence.warehouse.writing import Writer, select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.evidence.sql_statement import Statement
    from airflow_provider_launchdarkly.evidence.warehouse.definition import (
        EventsTable,
        ExportLook,
        ExposuresTable,
        MetricDefinition,
    )
    from airflow_provider_launchdarkly.evidence.warehouse.variables import Measured

# Times without a zone may be of any: rows are first restricted by a day more, by which partitions are left out.
_ANY_ZONE = timedelta(days=1)


def write_statement(
    metrics: Sequence[MetricDefinition],
    look: ExportLook,
    exposures: ExposuresTable,
    schema: str,
    dialect: str,
    *,
    where: str | None = None,
) -> Statement:
    """Write the statement that computes all metrics at a look.

    It returns a row for each metric and treatment, with the columns that
    :func:`~airflow_provider_launchdarkly.evidence.sql_rows.evidence_from_rows` reads. The same look writes the same
    statement, and rows that are received later than it change nothing.

    Args:
        metrics: What is computed.
        look: The iteration and the time of the look.
        exposures: The table of exposures.
        schema: The schema of the tables that name none; empty if they need none.
        dialect: The database's dialect, a name of :data:`.dialects.DIALECTS`.
        where: A condition over the columns of the exposures, in the database's own SQL, which stands in the statement
            as it is; None takes all exposures.

    Raises:
        DefinitionError: A metric cannot be computed as it is defined, or the look has no treatments.
        ConfigurationError: A name is none, or the dialect is not known.
    """
    if not look.treatments:
        raise DefinitionError(f"iteration {look.iteration_id!r} has no variations of flag {look.flag_key!r} to compare")
    writer = _StatementWriter(
        measured(metrics),
        look=look,
        exposures=exposures,
        schema=schema,
        writer=Writer(dialect_of(dialect)),
        where=where,
    )
    return writer.write()


class _StatementWriter:
    """Writes the steps of one statement."""

    def __init__(
        self,
        metrics: Sequence[Measured],
        *,
        look: ExportLook,
        exposures: ExposuresTable,
        schema: str,
        writer: Writer,
        where: str | None,
    ) -> None:
        self._look = look
        self._exposures = exposures
        self._schema = schema
        self._writer = writer
        self._where = where
        # Each treatment is a number in the statement, and 0 is a variation that is none.
        self._arms = {treatment: number for number, treatment in enumerate(dict.fromkeys(look.treatments.values()), 1)}
        self._events = Events([variable for metric in metrics for variable in metric.variables])
        self._values = ValueSteps(metrics, look, self._arms, self._events, writer)

    def write(self) -> Statement:
        steps = {
            "ld_exposures": self._exposure_rows(),
            "ld_units": self._units(),
            "ld_events": "\nUNION ALL\n".join(self._event_rows(table) for table in self._events.tables),
            "ld_matched": self._matched(),
            "ld_joined": self._joined(),
        }
        steps |= self._events.funnel_steps("ld_joined")
        steps |= self._values.steps(next(reversed(steps)))
        for name in ("ld_events", "ld_matched"):
            steps[name] += self._writer.dialect.fence
        texts = [f"{name} AS (\n{_indented(text)}\n)" for name, text in steps.items()]
        return self._writer.statement("WITH " + ",\n".join(texts) + "\n" + self._values.rows())

    def _exposure_rows(self) -> str:
        table, writer = self._exposures, self._writer
        arms = " ".join(
            f"WHEN {writer.bind(variation)} THEN {self._arms[treatment]}"
            for variation, treatment in self._look.treatments.items()
        )
        columns = [
            f"{writer.name(table.unit)} AS unit_key",
            f"CASE {writer.name(table.variation)} {arms} ELSE 0 END AS row_arm",
            f"{writer.microseconds(table.at)} AS exposed_us",
        ]
        conditions = [
            f"{writer.name(table.iteration)} = {writer.bind(self._look.iteration_id)}",
            f"{writer.name(table.unit_kind)} = {writer.bind(self._look.unit_kind)}",
            f"{writer.name(table.flag)} = {writer.bind(self._look.flag_key)}",
            *self._of_environment(table.environment),
            f"{writer.name(table.unit)} IS NOT NULL",
            *self._rough(table.at, self._look.started_at),
        ]
        if self._where is not None:
            # A comment in it ends with the line.
            conditions.append(f"({self._where}\n      )")
        return select(columns, writer.table(self._schema, table.table), where=conditions)

    def _units(self) -> str:
        """A unit counts from its first exposure, whatever came after, unless it saw another variation."""
        writer, look = self._writer, self._look
        columns = [
            "unit_key",
            "MAX(row_arm) AS arm",
            "CASE WHEN MIN(row_arm) = MAX(row_arm) THEN 0 ELSE 1 END AS crossed",
            "MIN(exposed_us) AS first_us",
            "MAX(exposed_us) AS last_us",
        ]
        conditions = self._until_look("exposed_us", look.started_at)
        having = (
            "\nGROUP BY unit_key\nHAVING MAX(row_arm) > 0\n"
            f"  AND MIN(exposed_us) >= {writer.instant(look.exposed_after)}\n"
            f"  AND MIN(exposed_us) <= {writer.instant(look.exposed_before)}"
        )
        return select(columns, "ld_exposures", where=conditions, after=having)

    def _event_rows(self, table: EventsTable) -> str:
        """The events of one table that any metric counts, each with the number of its key."""
        writer, numbers = self._writer, self._events.of_table(table)
        if table.event_key is None:
            key = str(numbers[None])
        else:
            key = f"CASE {writer.name(table.event_key)} "
            key += " ".join(f"WHEN {writer.bind(event)} THEN {at}" for event, at in numbers.items()) + " END"
        amount = f"CAST(NULL AS {writer.dialect.double})"
        if table.value is not None:
            named = writer.bind(table.value)
            amount = writer.dialect.number.format(writer.name(table.value), named, writer.dialect.double)
        columns = [
            f"{writer.name(table.unit)} AS event_unit",
            f"{key} AS event_no",
            f"{writer.microseconds(table.at)} AS event_us",
            f"{amount} AS amount",
        ]
        if self._events.ids:
            columns.append(f"{self._events.tables.index(table)} AS event_table")
            own = writer.name(table.id) if table.id not in {None, WHOLE_ROW} else "NULL"
            columns.append(f"CAST({own} AS {writer.dialect.text}) AS event_id")
        since = self._look.exposed_after - timedelta(microseconds=self._events.before)
        conditions = []
        if table.event_key is not None:
            keys = ", ".join(writer.bind(event) for event in numbers)
            conditions.append(f"{writer.name(table.event_key)} IN ({keys})")
        if table.unit_kind is not None:
            conditions.append(f"{writer.name(table.unit_kind)} = {writer.bind(self._look.unit_kind)}")
        conditions += self._of_environment(table.environment)
        conditions += self._rough(table.at, since)
        return select(columns, writer.table(self._schema, table.table), where=conditions)

    def _matched(self) -> str:
        """Units and events meet by equality alone, so that no database compares each unit with each event."""
        columns = ["u.unit_key", "u.arm", "u.crossed", "u.first_us", "u.last_us"]
        columns += ["e.event_no AS matched_no", "e.event_us", "e.amount"]
        columns += ["e.event_table", f"{self._event_id()} AS matched_id"] if self._events.ids else []
        join = f"ld_units u\n{self._writer.dialect.join} ld_events e ON e.event_unit = u.unit_key"
        return select(columns, join)

    def _event_id(self) -> str:
        """The id of an event, or in its place all that is read of its row but the unit, which stands beside it."""
        text = self._writer.dialect.text
        if not self._events.whole_rows:
            return "e.event_id"
        numbers = ", ".join(str(number) for number in self._events.whole_rows)
        values = f"COALESCE(CAST(e.amount AS {text}), '')"
        row = f"CAST(e.event_no AS {text}) || ' ' || CAST(e.event_us AS {text}) || ' ' || {values}"
        return f"CASE WHEN e.event_no IN ({numbers}) THEN {row} ELSE e.event_id END"

    def _joined(self) -> str:
        """A unit stays where all of its events are out of its time: they have no number, and count for nothing."""
        writer = self._writer
        since = f"first_us - {self._events.before}" if self._events.before else "first_us"
        conditions = [f"event_us >= {since}", f"event_us <= {writer.instant(self._look.looked_at)}"]
        if self._look.ended_at is not None:
            conditions.append(f"event_us < {writer.instant(self._look.ended_at)}")
        in_time = " AND ".join(conditions)
        columns = ["unit_key", "arm", "crossed", "first_us", "last_us", "event_us", "amount"]
        columns.append(f"CASE WHEN {in_time} THEN matched_no END AS event_no")
        if self._events.ids:
            columns += ["event_table", f"CASE WHEN {in_time} THEN matched_id END AS event_id"]
        return select(columns, "ld_matched", where=["unit_key IS NOT NULL"])

    def _of_environment(self, column: str | None) -> list[str]:
        if column is None or self._look.environment_id is None:
            return []
        return [f"{self._writer.name(column)} = {self._writer.bind(self._look.environment_id)}"]

    def _until_look(self, column: str, since: datetime) -> list[str]:
        writer, look = self._writer, self._look
        conditions = [f"{column} >= {writer.instant(since)}", f"{column} <= {writer.instant(look.looked_at)}"]
        if look.ended_at is not None:
            conditions.append(f"{column} < {writer.instant(look.ended_at)}")
        return conditions

    def _rough(self, column: str, since: datetime) -> list[str]:
        """Restrict rows by the column as it is, which partitions and indexes know, with room for any zone."""
        dialect, writer, until = self._writer.dialect, self._writer, self._look.looked_at
        if dialect.moment is None:
            return []

        def moment(at: datetime) -> str:
            assert dialect.moment is not None  # noqa: S101 - narrows the type
            return dialect.moment.format(writer.bind(at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")))

        return [
            f"{writer.name(column)} >= {moment(since - _ANY_ZONE)}",
            f"{writer.name(column)} <= {moment(until + _ANY_ZONE)}",
        ]


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
