"""Draw the people of an iteration day by day, and return the statistics of their metrics at any full hour.

A day is drawn whole, as sufficient statistics, and split into its hours only for a time within the day. Each stream
of draws has a separate generator, keyed by seed, experiment, iteration, arm and metric, and goes through the days in
order. So the statistics at a time do not depend on earlier requests, and later ones contain them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from airflow_provider_launchdarkly.emulator.population.ground_truth import NO_EVENTS
from airflow_provider_launchdarkly.emulator.population.individuals import Value, moments_of, resolution, single_values
from airflow_provider_launchdarkly.emulator.population.sampling import (
    NOTHING,
    Covariate,
    Moments,
    binomial,
    conversions,
    generator,
    multinomial,
    normal_values,
    poisson,
    split_values,
    subset,
    with_covariate,
)
from airflow_provider_launchdarkly.emulator.population.types import (
    CovariateMoments,
    MetricStatistics,
    TreatmentStatistics,
)

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_launchdarkly.emulator.population.ground_truth import Effect, GroundTruth, MetricTruth
    from airflow_provider_launchdarkly.emulator.population.types import SimulatedIteration, SimulatedMetric

Kept = TypeVar("Kept")

_HOUR = timedelta(hours=1)
_KEPT_DAYS_BY_HOUR = 8
_CONVERTED = Value(1.0)


class Exposures:
    """The people of one arm and one cell, by the day on which they arrive."""

    def __init__(self, population: Population, arm: int, cell: int) -> None:
        self._population = population
        self._arm = arm
        self._share = population.cells[cell].share
        self._key = (*population.key, arm, population.arms[arm].variation, cell)
        self._rng = generator(*self._key, "exposures")
        self._days: list[int] = []
        self._before: list[int] = [0]
        self._hours: dict[int, list[int]] = {}

    @property
    def key(self) -> tuple[str | int, ...]:
        """The key of the generators of these people."""
        return self._key

    def flag_on_hours(self, day: int) -> list[bool] | None:
        """Return for each of the day's 24 hours whether the flag is on when it begins; None if it is on all day."""
        return self._population.flag_on_hours(day)

    def drawn(self, day: int) -> int:
        """Return the number of people who would arrive on ``day`` with the flag on all day."""
        while len(self._days) <= day:
            share = self._population.share(self._arm, len(self._days)) * self._share
            self._days.append(poisson(self._rng, self._population.expected(len(self._days)) * share))
        return self._days[day]

    def drawn_by_hour(self, day: int) -> list[int]:
        """Return the number of people of each hour who would arrive with the flag on all day."""
        hours = self._hours.get(day)
        if hours is None:
            rng = generator(*self._key, "exposures by hour", day)
            hours = multinomial(rng, self.drawn(day), self._population.expected_by_hour(day))
            _keep(self._hours, day, hours)
        return hours

    def arrived(self, day: int) -> int:
        """Return the number of people who arrived on ``day``."""
        return self.drawn(day) if self._population.flag_on_hours(day) is None else sum(self.arrived_by_hour(day))

    def arrived_by_hour(self, day: int) -> list[int]:
        """Return the number of people who arrived in each hour of ``day``."""
        hours, on = self.drawn_by_hour(day), self._population.flag_on_hours(day)
        return hours if on is None else [people if is_on else 0 for people, is_on in zip(hours, on, strict=True)]

    def through(self, day: int, hour: int) -> int:
        """Return the number of people who arrived in ``day`` full days and ``hour`` hours."""
        while len(self._before) <= day:
            self._before.append(self._before[-1] + self.arrived(len(self._before) - 1))
        return self._before[day] + (sum(self.arrived_by_hour(day)[:hour]) if hour else 0)


class _Group(NamedTuple):
    """The people of a day whose events take ``delay`` days, from the group number ``source`` of the step before."""

    delay: int
    source: int
    moments: Moments


class Responder(NamedTuple):
    """A person who responds: the number among those who arrive in the same hour, and the value."""

    person: int
    value: Value


class Responses:
    """The responses on one metric of one arm and one cell, by the day of arrival and the delay of the event.

    They come from all exposed people, or from those who took the ``earlier`` step of a funnel.
    """

    def __init__(
        self,
        exposures: Exposures,
        earlier: Responses | None,
        *,
        path: str,
        truth: MetricTruth,
        variation: str,
        effect: Effect | None,
        single_people: bool,
    ) -> None:
        self._exposures = exposures
        self._earlier = earlier
        self._truth = truth
        self._variation = variation
        self._effect = effect
        self.key = (*exposures.key, path)
        self.has_covariate = bool(truth.correlation)
        self._rng = generator(*self.key)
        self._whole: list[list[_Group]] = []
        self._days: list[list[_Group]] = []
        self._arrived: list[Moments] = [NOTHING]
        self._hours: dict[int, list[list[Moments]]] = {}
        self._values: dict[int, list[list[list[Value]]]] = {}
        self._people: dict[int, list[list[list[int]]]] = {}
        self.step = resolution(truth.baseline, truth.deviation) if truth.kind == "numeric" else 1.0
        self._single_values = single_people and truth.kind == "numeric"
        self._arrivals: dict[int, list[Moments]] = {}
        own = [delay for delay, share in enumerate(truth.delays) if share]
        before = earlier.delays if earlier else [0]
        self.delays: list[int] = sorted({first + second for first in before for second in own})

    @property
    def typical_value(self) -> float:
        """The mean of people whose variation has no effect, rounded as the values are."""
        return round(self._truth.baseline / self.step) * self.step

    def drawn(self, day: int) -> list[_Group]:
        """Return the groups of people who would arrive on ``day`` with the flag on all day."""
        while len(self._days) <= day:
            self._days.append(self._draw(len(self._days)))
        return self._days[day]

    def arrived(self, day: int) -> list[_Group]:
        """Return the groups of people who arrived on ``day``."""
        groups = self.drawn(day)
        if self._exposures.flag_on_hours(day) is None:
            return groups
        hours = self.arrived_by_hour(day)
        return [group._replace(moments=sum(parts, NOTHING)) for group, parts in zip(groups, hours, strict=True)]

    def _sources(self, day: int) -> list[tuple[int, int]]:
        """Return (delay so far, people) of each group of people who can respond."""
        if self._earlier is None:
            return [(0, self._exposures.drawn(day))]
        return [(group.delay, group.moments.count) for group in self._earlier.drawn(day)]

    def _draw(self, day: int) -> list[_Group]:
        level = self._truth.level(self._variation, day, self._effect)
        acts = level if self._truth.kind == "conversion" else self._truth.event_share
        chance = acts * self._truth.arriving(self._variation)
        groups = []
        for source, (delay, people) in enumerate(self._sources(day)):
            acting = binomial(self._rng, people, chance)
            counts = multinomial(self._rng, acting, self._truth.delays) if len(self._truth.delays) > 1 else [acting]
            for own, count in enumerate(counts):
                if self._truth.kind == "conversion":
                    moments = conversions(count)
                else:
                    moments = normal_values(self._rng, count, level, self._truth.deviation)
                if count:
                    groups.append(_Group(delay + own, source, moments))
        self._whole.append(groups)
        if self._truth.correlation or self._single_values:
            hours = self.drawn_by_hour(day)
            groups = [group._replace(moments=sum(parts, NOTHING)) for group, parts in zip(groups, hours, strict=True)]
        return groups

    def drawn_by_hour(self, day: int) -> list[list[Moments]]:
        """Return the 24 hours of each of the day's drawn groups, by the hour of arrival."""
        hours = self._hours.get(day)
        if hours is None:
            hours = self._split(day)
            _keep(self._hours, day, hours)
        return hours

    def arrived_by_hour(self, day: int) -> list[list[Moments]]:
        """Return the 24 hours of each of the day's groups, by the hour of arrival."""
        groups, on = self.drawn_by_hour(day), self._exposures.flag_on_hours(day)
        if on is None:
            return groups
        return [[part if is_on else NOTHING for part, is_on in zip(hours, on, strict=True)] for hours in groups]

    def _split(self, day: int) -> list[list[Moments]]:
        """Divide the day's groups, which are drawn, by the hour of arrival."""
        rng = generator(*self.key, "by hour", day)
        if self._earlier is None:
            left = [list(self._exposures.drawn_by_hour(day))]
        else:
            left = [[part.count for part in hours] for hours in self._earlier.drawn_by_hour(day)]
        split = []
        for group in self._whole[day]:
            counts = subset(rng, left[group.source], group.moments.count)
            left[group.source] = [have - taken for have, taken in zip(left[group.source], counts, strict=True)]
            if self._truth.kind == "conversion":
                parts = [conversions(count) for count in counts]
            else:
                parts = split_values(rng, group.moments, counts)
            if self._truth.correlation:
                covariate = Covariate(self._truth.baseline, self._truth.deviation, self._truth.correlation)
                mean = self._truth.level(self._variation, day, self._effect)
                parts = [with_covariate(rng, part, mean, covariate) for part in parts]
            split.append(parts)
        if not self._single_values:
            return split
        draw = generator(*self.key, "values", day)
        correlated = bool(self._truth.correlation)
        values = [[single_values(draw, part, self.step, covariate=correlated) for part in parts] for parts in split]
        _keep(self._values, day, values)
        return [[moments_of(part, self.step) for part in parts] for parts in values]

    def people(self, day: int) -> list[tuple[int, list[list[Responder]]]]:
        """Return the delay of each of the day's groups, and the people of each hour in it.

        Only with `SimulatedIteration.single_people`, or else numbers have no values.
        """
        groups, people = self.drawn(day), self._people_by_hour(day)
        if self._truth.kind == "conversion":
            values = [[[_CONVERTED] * len(hour) for hour in hours] for hours in people]
        else:
            if day not in self._values:
                self._split(day)
            values = self._values[day]
        return [
            (group.delay, [list(map(Responder, *hour)) for hour in zip(hours, of_hours, strict=True)])
            for group, hours, of_hours in zip(groups, people, values, strict=True)
        ]

    def _people_by_hour(self, day: int) -> list[list[list[int]]]:
        """Return who is in each of the day's groups, by the hour of arrival. They come from the group's source."""
        people = self._people.get(day)
        if people is None:
            rng = generator(*self.key, "people", day)
            if self._earlier is None:
                left = [[list(range(count)) for count in self._exposures.drawn_by_hour(day)]]
            else:
                left = [[list(hour) for hour in hours] for hours in self._earlier._people_by_hour(day)]  # noqa: SLF001
            for hours in left:
                for hour in hours:
                    rng.shuffle(hour)
            people = []
            for group, parts in zip(self.drawn(day), self.drawn_by_hour(day), strict=True):
                source = left[group.source]
                people.append([hour[: part.count] for hour, part in zip(source, parts, strict=True)])
                left[group.source] = [hour[part.count :] for hour, part in zip(source, parts, strict=True)]
            _keep(self._people, day, people)
        return people

    def arrivals(self, day: int) -> list[Moments]:
        """Return the events that arrive in each of the 24 hours of ``day``, of people from any day."""
        arrivals = self._arrivals.get(day)
        if arrivals is None:
            arrivals = [NOTHING] * 24
            for delay in self.delays:
                if delay > day:
                    break
                groups = self.arrived(day - delay)
                if not any(group.delay == delay for group in groups):
                    continue
                for group, hours in zip(groups, self.arrived_by_hour(day - delay), strict=True):
                    if group.delay == delay:
                        arrivals = [before + part for before, part in zip(arrivals, hours, strict=True)]
            _keep(self._arrivals, day, arrivals)
        return arrivals

    def through(self, day: int, hour: int) -> Moments:
        """Return the events that arrived in ``day`` full days and ``hour`` hours."""
        while len(self._arrived) <= day:
            arrived, last = self._arrived[-1], len(self._arrived) - 1
            for delay in self.delays:
                if delay > last:
                    break
                arrived = sum((group.moments for group in self.arrived(last - delay) if group.delay == delay), arrived)
            self._arrived.append(arrived)
        return sum(self.arrivals(day)[:hour], self._arrived[day]) if hour else self._arrived[day]

    def last_event_hour(self, day: int, hour: int) -> int:
        """Return the hours from the start to the arrival of the last event by then; 0 without an event."""
        while True:
            for last in range(hour, 0, -1):
                if self.arrivals(day)[last - 1].count:
                    return day * 24 + last
            day, hour = self._last_full_day_with_events(day), 24
            if day < 0:
                return 0

    def _last_full_day_with_events(self, day: int) -> int:
        day -= 1
        while day >= 0 and self.through(day + 1, 0).count == self.through(day, 0).count:
            day -= 1
        return day


class Population:
    """The people of an iteration. It keeps the draws, so a later time draws only the days in between.

    Args:
        truth: The ground truth.
        seed: Determines all draws.
        iteration: The iteration.
    """

    def __init__(self, truth: GroundTruth, seed: int, iteration: SimulatedIteration) -> None:
        self._truth = truth
        self._started_at = iteration.started_at
        self.arms = iteration.arms
        self.key: tuple[str | int, ...] = (seed, iteration.experiment_key, iteration.number)
        self.cells = truth.cells()
        self.shares = truth.shares(iteration.arms)
        self._audience = iteration.audience
        self._off = iteration.off
        self._bandit = iteration.bandit
        self._single_people = iteration.single_people
        self._daily_shares: list[list[float]] = []
        self._expected: list[float] = []
        self._arms_and_cells = [(arm, cell) for arm in range(len(self.arms)) for cell in range(len(self.cells))]
        self.exposures = {place: Exposures(self, *place) for place in self._arms_and_cells}
        self._responses: dict[tuple[int, int, str], Responses] = {}
        self._latest: dict[tuple[SimulatedMetric, tuple[str, str] | None], tuple[int, MetricStatistics]] = {}

    def attribute_values(self, attribute: str) -> tuple[str, ...]:
        """Return the values of an attribute; none for an unknown attribute."""
        return self._truth.attribute_values(attribute)

    def share(self, arm: int, day: int) -> float:
        """Return an arm's share of the people of ``day``; for a bandit, its share when the day begins."""
        if self._bandit is None:
            return self.shares[arm]
        while len(self._daily_shares) <= day:
            self._daily_shares.append(self.divided(len(self._daily_shares) * 24))
        return self._daily_shares[day][arm]

    def divided(self, hours: int) -> list[float]:
        """Return the arms' shares ``hours`` after the start, which a bandit's last reallocation sets."""
        if self._bandit is None:
            return self.shares
        last = int(hours * _HOUR // self._bandit.every * self._bandit.every // _HOUR)
        if last <= 0:
            return self.shares
        statistics = self._statistics(self._bandit.metric, last, None)
        return self._bandit.divide(statistics, self._bandit.metric) or self.shares

    def flag_on_hours(self, day: int) -> list[bool] | None:
        """Return for each of the day's 24 hours whether the flag is on when it begins; None if it is on all day."""
        if not self._off:
            return None
        starts = [self._started_at + timedelta(days=day, hours=hour) for hour in range(24)]
        hours = [not any(since <= at and (until is None or at < until) for since, until in self._off) for at in starts]
        return None if all(hours) else hours

    def expected(self, day: int) -> float:
        """Return the expected number of people on ``day`` in all arms."""
        while len(self._expected) <= day:
            self._expected.append(sum(self.expected_by_hour(len(self._expected))))
        return self._expected[day]

    def expected_by_hour(self, day: int) -> list[float]:
        """Return the expected number of people in each of the day's 24 hours."""
        hours = self._truth.people_by_hour(self._started_at, day)
        return hours if self._audience == 1 else [people * self._audience for people in hours]

    def statistics(
        self, metric: SimulatedMetric, as_of: datetime, ended_at: datetime | None, attribute: tuple[str, str] | None
    ) -> MetricStatistics:
        """Return the statistics at ``as_of`` or the iteration's end; see `population_cache.metric_statistics`."""
        until = as_of if ended_at is None else min(as_of, ended_at)
        hours = max(0, (until - self._started_at) // _HOUR)
        known = self._latest.get((metric, attribute))
        if known is not None and known[0] == hours:
            return known[1]
        statistics = self._statistics(metric, hours, attribute)
        self._latest[metric, attribute] = (hours, statistics)
        return statistics

    def _statistics(self, metric: SimulatedMetric, hours: int, attribute: tuple[str, str] | None) -> MetricStatistics:
        steps = self.steps(metric)
        cells = [index for index, cell in enumerate(self.cells) if attribute is None or attribute in cell.labels]
        treatments = tuple(self._measure(arm, cells, metric, steps, hours) for arm in range(len(self.arms)))
        return MetricStatistics(self._started_at + hours * _HOUR, treatments)

    def steps(self, metric: SimulatedMetric) -> tuple[str, ...]:
        """Return the metric's key after the keys of its earlier steps; none if the ground truth lacks one of them."""
        truth = self._truth.metric(metric.key, is_numeric=metric.is_numeric)
        earlier = [self._truth.metric(step, is_numeric=False) for step in metric.preceding]
        if truth is None or None in earlier:
            return ()
        steps, before = [*metric.preceding, metric.key], truth.after
        while not metric.preceding and before is not None:
            steps.insert(0, before)
            before = self._truth.metrics[before].after
        for step in steps[:-1]:
            _check_kind(step, self._truth.metric(step, is_numeric=False), is_numeric=False)
        _check_kind(metric.key, truth, is_numeric=metric.is_numeric)
        return tuple(steps)

    def _measure(
        self, arm: int, cells: list[int], metric: SimulatedMetric, steps: tuple[str, ...], hours: int
    ) -> TreatmentStatistics:
        day, hour = divmod(hours, 24)
        exposed = sum(self.exposures[arm, cell].through(day, hour) for cell in cells)
        events, last = NOTHING, 0
        for cell in cells if steps else ():
            responses = self.response(arm, cell, steps, is_numeric=metric.is_numeric)
            events += responses.through(day, hour)
            last = max(last, responses.last_event_hour(day, hour))
        counts_all = bool(steps) and (not metric.is_numeric or metric.missing_counts_as_zero)
        units = exposed if counts_all else events.count
        covariate = None
        truth = self._truth.metric(metric.key, is_numeric=metric.is_numeric)
        if steps and truth is not None and truth.correlation and units == events.count:
            covariate = CovariateMoments(events.x_total, events.x_squares, events.xy)
        return TreatmentStatistics(
            treatment_id=self.arms[arm].treatment_id,
            exposed=exposed,
            units=units,
            sum=events.total,
            sum_of_squares=events.squares,
            covariate=covariate,
            last_event_at=self._started_at + last * _HOUR if last else None,
            responders=events.count,
        )

    def response(self, arm: int, cell: int, steps: tuple[str, ...], *, is_numeric: bool = False) -> Responses:
        """Return the responses to the last of a funnel's ``steps``, or to a single metric, as `steps` names them."""
        path = " > ".join(steps)
        responses = self._responses.get((arm, cell, path))
        if responses is None:
            variation = self.arms[arm].variation
            effects = self.cells[cell].effects.get(steps[-1], {})
            responses = self._responses[arm, cell, path] = Responses(
                self.exposures[arm, cell],
                self.response(arm, cell, steps[:-1]) if len(steps) > 1 else None,
                path=path,
                truth=self._truth.metric(steps[-1], is_numeric=is_numeric) or NO_EVENTS,
                variation=variation,
                effect=effects.get(variation),
                single_people=self._single_people,
            )
        return responses


def _check_kind(key: str, truth: MetricTruth | None, *, is_numeric: bool) -> None:
    if truth is not None and (truth.kind == "numeric") != is_numeric:
        asked = "a number" if is_numeric else "a conversion"
        raise ValueError(
            f"truth.metrics.{key}: is {truth.kind}, but the metric is {asked}; change the truth or isNumeric"
        )


def _keep(kept: dict[int, Kept], day: int, hours: Kept) -> None:
    """Keep the hours of a day and drop the oldest, which a clock that only goes forward needs no more."""
    while len(kept) >= _KEPT_DAYS_BY_HOUR:
        del kept[next(iter(kept))]
    kept[day] = hours
