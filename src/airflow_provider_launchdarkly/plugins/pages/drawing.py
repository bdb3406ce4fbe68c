"""The pages as HTML: everything that stands on them is escaped, and nothing in them runs but our one script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.pictures.experiment import experiment_body
from airflow_provider_launchdarkly.pictures.lists import ladder, share_bar, when
from airflow_provider_launchdarkly.pictures.markup import element, join, link
from airflow_provider_launchdarkly.pictures.releases import release_line, release_table
from airflow_provider_launchdarkly.pictures.words import served, state_class, state_words
from airflow_provider_launchdarkly.pictures.z_chart import bar_in_words, ship_progress
from airflow_provider_launchdarkly.views.explanations import nearest
from airflow_provider_launchdarkly.views.model import State
from airflow_provider_launchdarkly.views.served_model import KnownBy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_launchdarkly.pictures.markup import Child, Markup
    from airflow_provider_launchdarkly.plugins.pages.gathering import Listed
    from airflow_provider_launchdarkly.views.model import Comparison, ExperimentDetail, ExperimentSummary

HEADS = (
    "Experiment",
    "Stage",
    "Who gets what",
    "z against the boundary",
    "State",
    "What comes next, and when",
    "Go to",
)

_WIDTH, _HEIGHT = 96, 10


def list_page(listed: Listed) -> str:
    """Return the page of all experiments."""
    return _document(
        "Experiments",
        element("h1", "Experiments"),
        element("p", "What Airflow runs in LaunchDarkly.", class_="ld-soft"),
        _filters(listed.experiments),
        _list(listed),
        element("p", "", id="ld-status", class_="ld-soft", role="status"),
    )


def list_body(listed: Listed) -> Markup:
    """Return what of the list changes: the counts and the rows."""
    return _list(listed)


def experiments_page(details: Sequence[ExperimentDetail], dag_id: str) -> str:
    """Return the page of one experiment, or of all those in one run, each with its heading."""
    if not details:
        what = f"No experiment has run in {dag_id} yet. It appears here once a task has started or watched one."
        return _document("Experiment", element("h1", "Experiment"), element("p", what, id="ld-empty"))
    title = details[0].summary.name if len(details) == 1 else "Experiments"
    bodies = (
        element(
            "section",
            experiment_body(detail),
            data_experiment=detail.summary.key,
            data_state=detail.summary.state.value,
            data_stage=str(detail.summary.stage or ""),
            data_look=str(detail.summary.look.number if detail.summary.look else ""),
        )
        for detail in details
    )
    return _document(title, link("experiments", "All experiments"), *bodies)


def refused_page(status: int) -> str:
    """Return the page for a viewer to whom Airflow refuses what the page needs."""
    words = (
        "You may not read this in Airflow."
        if status in {401, 403}
        else "Airflow has no such run, or cannot answer now."
    )
    return _document("Experiments", element("p", words, id="ld-refused"))


def _document(title: str, *body: Child) -> str:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="stylesheet", href="static/page.css"),
        element("script", src="static/page.js", defer=True),
    )
    main = element("main", *body, class_="ld ld-page")
    return f"<!doctype html>\n{element('html', head, element('body', main), lang='en')}\n"


def _filters(experiments: Iterable[ExperimentSummary]) -> Markup:
    known = list(experiments)
    values = {
        "state": [state.value for state in State if any(found.state is state for found in known)],
        "owner": sorted({owner for found in known for owner in found.owner}),
        "tag": sorted({tag for found in known for tag in found.tags}),
    }
    chosen = (
        element(
            "label",
            f"{name} ",
            element(
                "select",
                element("option", "all", value=""),
                *(
                    element("option", state_words(State(value)) if name == "state" else value, value=value)
                    for value in found
                ),
                id=f"ld-filter-{name}",
                data_filter=name,
            ),
        )
        for name, found in values.items()
    )
    return element("div", *chosen, class_="ld-filters", role="search", aria_label="filter the experiments")


def _option(name: str, value: str) -> str:
    return state_words(State(value)) if name == "state" else value


def _list(listed: Listed) -> Markup:
    found = sorted(listed.experiments, key=lambda each: (not each.state.needs_people, each.state.finished))
    head = element("tr", *(element("th", text, scope="col") for text in HEADS))
    rows = [_row(each) for each in found]
    if not rows:
        empty = "No experiment yet. It appears here once a task has started or watched one."
        rows = [element("tr", element("td", empty, colspan=str(len(HEADS))), id="ld-empty")]
    whole = element(
        "table",
        element("caption", "Experiments that Airflow runs", class_="ld-hidden"),
        element("thead", head),
        element("tbody", *rows),
        id="ld-experiments",
    )
    scrolls = element("div", whole, class_="ld-wide", tabindex="0", role="region", aria_label="experiments")
    releases = release_table(listed.releases) if listed.releases else None
    return element("div", _counts(listed), scrolls, releases, id="ld-list", data_pending=str(listed.pending))


def _counts(listed: Listed) -> Markup:
    states = [found.state for found in listed.experiments]
    counted = (
        (sum(not state.finished and not state.needs_people for state in states), "running", "wait"),
        (states.count(State.NEEDS_YOU), "need you", "warn"),
        (states.count(State.OVERDUE), "overdue", "bad"),
        (states.count(State.UNWATCHED), "unwatched", "bad"),
        (states.count(State.SHIPPED), "shipped", "good"),
        (states.count(State.ROLLED_BACK), "rolled back", "bad"),
        (states.count(State.REGRESSED), "regressed", "bad"),
    )
    parts: list[Child] = [
        element("span", element("strong", str(count)), f" {name}", class_=f"ld-{kind}", data_count=name)
        for count, name, kind in counted
        if count
    ]
    if listed.pending:
        parts.append(element("span", f"{listed.pending} more are being read", class_="ld-soft"))
    return element("p", *parts, class_="ld-counts")


def _row(found: ExperimentSummary) -> Markup:
    about = " · ".join(
        part
        for part in (f"flag {found.flag}" if found.flag else "", ", ".join(found.owner), ", ".join(found.tags))
        if part
    )
    primary = found.look.primary if found.look else None
    compared = nearest(primary) if primary else None
    asked = found.question or (found.handed_over if found.state is State.NEEDS_YOU else None)
    upcoming = found.next_look or found.next_step or (asked.until if asked else None)
    people = ", ".join(asked.people) if asked else ""
    drift = element("span", f" drift: {'; '.join(found.drift)}", class_="ld-warn") if found.drift else None
    harmed = found.harm.harmed if found.harm else ()
    goes = [
        link(address, text)
        for address, text in (
            (found.links.run, "run"),
            (found.links.task, "task"),
            (found.links.launchdarkly, "LaunchDarkly"),
        )
        if address
    ]
    cells: tuple[Child, ...] = (
        join([ladder(found.stages, short=True)]) if found.stages else "-",
        join([share_bar(found.shares), element("div", _gets(found), class_="ld-soft")]),
        join([_bar(compared), element("div", bar_in_words(compared), class_="ld-soft")]),
        join(
            [
                element("span", state_words(found.state), class_=f"ld-chip ld-{state_class(found.state)}"),
                element("div", f"harmed: {', '.join(harmed)}", class_="ld-bad") if harmed else None,
                drift,
                release_line(found.release) if found.release else None,
            ]
        ),
        join(
            [
                found.headline,
                element("div", when(upcoming)) if upcoming else None,
                element("div", f"asked: {people}", class_="ld-soft") if people else None,
                element("div", found.unwatched.serves, class_="ld-bad") if found.unwatched else None,
            ]
        ),
        join(element("div", each) for each in goes),
    )
    name = join([link(found.links.experiment, found.name or found.key), element("div", about, class_="ld-soft")])
    return element(
        "tr",
        element("th", name, scope="row"),
        *(element("td", cell) for cell in cells),
        data_experiment=found.key,
        data_dag=found.dag_id,
        data_run=found.run_id,
        data_state=found.state.value,
        data_stage=str(found.stage or ""),
        data_owner="\n".join(found.owner),
        data_tag="\n".join(found.tags),
        data_look=str(found.look.number if found.look else ""),
    )


def _gets(found: ExperimentSummary) -> str:
    words = served(found.shares) or "not known"
    by_allocation = found.served is not None and found.served.by is KnownBy.ALLOCATION
    return f"{words}, while the flag is on" if by_allocation and found.shares else words


def _bar(compared: Comparison | None) -> Markup | None:
    """Return how much of the way to the boundary z has come, as a bar; none where there is no boundary."""
    if compared is None or compared.z is None or compared.boundary is None:
        return None
    width = min(max(ship_progress(compared), 0.0), 1.0) * _WIDTH
    return element(
        "svg",
        element("rect", x="0", y="0", width=_WIDTH, height=_HEIGHT, class_="ld-track"),
        element("rect", x="0", y="0", width=width, height=_HEIGHT, class_="ld-fill"),
        class_=f"ld-small {'ld-good' if compared.better else 'ld-wait'}",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        role="img",
        aria_label=bar_in_words(compared),
    )
