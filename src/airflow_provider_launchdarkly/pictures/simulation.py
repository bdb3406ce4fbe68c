"""Charts of a simulated policy: its boundaries with sample paths, and the days on which experiments end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.pictures.chart import (
    WIDTH,
    Table,
    figure,
    grid,
    label_at,
    plot_of,
    upright,
)
from airflow_provider_launchdarkly.pictures.markup import element, join
from airflow_provider_launchdarkly.pictures.words import percentage, z_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_provider_launchdarkly.pictures.chart import Plot
    from airflow_provider_launchdarkly.pictures.markup import Markup

# Beyond it a boundary is out of reach, and paths are noise.
_TALLEST = 5.0
_LONGEST_BAR = 22.0
_ENDINGS = {
    "ship": ("ld-good", "green"),
    "rollback": ("ld-bad", "red"),
    "inconclusive": ("ld-base", "grey"),
    "invalid": ("ld-warn", "orange"),
}


class SimulatedPlan(NamedTuple):
    """A plan with sample paths.

    Attributes:
        days: Day of each look.
        ship: z at which a treatment ships at each look; None where nothing ships. Empty for a rule without boundaries.
        harm: z at which it is rolled back, negative; as `ship`.
        without_effect: z at each look of some experiments without an effect.
        with_effect: The same with the effect.
        end: Day of the plan's end.
    """

    days: Sequence[float]
    ship: Sequence[float | None]
    harm: Sequence[float | None]
    without_effect: Sequence[Sequence[float]]
    with_effect: Sequence[Sequence[float]]
    end: float


def paths_figure(plan: SimulatedPlan) -> Markup:
    """Draw the boundaries over sample paths."""
    title = "Boundaries, with sample experiments"
    ship = _line(plan.days, plan.ship)
    harm = _line(plan.days, plan.harm)
    plot = plot_of(plan.days, [-_TALLEST, _TALLEST])
    drawn = join(
        [
            grid(plot, lambda value: f"{value:g}"),
            element("g", *_paths(plot, plan.days, plan.without_effect), class_="ld-base"),
            element("g", *_paths(plot, plan.days, plan.with_effect), class_="ld-s0"),
            plot.line(ship, "ld-ship"),
            label_at(plot, ship, "ships above", "ld-good", above=True),
            plot.line(harm, "ld-harm"),
            label_at(plot, harm, "rolls back below", "ld-bad", above=False),
            upright(plot, plan.end, "end of the plan") if plan.end < plan.days[-1] else None,
        ]
    )
    behind = Table(
        ("look", "day", "ships from", "rolls back from"),
        tuple(
            (str(number), f"{when:.4g}", z_value(above), z_value(below))
            for number, (when, above, below) in enumerate(
                zip(plan.days, _padded(plan.ship, plan.days), _padded(plan.harm, plan.days), strict=True), start=1
            )
        ),
    )
    told = f"{len(plan.without_effect)} experiments without an effect, and {len(plan.with_effect)} with it"
    bounds = "; the boundaries are in the table" if ship else "; this rule has no boundary"
    return figure(
        title, f"{told}{bounds}.", drawn, behind, note="z of the primary metric; grey: no effect, blue: effect"
    )


def ends_figure(days: Sequence[float], ends: Mapping[str, Sequence[float]], *, title: str) -> Markup:
    """Draw on which days experiments end, and how.

    Args:
        days: Day of each look.
        ends: For each ending, the share of the experiments that end so at each look.
        title: What the chart shows.
    """
    tallest = max((sum(at) for at in zip(*ends.values(), strict=True)), default=0.0)
    wide = min(_LONGEST_BAR, 0.8 * (WIDTH - 90) / max(len(days), 1))
    # Room for the last bar.
    plot = plot_of([days[-1] * (1 + wide / WIDTH)], [0.0, tallest or 1.0])
    bars: list[Markup] = []
    for number, when in enumerate(days):
        base = 0.0
        for ending, shares in ends.items():
            top, bottom = plot.values.place(base + shares[number]), plot.values.place(base)
            if shares[number]:
                hint = element("title", f"day {when:.4g}: {percentage(round(100 * shares[number], 2))} {ending}")
                x = plot.days.place(when) - wide / 2
                rect = element("rect", hint, x=x, y=top, width=wide, height=bottom - top, class_="ld-fill")
                bars.append(element("g", rect, class_=_ENDINGS[ending][0]))
            base += shares[number]
    sums = {ending: sum(shares) for ending, shares in ends.items()}
    told = ", ".join(f"{percentage(round(100 * total, 1))} {ending}" for ending, total in sums.items())
    behind = Table(
        ("day", *ends),
        tuple(
            (f"{when:.4g}", *(percentage(round(100 * shares[number], 2)) for shares in ends.values()))
            for number, when in enumerate(days)
        ),
    )
    drawn = join([grid(plot, lambda value: percentage(round(100 * value, 2))), *bars])
    colours = ", ".join(
        f"{percentage(round(100 * total, 1))} {ending} ({_ENDINGS[ending][1]})" for ending, total in sums.items()
    )
    return figure(title, f"{told}.", drawn, behind, note=colours)


def _line(days: Sequence[float], values: Sequence[float | None]) -> list[tuple[float, float]]:
    known = zip(days, values, strict=False)
    return [(when, value) for when, value in known if value is not None and abs(value) <= _TALLEST]


def _padded(values: Sequence[float | None], days: Sequence[float]) -> tuple[float | None, ...]:
    return (*values, *(None for _ in range(len(days) - len(values))))


def _paths(plot: Plot, days: Sequence[float], paths: Sequence[Sequence[float]]) -> Iterator[Markup | None]:
    for path in paths:
        yield plot.line(zip(days, path, strict=False), "ld-thin")
