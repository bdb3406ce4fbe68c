"""A portfolio as one HTML file that loads nothing. All text from records is escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.pictures.markup import Markup, element, table
from airflow_provider_launchdarkly.pictures.report import document
from airflow_provider_launchdarkly.portfolio.picture import draw
from airflow_provider_launchdarkly.portfolio.report import ASSUMPTIONS
from airflow_provider_launchdarkly.portfolio.words import (
    COLUMNS,
    LEGEND,
    cells,
    headline,
    percent,
    share,
    shown_false_share,
    shown_total,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.portfolio.report import Portfolio


def as_html(portfolio: Portfolio) -> str:
    """Return the page: the sums, the picture, the table behind it, and what they assume."""
    title = f"Experiments, {portfolio.period}"
    return document(
        title,
        element("h1", title),
        element("p", headline(portfolio)),
        *_facts(portfolio),
        element("h2", "What shipped"),
        Markup(draw(portfolio)),
        element("h2", "Every experiment"),
        element("p", LEGEND, class_="ld-soft"),
        table(COLUMNS, [cells(row) for row in portfolio.rows], caption="Every experiment"),
        element("h2", "What this assumes"),
        element("ul", *(element("li", text) for text in ASSUMPTIONS), class_="ld-list"),
    )


def _facts(portfolio: Portfolio) -> Iterator[Markup]:
    facts = [("likely without any effect", share(portfolio.without_effect)), ("shipped", str(len(portfolio.shipped)))]
    if portfolio.shipped:
        facts += [
            ("sum of the shipped lifts as measured", percent(portfolio.raw)),
            ("expected sum", shown_total(portfolio.total)),
            ("false ships among them", shown_false_share(portfolio.total)),
        ]
    yield table(("in all", "value"), facts, caption="In all")
    if len(portfolio.sums) > 1:
        rows = [(one.metric, str(one.shipped), percent(one.raw), shown_total(one.total)) for one in portfolio.sums]
        yield table(("metric", "shipped", "measured", "expected sum"), rows, caption="By metric")
