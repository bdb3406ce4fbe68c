"""The people of an iteration one by one: their keys, their attributes, and the times of their first exposure."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from airflow_provider_launchdarkly.emulator.population.sampling import generator

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.population.people import Population
    from airflow_provider_launchdarkly.emulator.state.models import Iteration
    from airflow_provider_launchdarkly.emulator.warehouse.options import WarehouseOptions

HOUR_MILLIS = 3_600_000
_FIRST_EXPOSURE = 60_000
_LAST_EXPOSURE = HOUR_MILLIS - 60_000
"""First exposures leave a minute at both ends of their hour: for what comes before them, and for events after them."""
_KEPT_HOURS = 512


class Person(NamedTuple):
    """A person: the context key, and the milliseconds from the start of the hour to the first exposure."""

    key: str
    exposed: int


class Extra(NamedTuple):
    """A person whom the results endpoint does not count: a crossover, or a bot if ``crosses`` is false."""

    person: Person
    crosses: bool


class Crowd:
    """The people of an iteration.

    Args:
        population: Their numbers, and their responses.
        iteration: The iteration.
        started_at: Its start, epoch milliseconds.
        hours: The full hours that it has run by the time of writing, at most.
        options: How the rows are to be.
        before: The people of the iteration before, some of whom return; None if nobody does.
    """

    def __init__(
        self,
        population: Population,
        iteration: Iteration,
        *,
        started_at: int,
        hours: int,
        options: WarehouseOptions,
        before: Crowd | None,
    ) -> None:
        self.population = population
        self.iteration = iteration
        self.started_at = started_at
        self.hours = hours
        self.options = options
        self._before = before
        digest = blake2b(repr(population.key).encode(), digest_size=4).hexdigest()
        self._prefix = f"{iteration.randomization_unit}-{digest}"
        self._kept: dict[tuple[int, int, int], list[Person]] = {}

    def attributes(self, cell: int, *, bot: bool = False) -> str:
        """Return the attributes of the people of a cell as JSON."""
        return json.dumps({"bot": bot, **dict(self.population.cells[cell].labels)})

    def arrivals(self, arm: int, cell: int, hour: int) -> int:
        """Return how many people arrive in an hour since the start."""
        day, of_day = divmod(hour, 24)
        return self.population.exposures[arm, cell].arrived_by_hour(day)[of_day]

    def is_on(self, hour: int) -> bool:
        """Return whether the flag is on in an hour since the start."""
        day, of_day = divmod(hour, 24)
        on = self.population.flag_on_hours(day)
        return on is None or on[of_day]

    def people(self, arm: int, cell: int, hour: int) -> list[Person]:
        """Return the people who arrive in an hour since the start."""
        people = self._kept.get((arm, cell, hour))
        if people is None:
            rng = generator(*self.population.exposures[arm, cell].key, "first exposures", hour)
            people = [
                Person(self.key(arm, cell, hour, index), rng.randrange(_FIRST_EXPOSURE, _LAST_EXPOSURE))
                for index in range(self.arrivals(arm, cell, hour))
            ]
            if len(self._kept) >= _KEPT_HOURS:
                del self._kept[next(iter(self._kept))]
            self._kept[arm, cell, hour] = people
        return people

    def key(self, arm: int, cell: int, hour: int, index: int) -> str:
        """Return a person's context key, which may be that of a person of the iteration before."""
        before, arms = self._before, len(self.population.arms)
        if before is not None:
            # All arms shift alike, so no two people get the same key.
            drawn = crc32(f"{self._prefix}-{cell}.{hour}.{index}".encode())
            was = (arm + drawn % arms) % arms
            returns = drawn // arms < self.options.returning * 2**32 / arms
            if returns and hour < before.hours and index < before.arrivals(was, cell, hour):
                return before.key(was, cell, hour, index)
        return f"{self._prefix}-{arm}.{cell}.{hour}.{index}"

    def extras(self, arm: int, cell: int, hour: int) -> list[Extra]:
        """Return the crossovers and bots who arrive in an hour since the start."""
        options = self.options
        if not options.bots and (not options.crossovers or len(self.population.arms) < 2):
            return []
        rng = generator(*self.population.exposures[arm, cell].key, "extras", hour)
        extras: list[Extra] = []
        for _ in range(self.arrivals(arm, cell, hour)):
            kind = rng.random()
            if kind < options.bots + options.crossovers:
                crosses = kind >= options.bots
                key = f"{self._prefix}-{'x' if crosses else 'bot'}{arm}.{cell}.{hour}.{len(extras)}"
                extras.append(Extra(Person(key, rng.randrange(_FIRST_EXPOSURE, _LAST_EXPOSURE)), crosses))
        return extras if len(self.population.arms) > 1 else [extra for extra in extras if not extra.crosses]


def can_return(before: Crowd, iteration: Iteration, population: Population) -> bool:
    """Return whether people of an iteration can be those of the one before: the same unit and the same places."""
    same_places = len(before.population.arms) == len(population.arms) and before.population.cells == population.cells
    return same_places and before.iteration.randomization_unit == iteration.randomization_unit
