"""The effects of a look as a picture for e-mail, made of table cells.

Mail programs show neither SVG nor images in the text (``data:``), and most block images by address: cells with a
background are shown by all of them, also without style sheets.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.pictures.markup import element
from airflow_provider_launchdarkly.pictures.text import effect_axis
from airflow_provider_launchdarkly.pictures.theme import LIGHT
from airflow_provider_launchdarkly.pictures.words import NOTHING, finite, interval, role, signed, standing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_launchdarkly.pictures.markup import Markup
    from airflow_provider_launchdarkly.views.model import Comparison, MetricAtLook

_POINTS_A_CHARACTER = 6
_TRACK, _INTERVAL, _MARK, _ZERO = "#e5e8ed", "#9db7f0", LIGHT["wait"], "#1b2230"
_COLOURS = {"·": _TRACK, "|": _ZERO, "!": LIGHT["warn"], "●": _MARK}


def effects_table(metrics: Iterable[MetricAtLook]) -> Markup:
    """Return each metric with a bar for each treatment, one scale a metric; right is better.

    Args:
        metrics: The metrics of one look.
    """
    rows = [row for metric in metrics for row in _rows(metric)]
    return element("table", *rows, cellpadding="4", cellspacing="0", border="0", role="presentation")


def _rows(metric: MetricAtLook) -> Iterable[Markup]:
    named = element("strong", metric.metric)
    yield element("tr", element("td", named, f" ({role(metric)}), {metric.direction} is better", colspan="3"))
    if not any(finite(compared.lift) for compared in metric.comparisons):
        yield element("tr", element("td", "no data yet", colspan="3"))
        return
    for compared in metric.comparisons:
        numbers = signed(compared.lift)
        if interval(compared) != NOTHING:
            numbers += f" ({interval(compared)})"
        yield element(
            "tr",
            element("td", compared.treatment),
            element("td", "worse ", _bar(metric, compared), " better"),
            element("td", f"{numbers}, {standing(metric, compared)}"),
        )


def _bar(metric: MetricAtLook, compared: Comparison) -> Markup:
    cells = (
        element(
            "td",
            "\N{NO-BREAK SPACE}",
            width=_POINTS_A_CHARACTER * len(list(run)),
            height=12,
            bgcolor=colour,
            style="font-size:1px;line-height:12px;padding:0",
        )
        for colour, run in groupby(effect_axis(metric, compared), key=lambda sign: _COLOURS.get(sign, _INTERVAL))
    )
    return element(
        "table", element("tr", *cells), cellpadding="0", cellspacing="0", border="0", role="presentation",
        style="display:inline-table;vertical-align:middle",
    )  # fmt: skip
