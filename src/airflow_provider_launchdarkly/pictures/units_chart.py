"""How people are divided among the treatments, beside the shares that they should have, with the split test's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.pictures.chart import Table, figure, series_class
from airflow_provider_launchdarkly.pictures.markup import element, join
from airflow_provider_launchdarkly.pictures.words import count, percentage, split

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.pictures.markup import Markup
    from airflow_provider_launchdarkly.views.model import SplitTest

_WIDTH, _ROW, _FROM, _TO = 430, 30.0, 124.0, 290.0
_LONGEST = 17


def units_figure(tested: SplitTest | None) -> Markup:
    """Draw units by treatment: a bar for what each got, and an upright stroke for what it should have got.

    Args:
        tested: The newest test of the split; None where exposures are not known.
    """
    title = "Units by treatment"
    if tested is None or not sum(tested.units):
        text = "It is not known how many people saw each treatment."
        return figure(title, text, None, Table((), ()), note=text, width=_WIDTH, height=4)
    total = sum(tested.units)
    rows = [
        (name, units, units / total, planned / 100.0)
        for name, units, planned in zip(tested.treatments, tested.units, tested.shares, strict=True)
    ]
    widest = max(max(got, planned) for _, _, got, planned in rows)
    parts = []
    for number, (name, units, got, planned) in enumerate(rows):
        y = 8 + _ROW * number
        bar, stroke = got / widest * (_TO - _FROM), _FROM + planned / widest * (_TO - _FROM)
        short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
        told = f"{name}: {count(units)} units, {_percent(got)}, planned {_percent(planned)}"
        parts.append(
            element(
                "g",
                element("title", told),
                element("text", short, x=_FROM - 10, y=y + 14, text_anchor="end", class_="ld-name"),
                element("rect", x=_FROM, y=y + 2, width=max(bar, 0.5), height=16, class_="ld-fill"),
                element("line", x1=stroke, x2=stroke, y1=y - 2, y2=y + 22, class_="ld-planned"),
                element("text", f"{count(units)}, {_percent(got)}", x=_TO + 14, y=y + 14, class_="ld-name"),
                class_=_colour(number),
            )
        )
    words = split(tested)
    drawn = join([*parts, element("text", "stroke: as allocated", x=_FROM, y=8 + _ROW * len(rows) + 14)])
    behind = Table(
        ("treatment", "units", "share", "allocated"),
        tuple((name, count(units), _percent(got), _percent(planned)) for name, units, got, planned in rows),
    )
    described = f"{words} " + "; ".join(f"{name}: {count(units)}, {_percent(got)}" for name, units, got, _ in rows)
    height = round(8 + _ROW * len(rows) + 24)
    return figure(title, described, drawn, behind, note=words, width=_WIDTH, height=height)


def _colour(number: int) -> str:
    # The baseline is grey, as everywhere.
    return series_class(number - 1) if number else "ld-base"


def _percent(share: float) -> str:
    return percentage(round(100.0 * share, 1))
