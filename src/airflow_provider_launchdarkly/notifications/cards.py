"""The decision card: what was decided about an experiment, why, and by which numbers, for people.

Pure functions from a verdict's plain JSON, as XCom carries it, to text, Markdown, Slack's mrkdwn or HTML. They decide
nothing, and take verdicts that lack numbers.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

HEADLINES: Mapping[str, str] = {
    "ship": "Ship",
    "rollback": "Roll back",
    "inconclusive": "Inconclusive",
    "invalid": "Invalid: a person has to look",
    "wait": "Not decided yet",
}
COLUMNS = ("metric", "treatment", "units", "baseline", "treated", "lift", "interval", "z / boundary")
PICTURE_WIDTH = 41
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Card:
    """The parts of a card, before any markup.

    Attributes:
        title: The verdict, and on which experiment.
        summary: Why, in a line.
        rows: One for each metric and treatment, as :data:`COLUMNS`.
        pictures: Each interval of the lift drawn in characters, one a line.
        notes: What else counts: harm, the split, when the next look is.
        url: The experiment in LaunchDarkly, or None.
    """

    title: str
    summary: str
    rows: tuple[tuple[str, ...], ...] = ()
    pictures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    url: str | None = None


def card_of(verdict: Mapping[str, Any], *, url: str | None = None) -> Card:
    """Read a verdict.

    Args:
        verdict: What :class:`~airflow_provider_launchdarkly.sensors.significance.LaunchDarklyWaitForSignificanceSensor`
            returns.
        url: Where the experiment is shown.
    """
    kind = str(verdict.get("verdict"))
    headline = HEADLINES.get(kind, kind)
    if kind == "ship" and verdict.get("treatment"):
        headline = f"{headline} {verdict['treatment']}"
    place = "/".join(str(verdict[key]) for key in ("project_key", "environment_key") if verdict.get(key))
    about = " · ".join(part for part in (str(verdict.get("experiment_key") or ""), place) if part)
    compared = [
        (metric, comparison)
        for metric in verdict.get("metrics") or ()
        for comparison in metric.get("comparisons") or ()
    ]
    return Card(
        title=f"{headline} · {about}" if about else headline,
        summary=str(verdict.get("summary") or ""),
        rows=tuple(_row(metric, comparison) for metric, comparison in compared),
        pictures=tuple(picture for metric, comparison in compared if (picture := _picture(metric, comparison))),
        notes=tuple(_notes(verdict)),
        url=url,
    )


def text_card(verdict: Mapping[str, Any], *, url: str | None = None) -> str:
    """The card as plain text, with a table for a fixed-width font."""
    card = card_of(verdict, url=url)
    parts = [card.title, card.summary, _table(card.rows), "\n".join(card.pictures), "\n".join(card.notes), card.url]
    return "\n\n".join(part for part in parts if part)


def markdown_card(verdict: Mapping[str, Any], *, url: str | None = None) -> str:
    """The card as Markdown, as Airflow's UI shows it."""
    card = card_of(verdict, url=url)
    lines = ["| " + " | ".join(_markdown(cell) for cell in row) + " |" for row in (COLUMNS, *card.rows)]
    lines.insert(1, "|" + " --- |" * len(COLUMNS))
    parts = [
        f"### {_markdown(card.title)}",
        _markdown(card.summary),
        "\n".join(lines) if card.rows else "",
        _fenced(card.pictures),
        "\n".join(f"- {_markdown(note)}" for note in card.notes),
        f"[Open in LaunchDarkly]({card.url})" if card.url else "",
    ]
    return "\n\n".join(part for part in parts if part)


def slack_card(verdict: Mapping[str, Any], *, url: str | None = None) -> str:
    """The card as Slack's mrkdwn, which knows no tables: they are fixed-width text."""
    card = card_of(verdict, url=url)
    parts = [
        f"*{_slack(card.title)}*",
        _slack(card.summary),
        _fenced([_slack(_table(card.rows)), *map(_slack, card.pictures)] if card.rows else ()),
        "\n".join(f"• {_slack(note)}" for note in card.notes),
        f"<{card.url}|Open in LaunchDarkly>" if card.url else "",
    ]
    return "\n".join(part for part in parts if part)


def html_card(verdict: Mapping[str, Any], *, url: str | None = None) -> str:
    """The card as HTML without styles, for e-mail."""
    card = card_of(verdict, url=url)
    heads = "".join(f"<th>{html.escape(column)}</th>" for column in COLUMNS)
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in card.rows)
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in card.notes)
    pictures = html.escape("\n".join(card.pictures))
    parts = [
        f"<h3>{html.escape(card.title)}</h3>",
        f"<p>{html.escape(card.summary)}</p>" if card.summary else "",
        f"<table><tr>{heads}</tr>{rows}</table>" if rows else "",
        f"<pre>{pictures}</pre>" if pictures else "",
        f"<ul>{notes}</ul>" if notes else "",
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


def _row(metric: Mapping[str, Any], comparison: Mapping[str, Any]) -> tuple[str, ...]:
    role = metric.get("role")
    bar = comparison.get("success") or comparison.get("harm") or {}
    judged = f"{bar['z']:.2f} / {bar['boundary']:.2f}" if _numbers(bar.get("z"), bar.get("boundary")) else NOTHING
    low, high = comparison.get("lift_lower"), comparison.get("lift_upper")
    return (
        str(metric.get("metric")) if role == "primary" else f"{metric.get('metric')} ({role})",
        str(comparison.get("treatment")),
        str(comparison.get("units")),
        _number(comparison.get("baseline_mean")),
        _number(comparison.get("mean")),
        _percent(comparison.get("lift")),
        f"{_percent(low)} to {_percent(high)}" if _numbers(low, high) else NOTHING,
        judged,
    )


def _picture(metric: Mapping[str, Any], comparison: Mapping[str, Any]) -> str | None:
    low, lift, high = (comparison.get(name) for name in ("lift_lower", "lift", "lift_upper"))
    if not _numbers(low, lift, high):
        return None
    drawn = interval_picture(float(low or 0), float(lift or 0), float(high or 0))
    return f"{drawn}  {comparison.get('treatment')} on {metric.get('metric')}"


def interval_picture(low: float, point: float, high: float, width: int = PICTURE_WIDTH) -> str:
    """Draw an interval around zero: ``-4.0 % |·········|··[==●==]····| +4.0 %``.

    Args:
        low: Its lower end, as a share.
        point: The estimate.
        high: Its upper end.
        width: Characters between the ends of the axis, which shows zero in the middle.
    """
    reach = max(abs(low), abs(point), abs(high)) or 1.0
    middle = width // 2

    def place(value: float) -> int:
        return middle + round(value / reach * middle)

    axis = ["·"] * width
    axis[place(low) : place(high) + 1] = "=" * (place(high) - place(low) + 1)
    axis[place(low)], axis[place(high)] = "[", "]"
    axis[middle] = "|"
    axis[place(point)] = "●"
    return f"{_percent(-reach)} |{''.join(axis)}| {_percent(reach)}"


def _notes(verdict: Mapping[str, Any]) -> Iterator[str]:
    for harmed in verdict.get("harmed") or ():
        yield f"harmed: {harmed}"
    split = verdict.get("split") or {}
    if split.get("units"):
        counts = ", ".join(
            f"{name} {units}" for name, units in zip(split.get("treatments") or (), split["units"], strict=False)
        )
        yield f"split: {counts}" + (" (not as allocated)" if split.get("mismatch") else "")
    if _numbers(verdict.get("elapsed_days")):
        looks = f", look {verdict['look']} of {verdict['looks']}" if verdict.get("look") else ""
        yield f"day {verdict['elapsed_days']:.1f}{looks}"
    if verdict.get("iteration_id"):
        yield f"iteration {verdict['iteration_id']}"


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


def _percent(share: Any) -> str:
    return f"{100 * share:+.{1 if abs(share) >= 0.01 else 2}f} %" if _numbers(share) else NOTHING


def _fenced(lines: Any) -> str:
    return "```\n" + "\n".join(lines).replace("```", "'''") + "\n```" if lines else ""


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


def _slack(text: str) -> str:
    return html.escape(text, quote=False).replace("`", "'")
