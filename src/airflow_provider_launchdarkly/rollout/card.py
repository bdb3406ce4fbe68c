"""The decision card: what people read before they approve. Numbers, a picture of each interval, a link. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH = 41


def decision_card(
    verdict: Mapping[str, Any], *, headline: str, url: str | None = None, notes: str | None = None
) -> str:
    """Write the card as Markdown.

    Args:
        verdict: A verdict as plain JSON.
        headline: What is asked or told, in a sentence.
        url: Where LaunchDarkly shows the experiment.
        notes: What the rollout's author wants to be read here.

    Returns:
        Markdown: the verdict, a table of every comparison, and for each a picture of its interval.
    """
    about = f"experiment `{verdict.get('experiment_key')}`, iteration `{verdict.get('iteration_id')}`"
    lines = [f"**{headline}**", "", f"Verdict **{verdict.get('verdict')}** ({verdict.get('reason')}) on {about}."]
    lines += [str(verdict.get("summary") or ""), ""]
    facts = [_days(verdict), _units(verdict), _split(verdict)]
    lines += [f"- {fact}" for fact in facts if fact]
    rows = [
        (metric, comparison)
        for metric in verdict.get("metrics") or ()
        for comparison in metric.get("comparisons") or ()
    ]
    if rows:
        lines += ["", *_table(rows), "", "```text", *_pictures(rows), "```"]
    if notes:
        lines += ["", notes]
    if url:
        lines += ["", f"[Experiment in LaunchDarkly]({url})"]
    return "\n".join(lines)


def interval_picture(lower: float, middle: float, upper: float, reach: float, width: int = WIDTH) -> str:
    """Draw an interval on a line: ``|`` is no difference, ``[`` and ``]`` the interval's ends, ``*`` the estimate.

    Args:
        lower: Its lower end.
        middle: The estimate.
        upper: Its upper end.
        reach: What the line's ends stand for, above 0; what is beyond them is drawn as ``<`` and ``>``.
        width: Characters, an odd number.
    """
    half = width // 2

    def place(value: float) -> int:
        return half + round(max(-1.0, min(1.0, value / reach)) * half)

    line = [" "] * width
    for position in range(place(lower), place(upper) + 1):
        line[position] = "-"
    line[place(lower)] = "<" if lower < -reach else "["
    line[place(upper)] = ">" if upper > reach else "]"
    line[half] = "|"
    line[place(middle)] = "*"
    return "".join(line)


def _table(rows: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    lines = [
        "| Metric | Role | Treatment | People | Lift | Interval | z | needed |",
        "|---|---|---|---:|---:|---|---:|---:|",
    ]
    for metric, row in rows:
        bar = row.get("success") or row.get("harm") or {}
        interval = f"{_percent(row.get('lift_lower'))} to {_percent(row.get('lift_upper'))}"
        better = "" if metric.get("direction") == "higher" else ", lower is better"
        lines.append(
            f"| {metric.get('metric')} | {metric.get('role')}{better} | {row.get('treatment')} | {row.get('units')} "
            f"| {_percent(row.get('lift'))} | {interval} | {_number(bar.get('z'))} | {_number(bar.get('boundary'))} |"
        )
    return lines


def _pictures(rows: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    drawn = [
        (f"{metric.get('metric')}: {row.get('treatment')}", row["lift_lower"], row["lift"], row["lift_upper"])
        for metric, row in rows
        if None not in {row.get("lift_lower"), row.get("lift"), row.get("lift_upper")}
    ]
    if not drawn:
        return ["no interval yet"]
    # Wide enough for every interval, so that they can be compared; an interval of nothing still needs a scale.
    reach = max(*(abs(number) for _, *numbers in drawn for number in numbers), 0.001)
    margin = max(len(label) for label, *_ in drawn)
    lines = [f"{label:<{margin}}  {interval_picture(low, mid, high, reach)}" for label, low, mid, high in drawn]
    scale = f"{_percent(-reach):<{WIDTH // 2 - 1}}{'0':^3}{_percent(reach):>{WIDTH // 2 - 1}}"
    return [*lines, f"{'':<{margin}}  {scale}"]


def _days(verdict: Mapping[str, Any]) -> str | None:
    days, look, looks = (verdict.get(key) for key in ("elapsed_days", "look", "looks"))
    if days is None:
        return None
    return f"after {days:.1f} days" + (f", look {look} of {looks}" if look and looks else "")


def _units(verdict: Mapping[str, Any]) -> str | None:
    return f"{verdict['units']} people on the primary metric" if verdict.get("units") is not None else None


def _split(verdict: Mapping[str, Any]) -> str | None:
    split = verdict.get("split")
    if not split:
        return None
    counts = ", ".join(f"{name} {units}" for name, units in zip(split["treatments"], split["units"], strict=True))
    return f"split {'broken' if split['mismatch'] else 'as allocated'}: {counts}"


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{value * 100:+.1f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
