"""Releases on a page: a line beside an experiment on the same flag, and the table of all that tasks await."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.pictures.lists import when
from airflow_provider_launchdarkly.pictures.markup import element, join, link
from airflow_provider_launchdarkly.views.releases import next_of_release, release_in_words, to_do_for_release

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_launchdarkly.pictures.markup import Markup
    from airflow_provider_launchdarkly.views.release_model import ReleaseShown

HEADS = ("Flag", "Release", "What comes next, and when", "Go to")


def release_line(release: ReleaseShown) -> Markup:
    """Return a release in a line, linked to LaunchDarkly."""
    return element(
        "div",
        "Release of the flag, as LaunchDarkly judges it: ",
        release_in_words(release),
        *_ahead(release),
        *((" ", link(release.launchdarkly, "LaunchDarkly")) if release.launchdarkly else ()),
        class_="ld-bad" if release.bad else "ld-soft",
        data_release=release.release_id,
    )


def release_step(release: ReleaseShown) -> Markup | None:
    """Return which step of a release is under way, and since when; nothing if none is."""
    if release.step is None:
        return None
    since = join([", since ", when(release.step_since)]) if release.step_since else None
    ends = join([", until ", when(release.next_at)]) if release.next_at else None
    words = f"Step {release.step} of {release.steps} of the {release.name}"
    return element("p", words, since, ends, ".", class_="ld-soft")


def release_table(releases: Iterable[ReleaseShown]) -> Markup:
    """Return the releases as a table, those under way first."""
    rows = (_row(release) for release in sorted(releases, key=lambda each: not each.active))
    whole = element(
        "table",
        element("caption", "Releases that Airflow awaits"),
        element("thead", element("tr", *(element("th", text, scope="col") for text in HEADS))),
        element("tbody", *rows),
        id="ld-releases",
    )
    return element("div", whole, class_="ld-wide", tabindex="0", role="region", aria_label="releases")


def _row(release: ReleaseShown) -> Markup:
    goes = [
        link(address, text)
        for address, text in ((release.run, "run"), (release.launchdarkly, "LaunchDarkly"))
        if address
    ]
    place = f"{release.project} / {release.environment}"
    seen = join(["found ", when(release.at)]) if release.at else None
    return element(
        "tr",
        element("th", release.flag, element("div", place, class_="ld-soft"), scope="row"),
        element(
            "td",
            element("div", release_in_words(release), class_="ld-bad" if release.bad else None),
            element("div", seen, class_="ld-soft") if seen else None,
        ),
        element("td", *(_ahead(release) or ("-",))),
        element("td", *(element("div", each) for each in goes)),
        data_release=release.release_id,
        data_dag=release.dag_id,
        data_status=release.status,
    )


def _ahead(release: ReleaseShown) -> tuple[Markup, ...]:
    if release.trouble:
        return (element("div", f"Nobody watches it here any more: {release.trouble}", class_="ld-bad"),)
    if waits := to_do_for_release(release):
        return (element("div", waits),)
    if release.next_at is None:
        return ()
    return (element("div", next_of_release(release), " ", when(release.next_at)),)
