"""Reports: one HTML file that loads nothing and runs nothing, for a ticket, a pull request or an auditor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.pictures.experiment import experiment_body
from airflow_provider_launchdarkly.pictures.markup import element, page, table
from airflow_provider_launchdarkly.pictures.theme import PAGE_STYLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_launchdarkly.pictures.markup import Child
    from airflow_provider_launchdarkly.views.model import ExperimentDetail


def report_page(
    detail: ExperimentDetail,
    *,
    chip: str,
    answer: str,
    agrees: bool,
    entries: Sequence[Sequence[str]],
    about: Iterable[str],
) -> str:
    """Return the report of a decision record.

    Args:
        detail: The record as people see it.
        chip: Its verdict in words.
        answer: What came of deciding every entry again, in a sentence.
        agrees: Whether every verdict followed again.
        entries: Each entry: its number, time, day, verdict and reason on record, and what follows again.
        about: Sentences on the report itself: what was read, by which version.
    """
    heads = ("entry", "at", "day", "verdict on record", "decided again", "in words")
    return document(
        f"{detail.summary.key}: decision record",
        experiment_body(detail, chip=chip),
        element("h2", "Every entry, decided again"),
        element("p", element("strong", answer, class_="ld-good" if agrees else "ld-bad")),
        table(heads, entries, caption="Every entry of the decision record, decided again"),
        element("p", " ".join(about), class_="ld-soft"),
    )


def document(title: str, *body: Child) -> str:
    """Return a page in the look of this package.

    Args:
        title: Its title.
        body: What it contains.
    """
    return page(title, PAGE_STYLE, element("main", *body, class_="ld ld-page"))
