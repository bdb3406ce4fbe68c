"""One experiment as text, with the words of its page. Colour is the caller's choice."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.pictures import text
from airflow_provider_launchdarkly.pictures.words import (
    capital,
    count,
    instant,
    known_from,
    served,
    signed,
    split,
    state_class,
    state_words,
    title_of_shares,
    z_value,
)
from airflow_provider_launchdarkly.pictures.z_chart import bar_in_words, harm_progress, ship_progress
from airflow_provider_launchdarkly.views.coverage import newest_of, rows_of
from airflow_provider_launchdarkly.views.model import Progress
from airflow_provider_launchdarkly.views.releases import next_of_release, release_in_words, to_do_for_release
from airflow_provider_launchdarkly.views.words import next_step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime, tzinfo

    from airflow_provider_launchdarkly.views.model import ExperimentDetail, ExperimentSummary, Look, Stage
    from airflow_provider_launchdarkly.views.release_model import ReleaseShown

_CODES = {"good": "32", "bad": "31", "warn": "33", "wait": "34"}
_BOLD = "1"
_MARKS = {Progress.DONE: "✓ ", Progress.NOW: "▶ ", Progress.NEXT: "", Progress.SKIPPED: "(left out) "}
# Names and sentences come from others: a terminal would obey what is in them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
MOST_LOOKS = 10


class _Ink:
    """Writes in colour, or not."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def __call__(self, code: str, words: str) -> str:
        return f"\x1b[{code}m{words}\x1b[0m" if self._colour else words


def experiment_text(
    detail: ExperimentDetail,
    *,
    chip: str | None = None,
    colour: bool = False,
    zone: tzinfo | None = None,
    now: datetime | None = None,
) -> str:
    """Return an experiment as text.

    Args:
        detail: The experiment.
        chip: Words for where it stands, if its state is not known to the model: of a decision record, the verdict.
        colour: Whether to use a terminal's colours.
        zone: Time zone of instants; None shows each in its own.
        now: The time, aware, to say how far off instants are; None leaves that out.
    """
    ink = _Ink(colour=colour)
    sections = (
        _head(detail, chip, ink),
        _standing(detail, ink, zone, now),
        _distance(detail, ink),
        _effects(detail, ink),
        _coverage(detail, ink, zone, now),
        _looks(detail, ink, zone),
        _sentences("What would have to happen", detail.to_come, ink),
        _happened(detail, ink, zone),
        _sentences("How it is decided", detail.policy, ink),
        _sentences("What limits these numbers", detail.cautions, ink),
        _record(detail, ink),
    )
    return "\n\n".join("\n".join(lines) for lines in map(list, sections) if lines)


def clean(words: str) -> str:
    """Return text without control characters, which a terminal would obey."""
    return _CONTROL.sub("\ufffd", words)


def _head(detail: ExperimentDetail, chip: str | None, ink: _Ink) -> Iterator[str]:
    summary = detail.summary
    state = ink(_CODES[state_class(summary.state)], clean(chip or state_words(summary.state)))
    place = clean(f"{summary.project}/{summary.environment}")
    yield f"{ink(_BOLD, clean(summary.name or summary.key))} · {place} · {state}"
    if detail.hypothesis:
        yield clean(detail.hypothesis)
    if summary.stages:
        yield " → ".join(_stage(stage, ink) for stage in summary.stages)


def _stage(stage: Stage, ink: _Ink) -> str:
    name = clean(f"{_MARKS[stage.progress]}{stage.name}")
    return ink(_CODES["wait"], name) if stage.progress is Progress.NOW else name


def _standing(detail: ExperimentDetail, ink: _Ink, zone: tzinfo | None, now: datetime | None) -> Iterator[str]:
    summary = detail.summary
    if summary.unwatched is not None:
        lost = summary.unwatched
        yield ink(_CODES["bad"], clean(f"{lost.what} {lost.why}"))
        yield clean(lost.serves)
        yield f"What to do: {clean(lost.cure)}"
    else:
        yield ink(_BOLD, clean(detail.why or summary.headline))
    yield from _asked(summary, zone, now)
    if summary.next_look is not None:
        yield f"Next look: {_when(summary.next_look, zone, now)}"
    if summary.next_step is not None:
        yield f"{capital(next_step(summary))}: {_when(summary.next_step, zone, now)}"
    if summary.shares:
        yield clean(f"{title_of_shares(summary)}: {served(summary.shares)}")
        if (known := summary.served) is not None and known.at is not None and not known.now:
            yield f"  {known_from(known)}: {_when(known.at, zone, now)}"
    if summary.harm is not None:
        found = ", ".join(summary.harm.harmed)
        words = f"Harmed: {found}" if found else f"No harm found on {', '.join(summary.harm.metrics)}"
        yield ink(_CODES["bad" if found else "good"], clean(words))
    if summary.release is not None:
        yield from _release(summary.release, ink, zone, now)
    for difference in summary.drift:
        yield ink(_CODES["warn"], clean(f"Differs from the rollout: {difference}"))


def _asked(summary: ExperimentSummary, zone: tzinfo | None, now: datetime | None) -> Iterator[str]:
    if summary.question is not None:
        asked = summary.question
        until = f" until {_when(asked.until, zone, now)}" if asked.until else ""
        people = f" by {', '.join(asked.people)}" if asked.people else ""
        yield clean(f"Asked: {asked.subject} To be answered{people}{until}.")
        if asked.otherwise:
            yield clean(f"No answer counts as {asked.otherwise}.")
    elif summary.handed_over is not None and summary.unwatched is None:
        change = summary.handed_over
        until = f" It is waited for until {_when(change.until, zone, now)}." if change.until else ""
        yield clean(f"To do in LaunchDarkly: {change.whole}.{change.reviewers}{until}")


def _release(release: ReleaseShown, ink: _Ink, zone: tzinfo | None, now: datetime | None) -> Iterator[str]:
    if release.winner and release.step_since:
        since = _when(release.step_since, zone, now)
        yield clean(f"Step {release.step} of {release.steps} of the {release.name}, since {since}")
    ahead = f". {capital(next_of_release(release))}: {_when(release.next_at, zone, now)}" if release.next_at else ""
    waits = f". {to_do}".removesuffix(".") if (to_do := to_do_for_release(release)) else ""
    failed = f". Nobody watches it any more: {release.trouble}" if release.trouble else ""
    words = f"Release of the flag, as LaunchDarkly judges it: {release_in_words(release)}{ahead or waits}{failed}"
    yield ink(_CODES["bad" if release.bad else "wait"], clean(words))
    if release.launchdarkly:
        yield clean(release.launchdarkly)


def _distance(detail: ExperimentDetail, ink: _Ink) -> Iterator[str]:
    look = _newest(detail.looks)
    metric = look.primary if look else None
    if metric is None or not metric.comparisons:
        return
    yield ink(_BOLD, clean(f"Distance to a decision on {metric.metric}"))
    longest = max(len(compared.treatment) for compared in metric.comparisons)
    for compared in metric.comparisons:
        reach = ship_progress(compared)
        value = reach if reach >= 0 else -harm_progress(compared)
        kind = "bad" if compared.harmed else "good" if compared.better else "wait"
        drawn = ink(_CODES[kind], text.bar(value))
        yield f"  {clean(compared.treatment).ljust(longest)}  rolls back {drawn} ships  {bar_in_words(compared)}"


def _effects(detail: ExperimentDetail, ink: _Ink) -> Iterator[str]:
    look = _newest(detail.looks)
    if look is None:
        return
    name = f"look {look.number} of {look.of}" if look.number else "the newest look"
    yield ink(_BOLD, f"Every metric at {name}")
    yield from (clean(line) for line in text.effects(look.metrics))
    if detail.split is not None:
        yield ""
        counts = ", ".join(
            f"{name} {count(units)}" for name, units in zip(detail.split.treatments, detail.split.units, strict=True)
        )
        yield clean(f"Units: {counts}. {split(detail.split)}")


def _coverage(detail: ExperimentDetail, ink: _Ink, zone: tzinfo | None, now: datetime | None) -> Iterator[str]:
    if (coverage := newest_of(look.coverage for look in detail.looks)) is None:
        return
    yield ink(_BOLD, "What the rows of the newest look cover")
    rows = [(what, known if isinstance(known, str) else _when(known, zone, now)) for what, known in rows_of(coverage)]
    yield from (f"  {clean(line)}" for line in text.columns(rows))


def _looks(detail: ExperimentDetail, ink: _Ink, zone: tzinfo | None) -> Iterator[str]:
    shown = [look for look in detail.looks if look.primary is not None][-MOST_LOOKS:]
    if not shown:
        return
    left_out = len([look for look in detail.looks if look.primary is not None]) - len(shown)
    yield ink(_BOLD, f"The last {len(shown)} looks" if left_out else "Looks")
    rows = [("look", "at", "day", "units", "treatment", "lift", "z", "ships from", "verdict")]
    rows += [
        (
            f"{look.number} of {look.of}" if look.number else "for harm",
            instant(look.at, zone) if look.at else "-",
            f"{look.elapsed_days:.4g}",
            count(look.units),
            clean(compared.treatment),
            signed(compared.lift),
            z_value(compared.z),
            z_value(compared.boundary),
            look.verdict,
        )
        for look in shown
        for compared in (look.primary.comparisons if look.primary else ())
    ]
    yield from text.columns(rows)


def _happened(detail: ExperimentDetail, ink: _Ink, zone: tzinfo | None) -> Iterator[str]:
    if not detail.timeline:
        return
    yield ink(_BOLD, "What happened")
    for entry in detail.timeline:
        at = instant(entry.at, zone) if entry.at else ""
        by = f", by {entry.who}" if entry.who else ""
        mark = "○" if entry.ahead else "●"
        yield clean(f"  {mark} {at}  {entry.what}{by}")


def _sentences(title: str, sentences: Sequence[str], ink: _Ink) -> Iterator[str]:
    if sentences:
        yield ink(_BOLD, title)
        yield from (clean(f"  - {sentence}") for sentence in sentences)


def _record(detail: ExperimentDetail, ink: _Ink) -> Iterator[str]:
    record = detail.record
    if record is None:
        return
    yield ink(_BOLD, "Decision record")
    if record.trouble:
        yield ink(_CODES["bad"], clean(f"  not whole: {record.trouble}"))
    else:
        when = ", as the newest was written" if record.checked_at else ""
        checked = f"whole{when}" if record.whole else "not checked here"
        yield f"  {record.entries} entries, {checked}, head {record.head}"
    if record.path:
        yield clean(f"  {record.path}")


def _newest(looks: Sequence[Look]) -> Look | None:
    return next((look for look in reversed(looks) if look.metrics), None)


def _when(at: datetime, zone: tzinfo | None, now: datetime | None) -> str:
    there = instant(at, zone)
    return there if now is None else f"{there} ({_apart(at - now)})"


def _apart(distance: timedelta) -> str:
    """Return ``in 14 h`` or ``2 days ago``."""
    size = abs(distance)
    if size >= timedelta(days=2):
        words = f"{size / timedelta(days=1):.0f} days"
    elif size >= timedelta(hours=2):
        words = f"{size / timedelta(hours=1):.0f} h"
    else:
        words = f"{size / timedelta(minutes=1):.0f} min"
    return f"in {words}" if distance > timedelta() else f"{words} ago"
