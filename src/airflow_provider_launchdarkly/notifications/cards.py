"""The decision card: a verdict, its reason and its numbers, for people.

Pure functions from a verdict's plain JSON to text, Markdown, Slack's mrkdwn or HTML. They decide nothing, and accept
verdicts without numbers. Notifiers send the cards; rollouts ask for approval with them.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.config.percent import format_percent
from airflow_provider_launchdarkly.notifications.markup import escape_markdown, escape_slack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_provider_launchdarkly.views.model import MetricAtLook

HEADLINES: Mapping[str, str] = {
    "ship": "Ship",
    "rollback": "Roll back",
    "inconclusive": "Inconclusive",
    "invalid": "Invalid: a person has to look",
    "wait": "Not decided yet",
}
COLUMNS = ("metric", "treatment", "units", "baseline", "treated", "lift", "interval", "z / boundary")
_POWERS: Mapping[str, str] = {
    "conditional_power": "conditional power on this trend",
    "planned_conditional_power": "at the planned effect",
    "predictive_power": "predictive power",
}
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Card:
    """The parts of a card, before any markup.

    Attributes:
        title: The headline; without one, the verdict, and on which experiment.
        lead: Why, in a line, after the verdict where a headline is the title.
        rows: One for each metric and treatment, as :data:`COLUMNS`.
        metrics: The metrics as they are drawn: one scale a metric, worse on the left and better on the right.
        facts: What else counts: harm, cautions, the reason, the split, the units, which look it was.
        url: The experiment in LaunchDarkly, or None.
    """

    title: str
    lead: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ()
    metrics: tuple[MetricAtLook, ...] = ()
    facts: tuple[str, ...] = ()
    url: str | None = None


def card_of(verdict: Mapping[str, Any], *, url: str | None = None, headline: str | None = None) -> Card:
    """Read a verdict.

    Args:
        verdict: The output of :class:`LaunchDarklyWaitForSignificanceSensor`.
        url: The experiment's address in LaunchDarkly.
        headline: The question or message, if it is not the verdict itself.
    """
    # Here, and not in each DAG file that names a notifier.
    from airflow_provider_launchdarkly.views.verdicts import look_of

    decided = _decided(verdict)
    summary = str(verdict.get("summary") or "")
    compared = [
        (metric, comparison)
        for metric in verdict.get("metrics") or ()
        for comparison in metric.get("comparisons") or ()
    ]
    return Card(
        title=headline or decided,
        lead=tuple(line for line in (decided if headline else "", summary) if line),
        rows=tuple(_row(metric, comparison) for metric, comparison in compared),
        metrics=look_of(verdict).metrics,
        facts=tuple(_facts(verdict)),
        url=url,
    )


def text_card(verdict: Mapping[str, Any], *, url: str | None = None) -> str:
    """Return the card as plain text, with a table for a fixed-width font."""
    card = card_of(verdict, url=url)
    drawn = "\n".join(_drawn(card))
    parts = [card.title, *card.lead, drawn, _table(card.rows), "\n".join(card.facts), card.url]
    return "\n\n".join(part for part in parts if part)


def markdown_card(
    verdict: Mapping[str, Any],
    *,
    url: str | None = None,
    headline: str | None = None,
    notes: str | None = None,
    page: str | None = None,
) -> str:
    """Return the card as Markdown, as Airflow's UI shows it.

    Args:
        verdict: The verdict.
        url: The experiment's address in LaunchDarkly.
        headline: The question or message above the verdict.
        notes: The rollout author's notes, as Markdown.
        page: Address of the page that shows every look.
    """
    card = card_of(verdict, url=url, headline=headline)
    lines = ["| " + " | ".join(escape_markdown(cell) for cell in row) + " |" for row in (COLUMNS, *card.rows)]
    lines.insert(1, "|" + " --- |" * len(COLUMNS))
    parts = [
        f"### {escape_markdown(card.title)}",
        *map(escape_markdown, card.lead),
        # Airflow keeps the lines of a fence only if it has a language.
        _fenced(_drawn(card), language="text"),
        "\n".join(lines) if card.rows else "",
        "\n".join(f"- {escape_markdown(fact)}" for fact in card.facts),
        notes or "",
        " · ".join(
            f"[{title}](<{address}>)"
            for title, address in (("See every look", page), ("Open in LaunchDarkly", card.url))
            if address
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def slack_card(verdict: Mapping[str, Any], *, url: str | None = None) -> str:
    """Return the card as Slack's mrkdwn, which has no tables: they become fixed-width text."""
    card = card_of(verdict, url=url)
    parts = [
        f"*{escape_slack(card.title)}*",
        *map(escape_slack, card.lead),
        _fenced(escape_slack(line) for line in (*_drawn(card), "", _table(card.rows)) if card.rows),
        "\n".join(f"• {escape_slack(fact)}" for fact in card.facts),
        f"<{card.url}|Open in LaunchDarkly>" if card.url else "",
    ]
    return "\n".join(part for part in parts if part)


def html_card(verdict: Mapping[str, Any], *, url: str | None = None) -> str:
    """Return the card as HTML for e-mail: its picture is made of table cells, which every mail program shows."""
    card = card_of(verdict, url=url)
    heads = "".join(f"<th>{html.escape(column)}</th>" for column in COLUMNS)
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in card.rows)
    facts = "".join(f"<li>{html.escape(fact)}</li>" for fact in card.facts)
    parts = [
        f"<h3>{html.escape(card.title)}</h3>",
        *(f"<p>{html.escape(line)}</p>" for line in card.lead),
        _drawn_in_cells(card),
        f"<table><tr>{heads}</tr>{rows}</table>" if rows else "",
        f"<ul>{facts}</ul>" if facts else "",
        f'<p><a href="{html.escape(card.url)}">Open in LaunchDarkly</a></p>' if card.url else "",
    ]
    return "\n".join(part for part in parts if part)


CARDS: Mapping[str, Callable[..., str]] = {
    "text": text_card,
    "markdown": markdown_card,
    "slack": slack_card,
    "html": html_card,
}
"""The card in each markup: ``CARDS["slack"](verdict, url=...)``."""


def _decided(verdict: Mapping[str, Any]) -> str:
    """The verdict, and on which experiment."""
    kind = str(verdict.get("verdict"))
    words = HEADLINES.get(kind, kind)
    if kind == "ship" and verdict.get("treatment"):
        words = f"{words} {verdict['treatment']}"
    place = "/".join(str(verdict[key]) for key in ("project_key", "environment_key") if verdict.get(key))
    return " · ".join(part for part in (words, str(verdict.get("experiment_key") or ""), place) if part)


def _row(metric: Mapping[str, Any], comparison: Mapping[str, Any]) -> tuple[str, ...]:
    name = str(metric.get("metric"))
    if (role := metric.get("role")) != "primary":
        name = f"{name} ({role})"
    bar = comparison.get("success") or comparison.get("harm") or {}
    judged = f"{bar['z']:.2f} / {bar['boundary']:.2f}" if _numbers(bar.get("z"), bar.get("boundary")) else NOTHING
    low, high = comparison.get("lift_lower"), comparison.get("lift_upper")
    return (
        f"{name}, lower is better" if metric.get("direction") == "lower" else name,
        str(comparison.get("treatment")),
        str(comparison.get("units")),
        _number(comparison.get("baseline_mean")),
        _number(comparison.get("mean")),
        _percent(comparison.get("lift")),
        f"{_percent(low)} to {_percent(high)}{_level(comparison.get('lift_level'))}"
        if _numbers(low, high)
        else NOTHING,
        judged,
    )


def _drawn(card: Card) -> Iterator[str]:
    """Yield the picture as lines for a fixed-width font."""
    from airflow_provider_launchdarkly.pictures.text import effects

    yield from effects(card.metrics)


def _drawn_in_cells(card: Card) -> str:
    """Return the picture for e-mail; empty without metrics."""
    from airflow_provider_launchdarkly.pictures.mail import effects_table

    return effects_table(card.metrics) if card.metrics else ""


def _facts(verdict: Mapping[str, Any]) -> Iterator[str]:
    for harmed in verdict.get("harmed") or ():
        yield f"harmed: {harmed}"
    for caution in verdict.get("cautions") or ():
        yield f"caution: {caution}"
    if verdict.get("reason"):
        yield f"reason: {verdict['reason']}"
    yield from _estimates(verdict)
    yield from _prospects(verdict)
    yield from _split("split", verdict.get("split") or {})
    for metric in verdict.get("metrics") or ():
        # A metric is usually measured on every exposed unit: its own split is news only if it is off.
        if (own := metric.get("split") or {}).get("mismatch"):
            yield from _split(f"split of the units measured on {metric.get('metric')}", own)
    if _numbers(verdict.get("units")):
        yield f"{verdict['units']} units on the primary metric"
    if _numbers(verdict.get("elapsed_days")):
        looks = f", look {verdict['look']} of {verdict['looks']}" if verdict.get("look") else ""
        yield f"day {verdict['elapsed_days']:.1f}{looks}"
    if verdict.get("iteration_id"):
        yield f"iteration {verdict['iteration_id']}"


def _split(name: str, split: Mapping[str, Any]) -> Iterator[str]:
    if split.get("units"):
        counts = ", ".join(
            f"{name} {units}" for name, units in zip(split.get("treatments") or (), split["units"], strict=False)
        )
        yield f"{name}: {counts}" + (" (not as allocated)" if split.get("mismatch") else "")


def _estimates(verdict: Mapping[str, Any]) -> Iterator[str]:
    """Estimates of each effect, which allow for having stopped at a good moment."""
    for metric in verdict.get("metrics") or ():
        for comparison in metric.get("comparisons") or ():
            found = comparison.get("estimate") or {}
            low, high = found.get("lower"), found.get("upper")
            interval = f" ({_percent(low)} to {_percent(high)}{_level(found.get('level'))})"
            parts = [
                *(
                    [f"bias-adjusted {_percent(found['bias_adjusted'])}"]
                    if _numbers(found.get("bias_adjusted"))
                    else []
                ),
                f"median-unbiased {_percent(found.get('median_unbiased'))}" + (interval if _numbers(low, high) else ""),
            ]
            if _numbers(found.get("median_unbiased")):
                yield f"{comparison.get('treatment')} on {metric.get('metric')}: {', '.join(parts)}"


def _prospects(verdict: Mapping[str, Any]) -> Iterator[str]:
    """How likely each treatment is to ship by the plan's end."""
    for metric in verdict.get("metrics") or ():
        for comparison in metric.get("comparisons") or ():
            hopes = comparison.get("prospects") or {}
            powers = [f"{words} {_chance(hopes[name])}" for name, words in _POWERS.items() if _numbers(hopes.get(name))]
            if powers:
                yield f"{comparison.get('treatment')} on {metric.get('metric')} by the plan's end: {', '.join(powers)}"


def _table(rows: tuple[tuple[str, ...], ...]) -> str:
    if not rows:
        return ""
    table = (COLUMNS, *rows)
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def _numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _number(value: Any) -> str:
    return f"{value:.4g}" if _numbers(value) else NOTHING


def _level(level: Any) -> str:
    return f" at {100 * level:.4g} %" if _numbers(level) else ""


def _chance(probability: float) -> str:
    return format_percent(probability).lstrip("+")


def _percent(share: Any) -> str:
    return format_percent(share) if _numbers(share) else NOTHING


def _fenced(lines: Iterable[str], language: str = "") -> str:
    text = "\n".join(lines)
    return f"```{language}\n" + text.replace("```", "'''") + "\n```" if text else ""
