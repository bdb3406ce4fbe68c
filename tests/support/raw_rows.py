"""Raw rows of simulated experiments, as LaunchDarkly exports them: exposures and events of single people, with all that
goes wrong in real tables. The emulator has no part in it.

A unit is seen many times and under several context kinds, changes its variation after an edit, buys before it was
exposed; rows come again, after the look, without a value, of other iterations, flags, environments and context kinds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.evidence.warehouse.definition import (
    Aggregation,
    Cap,
    ExportLook,
    MetricDefinition,
)

STARTED_AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
DAYS = 14
ENVIRONMENT, OTHER_ENVIRONMENT = "57be1db38b75bf0772d11383", "57be1db38b75bf0772d11384"
BOT, PERSON = '{"bot": true}', '{"bot": false}'
WITHOUT_BOTS = f"context_attributes <> '{BOT}'"


class Exposure(NamedTuple):
    """A row of `evaluation_events`; the names are its columns."""

    context_key: str
    context_kind: str
    variation_id: str
    experiment_iteration_id: str | None
    received_time: datetime
    flag_key: str
    environment_id: str
    context_attributes: str


class Event(NamedTuple):
    """A row of `metric_events`; the names are its columns."""

    event_key: str
    context_key: str
    context_kind: str
    event_value: float | None
    received_time: datetime
    environment_id: str
    export_key: str = ""


@dataclass(frozen=True)
class RawExperiment:
    """An experiment with its rows, and what is asked about it.

    Attributes:
        number: Its number, which is the seed.
        look: The look.
        metrics: The metrics; the first is the primary one.
        exposures: Its exposures, in no order.
        events: Its events, in no order.
        where: Condition on the exposures; None takes them all.
        burn_in: Time after the start in which first exposures do not count.
        maturity: Time before the look in which they do not count.
        shares: Share of the units that each treatment should get, in any unit.
    """

    number: int
    look: ExportLook
    metrics: tuple[MetricDefinition, ...]
    exposures: tuple[Exposure, ...]
    events: tuple[Event, ...]
    where: str | None
    burn_in: timedelta
    maturity: timedelta
    shares: tuple[float, ...]


def catalogue(draw: random.Random) -> dict[str, MetricDefinition]:
    """Return a metric of each shape, by its key; some of their settings are drawn."""
    window = (timedelta(hours=draw.choice([0, 0, 6])), timedelta(days=draw.choice([1, 2, 5])))
    cap = draw.choice(
        [
            Cap(upper=draw.choice([90.0, 95.0, 99.0, 99.9])),
            Cap(lower=5.0, upper=95.0),
            Cap(2.5, 97.5, with_imputed=True),
        ]
    )
    weeks = timedelta(days=draw.choice([14, 28]))
    kinds = Aggregation
    visits = MetricDefinition("visits", ("visit",), kinds.COUNT, 0.0)
    found = [
        MetricDefinition("conversion", ("order",), kinds.OCCURRENCE, 0.0),
        visits,
        MetricDefinition("revenue", ("order",), kinds.SUM, 0.0),
        MetricDefinition("order-value", ("order",), kinds.AVERAGE),
        MetricDefinition("load-time", ("load",), kinds.AVERAGE, direction=Direction.LOWER),
        MetricDefinition("rating", ("rate",), kinds.AVERAGE, 3.0),
        MetricDefinition("buyer-revenue", ("order",), kinds.SUM),
        MetricDefinition("plan-price", ("plan",), kinds.AVERAGE),
        MetricDefinition("conversion-in-time", ("order",), kinds.OCCURRENCE, 0.0, window),
        MetricDefinition("revenue-in-time", ("order",), kinds.SUM, 0.0, window),
        MetricDefinition("load-time-in-time", ("load",), kinds.AVERAGE, None, window),
        MetricDefinition("load-time-p50", ("load",), kinds.AVERAGE, percentile=50.0, direction=Direction.LOWER),
        MetricDefinition("revenue-p90", ("order",), kinds.SUM, 0.0, percentile=90.0),
        MetricDefinition("capped-revenue", ("order",), kinds.SUM, 0.0, cap=cap),
        MetricDefinition("capped-load-time", ("load",), kinds.AVERAGE, cap=cap),
        MetricDefinition("capped-revenue-in-time", ("order",), kinds.SUM, 0.0, window, cap),
        MetricDefinition("conversion-cuped", ("order",), kinds.OCCURRENCE, 0.0, covariate=weeks),
        MetricDefinition("visits-cuped", ("visit",), kinds.COUNT, 0.0, covariate=weeks),
        MetricDefinition("revenue-cuped", ("order",), kinds.SUM, 0.0, covariate=weeks),
        MetricDefinition("load-time-cuped", ("load",), kinds.AVERAGE, covariate=weeks),
        MetricDefinition("rating-cuped", ("rate",), kinds.AVERAGE, 3.0, covariate=weeks),
        MetricDefinition("revenue-in-time-cuped", ("order",), kinds.SUM, 0.0, window, covariate=weeks),
        MetricDefinition("capped-revenue-cuped", ("order",), kinds.SUM, 0.0, None, cap, covariate=weeks),
        MetricDefinition("revenue-per-visit", ("order",), kinds.SUM, 0.0, denominator=visits),
        MetricDefinition("orders-per-visit", ("order",), kinds.COUNT, 0.0, denominator=visits),
        MetricDefinition(
            "revenue-per-visit-in-time",
            ("order",),
            kinds.SUM,
            0.0,
            window,
            denominator=MetricDefinition("visits-in-time", ("visit",), kinds.COUNT, 0.0, window),
        ),
        MetricDefinition("funnel", ("visit", "order"), kinds.OCCURRENCE, 0.0),
        MetricDefinition("long-funnel", ("visit", "load", "order"), kinds.OCCURRENCE, 0.0),
        MetricDefinition("funnel-in-time", ("visit", "order"), kinds.OCCURRENCE, 0.0, window),
    ]
    return {metric.key: metric for metric in found}


def draw_metrics(draw: random.Random, number: int) -> tuple[MetricDefinition, ...]:
    """Return the metrics of the experiment of a number, the primary one first; the first that is drawn of it."""
    shapes = catalogue(draw)
    keys = list(shapes)
    primary = keys[number % len(keys)]
    others = draw.sample([key for key in keys if key != primary], 2)
    return tuple(shapes[key] for key in (primary, *others))


def draw_experiment(number: int) -> RawExperiment:
    """Return the experiment of a number: always the same, and its primary metric goes through all shapes in turn."""
    draw = random.Random(number)
    metrics = draw_metrics(draw, number)
    treatments = {
        f"variation-{number}-{arm}": f"treatment-{number}-{arm}" for arm in range(draw.choice([2, 2, 2, 3, 4]))
    }
    looked_at = STARTED_AT + timedelta(days=draw.randint(7, DAYS), seconds=draw.choice([0, 0, 37]))
    burn_in, maturity = draw.choice([(0, 0), (0, 0), (1, 0), (0, 2), (1, 2)])
    look = ExportLook(
        iteration_id=f"iteration-{number}",
        flag_key=f"flag-{number % 7}",
        unit_kind=draw.choice(["user", "user", "organization"]),
        treatments=treatments,
        started_at=STARTED_AT,
        looked_at=looked_at,
        exposed_after=STARTED_AT + timedelta(days=burn_in),
        exposed_before=looked_at - timedelta(days=maturity),
        ended_at=looked_at - timedelta(days=1) if draw.random() < 0.15 else None,
        environment_id=ENVIRONMENT,
    )
    people = _People(draw, number, look)
    exposures = list(people.exposures())
    events = [row._replace(export_key=f"{number}-{count}") for count, row in enumerate(people.events())]
    draw.shuffle(exposures)
    draw.shuffle(events)
    return RawExperiment(
        number,
        look,
        metrics,
        tuple(exposures),
        tuple(events),
        WITHOUT_BOTS if draw.random() < 0.3 else None,
        timedelta(days=burn_in),
        timedelta(days=maturity),
        people.shares,
    )


class _People:
    """The people of one experiment."""

    def __init__(self, draw: random.Random, number: int, look: ExportLook) -> None:
        self._draw, self._look, self._number = draw, look, number
        self._variations = list(look.treatments)
        # In some experiments all clocks tick in hours: first exposure, event and look fall on the same instant.
        self._tick = timedelta(hours=draw.choice([1, 1])) if draw.random() < 0.2 else timedelta(milliseconds=1)
        self._effect = draw.choice([0.0, 0.3, 2.0, 3.0, -0.8, -0.95])
        arms = len(self._variations)
        self.shares: tuple[float, ...] = draw.choice([(1.0,) * arms, (*(1.0,) * (arms - 1), 2.0)])
        # Now and then the units do not come as they should.
        self._served = (3.0, *self.shares[1:]) if draw.random() < 0.06 else self.shares
        self._units = [f"unit-{number}-{count}" for count in range(draw.choice([60, 300, 600]))]
        self._firsts: dict[str, tuple[str, datetime]] = {}

    def exposures(self) -> Iterator[Exposure]:
        draw, look = self._draw, self._look
        for unit in self._units:
            variation = draw.choices(self._variations, self._served)[0]
            first = self._moment(STARTED_AT, timedelta(days=DAYS))
            self._firsts[unit] = variation, first
            attributes = BOT if draw.random() < 0.05 else PERSON
            row = Exposure(
                unit, look.unit_kind, variation, look.iteration_id, first, look.flag_key, ENVIRONMENT, attributes
            )
            for _ in range(draw.choice([1, 1, 2, 3, 6])):
                yield row._replace(received_time=self._moment(first, timedelta(days=5)))
            yield from [row] * draw.choice([1, 1, 1, 2])
            if draw.random() < 0.04:  # another variation, after an edit or a change of an attribute
                other = draw.choice([*self._variations, "variation-of-no-treatment"])
                yield row._replace(variation_id=other, received_time=self._moment(first, timedelta(days=6)))
            if draw.random() < 0.5:
                yield from self._of_no_account(row)
        yield from self._strangers()

    def _of_no_account(self, row: Exposure) -> Iterator[Exposure]:
        """Rows about the same unit that do not count."""
        other = self._draw.choice(self._variations)
        earlier = self._moment(row.received_time - timedelta(days=4), timedelta(days=4))
        yield row._replace(context_kind="device", variation_id=other, received_time=earlier)
        yield row._replace(experiment_iteration_id=None, variation_id=other, received_time=earlier)
        yield row._replace(experiment_iteration_id="iteration-before", variation_id=other, received_time=earlier)
        yield row._replace(environment_id=OTHER_ENVIRONMENT, variation_id=other, received_time=earlier)
        yield row._replace(flag_key="another-flag", variation_id=other, received_time=earlier)

    def _strangers(self) -> Iterator[Exposure]:
        """Units that no treatment has."""
        look = self._look
        row = Exposure(
            "stranger", look.unit_kind, "variation-of-no-treatment", look.iteration_id, look.started_at, look.flag_key,
            ENVIRONMENT, PERSON,
        )  # fmt: skip
        yield row
        yield row._replace(context_key="early", variation_id=self._variations[0], received_time=look.started_at - DAY)
        yield row._replace(context_key="late", variation_id=self._variations[0], received_time=look.looked_at + DAY)

    def events(self) -> Iterator[Event]:
        for unit, (variation, first) in self._firsts.items():
            # The last variation is the one that does something; its people differ from one another, too.
            lift = 1 + self._effect * (variation == self._variations[-1])
            eager = self._draw.choice([0.0, 0.3, 1.0, 3.0])
            for row in self._lived(unit, first, lift, eager):
                yield row
                if self._draw.random() < 0.1:
                    yield from self._others(row)
                if self._draw.random() < 0.02:
                    yield row  # another one of the same instant and value
        yield Event("order", "never-exposed", self._look.unit_kind, 12.5, STARTED_AT + DAY, ENVIRONMENT)

    def _lived(self, unit: str, first: datetime, lift: float, eager: float) -> Iterator[Event]:
        """What one unit does, from four weeks before its exposure to some days after it."""
        draw = self._draw
        for key, rate in (("visit", 1.5), ("load", 1.0), ("order", 0.5), ("rate", 0.3), ("plan", 0.2)):
            before = self._count(rate * eager)
            after = self._count(rate * eager * (lift if key == "order" else 1.0))
            at = [self._moment(first - 4 * WEEK, 4 * WEEK) for _ in range(before)]
            at += [self._moment(first, timedelta(days=draw.choice([1, 4, 12]))) for _ in range(after)]
            if after and draw.random() < 0.1:
                at.append(draw.choice([first, self._look.looked_at]))
            for moment in at:
                value = None if draw.random() < 0.05 else self._value(key, lift)
                yield Event(key, unit, self._look.unit_kind, value, moment, ENVIRONMENT)

    def _value(self, key: str, lift: float) -> float | None:
        draw = self._draw
        match key:
            case "order":
                return round(draw.lognormvariate(3.0, 0.5) * draw.choice([*[1] * 9, -0.5]), 2)
            case "load":
                return draw.gauss(300.0, 60.0) * (1 + 0.1 * (lift - 1))
            case "rate":
                return float(draw.randint(1, 5))
            case "plan":
                return 9.99
            case _:
                return draw.choice([None, 1.0, 7.0])

    def _others(self, row: Event) -> Iterator[Event]:
        """Rows like this one that do not count for its unit."""
        yield row._replace(context_kind="device")
        yield row._replace(environment_id=OTHER_ENVIRONMENT)
        yield row._replace(event_key=row.event_key.upper())
        yield row._replace(context_key=f"{row.context_key} ")

    def _count(self, rate: float) -> int:
        """Return a number of events, on average `rate`."""
        whole = int(rate * 2 * self._draw.random() + self._draw.random())
        return min(whole, 9)

    def _moment(self, since: datetime, within: timedelta) -> datetime:
        moment = since + within * self._draw.random()
        past = (moment - STARTED_AT) // self._tick
        return max(STARTED_AT + past * self._tick, since) if within > timedelta() else since


DAY, WEEK = timedelta(days=1), timedelta(weeks=1)


def rows_of(experiments: Sequence[RawExperiment]) -> tuple[list[Exposure], list[Event]]:
    """Return the rows of several experiments together, as one table has them."""
    exposures = [row for experiment in experiments for row in experiment.exposures]
    return exposures, [row for experiment in experiments for row in experiment.events]
