"""A portfolio as one HTML file that loads nothing. All text from records is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

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
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.portfolio.report import Portfolio

_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;background:#fff;color:#1c2733}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1.5rem}dt{color:#5b6875}dd{margin:0;font-weight:600}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .7rem;border-bottom:1px solid #d8dee6;white-space:nowrap}
td{font-variant-numeric:tabular-nums}.note{color:#5b6875}
@media (prefers-color-scheme:dark){body{background:#12181f;color:#dfe6ee}th,td{border-color:#2c3947}
.note,dt{color:#93a1b0}}
"""


def as_html(portfolio: Portfolio) -> str:
    """Return the page: the sums, the picture, the table behind it, and what they assume."""
    title = f"Experiments, {portfolio.period}"
    body = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            f"<p>{escape(headline(portfolio))}</p>",
            _facts(portfolio),
            "<h2>What shipped</h2>",
            draw(portfolio),
            "<h2>Every experiment</h2>",
            f'<p class="note">{escape(LEGEND)}</p>',
            _table(COLUMNS, [cells(row) for row in portfolio.rows]),
            "<h2>What this assumes</h2>",
            f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in ASSUMPTIONS)}</ul>",
        ]
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body>\n{body}\n</body></html>\n"
    )


def _facts(portfolio: Portfolio) -> str:
    facts = [("likely without any effect", share(portfolio.without_effect)), ("shipped", str(len(portfolio.shipped)))]
    if portfolio.shipped:
        facts += [
            ("sum of the shipped lifts as measured", percent(portfolio.raw)),
            ("expected sum", shown_total(portfolio.total)),
            ("false ships among them", shown_false_share(portfolio.total)),
        ]
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    if len(portfolio.sums) < 2:
        return f"<dl>{listed}</dl>"
    rows = [(one.metric, str(one.shipped), percent(one.raw), shown_total(one.total)) for one in portfolio.sums]
    return f"<dl>{listed}</dl>\n{_table(('metric', 'shipped', 'measured', 'expected sum'), rows)}"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
