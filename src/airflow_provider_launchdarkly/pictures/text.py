"""Pictures made of characters, for a terminal, a log, a chat and a card: a fixed-width font shows them as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.pictures.lift_chart import effect_scale
from airflow_provider_launchdarkly.pictures.words import NOTHING, finite, interval, role, sign, signed, standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_provider_launchdarkly.views.model import Comparison, MetricAtLook

WIDTH = 41
_WORSE, _BETTER = "worse", "better"


def effects(metrics: Iterable[MetricAtLook], *, width: int = WIDTH, words: bool = True) -> Iterator[str]:
    """Yield each metric with a line for each treatment: its interval, its lift, and how it stands.

    All treatments of a metric are drawn on one scale of its own. Right is better, whatever the metric's direction;
    ``|`` is no difference, ``!`` the most that may be lost, ``●`` what was measured, and ``<`` or ``>`` an interval
    that goes on beyond the scale.

    Args:
        metrics: The metrics of one look.
        width: Characters of the axis, at least 21.
        words: Whether lines say how a treatment stands.
    """
    shown = list(metrics)
    longest = max((len(compared.treatment) for metric in shown for compared in metric.comparisons), default=0)
    for number, metric in enumerate(shown):
        if number:
            yield ""
        yield f"{metric.metric} ({role(metric)}), {metric.direction} is better"
        if not any(finite(compared.lift) for compared in metric.comparisons):
            yield "  no data yet"
            continue
        yield f"  {' ' * longest}  {_WORSE}{' ' * (width - len(_WORSE) - len(_BETTER))}{_BETTER}"
        for compared in metric.comparisons:
            numbers = signed(compared.lift)
            if interval(compared) != NOTHING:
                numbers += f" ({interval(compared)})"
            told = f", {standing(metric, compared)}" if words else ""
            yield f"  {compared.treatment.ljust(longest)}  {effect_axis(metric, compared, width)}  {numbers}{told}"


def effect_axis(metric: MetricAtLook, compared: Comparison, width: int = WIDTH) -> str:
    """Draw a treatment's interval on its metric's scale: ``·····!··|··[==●==]·····``; see :func:`effects`."""
    scale = effect_scale(metric, 0.0, width - 1.0)
    direction = sign(metric)
    axis = ["·"] * width

    def place(value: float) -> int:
        return round(scale.place(value))

    if metric.margin:
        axis[place(-metric.margin)] = "!"
    if finite(compared.lower) and finite(compared.upper):
        low, high = sorted((direction * compared.lower, direction * compared.upper))
        axis[place(low) : place(high) + 1] = "=" * (place(high) - place(low) + 1)
        axis[place(low)] = "[" if scale.holds(low) else "<"
        axis[place(high)] = "]" if scale.holds(high) else ">"
    axis[place(0.0)] = "|"
    if finite(compared.lift):
        axis[place(direction * compared.lift)] = "●"
    return "".join(axis)


def bar(value: float, width: int = 21) -> str:
    """Draw progress to a boundary, -1 to 1, around the middle: ``····|██████····``."""
    middle = width // 2
    filled = round(min(max(value, -1.0), 1.0) * middle)
    axis = ["·"] * width
    first, last = sorted((middle, middle + filled))
    axis[first : last + 1] = "█" * (last - first + 1)
    axis[middle] = "|"
    return "".join(axis)


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows as lines whose columns stand below one another; the first row is their head."""
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
