"""LaunchDarkly's own tables in a test's warehouse, filled with single people."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_launchdarkly.testing import EmulatorServer
from support.warehouse import Warehouse

EXPOSURES = "evaluation_events"
EVENTS = "metric_events"
SUMS = "computed_arm_aggregates"
COLUMNS = {
    EXPOSURES: """flag_key TEXT, variation_id TEXT, experiment_iteration_id TEXT, received_time MOMENT,
        context_attributes TEXT, context_key TEXT, context_kind TEXT, environment_id TEXT""",
    EVENTS: """event_key TEXT, event_value DOUBLE PRECISION, received_time MOMENT, context_key TEXT,
        context_kind TEXT, environment_id TEXT, export_key TEXT""",
    SUMS: """iteration_id TEXT, metric_version_id TEXT, arm_id TEXT, dimension_name TEXT, dimension_value TEXT,
        count_of_units BIGINT, count_of_units_with_measurements BIGINT, sum_of_unit_aggregates DOUBLE PRECISION,
        sum_of_squares DOUBLE PRECISION, metric_event_last_seen MOMENT, analyzed_at MOMENT""",
}


@dataclass
class LaunchDarklyTables:
    """The tables, and what their rows say of an iteration on the flag `checkout-button`.

    Attributes:
        warehouse: The warehouse.
        emulator: The emulator, for variations and the environment's id.
        iteration_id: The iteration.
        started_at: Its start.
        people: People a day and variation, 28 days long.
    """

    warehouse: Warehouse
    emulator: EmulatorServer
    iteration_id: str
    started_at: datetime
    people: int = 100
    variations: dict[str, str] = field(init=False)
    environment_id: str = field(init=False)

    def __post_init__(self) -> None:
        world = self.emulator.call(lambda running: running.world.projects["demo"])
        self.variations = {str(each.name): each.id for each in world.flags["checkout-button"].variations}
        self.environment_id = world.environments["production"].id

    @property
    def schema(self) -> str:
        """The schema of the tables."""
        return "main" if self.warehouse.kind == "sqlite" else "public"

    def create(self) -> None:
        """Make the tables of the Data Export and of the results dataset, empty."""
        moment = "TEXT" if self.warehouse.kind == "sqlite" else "TIMESTAMPTZ"
        for table, columns in COLUMNS.items():
            self.warehouse.execute(f"CREATE TABLE {table} ({columns.replace('MOMENT', moment)})")

    def fill(self, event: str, rates: dict[str, float], *, kind: str = "user", environment: str | None = None) -> None:
        """Expose people to variations, and let so many of them have an event five minutes later."""
        rows = list(self._people(rates))
        where = (kind, environment or self.environment_id)
        self.warehouse.execute(
            f"INSERT INTO {EXPOSURES} VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                ("checkout-button", self.variations[name], self.iteration_id, self.moment(at), "{}", unit, *where)
                for name, unit, at, _ in rows
            ],
        )
        self.warehouse.execute(
            f"INSERT INTO {EVENTS} VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [
                (event, None, self.moment(at + timedelta(minutes=5)), unit, *where, f"{event}-{unit}")
                for _, unit, at, converts in rows
                if converts
            ],
        )

    def _people(self, rates: dict[str, float]) -> Iterator[tuple[str, str, datetime, bool]]:
        chance = random.Random(3)
        count = self.people * 28
        for name, rate in rates.items():
            for number in range(count):
                at = self.started_at + timedelta(days=28) * (number + 0.5) / count
                yield name, f"{name}-{number}", at, chance.random() < rate

    def analyse(self, version_id: str, arms: dict[str, tuple[int, int]], at: datetime, **changes: Any) -> None:
        """Write the sums of one analysis of a metric of occurrences: units and conversions for each arm's id."""
        rows = []
        for arm, (units, conversions) in arms.items():
            row = {
                "iteration_id": self.iteration_id,
                "metric_version_id": version_id,
                "arm_id": arm,
                "dimension_name": None,
                "dimension_value": None,
                "count_of_units": units,
                "count_of_units_with_measurements": conversions,
                "sum_of_unit_aggregates": conversions,
                "sum_of_squares": conversions,
                "metric_event_last_seen": self.moment(at - timedelta(hours=1)),
                "analyzed_at": self.moment(at),
                **changes,
            }
            rows.append(tuple(row.values()))
        self.warehouse.execute(f"INSERT INTO {SUMS} VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", rows)

    def moment(self, at: datetime) -> Any:
        """Return a time as the tables have it."""
        return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if self.warehouse.kind == "sqlite" else at
