"""A portfolio as text for a terminal, and the words that text and page share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.portfolio.report import ASSUMPTIONS
from airflow_provider_launchdarkly.portfolio.shrinkage import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.portfolio.discovery import Discoveries
    from airflow_provider_launchdarkly.portfolio.report import Portfolio, Row
    from airflow_provider_launchdarkly.portfolio.shrinkage import Total

COLUMNS = ("ended", "experiment", "verdict", "metric", "measured", "likely", f"{CONFIDENCE:.0%} interval", "no better")
LEGEND = (
    "measured: the lift at the last look, in the good direction. likely: what is left of it, given all experiments. "
    "no better: the probability that the treatment is no better than the policy demands; of a ship, that it is a false "
    "one."
)


def percent(value: float) -> str:
    """Return a lift in percent, with its sign."""
    return f"{round(100.0 * value, 2) or 0.0:+.2f} %".replace("+0.00", "0.00")


def share(value: float) -> str:
    """Return a share in percent."""
    return f"{100.0 * value:.0f} %"


def cells(row: Row) -> tuple[str, ...]:
    """Return the cells of an experiment, as :data:`COLUMNS`."""
    outcome, found = row.outcome, row.shrunken
    start = (f"{outcome.at:%Y-%m-%d}", outcome.experiment, outcome.kind.value, outcome.metric or "-")
    if found is None or outcome.estimate is None:
        return (*start, outcome.unusable, "-", "-", "-")
    interval = f"{percent(found.lower)} to {percent(found.upper)}"
    return (*start, percent(outcome.estimate.effect), percent(found.effect), interval, share(found.false_ship))


def headline(portfolio: Portfolio) -> str:
    """Return how many experiments ended how."""
    counts = ", ".join(f"{count} {kind.value}" for kind, count in portfolio.endings.items() if count)
    return f"{portfolio.period}: {len(portfolio.rows)} experiments: {counts}"


def shown_total(total: Total) -> str:
    """Return an expected sum with its interval."""
    return f"{percent(total.effect)} ({percent(total.effect_lower)} to {percent(total.effect_upper)})"


def shown_false_share(total: Total) -> str:
    """Return the share of false ships with its interval."""
    return f"{share(total.false_share)} ({share(total.false_lower)} to {share(total.false_upper)})"


def discoveries_as_text(found: Discoveries) -> str:
    """Return which ships stand under a bound on the share of false ones."""
    standing = sum(ship.stands for ship in found.ships)
    rule = f"By Benjamini-Hochberg at {share(found.rate)} over {found.family} experiments that ended"
    lines = [f"{rule}, {standing} of {len(found.ships)} ships stand:"]
    lines += [
        f"  {'stands' if ship.stands else 'does not'}  p {ship.outcome.p_value:.2g}  {ship.outcome.experiment}"
        for ship in found.ships
    ]
    return "\n".join(lines)


def as_text(portfolio: Portfolio) -> str:
    """Return the portfolio as text."""
    lines = [headline(portfolio), "", *_table([COLUMNS, *(cells(row) for row in portfolio.rows)]), "", LEGEND, ""]
    lines += [f"Of all experiments, {share(portfolio.without_effect)} are likely to have no effect."]
    if not portfolio.shipped:
        lines += ["Nothing shipped."]
    else:
        lines += [
            f"{len(portfolio.shipped)} shipped, with {percent(portfolio.raw)} measured in all.",
            f"  expected sum of their lifts  {shown_total(portfolio.total)}",
            f"  false ships among them       {shown_false_share(portfolio.total)}",
        ]
    if len(portfolio.sums) > 1:
        lines += ["", "by metric"]
        lines += [
            f"  {one.metric}: {one.shipped} shipped, {percent(one.raw)} measured, {shown_total(one.total)} expected"
            for one in portfolio.sums
        ]
    lines += ["", "This assumes:", *(f"- {text}" for text in ASSUMPTIONS)]
    return "\n".join(lines)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
