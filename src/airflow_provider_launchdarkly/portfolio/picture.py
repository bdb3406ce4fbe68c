"""Draw the shipped experiments as SVG: what was measured, and what is likely left of it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.pictures.scale import scale_of
from airflow_provider_launchdarkly.portfolio.words import percent, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.portfolio.report import Portfolio, Row

# More rows than this are no picture; the table has them all.
MOST_ROWS = 40

_WIDTH, _LEFT, _RIGHT, _TOP, _STEP, _MARKS = 900, 230, 70, 46, 26, 10
_STYLE = """
svg.portfolio{color-scheme:light dark;font:13px system-ui,sans-serif;
--ink:#1c2733;--quiet:#5b6875;--line:#d8dee6;--likely:#1b7f5c;--raw:#8a4bb5}
@media (prefers-color-scheme:dark){svg.portfolio{
--ink:#dfe6ee;--quiet:#93a1b0;--line:#2c3947;--likely:#4cc38a;--raw:#c79bea}}
svg.portfolio text{fill:var(--ink)}svg.portfolio .quiet{fill:var(--quiet)}
svg.portfolio line{stroke:var(--line)}svg.portfolio .zero{stroke:var(--ink)}
svg.portfolio .interval{stroke:var(--likely);stroke-width:3}svg.portfolio .likely{fill:var(--likely)}
svg.portfolio .raw{fill:none;stroke:var(--raw);stroke-width:2}
"""


def draw(portfolio: Portfolio) -> str:
    """Return the picture as one SVG element with its own style, for a file or within a page.

    Each line is a shipped experiment, the largest shrunken effect first: a circle where it was measured, a dot with its
    interval where it is likely to be, and the probability that it is a false ship.
    """
    shipped = portfolio.shipped
    rows = shipped[:MOST_ROWS]
    height = _TOP + _STEP * max(len(rows), 1) + 34
    title = f"Shipped experiments, {portfolio.period}: measured and likely lift"
    if not rows:
        body = f'<text x="{_LEFT}" y="{_TOP + 16}">Nothing shipped.</text>'
    else:
        body = _rows(rows)
        left_out = len(shipped) - len(rows)
        if left_out:
            text = f"and {left_out} more with smaller effects, in the table"
            body += f'<text class="quiet" x="{_LEFT}" y="{height - 4}">{text}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="portfolio" role="img" viewBox="0 0 {_WIDTH} {height}" '
        f'width="100%"><title>{escape(title)}</title><style>{_STYLE}</style>{_key()}{body}</svg>\n'
    )


def _key() -> str:
    return (
        f'<circle class="raw" cx="{_LEFT + 6}" cy="12" r="5"/><text x="{_LEFT + 18}" y="16">measured</text>'
        f'<circle class="likely" cx="{_LEFT + 106}" cy="12" r="5"/><text x="{_LEFT + 118}" y="16">likely</text>'
        f'<text class="quiet" text-anchor="end" x="{_WIDTH - 4}" y="16">false ship</text>'
    )


def _rows(rows: Sequence[Row]) -> str:
    known = [
        (row, row.outcome.estimate, row.shrunken)
        for row in rows
        if row.outcome.estimate is not None and row.shrunken is not None
    ]
    values = [value for _, measured, found in known for value in (measured.effect, found.lower, found.upper, 0.0)]
    scale = scale_of(values, _LEFT, _WIDTH - _RIGHT, marks=_MARKS)

    def place(value: float) -> float:
        return round(scale.place(value), 1)

    bottom = _TOP + _STEP * len(known)
    parts = []
    for value in scale.marks():
        kind = "" if value else ' class="zero"'
        parts.append(f'<line{kind} x1="{place(value)}" x2="{place(value)}" y1="{_TOP - 14}" y2="{bottom}"/>')
        label = f"{100 * value:+.6g} %" if kind == "" else "0"
        parts.append(f'<text class="quiet" text-anchor="middle" x="{place(value)}" y="{bottom + 16}">{label}</text>')
    for number, (row, measured, found) in enumerate(known):
        y = _TOP + _STEP * number
        name = row.outcome.experiment
        told = f"{name}: measured {percent(measured.effect)}, likely {percent(found.effect)}"
        parts.append(
            f"<g><title>{escape(told)}</title>"
            f'<text text-anchor="end" x="{_LEFT - 10}" y="{y + 4}">{escape(_short(name))}</text>'
            f'<line class="interval" x1="{place(found.lower)}" x2="{place(found.upper)}" y1="{y}" y2="{y}"/>'
            f'<circle class="likely" cx="{place(found.effect)}" cy="{y}" r="5"/>'
            f'<circle class="raw" cx="{place(measured.effect)}" cy="{y}" r="5"/>'
            f'<text text-anchor="end" x="{_WIDTH - 4}" y="{y + 4}">{share(found.false_ship)}</text></g>'
        )
    return "".join(parts)


def _short(name: str) -> str:
    return name if len(name) <= 30 else f"{name[:29]}…"
