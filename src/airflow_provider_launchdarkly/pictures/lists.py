"""Pictures that are no charts: the ladder of stages, the bar of shares, and the timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.pictures.chart import series_class
from airflow_provider_launchdarkly.pictures.markup import element
from airflow_provider_launchdarkly.pictures.words import instant, served
from airflow_provider_launchdarkly.views.model import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_provider_launchdarkly.pictures.markup import Markup
    from airflow_provider_launchdarkly.views.model import Happening, Share, Stage

_SHARE_WIDTH, _SHARE_HEIGHT = 132, 14
_PROGRESS = {Progress.DONE: "done", Progress.NOW: "now", Progress.NEXT: "to come", Progress.SKIPPED: "left out"}


def ladder(stages: Sequence[Stage], *, short: bool = False) -> Markup:
    """Return the stages as a ladder, with the current one lit.

    Args:
        stages: The stages.
        short: Only their names, for a line in a list.
    """
    steps = (
        element(
            "li",
            stage.name if short else _step(stage),
            element("span", f" ({_PROGRESS[stage.progress]})", class_="ld-hidden"),
            class_=f"ld-{stage.progress.value}",
            aria_current="step" if stage.progress is Progress.NOW else None,
            title=stage.notes,
        )
        for stage in stages
    )
    return element("ol", *steps, class_="ld-ladder", aria_label="stages")


def share_bar(shares: Sequence[Share]) -> Markup:
    """Return who gets what as a bar; the baseline is grey."""
    given = [(number, share) for number, share in enumerate(_baseline_first(shares)) if share.percent > 0]
    total = sum(share.percent for _, share in given) or 1.0
    parts, x = [], 0.0
    for number, share in given:
        width = share.percent / total * _SHARE_WIDTH
        kind = "ld-base" if share.baseline else series_class(number - 1 if shares_have_baseline(shares) else number)
        told = element("title", served([share]) if len(given) == 1 else f"{share.percent:g} % {share.treatment}")
        parts.append(
            element(
                "g", told, element("rect", x=x, y=0, width=width, height=_SHARE_HEIGHT, class_="ld-fill"), class_=kind
            )
        )
        x += width
    words = served(shares) if given else "not known"
    return element(
        "svg",
        element("title", words),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        class_="ld-small",
        viewBox=f"0 0 {_SHARE_WIDTH} {_SHARE_HEIGHT}",
        width=_SHARE_WIDTH,
        height=_SHARE_HEIGHT,
        aria_label=words,
    )


def shares_have_baseline(shares: Sequence[Share]) -> bool:
    """Return whether one of the treatments is what people had before."""
    return any(share.baseline for share in shares)


def timeline(happenings: Sequence[Happening]) -> Markup:
    """Return what happened and what is to come, oldest first."""
    return element(
        "ol",
        *(
            element(
                "li",
                when(entry.at) if entry.at else None,
                " " if entry.at else None,
                entry.what,
                f", by {entry.who}" if entry.who else None,
                element("span", " (to come)", class_="ld-hidden") if entry.ahead else None,
                class_="ld-ahead" if entry.ahead else None,
            )
            for entry in happenings
        ),
        class_="ld-timeline",
    )


def when(at: datetime) -> Markup:
    """Return an instant that a page's script may show in the viewer's zone; without one it is in its own."""
    return element("time", instant(at), datetime=at.isoformat())


def _step(stage: Stage) -> str:
    parts = [stage.name]
    if (shares := served(stage.shares)) and shares != stage.name:
        parts.append(shares)
    if stage.days is not None:
        parts.append(f"up to {stage.days:g} days")
    if stage.asks:
        parts.append("a person is asked first")
    return " · ".join(parts)


def _baseline_first(shares: Sequence[Share]) -> list[Share]:
    return sorted(shares, key=lambda share: not share.baseline)
