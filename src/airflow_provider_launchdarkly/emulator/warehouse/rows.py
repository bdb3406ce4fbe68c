"""The rows of an iteration: evaluations of its flag, and events of its metrics, hour by hour.

Each person's rows add up to what the results endpoint counts. Around them are rows that a correct query leaves out:
evaluations outside the experiment, repeats, other context kinds, events before the first exposure or without a value,
people who saw two variations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

from airflow_provider_launchdarkly.emulator.population.individuals import parts_of
from airflow_provider_launchdarkly.emulator.population.sampling import generator
from airflow_provider_launchdarkly.emulator.warehouse.crowd import HOUR_MILLIS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from random import Random

    from airflow_provider_launchdarkly.emulator.population.people import Responses
    from airflow_provider_launchdarkly.emulator.warehouse.crowd import Crowd, Person
    from airflow_provider_launchdarkly.emulator.warehouse.tables import Cell, Row

_DAY_MILLIS = 24 * HOUR_MILLIS
_REPEATED_AFTER = (0, 5, 29)
"""Hours from a person's first exposure to further evaluations."""
_STEPS_OF_A_FUNNEL = 64
_OUTSIDE = 0.05
"""Share of the people who had an evaluation outside the experiment before their first exposure."""
_WITHOUT_A_VALUE = 0.02
_EVALUATIONS_OF_A_BOT = 5
_COVARIATE_DAYS = 6


@dataclass(frozen=True, slots=True)
class Stream:
    """The events of a metric.

    Attributes:
        steps: The keys of a funnel's metrics, the last of which this is, or of the single metric.
        event_key: The key of its events.
        is_numeric: Whether they have values.
        aggregation: How LaunchDarkly makes a unit's value from several events (``unitAggregationType``).
    """

    steps: tuple[str, ...]
    event_key: str
    is_numeric: bool
    aggregation: str

    @property
    def name(self) -> str:
        """The stream's name within the iteration."""
        return " > ".join(self.steps)

    @property
    def drawn_by(self) -> str:
        """The facts that decide about its rows, beside those for all rows of the iteration."""
        return f"{self.event_key} {self.aggregation}"


@dataclass(frozen=True, slots=True)
class Served:
    """The variation of a treatment: its id, and its value as JSON."""

    variation_id: str
    value: str


@dataclass(frozen=True, slots=True)
class IterationRows:
    """The rows of an iteration.

    Attributes:
        crowd: Its people.
        served: The variation of each arm.
        outside: The variation for people outside the experiment.
        flag_key: The flag.
        environment_id: The environment's id, which is its client-side id.
        other_kinds: The further context kinds of each event.
    """

    crowd: Crowd
    served: Sequence[Served]
    outside: Served
    flag_key: str
    environment_id: str
    other_kinds: tuple[str, ...]

    def batches(self, first: int, last: int) -> list[tuple[range, bool]]:
        """Return the hours whose rows come in the batches ``first`` to ``last - 1``, and whether they are late."""
        end, late = self.crowd.hours, self.crowd.options.late_hours
        on_time = (range(first, min(last, end)), False)
        if not self.crowd.options.late_share:
            return [on_time]
        return [on_time, (range(max(0, first - late), min(last - late, end)), True)]

    def evaluations(self, first: int, last: int) -> Iterator[Row]:
        """Return the rows of `evaluation_events` in the batches ``first`` to ``last - 1``."""
        for hours, late in self.batches(first, last):
            for hour in hours:
                for arm, cell in self.crowd.population.exposures:
                    yield from self._of_batch(self._evaluations(arm, cell, hour), late=late)

    def events(self, stream: Stream, first: int, last: int) -> Iterator[Row]:
        """Return the rows of `metric_events` of a metric in the batches ``first`` to ``last - 1``."""
        for hours, late in self.batches(first, last):
            for hour in hours:
                for arm, cell in self.crowd.population.exposures:
                    yield from self._of_batch(self._events(stream, arm, cell, hour), late=late)

    def _of_batch(self, rows: Iterable[Row], *, late: bool) -> Iterable[Row]:
        share = self.crowd.options.late_share
        if not share:
            return rows
        return (row for row in rows if (crc32(str(row[-1]).encode()) < share * 2**32) is late)

    def _evaluations(self, arm: int, cell: int, hour: int) -> Iterator[Row]:
        crowd = self.crowd
        if not crowd.is_on(hour):
            return
        start, attributes = crowd.started_at + hour * HOUR_MILLIS, crowd.attributes(cell)
        key = crowd.population.exposures[arm, cell].key
        name = f"{arm}.{cell}.{hour}"
        rng = generator(*key, "evaluations", hour)
        for index, person in enumerate(crowd.people(arm, cell, hour)):
            at = start + person.exposed
            yield from self._evaluation(person, attributes, self.served[arm], at, f"{name}.{index}")
            if rng.random() < _OUTSIDE:
                before = at - rng.randrange(1, 30_000)
                yield from self._evaluation(person, attributes, None, before, f"{name}.{index}o")
        more = (crowd.options.evaluations - 1) / len(_REPEATED_AFTER)
        for after in _REPEATED_AFTER if more else ():
            if after > hour or not crowd.is_on(hour - after):
                continue
            for index, person in enumerate(crowd.people(arm, cell, hour - after)):
                since = person.exposed if after == 0 else 0
                for time in range(int(more + rng.random())):
                    at = start + since + int((HOUR_MILLIS - since) * rng.random())
                    yield from self._evaluation(
                        person, attributes, self.served[arm], at, f"{name}.{index}r{after}.{time}"
                    )
        for index, (person, crosses) in enumerate(crowd.extras(arm, cell, hour)):
            at, of_extra = start + person.exposed, crowd.attributes(cell, bot=not crosses)
            yield from self._evaluation(person, of_extra, self.served[arm], at, f"{name}.x{index}")
            for time in range(1 if crosses else _EVALUATIONS_OF_A_BOT):
                served = self.served[(arm + 1) % len(self.served)] if crosses else self.served[arm]
                again = at + 1 + rng.randrange(start + HOUR_MILLIS - at - 1)
                yield from self._evaluation(person, of_extra, served, again, f"{name}.x{index}.{time}")

    def _evaluation(self, person: Person, attributes: str, served: Served | None, at: int, name: str) -> Iterator[Row]:
        iteration = self.crowd.iteration
        exposed = served is not None
        shown = served or self.outside
        detail: dict[str, object] = {"in_experiment": exposed}
        by_rule = iteration.flag.rule_id != "fallthrough"
        if by_rule:
            detail["rule_id"] = iteration.flag.rule_id
        export_key = f"{iteration.id}-e{name}"
        for kind, context_key in self._contexts(person):
            yield (
                export_key,
                self.flag_key,
                context_key,
                kind,
                attributes,
                shown.variation_id,
                shown.value,
                "RULE_MATCH" if by_rule else "FALLTHROUGH",
                json.dumps(detail),
                iteration.id if exposed else None,
                at,
                self.environment_id,
                export_key if kind == iteration.randomization_unit else f"{export_key}-{kind}",
            )

    def _contexts(self, person: Person) -> Iterator[tuple[str, str]]:
        """Return kind and key of each context of a person. Up to ten people share one of another kind."""
        yield self.crowd.iteration.randomization_unit, person.key
        for kind in self.other_kinds:
            yield kind, f"{kind}-of-{person.key[:-1]}"

    def _events(self, stream: Stream, arm: int, cell: int, hour: int) -> Iterator[Row]:
        crowd = self.crowd
        day, of_day = divmod(hour, 24)
        attributes, start = crowd.attributes(cell), crowd.started_at + hour * HOUR_MILLIS
        responses = crowd.population.response(arm, cell, stream.steps, is_numeric=stream.is_numeric)
        for delay in responses.delays:
            if delay > day or not crowd.is_on(hour - delay * 24):
                continue
            rng = generator(*responses.key, "events", hour, delay)
            people = crowd.people(arm, cell, hour - delay * 24)
            for number, (of_group, hours) in enumerate(responses.people(day - delay)):
                for index, value in hours[of_day] if of_group == delay else ():
                    person, name = people[index], f"{arm}.{cell}.{hour}.{delay}.{number}.{index}"
                    since = person.exposed if delay == 0 else 0
                    times = _times(rng, start + since, start + HOUR_MILLIS, len(stream.steps))
                    values = self._values(rng, stream, value.value, responses.step)
                    for event, each in enumerate(values):
                        yield from self._event(stream, (person, attributes), next(times), each, f"{name}.{event}")
                    if responses.has_covariate:
                        exposed = start - delay * _DAY_MILLIS + person.exposed
                        values = self._values(rng, stream, value.covariate, responses.step)
                        for event, each in enumerate(values):
                            at = exposed - rng.randrange(HOUR_MILLIS, _COVARIATE_DAYS * _DAY_MILLIS)
                            yield from self._event(stream, (person, attributes), at, each, f"{name}.p{event}")
        yield from self._misleading_events(stream, arm, cell, hour, responses)

    def _misleading_events(self, stream: Stream, arm: int, cell: int, hour: int, responses: Responses) -> Iterator[Row]:
        """Return events before the first exposure, and those of crossovers."""
        crowd = self.crowd
        if not crowd.is_on(hour):
            return
        attributes, start = crowd.attributes(cell), crowd.started_at + hour * HOUR_MILLIS
        rng, name = generator(*responses.key, "misleading", hour), f"{arm}.{cell}.{hour}"
        value = responses.typical_value if stream.is_numeric else None
        if crowd.options.early_events and not responses.has_covariate:
            for index, person in enumerate(crowd.people(arm, cell, hour)):
                if rng.random() < crowd.options.early_events:
                    at = start + person.exposed - rng.randrange(1, 30_000)
                    yield from self._event(stream, (person, attributes), at, value, f"{name}.early{index}")
        for index, (person, crosses) in enumerate(crowd.extras(arm, cell, hour)):
            if crosses:
                at = start + person.exposed + 1 + rng.randrange(HOUR_MILLIS - person.exposed - 1)
                yield from self._event(stream, (person, attributes), at, value, f"{name}.x{index}")

    @staticmethod
    def _values(rng: Random, stream: Stream, value: float, step: float) -> list[float | None]:
        """Return the values of a person's events, whose sum or mean is ``value``, as the metric asks."""
        count = 1 + (rng.random() < 0.3) + (rng.random() < 0.1)
        if not stream.is_numeric:
            return [None] * (count if stream.aggregation == "average" else 1)
        values: list[float | None]
        if stream.aggregation == "sum":
            values = [*parts_of(rng, value, count, step)]
        elif stream.aggregation == "average" and count > 1:
            away = rng.randrange(1, 65) * step
            values = [value - away, value + away, *[value] * (count - 2)]
        else:
            values = [value]
        return [*values, None] if rng.random() < _WITHOUT_A_VALUE else values

    def _event(self, stream: Stream, who: tuple[Person, str], at: int, value: Cell, name: str) -> Iterator[Row]:
        iteration, (person, attributes) = self.crowd.iteration, who
        export_key = f"{iteration.id}-m{stream.event_key}.{name}"
        for kind, context_key in self._contexts(person):
            yield (
                export_key,
                stream.event_key,
                value,
                context_key,
                kind,
                attributes,
                at,
                self.environment_id,
                export_key if kind == iteration.randomization_unit else f"{export_key}-{kind}",
            )


def _times(rng: Random, since: int, until: int, step: int) -> Iterator[int]:
    """Return times of events of a funnel's step, 1 for a single metric: after those of the steps before it."""
    band = (until - since) / _STEPS_OF_A_FUNNEL
    while True:
        yield since + 1 + int(band * (step - 1 + rng.random() * 0.9))
