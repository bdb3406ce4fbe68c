"""How far it is to a decision: z at each look against the boundaries, of the looks that were and of those to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.pictures.chart import (
    Table,
    empty,
    figure,
    grid,
    label_at,
    plot_of,
    series_class,
    upright,
)
from airflow_provider_launchdarkly.pictures.lift_chart import points_of
from airflow_provider_launchdarkly.pictures.markup import element, join
from airflow_provider_launchdarkly.pictures.words import day, finite, z_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_launchdarkly.pictures.chart import Plot
    from airflow_provider_launchdarkly.pictures.lift_chart import Point
    from airflow_provider_launchdarkly.pictures.markup import Markup
    from airflow_provider_launchdarkly.views.model import Comparison, Look, PlannedLook

Line = list[tuple[float, float]]

_BAR_WIDTH, _BAR_HEIGHT = 132, 18


def z_figure(
    looks: Sequence[Look],
    metric: str,
    treatments: Sequence[str],
    *,
    planned: Sequence[PlannedLook] = (),
    waiting: bool = False,
    where: str = "",
) -> Markup:
    """Draw z of each treatment at each look, with the boundary for shipping above and the one for harm below.

    Where a metric has a margin, z counts it for shipping and for harm: the treatment ships above its boundary and is
    rolled back below the other one.

    Args:
        looks: The looks of one iteration, oldest first.
        metric: Key of the metric.
        treatments: Names of all treatments but the baseline, in the order that gives their colours.
        planned: The looks of the plan, for the boundaries ahead.
        waiting: Whether another look is to come; it is marked.
        where: What tells it from others on the same page, such as ``, stage 1``.
    """
    title = f"Distance to a decision on {metric}{where}"
    lines = {name: _measured(points_of(looks, metric, name)) for name in treatments}
    lines = {name: points for name, points in lines.items() if points}
    behind = Table(
        ("look", "day", *(f"z of {name}" for name in lines), "ships from", "rolls back from"),
        tuple(_rows(looks, metric, tuple(lines), planned)),
    )
    if not lines and not planned:
        return figure(title, "No look has been taken yet.", empty("no look has data yet"), behind)
    nearest = max(lines, key=lambda name: lines[name][-1].compared.z or 0.0, default=None)
    shown = lines[nearest] if nearest else ()
    latest = shown[-1].look.elapsed_days if shown else -1.0
    ship, harm = _bounds(shown)
    ahead = [look for look in planned if look.elapsed_days > latest]
    ship_ahead = [*ship[-1:], *((look.elapsed_days, look.boundary) for look in ahead if finite(look.boundary))]
    harm_ahead = [
        *harm[-1:],
        *((look.elapsed_days, -look.harm_boundary) for look in ahead if finite(look.harm_boundary)),
    ]
    values = [point.compared.z for points in lines.values() for point in points]
    bounds = [value for line in (ship, harm, ship_ahead, harm_ahead) for _, value in line]
    near = [value for line in (ship[-1:], ship_ahead[-1:], harm[-1:], harm_ahead[-1:]) for _, value in line]
    plot = plot_of([latest, *(look.elapsed_days for look in planned)], [0.0, *values, *near], bounds)
    following = next((look for look in ahead), None) if waiting else None
    drawn = join(
        [
            grid(plot, lambda value: f"{value:g}"),
            *_boundary(plot, ship, ship_ahead, "ld-ship"),
            *_boundary(plot, harm, harm_ahead, "ld-harm"),
            label_at(plot, _within(plot, [*ship, *ship_ahead]), "ships above", "ld-good", above=True),
            label_at(plot, _within(plot, [*harm, *harm_ahead]), "rolls back below", "ld-bad", above=False),
            upright(plot, following.elapsed_days, f"next look, {day(following.elapsed_days)}") if following else None,
            *(_line(plot, points, list(treatments).index(name)) for name, points in lines.items()),
        ]
    )
    told = " ".join(_told(points[-1]) for points in lines.values()) or "No look has been taken yet."
    return figure(title, told, drawn, behind, note="z: how many standard errors it is better, or worse below the line")


def z_bar(compared: Comparison | None, *, treatment: bool = False) -> Markup:
    """Draw z against its boundary as a small bar, for a line in a list.

    Zero is in the middle; the right end is the boundary for shipping, the left end the one for harm.

    Args:
        compared: The comparison; None where no look has been taken.
        treatment: Whether the bar's words name the treatment.
    """
    half = _BAR_WIDTH / 2
    words = bar_in_words(compared, treatment=treatment)
    parts = [
        element("title", words),
        element("rect", x=0, y=6, width=_BAR_WIDTH, height=6, rx=3, class_="ld-track"),
    ]
    kind = "ld-wait"
    if compared is not None:
        reach, back = ship_progress(compared), harm_progress(compared)
        value = reach if reach >= 0 else -back
        kind = "ld-bad" if compared.harmed else "ld-good" if compared.better else "ld-wait"
        length = min(abs(value), 1.0) * half
        parts.append(
            element(
                "rect", x=half if value >= 0 else half - length, y=5, width=length, height=8, class_=f"ld-fill {kind}"
            )
        )
        if compared.boundary is not None:
            parts.append(element("line", x1=_BAR_WIDTH - 1, x2=_BAR_WIDTH - 1, y1=1, y2=17, class_="ld-ship"))
        if compared.harm_boundary is not None:
            parts.append(element("line", x1=1, x2=1, y1=1, y2=17, class_="ld-harm"))
    parts.append(element("line", x1=half, x2=half, y1=2, y2=16, class_="ld-zero"))
    return element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        class_=f"ld-small {kind}",
        role="img",
        viewBox=f"0 0 {_BAR_WIDTH} {_BAR_HEIGHT}",
        width=_BAR_WIDTH,
        height=_BAR_HEIGHT,
        aria_label=words,
    )


def ship_progress(compared: Comparison) -> float:
    """Return z as a share of the boundary for shipping: 1 and more ships, below 0 it is worse."""
    return _share(compared.z, compared.boundary)


def harm_progress(compared: Comparison) -> float:
    """Return the evidence of harm as a share of its boundary: 1 and more is rolled back, below 0 it is better."""
    return _share(compared.harm_z, compared.harm_boundary)


def bar_in_words(compared: Comparison | None, *, treatment: bool = False) -> str:
    """Return what the bar shows: ``z 2.59 of 3.16``."""
    if compared is None:
        return "no look yet"
    name = f"{compared.treatment}: " if treatment else ""
    if compared.harmed:
        return f"{name}harmed: z {z_value(compared.harm_z)} of {z_value(compared.harm_boundary)}"
    if not finite(compared.z):
        return f"{name}no data yet"
    if not finite(compared.boundary):
        return f"{name}z {z_value(compared.z)}, nothing ships yet"
    return f"{name}z {z_value(compared.z)} of {z_value(compared.boundary)}"


def _share(z: float | None, boundary: float | None) -> float:
    if not finite(z):
        return 0.0
    # Without a boundary there is a direction, and no distance: half of the way is never reached.
    return z / boundary if finite(boundary) and boundary > 0 else z / (2.0 * (1.0 + abs(z)))


def _measured(points: Sequence[Point]) -> tuple[Point, ...]:
    return tuple(point for point in points if finite(point.compared.z))


def _bounds(points: Sequence[Point]) -> tuple[Line, Line]:
    """Return the boundaries at the looks that were taken: for shipping, and for harm as a negative z."""
    ship = [(point.look.elapsed_days, bound) for point in points if (bound := point.compared.boundary) is not None]
    harm = [
        (point.look.elapsed_days, -bound) for point in points if (bound := point.compared.harm_boundary) is not None
    ]
    return [pair for pair in ship if finite(pair[1])], [pair for pair in harm if finite(pair[1])]


def _within(plot: Plot, line: Line) -> Line:
    return [pair for pair in line if plot.values.holds(pair[1])]


def _boundary(plot: Plot, past: Line, ahead: Line, kind: str) -> Iterator[Markup | None]:
    yield plot.line(_within(plot, past), kind)
    if len(ahead) > 1:
        yield plot.line(_within(plot, ahead), f"{kind} ld-ahead")


def _line(plot: Plot, points: Sequence[Point], series: int) -> Markup:
    line = [(point.look.elapsed_days, point.compared.z or 0.0) for point in points]
    name = points[-1].compared.treatment
    marks = (
        plot.mark(when, value, series, f"{name}, look {point.look.number}: {bar_in_words(point.compared)}")
        for (when, value), point in zip(line, points, strict=True)
    )
    # The name stands at the end of its line.
    label = label_at(plot, line[-1:], name, "ld-name", above=line[-1][1] >= 0)
    return element("g", plot.line(line, "ld-path"), *marks, label, class_=series_class(series))


def _told(point: Point) -> str:
    compared, look = point.compared, point.look
    return f"{compared.treatment} at look {look.number} of {look.of}: {bar_in_words(compared)}."


def _rows(
    looks: Sequence[Look], metric: str, names: tuple[str, ...], planned: Sequence[PlannedLook]
) -> Iterator[tuple[str, ...]]:
    latest = -1.0
    for look in looks:
        found = {name: points_of([look], metric, name) for name in names}
        any_point = next((points[0] for points in found.values() if points), None)
        if any_point is None:
            continue
        latest = look.elapsed_days
        values = (z_value(points[0].compared.z) if points else z_value(None) for points in found.values())
        compared = any_point.compared
        name = str(look.number) if look.number and not look.only_harm else "for harm"
        bounds = z_value(compared.boundary), z_value(_negative(compared.harm_boundary))
        yield (name, f"{round(look.elapsed_days, 2):g}", *values, *bounds)
    for ahead in planned:
        if ahead.elapsed_days > latest:
            bounds = z_value(ahead.boundary), z_value(_negative(ahead.harm_boundary))
            yield (f"{ahead.number}, planned", f"{round(ahead.elapsed_days, 2):g}", *("" for _ in names), *bounds)


def _negative(value: float | None) -> float | None:
    return None if value is None else -value
