"""Bring a warehouse up to the world and the time: write what is missing, and delete what no longer holds."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.state.clock import from_milliseconds, to_milliseconds
from airflow_provider_launchdarkly.emulator.warehouse import tables
from airflow_provider_launchdarkly.emulator.warehouse.crowd import HOUR_MILLIS
from airflow_provider_launchdarkly.emulator.warehouse.databases import open_database
from airflow_provider_launchdarkly.emulator.warehouse.options import WarehouseOptions
from airflow_provider_launchdarkly.emulator.warehouse.plans import plans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.emulator.population.types import MetricStatistics
    from airflow_provider_launchdarkly.emulator.state.models import World
    from airflow_provider_launchdarkly.emulator.state.settings import Settings
    from airflow_provider_launchdarkly.emulator.warehouse.databases import Database
    from airflow_provider_launchdarkly.emulator.warehouse.plans import Measured, Plan
    from airflow_provider_launchdarkly.emulator.warehouse.tables import Row

_EXPOSURES = "evaluations"
_RESULTS = "results"


class Warehouse:
    """A warehouse that an emulator fills. `write` is safe to repeat, and goes on after a crash.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE`.
        options: How the rows differ from the ideal.

    Raises:
        WarehouseError: The URL is wrong, or psycopg is missing.
    """

    def __init__(self, url: str, options: WarehouseOptions | None = None) -> None:
        self._database = open_database(url)
        self.options = options or WarehouseOptions()

    @property
    def name(self) -> str:
        """The URL without a password."""
        return self._database.name

    def close(self) -> None:
        """Close the connection and let another emulator write. `write` opens it again."""
        self._database.close()

    def write(self, world: World, settings: Settings, now: int) -> None:
        """Write all that is to be in the tables at a time, in one transaction, and delete what is not.

        Args:
            world: The account. Only rows of its environments are touched.
            settings: The switches.
            now: Epoch milliseconds.

        Raises:
            WarehouseError: The database cannot be reached or written to, or two metrics have the same events.
        """
        wanted = list(plans(world, settings, now, self.options))
        environments = [e.id for project in world.projects.values() for e in project.environments.values()]
        with self._database.transaction() as database:
            written = _progress(database, environments)
            for iteration_id in written.keys() - {plan.iteration.id for plan in wanted}:
                _forget(database, iteration_id)
            for plan in wanted:
                known = written.get(plan.iteration.id, {})
                if not _goes_on(plan, known):
                    _forget(database, plan.iteration.id)
                    known = {}
                self._write(database, plan, known)
            _write_dimensions(database, world, wanted, environments)
            self._write_status(database, world, wanted, now)

    def _write(self, database: Database, plan: Plan, known: dict[str, tuple[str, int]]) -> None:
        """Write the batches of an iteration that are not in the tables yet."""

        def since(stream: str) -> int:
            return known[stream][1] if stream in known else 0

        if since(_EXPOSURES) < plan.batches:
            rows = plan.rows.evaluations(since(_EXPOSURES), plan.batches)
            database.insert(tables.EVALUATION_EVENTS, rows)
        for name, stream in plan.streams.items():
            if since(name) < plan.batches:
                database.insert(tables.METRIC_EVENTS, plan.rows.events(stream, since(name), plan.batches))
        if since(_RESULTS) < plan.analysed:
            database.insert(tables.ARM_AGGREGATES, self._aggregates(plan, since(_RESULTS)))
        now_known = _wanted(plan)
        if now_known != known:
            database.delete(tables.PROGRESS, "iteration_id = ?", (plan.iteration.id,))
            database.insert(
                tables.PROGRESS,
                [
                    (plan.iteration.id, name, plan.environment_id, drawn_by, hours)
                    for name, (drawn_by, hours) in now_known.items()
                ],
            )

    def _aggregates(self, plan: Plan, since: int) -> Iterator[Row]:
        """Return the rows of the analyses after ``since`` hours: at each refresh, and at the iteration's end."""
        every, end = self.options.refresh_hours, plan.rows.crowd.hours
        ended = plan.iteration.ended_at is not None
        hours = [hour for hour in range(since + 1, plan.analysed + 1) if hour % every == 0 or (ended and hour == end)]
        for hour in hours:
            for measured in plan.measured:
                yield from self._analysis(plan, measured, hour)

    def _analysis(self, plan: Plan, measured: Measured, hour: int) -> Iterator[Row]:
        population = plan.rows.crowd.population
        slices: list[tuple[str, str] | None] = [None]
        slices += [(a, value) for a in plan.iteration.attributes for value in population.attribute_values(a)]
        for attribute in slices:
            statistics = _statistics(plan, measured, hour, attribute)
            for treatment, served in zip(statistics.treatments, plan.rows.served, strict=True):
                last = treatment.last_event_at
                yield (
                    plan.iteration.id,
                    measured.metric.version_id,
                    treatment.treatment_id if self.options.arm_ids == "treatment" else served.variation_id,
                    *(attribute or (None, None)),
                    treatment.exposed,
                    treatment.responders,
                    treatment.sum,
                    treatment.sum_of_squares,
                    None if last is None else to_milliseconds(last),
                    plan.started_at + hour * HOUR_MILLIS + self.options.lag_millis,
                )

    def _write_status(self, database: Database, world: World, wanted: list[Plan], now: int) -> None:
        """Write through when the rows of each environment are there, and when each event was last seen."""
        lag = self.options.lag_millis
        for environment in (e for project in world.projects.values() for e in project.environments.values()):
            running = [
                plan.started_at + plan.batches * HOUR_MILLIS
                for plan in wanted
                if plan.environment_id == environment.id and plan.iteration.ended_at is None
            ]
            through = min(running, default=(now - lag) // HOUR_MILLIS * HOUR_MILLIS)
            database.delete(tables.TRANSFER_STATUS, "environment_id = ?", (environment.id,))
            database.insert(
                tables.TRANSFER_STATUS,
                [
                    (table.name, environment.id, through, through + lag)
                    for table in (tables.EVALUATION_EVENTS, tables.METRIC_EVENTS)
                ],
            )
        seen: dict[tuple[str, str], tuple[int, set[str], int]] = {}
        for plan in wanted:
            for measured in plan.measured:
                last = [t.last_event_at for t in _statistics(plan, measured, plan.analysed, None).treatments]
                at = max((to_milliseconds(moment) for moment in last if moment is not None), default=0)
                metric = measured.metric
                place = (metric.data_source_key, metric.event_key or metric.key)
                before, kinds, analysed = seen.get(place, (0, set(), 0))
                analysed = max(analysed, plan.started_at + plan.analysed * HOUR_MILLIS + lag)
                seen[place] = (max(before, at), kinds | {plan.iteration.randomization_unit}, analysed)
        for (source, event_key), (at, kinds, analysed) in seen.items():
            database.delete(tables.EVENTS_LAST_SEEN, "data_source_id = ? AND event_key = ?", (source, event_key))
            if at:
                row = (source, event_key, json.dumps(sorted(kinds)), at, analysed)
                database.insert(tables.EVENTS_LAST_SEEN, [row])


def _progress(database: Database, environments: list[str]) -> dict[str, dict[str, tuple[str, int]]]:
    """Return what has been written: by iteration and stream what it was drawn by, and the batches."""
    written: dict[str, dict[str, tuple[str, int]]] = defaultdict(dict)
    for environment_id in environments:
        columns = "iteration_id, stream, drawn_by, hours"
        for iteration_id, stream, drawn_by, hours in database.select(
            tables.PROGRESS, columns, "environment_id = ?", (environment_id,)
        ):
            written[iteration_id][stream] = (drawn_by, hours)
    return written


def _wanted(plan: Plan) -> dict[str, tuple[str, int]]:
    """Return by stream what its rows are drawn by, and the batches."""
    wanted = {_EXPOSURES: (plan.drawn_by, plan.batches), _RESULTS: (plan.results_by, plan.analysed)}
    return wanted | {
        name: (f"{plan.drawn_by} {stream.drawn_by}", plan.batches) for name, stream in plan.streams.items()
    }


def _goes_on(plan: Plan, known: dict[str, tuple[str, int]]) -> bool:
    """Return whether the rows that are there are a beginning of those that are to be there."""
    wanted = _wanted(plan)
    return all(
        name in wanted and wanted[name][0] == drawn_by and wanted[name][1] >= hours
        for name, (drawn_by, hours) in known.items()
    )


def _forget(database: Database, iteration_id: str) -> None:
    """Delete all rows of an iteration. Their export keys begin with its id."""
    ends = (f"{iteration_id}-", f"{iteration_id}.")
    for table in (tables.EVALUATION_EVENTS, tables.METRIC_EVENTS):
        database.delete(table, "export_key >= ? AND export_key < ?", ends)
    for table in (tables.ARM_AGGREGATES, tables.PROGRESS):
        database.delete(table, "iteration_id = ?", (iteration_id,))


def _write_dimensions(database: Database, world: World, wanted: list[Plan], environments: list[str]) -> None:
    """Write the iterations and the flags' variations as they are now."""
    for environment_id in environments:
        for table in (tables.EXPERIMENT_ITERATIONS, tables.FLAG_VARIATIONS):
            database.delete(table, "environment_id = ?", (environment_id,))
    database.insert(
        tables.EXPERIMENT_ITERATIONS,
        [
            (
                plan.iteration.id,
                plan.experiment_key,
                plan.rows.flag_key,
                plan.iteration.randomization_unit,
                plan.environment_id,
                plan.started_at,
                plan.iteration.ended_at,
            )
            for plan in wanted
        ],
    )
    database.insert(
        tables.FLAG_VARIATIONS,
        [
            (
                flag.key,
                variation.id,
                variation.name,
                variation.value if isinstance(variation.value, str) else json.dumps(variation.value),
                environment.id,
            )
            for project in world.projects.values()
            for environment in project.environments.values()
            for flag in project.flags.values()
            for variation in flag.variations
        ],
    )


def _statistics(plan: Plan, measured: Measured, hour: int, attribute: tuple[str, str] | None) -> MetricStatistics:
    at = from_milliseconds(plan.started_at + hour * HOUR_MILLIS)
    return plan.rows.crowd.population.statistics(measured.simulated, at, None, attribute)
