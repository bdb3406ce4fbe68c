"""The decision card: a verdict, its reason and its numbers, for people.

Pure functions from a verdict's plain JSON to text, Markdown, Slack's mrkdwn or HTML. They decide nothing, and accept
verdicts without numbers. Notifiers send the cards; rollouts ask for approval with them.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.config.percent import format_percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Compared = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]

HEADLINES: Mapping[str, str] = {
    "ship": "Ship",
    "rollback": "Roll back",
    "inconclusive": "Inconclusive",
    "invalid": "Invalid: a person has to look",
    "wait": "Not decided yet",
}
COLUMNS = ("metric", "treatment", "units", "baseline", "treated", "lift", "interval", "z / boundary")
PICTURE_WIDTH = 41
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
        pictures: Each interval of the lift drawn in characters, one a line, all on one scale.
        facts: What else counts: harm, cautions, the reason, the split, the units, which look it was.
        url: The experiment in LaunchDarkly, or None.
    """

    title: str
    lead: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ()
    pictures: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    url: str | None = None


def card_of(verdict: Mapping[str, Any], *, url: str | None = None, headline: str | None = None) -> Card:
    """Read a verdict.

    Args:
        verdict: The output of :class:`LaunchDarklyWaitForSignificanceSensor`.
        url: The experiment's address in LaunchDarkly.
        headline: The question or message, if it is not the verdict itself.
    """
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
        pictures=tuple(_pictures(compared)),
        facts=tuple(_facts(verdict)),
        url=url,
    )


def text_card(verdict: Mapping[str, Any], *, url: str | None = None) -> str:
    """Return the card as plain text, with a table for a fixed-width font."""
    card = card_of(verdict, url=url)
    parts = [card.title, *card.lead, _table(card.rows), "\n".join(card.pictures), "\n".join(card.facts), card.url]
    return "\n\n".join(part for part in parts if part)


def markdown_card(
    verdict: Mapping[str, Any], *, url: str | None = None, headline: str | None = None, notes: str | None = None
) -> str:
    """Return the card as Markdown, as Airflow's UI shows it.

    Args:
        verdict: The verdict.
        url: The experiment's address in LaunchDarkly.
        headline: The question or message above the verdict.
        notes: The rollout author's notes, as Markdown.
    """
    card = card_of(verdict, url=url, headline=headline)
    lines = ["| " + " | ".join(_markdown(cell) for cell in row) + " |" for row in (COLUMNS, *card.rows)]
    lines.insert(1, "|" + " --- |" * len(COLUMNS))
    parts = [
        f"### {_markdown(card.title)}",
        *map(_markdown, card.lead),
        "\n".join(lines) if card.rows else "",
        _fenced(card.pictures),
        "\n".join(f"- {_markdown(fact)}" for fact in card.facts),
        notes or "",
        f"[Open in LaunchDarkly]({card.url})" if card.url else "",
    ]
    return "\n\n".join(part for part in parts if part)


def slack_card(verdict: Mapping[str, Any], *, url: str | None = None) -> str:
    """Return the card as Slack's mrkdwn, which has no tables: they become fixed-width text."""
    card = card_of(verdict, url=url)
    parts = [
        f"*{_slack(card.title)}*",
        *map(_slack, card.lead),
        _fenced([_slack(_table(card.rows)), *map(_slack, card.pictures)] if card.rows else ()),
        "\n".join(f"• {_slack(fact)}" for fact in card.facts),
        f"<{card.url}|Open in LaunchDarkly>" if card.url else "",
    ]
    return "\n".join(part for part in parts if part)


def html_card(verdict: Mapping[str, Any], *, url: str | None = None) -> str:
    """Return the card as HTML without styles, for e-mail."""
    card = card_of(verdict, url=url)
    heads = "".join(f"<th>{html.escape(column)}</th>" for column in COLUMNS)
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in card.rows)
    facts = "".join(f"<li>{html.escape(fact)}</li>" for fact in card.facts)
    pictures = html.escape("\n".join(card.pictures))
    parts = [
        f"<h3>{html.escape(card.title)}</h3>",
        *(f"<p>{html.escape(line)}</p>" for line in card.lead),
        f"<table><tr>{heads}</tr>{rows}</table>" if rows else "",
        f"<pre>{pictures}</pre>" if pictures else "",
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


def _pictures(compared: Compared) -> Iterator[str]:
    """Draw the intervals, all on the scale of the widest, so that they can be compared."""
    drawn: list[tuple[Sequence[Any], str]] = []
    for metric, comparison in compared:
        interval = [comparison.get(name) for name in ("lift_lower", "lift", "lift_upper")]
        if _numbers(*interval):
            drawn.append((interval, f"{comparison.get('treatment')} on {metric.get('metric')}"))
    reach = max((abs(end) for interval, _ in drawn for end in interval), default=0.0) or 1.0
    for (low, lift, high), label in drawn:
        yield f"{interval_picture(low, lift, high, reach)}  {label}"


def interval_picture(low: float, point: float, high: float, reach: float, width: int = PICTURE_WIDTH) -> str:
    """Draw an interval around zero: ``-4.0 % |·········|··[==●==]····| +4.0 %``.

    Args:
        low: Its lower end, as a share.
        point: The estimate.
        high: Its upper end.
        reach: What the ends of the axis stand for: above 0, and nothing is beyond it.
        width: Characters between the ends of the axis, which shows zero in the middle.
    """
    middle = width // 2

    def place(value: float) -> int:
        return middle + round(value / reach * middle)

    axis = ["·"] * width
    axis[place(low) : place(high) + 1] = "=" * (place(high) - place(low) + 1)
    axis[place(low)], axis[place(high)] = "[", "]"
    axis[middle] = "|"
    axis[place(point)] = "●"
    return f"{_percent(-reach)} |{''.join(axis)}| {_percent(reach)}"


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
    """What each effect is worth, allowing for having stopped at a good moment."""
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


def _fenced(lines: Any) -> str:
    return "```\n" + "\n".join(lines).replace("```", "'''") + "\n```" if lines else ""


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


def _slack(text: str) -> str:
    return html.escape(text, quote=False).replace("`", "'")
