"""The events of a statement: where they come from, and the conditions under which one counts for a variable. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.evidence.warehouse.definition import WHOLE_ROW, Aggregation
from airflow_provider_launchdarkly.evidence.warehouse.writing import select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.evidence.warehouse.definition import EventsTable, MetricDefinition
    from airflow_provider_launchdarkly.evidence.warehouse.variables import Variable


class Events:
    """The tables that some variables read, a number for each of their events, and the times in which they count.

    Attributes:
        before: How long before a unit's first exposure its events count, in microseconds.
    """

    def __init__(self, variables: Sequence[Variable]) -> None:
        self._variables = variables
        self._numbers: dict[tuple[EventsTable, str | None], int] = {}
        for variable in variables:
            for key in _keys(variable.metric):
                self._numbers.setdefault(key, len(self._numbers))
        self.before = max(0, *(-variable.since for variable in variables))

    @property
    def tables(self) -> list[EventsTable]:
        """The tables, each once."""
        return list(dict.fromkeys(table for table, _ in self._numbers))

    @property
    def ids(self) -> list[str]:
        """The events' own ids, an expression for each table that has them."""
        tables = self.tables
        if len(tables) == 1:
            return ["event_id"] if self._told_apart(tables[0]) else []
        return [
            f"CASE WHEN event_table = {number} THEN event_id END"
            for number, table in enumerate(tables)
            if self._told_apart(table)
        ]

    @property
    def whole_rows(self) -> list[int]:
        """The numbers of the events that nothing but their whole row tells apart.

        Those of which only the first counts are left out: a repeat changes nothing.
        """
        return sorted(
            {
                self._numbers[key]
                for variable in self._variables
                for key in _keys(variable.metric)
                if key[0].id == WHOLE_ROW and variable.metric.aggregation is not Aggregation.OCCURRENCE
            }
        )

    def _told_apart(self, table: EventsTable) -> bool:
        if table.id != WHOLE_ROW:
            return table.id is not None
        return not set(self.whole_rows).isdisjoint(self.of_table(table).values())

    def of_table(self, table: EventsTable) -> dict[str | None, int]:
        """Return the numbers of a table's events; the key None stands for all of its rows."""
        return {event: number for (of, event), number in self._numbers.items() if of == table}

    def counted(self, variable: Variable) -> str:
        """Return the condition under which an event counts for a variable: the last step's, if it is a funnel."""
        return self._step(variable, len(_keys(variable.metric)) - 1)

    def of_any_step(self, variable: Variable) -> str:
        """Return the condition under which an event is of a variable's metric and in its time, whatever came before."""
        numbers = ", ".join(str(self._numbers[key]) for key in dict.fromkeys(_keys(variable.metric)))
        return " AND ".join([f"event_no IN ({numbers})", *self._in_time(variable)])

    def funnel_steps(self, joined: str) -> dict[str, str]:
        """Return the steps that find, for each funnel and unit, when it took each step of the funnel but the last.

        A unit takes the first step at the first such event in its time, and each later one at the first such event that
        is not before the step before: events that an SDK sends together are received at one time. Only where a step
        repeats an earlier one, its event is later than the step before, since one event is not two steps.

        Args:
            joined: The step with a row for each event of each unit.
        """
        steps: dict[str, str] = {}
        most = max(len(_keys(variable.metric)) for variable in self._variables)
        for number in range(most - 1):
            columns = ["s.*"]
            for variable in self._variables:
                if number < len(_keys(variable.metric)) - 1:
                    first = f"MIN(CASE WHEN {self._step(variable, number)} THEN event_us END)"
                    columns.append(f"{first} OVER (PARTITION BY unit_key) AS {variable.name}_step{number}")
            steps[f"ld_step{number}"] = select(columns, f"{joined} s")
            joined = f"ld_step{number}"
        return steps

    def _step(self, variable: Variable, number: int) -> str:
        keys = _keys(variable.metric)
        conditions = [f"event_no = {self._numbers[keys[number]]}", *self._in_time(variable)]
        if number:
            sign = ">" if keys[number] in keys[:number] else ">="
            conditions.append(f"event_us {sign} {variable.name}_step{number - 1}")
        return " AND ".join(conditions)

    def _in_time(self, variable: Variable) -> list[str]:
        conditions = []
        if variable.since != -self.before:
            conditions.append(f"event_us >= {_after_first(variable.since)}")
        if variable.until is not None:
            conditions.append(f"event_us < {_after_first(variable.until)}")
        return conditions


def _keys(metric: MetricDefinition) -> list[tuple[EventsTable, str | None]]:
    table = metric.events_table
    return [(table, None)] if table.event_key is None else [(table, event) for event in metric.events]


def _after_first(offset: int) -> str:
    return "first_us" if offset == 0 else f"first_us {'+' if offset > 0 else '-'} {abs(offset)}"
