"""The base of every chart: a name and a description for those who do not see it, axes, and the table behind it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.pictures.markup import Markup, element, join, number, table
from airflow_provider_launchdarkly.pictures.scale import Scale, scale_of
from airflow_provider_launchdarkly.pictures.theme import SERIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_launchdarkly.pictures.markup import Child

WIDTH, HEIGHT = 760, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 16, 232
MOST_WHISKERS = 14
"""With more looks than this an interval is a band alone."""

# Each is drawn around the origin. A treatment has a mark as well as a colour.
_SHAPES = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
    "M-4-4h8v8h-8Z",
    "M0-5L5 4H-5Z",
    "M0-5.5L5.5 0L0 5.5L-5.5 0Z",
)


class Table(NamedTuple):
    """The table behind a chart.

    Attributes:
        heads: The columns' heads.
        rows: The cells.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[Child, ...], ...]


class Plot(NamedTuple):
    """The area in which values over days are drawn.

    Attributes:
        days: The scale of days.
        values: The scale of values, which rise upwards.
    """

    days: Scale
    values: Scale

    def point(self, elapsed_days: float, value: float) -> str:
        """Return a point's coordinates."""
        return f"{number(self.days.place(elapsed_days))},{number(self.values.place(value))}"

    def line(self, points: Iterable[tuple[float, float]], kind: str) -> Markup | None:
        """Return a line through points; a single one as a short dash; None without any."""
        known = list(points)
        if not known:
            return None
        if len(known) == 1:
            (when, value), half = known[0], 9.0
            x, y = self.days.place(when), self.values.place(value)
            return element("line", x1=x - half, x2=x + half, y1=y, y2=y, class_=kind)
        return element("polyline", points=" ".join(self.point(*point) for point in known), class_=kind)

    def mark(self, elapsed_days: float, value: float, series: int, told: str) -> Markup:
        """Return a treatment's mark at a point, with what the pointer tells."""
        x, y = number(self.days.place(elapsed_days)), number(self.values.place(value))
        return element(
            "path", element("title", told), d=_shape(series), transform=f"translate({x} {y})", class_="ld-dot"
        )

    def beyond(self, elapsed_days: float, *, above: bool) -> Markup:
        """Return the sign that a value is beyond the scale."""
        x, y = number(self.days.place(elapsed_days)), number(self.values.end if above else self.values.start)
        return element(
            "path", d="M0 0L4 7H-4Z" if above else "M0 0L4-7H-4Z", transform=f"translate({x} {y})", class_="ld-beyond"
        )


def plot_of(days: Iterable[float], values: Iterable[float | None], rest: Iterable[float | None] = ()) -> Plot:
    """Return the area for days from 0 on, and for values; see :func:`scale_of`."""
    latest = max([*days, 1.0])
    step = max(_week_step(latest), 1.0) if latest > 2 else _fraction_step(latest)
    return Plot(
        Scale(0.0, latest, _LEFT, WIDTH - _RIGHT, step),
        scale_of(values, _BOTTOM, _TOP, rest=rest),
    )


def grid(plot: Plot, label: Callable[[float], str]) -> Markup:
    """Return the marks of both scales, with their labels."""
    parts: list[Markup] = []
    for value in plot.values.marks():
        y = plot.values.place(value)
        kind = "ld-zero" if value == 0 else "ld-mark"
        parts.append(element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_=kind))
        parts.append(element("text", label(value), x=_LEFT - 8, y=y + 4, text_anchor="end"))
    for when in plot.days.marks():
        x = plot.days.place(when)
        anchor = "start" if when == 0 else "end" if x > WIDTH - 40 else "middle"
        text = f"day {round(when, 2):g}" if when else "start"
        parts.append(element("text", text, x=x, y=_BOTTOM + 20, text_anchor=anchor))
    return join(parts)


def label_at(plot: Plot, points: Sequence[tuple[float, float]], text: str, kind: str, *, above: bool) -> Markup | None:
    """Return a line's name to the right of its end, or above or below it where there is no room."""
    if not points:
        return None
    when, value = points[-1]
    x, y = plot.days.place(when), plot.values.place(value)
    if x + 8 + 7 * len(text) < WIDTH - _RIGHT:
        return element("text", text, x=x + 10, y=min(max(y + 4, _TOP + 10.0), _BOTTOM - 4.0), class_=kind)
    y += -8 if above else 17
    return element("text", text, x=x, y=min(max(y, _TOP + 10.0), _BOTTOM - 4.0), text_anchor="end", class_=kind)


def upright(plot: Plot, elapsed_days: float, text: str) -> Markup:
    """Return an upright line at a day, with its name."""
    x = plot.days.place(elapsed_days)
    anchor, away = ("end", -6) if x > WIDTH * 0.7 else ("start", 6)
    return join(
        [
            element("line", x1=x, x2=x, y1=_TOP, y2=_BOTTOM, class_="ld-next"),
            element("text", text, x=x + away, y=_TOP + 10, text_anchor=anchor, class_="ld-warn"),
        ]
    )


def empty(text: str) -> Markup:
    """Return what is drawn where there is nothing to draw yet."""
    return element("text", text, x=WIDTH / 2, y=HEIGHT / 2, text_anchor="middle", class_="ld-strong")


def figure(
    title: str,
    description: str,
    drawn: Child,
    behind: Table,
    *,
    note: str | None = None,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> Markup:
    """Return a chart with its caption and the table behind it.

    The picture is one image for a screen reader, with the title as its name and the description read after it. It can
    be reached by keyboard, as can the table.

    Args:
        title: What the chart shows.
        description: What it says, in a sentence or two.
        drawn: The content of the picture.
        behind: The same as a table.
        note: A remark below the title, for everyone.
        width: Width of the picture's coordinates.
        height: Height of them.
    """
    name = "ld-" + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    picture = element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        drawn,
        xmlns="http://www.w3.org/2000/svg",
        class_="ld-svg",
        role="img",
        tabindex="0",
        viewBox=f"0 0 {width} {height}",
        aria_labelledby=f"{name}-title",
        aria_describedby=f"{name}-desc",
    )
    return element(
        "figure",
        element("figcaption", title, element("div", note, class_="ld-note") if note else None),
        picture,
        element(
            "details",
            element("summary", "The same as a table"),
            table(behind.heads, behind.rows, caption=title),
        )
        if behind.rows
        else None,
        class_="ld-figure",
    )


def series_class(series: int) -> str:
    """Return the class that gives a treatment its colour."""
    return f"ld-s{series % SERIES}"


def shape(series: int, x: float, y: float) -> Markup:
    """Return a treatment's mark at a coordinate."""
    return element("path", d=_shape(series), transform=f"translate({number(x)} {number(y)})", class_="ld-dot")


def _shape(series: int) -> str:
    return _SHAPES[(series + series // SERIES) % len(_SHAPES)]


def _week_step(latest: float) -> float:
    return next((step for step in (1.0, 2.0, 7.0, 14.0, 28.0, 91.0, 182.0) if latest / step <= 8), latest / 4)


def _fraction_step(latest: float) -> float:
    return 0.25 if latest <= 1 else 0.5
