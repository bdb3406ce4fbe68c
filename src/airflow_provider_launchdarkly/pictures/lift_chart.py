"""The lift of a treatment on a metric: at each look with its interval, and at the newest look beside all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.pictures.chart import (
    MOST_WHISKERS,
    WIDTH,
    Table,
    empty,
    figure,
    grid,
    label_at,
    plot_of,
    series_class,
    shape,
)
from airflow_provider_launchdarkly.pictures.markup import element, join
from airflow_provider_launchdarkly.pictures.scale import scale_of
from airflow_provider_launchdarkly.pictures.words import (
    NOTHING,
    count,
    day,
    finite,
    interval,
    level,
    percentage,
    role,
    sign,
    signed,
    standing,
    z_value,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_launchdarkly.pictures.chart import Plot
    from airflow_provider_launchdarkly.pictures.markup import Markup
    from airflow_provider_launchdarkly.pictures.scale import Scale
    from airflow_provider_launchdarkly.views.model import Comparison, Look, MetricAtLook


# Below it, rounding in the lift is as large as the distance.
_LEAST_Z = 0.05


class Point(NamedTuple):
    """A treatment on a metric at one look.

    Attributes:
        look: The look.
        metric: The metric.
        compared: The comparison.
    """

    look: Look
    metric: MetricAtLook
    compared: Comparison

    @property
    def ships_at(self) -> float | None:
        """The lift at which the treatment would have shipped at this look; None where nothing could.

        The interval is that of the look's boundary, so the boundary is reached where the interval's worse end is at the
        margin: the lift that would have been enough is as far from the margin as the measured one from that end.
        """
        compared, direction = self.compared, sign(self.metric)
        worse = compared.lower if direction > 0 else compared.upper
        if compared.harmed or not (finite(compared.boundary) and finite(compared.lift) and finite(worse)):
            return None
        return compared.lift - worse - direction * self.metric.margin

    @property
    def harms_at(self) -> float | None:
        """The lift at which the treatment would have been rolled back at this look; None where nothing could.

        z of harm is the distance from the lift to the margin in standard errors, which gives their size. Where that
        distance is too small to measure by, the interval gives it, if it is that of the boundary for harm.
        """
        compared, direction = self.compared, sign(self.metric)
        if not (finite(compared.harm_boundary) and finite(compared.lift)):
            return None
        margin = self.metric.margin
        if finite(compared.harm_z) and abs(compared.harm_z) > _LEAST_Z:
            error = -(direction * compared.lift + margin) / compared.harm_z
            return -direction * (margin + compared.harm_boundary * error) if error > 0 else None
        better = compared.upper if direction > 0 else compared.lower
        if compared.boundary is not None or not finite(better):
            return None
        return compared.lift - better - direction * margin


def points_of(looks: Sequence[Look], metric: str, treatment: str) -> tuple[Point, ...]:
    """Return a treatment's points on a metric, in the looks' order."""
    return tuple(
        Point(look, judged, compared)
        for look in looks
        for judged in look.metrics
        if judged.metric == metric
        for compared in judged.comparisons
        if compared.treatment == treatment
    )


def lift_figure(
    looks: Sequence[Look], metric: str, treatment: str, *, series: int = 0, end: float = 0.0, where: str = ""
) -> Markup:
    """Draw the lift of a treatment on a metric at each look, with its interval and the bounds of a decision.

    Args:
        looks: The looks of one iteration, oldest first.
        metric: Key of the metric.
        treatment: Name of the treatment.
        series: The treatment's number among the treatments, which gives its colour and its mark.
        end: The plan's end in days, if it is known: the axis reaches it.
        where: What tells it from others on the same page, such as ``, stage 1``.
    """
    points = points_of(looks, metric, treatment)
    measured = [point for point in points if finite(point.compared.lift)]
    title = f"Lift of {treatment} on {metric} at each look{where}"
    behind = Table(
        ("look", "day", "units", "lift", "interval", "ships at", "rolls back at", "z", "in words"),
        tuple(_row(point) for point in points),
    )
    if not measured:
        return figure(title, f"{metric} has no lift of {treatment} yet.", empty("no look has data yet"), behind)
    last = measured[-1]
    held = level(last.compared)
    over = f", with the {held} interval that holds over all looks" if held else ""
    note = f"{role(last.metric)}; {last.metric.direction} is better{over}"
    plot = _plot_of(measured, end)
    return figure(title, _description(last), _draw(plot, measured, series), behind, note=note)


def effects_figure(look: Look, *, series: Sequence[str] = (), where: str = "") -> Markup:
    """Draw every treatment on every metric at one look, one scale for each metric; better is on the right.

    Args:
        look: The look.
        series: Names of the treatments but the baseline, in the order that gives their colours.
        where: What tells it from others on the same page, such as ``, stage 1``.
    """
    rows = [(metric, compared) for metric in look.metrics for compared in metric.comparisons]
    title = f"Every metric at look {look.number}{where}" if look.number else f"Every metric so far{where}"
    behind = Table(
        ("metric", "role", "treatment", "units", "lift", "interval", "in words"),
        tuple(
            (
                metric.metric,
                role(metric),
                compared.treatment,
                count(compared.units),
                signed(compared.lift),
                interval(compared),
                standing(metric, compared),
            )
            for metric, compared in rows
        ),
    )
    if not rows:
        return figure(title, "No metric has been judged yet.", empty("no metric has been judged yet"), behind)
    names = tuple(series) or tuple(dict.fromkeys(compared.treatment for _, compared in rows))
    parts, y = [], 20.0
    for metric in look.metrics:
        parts.append(_axis(metric, y))
        scale = effect_scale(metric, _FROM, _TO)
        for compared in metric.comparisons:
            y += _ROW
            number = names.index(compared.treatment) if compared.treatment in names else 0
            parts.append(_effect(metric, compared, number, y, scale))
        y += _ROW + 14.0
    told = ". ".join(
        f"{compared.treatment} on {metric.metric}: {signed(compared.lift)}, {standing(metric, compared)}"
        for metric, compared in rows[:20]
    )
    return figure(title, f"{told}.", join(parts), behind, note="right of the line is better", height=round(y))


def effect_scale(metric: MetricAtLook, start: float, end: float) -> Scale:
    """Return a metric's scale for all of its treatments at one look: zero and the margin are on it, better is at `end`.

    Args:
        metric: The metric.
        start: Coordinate of the worst value.
        end: Coordinate of the best value.
    """
    direction = sign(metric)
    lifts = [compared.lift for compared in metric.comparisons]
    ends = [each for compared in metric.comparisons for each in (compared.lower, compared.upper)]
    known = [direction * value for value in lifts if finite(value)]
    wide = [direction * value for value in ends if finite(value)]
    needed = [-metric.margin, *known, *_nearest(wide)]
    # Some room for worse, and for better, where nothing points there.
    room = max(map(abs, needed)) / 4
    return scale_of([-room, room, *needed], start, end, rest=wide, marks=4)


_ROW, _FROM, _TO = 24.0, 210.0, 470.0


def _nearest(ends: list[float]) -> list[float]:
    """Return the ends of intervals without the far half, which a treatment with few units has."""
    return sorted(ends, key=abs)[: (len(ends) + 1) // 2]


def _axis(metric: MetricAtLook, y: float) -> Markup:
    name = metric.metric if len(metric.metric) <= 26 else f"{metric.metric[:25]}…"
    return join(
        [
            element("text", element("title", metric.metric), name, x=8, y=y + 4, class_="ld-strong"),
            element("text", f"{metric.direction} is better", x=_TO + 16, y=y + 4),
            element("text", "← worse", x=_FROM, y=y + 4),
            element("text", "better →", x=_TO, y=y + 4, text_anchor="end"),
        ]
    )


def _effect(metric: MetricAtLook, compared: Comparison, series: int, y: float, scale: Scale) -> Markup:
    direction, lift = sign(metric), compared.lift
    zero = scale.place(0.0)
    name = compared.treatment if len(compared.treatment) <= 26 else f"{compared.treatment[:25]}…"
    parts = [
        element(
            "text",
            element("title", compared.treatment),
            name,
            x=_FROM - 14,
            y=y + 4,
            text_anchor="end",
            class_="ld-name",
        ),
        element("line", x1=_FROM, x2=_TO, y1=y, y2=y, class_="ld-mark"),
        element("line", x1=zero, x2=zero, y1=y - 10, y2=y + 10, class_="ld-zero"),
    ]
    if metric.margin:
        x = scale.place(-metric.margin)
        parts.append(
            element(
                "line",
                element("title", f"may lose {percentage(100 * metric.margin)}"),
                x1=x,
                x2=x,
                y1=y - 10,
                y2=y + 10,
                class_="ld-margin",
            )
        )
    lower, upper = compared.lower, compared.upper
    if finite(lower) and finite(upper):
        first, last = sorted(scale.place(direction * each) for each in (lower, upper))
        parts.append(element("rect", x=first, y=y - 4, width=max(last - first, 1.0), height=8, class_="ld-band"))
        parts.append(element("line", x1=first, x2=last, y1=y, y2=y, class_="ld-whisker"))
    if finite(lift):
        parts.append(shape(series, scale.place(direction * lift), y))
    kind = "ld-bad" if compared.harmed else "ld-good" if compared.better else "ld-name"
    words = f"{signed(lift)}  {standing(metric, compared)}" if finite(lift) else standing(metric, compared)
    parts.append(element("text", words, x=_TO + 16, y=y + 4, class_=kind))
    told = f"{compared.treatment} on {metric.metric}: {signed(lift)}, {interval(compared)}"
    return element("g", element("title", told), *parts, class_=series_class(series))


def _plot_of(points: Sequence[Point], end: float) -> Plot:
    """Return the area: the newest lift, its interval and its bounds are on it, early intervals as far as they fit."""
    last = points[-1]
    needed = [
        0.0,
        last.compared.lift,
        last.compared.lower,
        last.compared.upper,
        last.ships_at,
        -sign(last.metric) * last.metric.margin,
    ]
    rest = [
        value
        for point in points
        for value in (point.compared.lift, point.compared.lower, point.compared.upper, point.ships_at, point.harms_at)
    ]
    return plot_of([end, *(point.look.elapsed_days for point in points)], needed, rest)


def _draw(plot: Plot, points: Sequence[Point], series: int) -> Markup:
    metric = points[-1].metric
    up = sign(metric) > 0
    ships = [(point.look.elapsed_days, at) for point in points if (at := point.ships_at) is not None]
    harms = [(point.look.elapsed_days, at) for point in points if (at := point.harms_at) is not None]
    ships, harms = [[pair for pair in line if plot.values.holds(pair[1])] for line in (ships, harms)]
    margin = plot.values.place(-sign(metric) * metric.margin)
    side = "above" if up else "below"
    other = "below" if up else "above"
    lost = f"may lose {percentage(100 * metric.margin)}"
    return join(
        [
            grid(plot, lambda value: f"{100 * value:+.6g} %" if value else "0 %"),
            element("line", x1=plot.days.start, x2=WIDTH - 16, y1=margin, y2=margin, class_="ld-margin")
            if metric.margin
            else None,
            element("text", lost, x=WIDTH - 16, y=margin + (14 if up else -5), text_anchor="end", class_="ld-warn")
            if metric.margin
            else None,
            element("g", *_intervals(plot, points), *_marks(plot, points, series), class_=series_class(series)),
            plot.line(ships, "ld-ship"),
            label_at(plot, ships, f"ships {side}", "ld-good", above=up),
            plot.line(harms, "ld-harm"),
            label_at(plot, harms, f"rolls back {other}", "ld-bad", above=not up),
        ]
    )


def _intervals(plot: Plot, points: Sequence[Point]) -> Iterator[Markup | None]:
    held = [
        (point.look.elapsed_days, point.compared.lower, point.compared.upper)
        for point in points
        if finite(point.compared.lower) and finite(point.compared.upper)
    ]
    if len(held) > 1:
        outline = [(when, lower) for when, lower, _ in held] + [(when, upper) for when, _, upper in reversed(held)]
        yield element("polygon", points=" ".join(plot.point(*corner) for corner in outline), class_="ld-band")
    for when, lower, upper in held:
        if len(held) <= MOST_WHISKERS:
            x = plot.days.place(when)
            y1, y2 = plot.values.place(lower), plot.values.place(upper)
            yield element("line", x1=x, x2=x, y1=y1, y2=y2, class_="ld-whisker")
        if not plot.values.holds(upper):
            yield plot.beyond(when, above=True)
        if not plot.values.holds(lower):
            yield plot.beyond(when, above=False)


def _marks(plot: Plot, points: Sequence[Point], series: int) -> Iterator[Markup | None]:
    yield plot.line([(point.look.elapsed_days, point.compared.lift or 0.0) for point in points], "ld-path")
    for point in points:
        lift = point.compared.lift
        if finite(lift):
            told = f"{_place(point)}: {signed(lift)}, {interval(point.compared)}"
            yield plot.mark(point.look.elapsed_days, lift, series, told)


def _place(point: Point) -> str:
    look = point.look
    if look.only_harm or not look.number:
        return f"look for harm, {day(look.elapsed_days)}"
    return f"look {look.number} of {look.of}, {day(look.elapsed_days)}"


def _description(last: Point) -> str:
    compared, metric = last.compared, last.metric
    text = (
        f"At {_place(last)}, {compared.treatment} is {signed(compared.lift)} on {metric.metric}, "
        f"where {metric.direction} is better: {standing(metric, compared)}."
    )
    if interval(compared) != NOTHING:
        text += f" The interval goes from {interval(compared)}."
    if last.ships_at is not None:
        text += f" It ships from {signed(last.ships_at)}."
    if last.harms_at is not None:
        text += f" It is rolled back from {signed(last.harms_at)}."
    return text


def _row(point: Point) -> tuple[str, ...]:
    look, compared = point.look, point.compared
    return (
        str(look.number) if look.number and not look.only_harm else "for harm",
        f"{round(look.elapsed_days, 2):g}",
        count(compared.units),
        signed(compared.lift),
        interval(compared),
        signed(point.ships_at),
        signed(point.harms_at),
        z_value(compared.z if compared.z is not None else compared.harm_z),
        standing(point.metric, compared),
    )
