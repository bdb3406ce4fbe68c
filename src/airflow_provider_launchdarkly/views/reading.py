"""Read notes back as parts of the reading model. Pure, and tolerant: a note may come from another version.

What a note does not say is None or empty; what it says in a form that nobody writes is left out.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.views.coverage import Coverage
from airflow_provider_launchdarkly.views.handed_over import HandedOver
from airflow_provider_launchdarkly.views.model import (
    Comparison,
    Look,
    MetricAtLook,
    Progress,
    Record,
    Share,
    SplitTest,
    Stage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# No page shows more; a plan has at most so many looks, and each stage has a plan.
MOST_LOOKS = 5000

# What the model calls the gate of the winner's release, which stands after the stages.
RELEASE_GATE = "release"


def instant(value: Any) -> datetime | None:
    """Return an aware time from ISO 8601 text; None from anything else."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def number(value: Any) -> float | None:
    """Return a finite number; None from anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def count(value: Any) -> int | None:
    """Return a whole number; None from anything else."""
    found = number(value)
    return None if found is None else int(found)


def numbers(value: Any) -> tuple[float, ...]:
    """Return the finite numbers of a list."""
    found = (number(part) for part in value) if isinstance(value, list | tuple) else ()
    return tuple(part for part in found if part is not None)


def text(value: Any) -> str | None:
    """Return text that says something; None from anything else."""
    return value if isinstance(value, str) and value else None


def texts(value: Any) -> tuple[str, ...]:
    """Return the texts of a list."""
    return tuple(part for part in value if isinstance(part, str)) if isinstance(value, list | tuple) else ()


def mappings(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Return the mappings of a list."""
    return tuple(part for part in value if isinstance(part, dict)) if isinstance(value, list | tuple) else ()


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping; an empty one from anything else."""
    return value if isinstance(value, dict) else {}


def shares(value: Any) -> tuple[Share, ...]:
    """Return an allocation, from a note's treatments or from a stage's shares; empty where a share is not known."""
    found = mappings(value)
    percents = [number(arm.get("percent")) for arm in found]
    return tuple(
        Share(str(arm.get("name")), percent or 0.0, bool(arm.get("baseline")))
        for arm, percent in zip(found, percents, strict=True)
        if None not in percents
    )


def ladder(
    rollout: Mapping[str, Any],
    *,
    current: int | None,
    ended: bool,
    starts: Mapping[int, datetime | None],
    release: Progress = Progress.NEXT,
) -> tuple[Stage, ...]:
    """Return the stages of a rollout, and the release of its winner as the last one if there is to be one.

    Args:
        rollout: A note's ``rollout``.
        current: Number of the current stage, from 1; None before the first.
        ended: Whether the rollout is over.
        starts: When each stage started that did, by its number. A stage before the current one that did not was left
            out; where nothing is known of any, all of them count as done.
        release: How far the release of the winner is.

    Returns:
        Empty for a rollout that is over where nothing says how far it came.
    """
    # The note of an ending alone is of no stage, and says which one was the last.
    last = current or count(rollout.get("reached"))
    if ended and last is None and not starts:
        return ()
    stages = []
    for position, stage in enumerate(mappings(rollout.get("stages")), start=1):
        served = shares(stage.get("shares"))
        stages.append(
            Stage(
                position,
                text(stage.get("name")) or percent_of_new(served) or str(position),
                served,
                _progress(position, last, ended=ended, starts=starts),
                text(stage.get("gate")),
                number(stage.get("days")),
                bool(stage.get("asks")),
                text(stage.get("notes")),
                starts.get(position),
            )
        )
    through = mapping(rollout.get("release"))
    if kind := text(through.get("kind")):
        name = f"{kind} release"
        stages.append(
            Stage(len(stages) + 1, name, progress=release, gate=RELEASE_GATE, notes=text(through.get("steps")))
        )
    return tuple(stages)


def _progress(position: int, current: int | None, *, ended: bool, starts: Mapping[int, datetime | None]) -> Progress:
    if current is None or position > current:
        return Progress.SKIPPED if ended else Progress.NEXT
    if position == current:
        return Progress.DONE if ended else Progress.NOW
    left_out = len(starts) > 1 and position not in starts
    return Progress.SKIPPED if left_out else Progress.DONE


def percent_of_new(served: Sequence[Share]) -> str | None:
    """Return the part of the people who get something new, such as ``10 %``; None where it is not known."""
    return f"{sum(share.percent for share in served if not share.baseline):g} %" if served else None


def looks(value: Any, *, stage: int) -> tuple[Look, ...]:
    """Return the looks of a note.

    Args:
        value: Its ``looks``.
        stage: The stage to which its task belongs, from 1.
    """
    return tuple(_look(look, stage) for look in mappings(value)[-MOST_LOOKS:])


def newest(note: Mapping[str, Any], *, stage: int) -> Look | None:
    """Return the newest look of a note; None if it has none."""
    found = [look for look in looks(note.get("looks"), stage=stage) if not look.only_harm]
    return found[-1] if found else None


def _look(look: Mapping[str, Any], stage: int) -> Look:
    return Look(
        count(look.get("look")) or 0,
        count(look.get("looks")) or 0,
        instant(look.get("at")),
        number(look.get("elapsed_days")) or 0.0,
        str(look.get("verdict")),
        str(look.get("reason")),
        str(look.get("summary") or ""),
        stage,
        str(look.get("iteration") or ""),
        count(look.get("units")),
        tuple(_metric(metric) for metric in mappings(look.get("metrics"))),
        _split(mapping(look.get("split"))),
        bool(look.get("only_harm")),
        texts(look.get("cautions")),
        coverage(look.get("coverage")),
    )


def coverage(value: Any) -> Coverage | None:
    """Return what evidence says of its rows, as plain JSON; None if it says nothing."""
    found = mapping(value)
    units = {str(key): count(counted) for key, counted in mapping(found.get("without_events")).items()}
    seconds = number(found.get("lateness_seconds"))
    made = Coverage(
        count(found.get("crossovers")),
        tuple((key, counted) for key, counted in units.items() if counted is not None),
        instant(found.get("last_event")),
        instant(found.get("last_batch")),
        None if seconds is None else seconds / 3600.0,
    )
    return None if made == Coverage() else made


def _metric(metric: Mapping[str, Any]) -> MetricAtLook:
    return MetricAtLook(
        str(metric.get("metric")),
        str(metric.get("role")),
        str(metric.get("direction")),
        number(metric.get("margin")) or 0.0,
        tuple(_comparison(compared) for compared in mappings(metric.get("comparisons"))),
    )


def _comparison(compared: Mapping[str, Any]) -> Comparison:
    success, harm = _bar(compared.get("success")), _bar(compared.get("harm"))
    return Comparison(
        str(compared.get("treatment")),
        count(compared.get("units")) or 0,
        count(compared.get("baseline_units")) or 0,
        number(compared.get("lift")),
        number(compared.get("lift_lower")),
        number(compared.get("lift_upper")),
        number(compared.get("lift_level")),
        number(compared.get("z")),
        success[1],
        harm[0],
        harm[1],
        success[2],
        harm[2],
        number(compared.get("chance")),
        number(compared.get("worth")),
    )


def _bar(value: Any) -> tuple[float | None, float | None, bool]:
    if not isinstance(value, list | tuple) or len(value) != 3:
        return None, None, False
    z, boundary, reached = value
    return number(z), number(boundary), bool(reached)


def _split(value: Mapping[str, Any]) -> SplitTest | None:
    p_value, alpha = number(value.get("p_value")), number(value.get("alpha"))
    units = [count(units) for units in value.get("units") or ()]
    planned = [number(share) for share in value.get("shares") or ()]
    if p_value is None or alpha is None or None in units or None in planned:
        return None
    return SplitTest(
        texts(value.get("treatments")),
        tuple(units or 0 for units in units),
        tuple(100.0 * (share or 0.0) for share in planned),
        p_value,
        alpha,
        bool(value.get("mismatch")),
    )


def record(value: Any) -> Record | None:
    """Return the decision record that a note names; None where it names none that was kept."""
    found = mapping(value)
    path, trouble, checked = text(found.get("path")), text(found.get("trouble")), instant(found.get("checked_at"))
    if path is None and trouble is None:
        return None
    entries, head = count(found.get("entries")) or 0, str(found.get("head") or "")
    return Record(entries, head, path, (checked is not None and trouble is None) or None, trouble, checked)


def latest_of(notes: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return notes in the order of their time, oldest first."""
    return sorted(notes, key=lambda note: str(note.get("at")))


def hand_over(body: Mapping[str, Any]) -> HandedOver | None:
    """Return the change of a note on one; None if the note does not say what it is."""
    what = text(body.get("what"))
    if what is None:
        return None
    return HandedOver(
        what,
        text(body.get("details")) or "",
        texts(body.get("reviewers")),
        instant(body.get("until")),
        bool(body.get("harm")),
        bool(body.get("release")),
        bool(body.get("requested")),
    )
