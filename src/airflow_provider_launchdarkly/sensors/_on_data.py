"""Asks on a worker up to when data have arrived: in the warehouse, or in the events of an Airflow asset. It blocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.audit_log.looks_taken import LooksTaken, looks_taken
from airflow_provider_launchdarkly.audit_log.store import read_record
from airflow_provider_launchdarkly.evidence.results_config import read_results
from airflow_provider_launchdarkly.evidence.sql_cells import CellError, read_moment
from airflow_provider_launchdarkly.evidence.sql_config import SqlResults
from airflow_provider_launchdarkly.evidence.warehouse.config import AggregatesTable
from airflow_provider_launchdarkly.evidence.warehouse.dialects import dialect_of
from airflow_provider_launchdarkly.evidence.warehouse.iteration import served
from airflow_provider_launchdarkly.evidence.warehouse.writing import Writer, select
from airflow_provider_launchdarkly.sensors._decision_record import open_storage
from airflow_provider_launchdarkly.sensors._warehouse import template_query
from airflow_provider_launchdarkly.sensors._warehouse_query import query_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.checks.on_data import Ask
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.arrival import DataArrival
    from airflow_provider_launchdarkly.evidence.source import LookContext, Target
    from airflow_provider_launchdarkly.evidence.sql_statement import Statement
    from airflow_provider_launchdarkly.sensors._sources import Task


# LaunchDarkly's tables that looks read. What is not there in all of them has not arrived.
_READ = ("evaluation_events", "metric_events")


def recorded_looks(target: Target, policy: Policy, folder: str | None) -> LooksTaken:
    """Return which looks the iteration's decision record says were taken.

    Raises:
        ConfigurationError: There are no decision records.
        BrokenRecordError: The record was changed by someone else.
        OSError: The record cannot be read.
    """
    if folder is None:
        raise ConfigurationError(
            "policy.looks.on_data needs decision records, since they say which looks were taken: set record_path, or "
            "[launchdarkly] record_path"
        )
    return looks_taken(read_record(target.to_json(), folder, open_storage), policy)


def ask_warehouse(
    arrival: DataArrival,
    results: Mapping[str, Any] | None,
    task: Task,
    context: Context,
    environment_id: Callable[[], str],
) -> Ask:
    """Return the question to a warehouse. Connection and schema are templates.

    Args:
        arrival: Its query or table.
        results: The description of the results as plain JSON; None for LaunchDarkly's.
        task: The task that asks.
        context: Its context.
        environment_id: Reads the environment's client-side id, where the results do not name it.

    Raises:
        ConfigurationError: There is no connection.
    """
    described = None if results is None else read_results(results)
    conn_id = arrival.conn_id or getattr(described, "conn_id", None)
    if conn_id is None:
        raise ConfigurationError("arrival.conn_id is missing: results are LaunchDarkly's, so name the warehouse")
    schema = task.render_template(getattr(described, "schema_name", ""), context)
    aggregates = getattr(described, "aggregates", AggregatesTable())
    connection = task.render_template(conn_id, context)
    query = arrival.sql and SqlResults(connection, arrival.sql)
    environments: list[str] = []
    template = query and template_query(query, connection, task.get_template_env(), context)

    def run(look_context: LookContext) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        if not template:
            if arrival.analyzed_at:
                return query_tables(
                    connection, lambda dialect: _write_latest_analysis(aggregates, schema, look_context, dialect)
                )
            iteration_id = look_context.target.iteration_id
            if arrival.environment is not None and not environments:
                named = task.render_template(getattr(described, "environment_id", None), context)
                environments.append(named or environment_id())
            return query_tables(
                connection, lambda dialect: _write_latest(arrival, schema, iteration_id, environments, dialect)
            )
        # A question about arrival leaves no units out.
        return template(replace(look_context, maturity=timedelta(), burn_in=timedelta()))

    def told(look_context: LookContext) -> list[Any]:
        columns, rows = run(look_context)
        if len(columns) != 1 or (len(rows) > 1 and arrival.partition is None):
            raise ConfigurationError(
                f"arrival: the query returned {len(rows)} rows of {len(columns)} columns; return one value, or with "
                "partition one column"
            )
        return [value for (value,) in rows if value is not None]

    def ask(look_context: LookContext, planned: Sequence[timedelta]) -> timedelta | None:
        arrived: timedelta | None = None
        for time in planned:
            values = told(replace(look_context, at=look_context.at - look_context.elapsed + time))
            if len(values) == 1 and _is_condition(values[0]):
                if not values[0]:
                    break
                arrived = time
                continue
            until = _until(arrival, [_moment(value) for value in values], look_context)
            return None if until is None else look_context.after_start(until)
        return arrived

    return ask


def _write_latest_analysis(table: AggregatesTable, schema: str, look_context: LookContext, dialect: str) -> Statement:
    """Write the query for the latest analysis that has each treatment in each metric: others are half written."""
    writer = Writer(dialect_of(dialect))
    analyzed, version, arm = (writer.name(each) for each in (table.analyzed_at, table.metric_version, table.arm))
    of_metrics = select(
        [f"{analyzed} AS ld_analyzed", f"COUNT(DISTINCT {arm}) AS ld_arms"],
        writer.table(schema, table.table),
        where=[
            f"{writer.name(table.iteration)} = {writer.text(look_context.target.iteration_id)}",
            f"{writer.name(table.dimension)} IS NULL",
        ],
        after=f"\nGROUP BY {analyzed}, {version}",
    )
    complete = f"\nGROUP BY ld_analyzed\nHAVING MIN(ld_arms) >= {len(served(look_context.iteration))}"
    analyses = select(["ld_analyzed"], f"(\n{of_metrics}\n) ld_metrics", after=complete)
    return writer.statement(select(["MAX(ld_analyzed)"], f"(\n{analyses}\n) ld_analyses"))


def _write_latest(
    arrival: DataArrival, schema: str, iteration_id: str, environments: Sequence[str], dialect: str
) -> Statement:
    """Write the query on a table, in the schema of the results unless it names one itself."""
    table, column, iteration = str(arrival.table), str(arrival.column), arrival.iteration
    writer = Writer(dialect_of(dialect))
    name = writer.name(column)
    wanted = f"DISTINCT {name}" if arrival.partition is not None else f"MAX({name})"
    where = [f"{writer.name(iteration)} = {writer.text(iteration_id)}"] if iteration is not None else []
    if arrival.environment is not None:
        where.append(f"{writer.name(arrival.environment)} IN ({', '.join(writer.text(each) for each in environments)})")
    if arrival.of_table is None:
        return writer.statement(select([wanted], writer.table(schema, table), where=where))
    about = f"LOWER({writer.name(arrival.of_table)})"
    where.append(f"{about} IN ({', '.join(writer.text(each) for each in _READ)})")
    each = select([f"{wanted} AS ld_until"], writer.table(schema, table), where=where, after=f"\nGROUP BY {about}")
    oldest = f"CASE WHEN COUNT(*) = {len(_READ)} THEN MIN(ld_until) END"
    return writer.statement(select([oldest], f"(\n{each}\n) ld_tables"))


def _is_condition(value: Any) -> bool:
    """Return whether a value is true or false. No time is 0 or 1."""
    return isinstance(value, bool) or value in (0, 1)


def _moment(value: Any) -> datetime:
    try:
        return read_moment(value)
    except CellError as error:
        raise ConfigurationError(f"arrival: {error}; or return true or false") from None


def _until(arrival: DataArrival, told: Sequence[datetime], look_context: LookContext) -> datetime | None:
    """Return up to when data are complete, by the times that were told."""
    if arrival.partition is not None:
        whole = arrival.partition.whole or arrival.asset is not None
        until = arrival.partition.complete_until(told, look_context.started_at, whole=whole)
    else:
        until = max(told, default=None)
    return None if until is None else until - (arrival.lag or timedelta())


def ask_asset(arrival: DataArrival, ref: Any, context: Context, *, only_triggering: bool) -> Ask:
    """Return the question to the events of an asset.

    Args:
        arrival: The asset, and what its events say.
        ref: Airflow's reference to it, which is among the task's inlets.
        context: The task's context.
        only_triggering: Leave out events that came after those which started the DAG run, if any did.
    """

    def ask(look_context: LookContext, _: Sequence[timedelta]) -> timedelta | None:
        events = _events(ref, context, look_context.started_at)
        started_by = _triggering(arrival, context) if only_triggering else []
        if started_by:
            latest = max(event.timestamp for event in started_by)
            events = [event for event in events if event.timestamp <= latest]
        told = [moment for event in events if (moment := _told_by(arrival, event)) is not None]
        until = _until(arrival, told, look_context)
        if until is not None and arrival.partition is not None:
            # A partition that is built before it is over has no data of its rest.
            until = min(until, max(event.timestamp for event in events) - (arrival.lag or timedelta()))
        return None if until is None else look_context.after_start(until)

    return ask


def _events(ref: Any, context: Context, since: datetime) -> list[Any]:
    """Return the asset's events since the iteration's start. Airflow before 3.3 returns the older ones, too."""
    found: Any = context["inlet_events"][ref]
    return list(found.after(since.isoformat()) if hasattr(found, "after") else found)


def _triggering(arrival: DataArrival, context: Context) -> list[Any]:
    """Return the events of the asset that started the DAG run; none in a run that was started otherwise."""
    events: Mapping[Any, Iterable[Any]] = context.get("triggering_asset_events") or {}
    named = arrival.asset
    return [event for happened in events.values() for event in happened if named in (event.asset.name, event.asset.uri)]


def _told_by(arrival: DataArrival, event: Any) -> datetime | None:
    """Return the time that one event tells; None for an event without a partition, where there are partitions."""
    if arrival.partition is not None:
        key = getattr(event, "partition_key", None)
        if key is None:
            return None
        try:
            return arrival.partition.start_of(key)
        except ValueError as error:
            raise ConfigurationError(
                f"arrival: partition {key!r} of asset {arrival.asset!r} is no time: {error}; set partition.format"
            ) from None
    extra = event.extra or {}
    if extra.get("from_trigger"):
        extra = extra.get("payload") or {}
    if (told := extra.get(arrival.covers)) is not None:
        return _moment(told)
    if arrival.lag is None:
        raise ConfigurationError(
            f"arrival: an event of asset {arrival.asset!r} at {event.timestamp} has no {arrival.covers!r}, so "
            "up to when its data are complete is not known. Let the task that emits it write it, or set lag, the "
            "time by which data are older than the event"
        )
    moment: datetime = event.timestamp
    return moment
