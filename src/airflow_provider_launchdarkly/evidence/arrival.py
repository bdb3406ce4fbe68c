"""Sources that tell when data have arrived, for DAG files and rollout files: cheap to import. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.config.keys import check_text
from airflow_provider_launchdarkly.config.problems import FieldError, InvalidSettingError, shown
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.decision.policy_parts import Duration, Flag  # noqa: TC001 - pydantic reads annotations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_launchdarkly.decision.policy import Policy

ANALYZED_AT = "analyzed_at"
QUARTER_OF_AN_HOUR = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
_KINDS = ("sql", "table", "asset", ANALYZED_AT)

Text = Annotated[str, Field(min_length=1), AfterValidator(check_text)]


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        raise ValueError(f"is {value!r}: write an IANA name such as Europe/Berlin") from None
    return value


def _is_transfer_status(table: Any) -> bool:
    """Return whether it is LaunchDarkly's table of transfers, of all tables and environments."""
    return isinstance(table, str) and table.lower().split(".")[-1].strip('"`') == "_transfer_status"


class Partitions(StrictModel):
    """The partitions in which data arrive. Data are complete up to a time if no partition before it is missing.

    The first row of a partition does not say that the others are there. So the newest partition of a table or a query
    is not complete before a later one has begun. That of an asset is complete up to the time of its event, at most.

    Attributes:
        length: Time that one partition covers.
        format: How a partition's start is written, as in Python's ``strptime``. Default: ISO 8601.
        timezone: IANA name of the time zone of a start that has none.
        whole: True if each partition of the table or query appears at once, with all of its rows: then the newest one
            is complete, too.
    """

    length: Duration
    format: Text | None = None
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    whole: Flag = False

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"length": value} if isinstance(value, (str, timedelta)) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.length < MINUTE:
            raise ValueError(f"length is {format_duration(self.length)}, below 1m")
        return self

    def start_of(self, key: str) -> datetime:
        """Return the start of a partition.

        Raises:
            ValueError: The key is not written as `format` says.
        """
        start = datetime.strptime(key, self.format) if self.format else datetime.fromisoformat(key)  # noqa: DTZ007
        return start if start.tzinfo else start.replace(tzinfo=self.zone)

    @property
    def zone(self) -> tzinfo:
        """The time zone of a start that has none."""
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)

    def complete_until(self, starts: Iterable[datetime], since: datetime, *, whole: bool) -> datetime | None:
        """Return the end of the partitions that follow each other without a gap; None if the first is missing.

        Args:
            starts: Start of each partition that is there, in any order.
            since: Data before this time do not matter.
            whole: Whether the newest partition is complete; else only those before it are.
        """
        until, there = since, sorted(set(starts))
        for start in there if whole else there[:-1]:
            if start > until:
                break
            until = max(until, start + self.length)
        return until if until > since else None


class DataArrival(StrictModel):
    """A source from which a sensor learns up to when data have arrived, for looks with `on_data`.

    One of `sql`, `table`, `asset` and `analyzed_at`; the text ``analyzed_at`` is short for the last.

    Attributes:
        sql: A query, or the path of its file, as in :class:`SqlResults`, with the same values. It returns one value:
            the time up to which data are complete, or whether those up to ``{{ looked_at }}`` are (true or 1).
        table: A table with such times, whose latest counts, for instance ``_transfer_status``. Dots separate the parts
            of its name; without one it is in the schema of the results, if they have one.
        column: The column of `table` with them.
        iteration: The column of `table` with the iteration's id, if it is about several.
        of_table: The column of `table` with the name of the table that a row is about. Then those of LaunchDarkly's
            ``evaluation_events`` and ``metric_events`` are asked for, and the older one counts. Default: ``table_name``
            for a table ``_transfer_status``, else none; null has none.
        environment: The column of `table` with the environment's client-side id. Default: ``environment_id`` for a
            table ``_transfer_status``, else none; null has none.
        asset: Name or URI of an Airflow asset, whose events say that data arrived.
        covers: Key in an event's extra with the time up to which its data are complete, in ISO 8601.
        analyzed_at: True for the latest analysis of a warehouse-native experiment.
        partition: The told times are starts of partitions, or an event's partition key is: their length.
        lag: Time by which data are older than is told: it is taken off. For events of an asset without `covers` in
            their extra it is taken off their own time, and must be set.
        conn_id: The Airflow connection of `sql`, `table` or `analyzed_at`. Default: that of the results.
        ask_every: Shortest time between two questions.
    """

    sql: Text | None = None
    table: Text | None = None
    column: Text | None = None
    iteration: Text | None = None
    of_table: Text | None = None
    environment: Text | None = None
    asset: Text | None = None
    covers: Text = "covers_until"
    analyzed_at: Flag = False
    partition: Partitions | None = None
    lag: Duration | None = None
    conn_id: Text | None = None
    ask_every: Duration = QUARTER_OF_AN_HOUR

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if value == ANALYZED_AT:
            return {ANALYZED_AT: True}
        if isinstance(value, dict) and _is_transfer_status(value.get("table")) and not value.get("partition"):
            return {"of_table": "table_name", "environment": "environment_id", **value}
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        kinds = [name for name in _KINDS if getattr(self, name)]
        if len(kinds) != 1:
            raise ValueError(f"give exactly one of {', '.join(_KINDS)}, not {' and '.join(kinds) or 'none'}")
        if (self.table is None) != (self.column is None):
            raise ValueError("table and column belong together: give both, or neither")
        if self.iteration is not None and self.table is None:
            raise ValueError(f"iteration {self.iteration!r} is a column of table: give table and column")
        for name in ("of_table", "environment"):
            if getattr(self, name) is not None and self.table is None:
                raise FieldError((name,), f"is {getattr(self, name)!r}, a column of table: give table and column")
        if self.of_table is not None and self.partition is not None:
            raise FieldError(("of_table",), "goes with times and not with partitions: leave one of the two out")
        if self.asset is not None and self.conn_id is not None:
            raise ValueError("an asset's events need no conn_id: leave it out")
        if self.partition is not None and self.analyzed_at:
            raise ValueError("analyzed_at has no partitions: leave partition out")
        if self.lag is not None and self.lag < timedelta():
            raise FieldError(("lag",), f"is {format_duration(self.lag)}, below 0")
        if self.ask_every < MINUTE:
            raise FieldError(
                ("ask_every",), f"is {format_duration(self.ask_every)}: data do not come that often, at least 1m"
            )
        return self


def read_arrival(value: Any) -> DataArrival | None:
    """Read where data arrival is learnt from.

    Args:
        value: A :class:`DataArrival`, the same as a mapping, its short form, or None.

    Raises:
        InvalidSettingError: A field is wrong.
    """
    if value is None or isinstance(value, DataArrival):
        return value
    if not isinstance(value, dict) and value != ANALYZED_AT:
        raise InvalidSettingError(f"arrival is {shown(value)}: write DataArrival(…), a mapping, or analyzed_at")
    return DataArrival.read(value)


def require_arrival(policy: Policy, arrival: DataArrival | None) -> None:
    """Raise if looks wait for data and nothing says when they arrive, or the other way round.

    Raises:
        FieldError: The message has the cure. It is a ValueError.
    """
    if policy.looks.on_data is not None and arrival is None:
        raise FieldError(
            ("arrival",),
            "is missing: looks.on_data waits for data, so say where their arrival is learnt from, for instance "
            "arrival: {asset: events, lag: 1h}",
        )
    if policy.looks.on_data is None and arrival is not None:
        raise FieldError(
            ("arrival",), "is only for looks that wait for data: write policy: {looks: on_data}, or remove it"
        )
