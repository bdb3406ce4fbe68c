"""The page of one experiment: what people get, why it stands there, what comes next, and every number behind it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.pictures.lift_chart import effects_figure, lift_figure
from airflow_provider_launchdarkly.pictures.lists import ladder, share_bar, timeline, when
from airflow_provider_launchdarkly.pictures.markup import element, join, link, table
from airflow_provider_launchdarkly.pictures.releases import release_line, release_step
from airflow_provider_launchdarkly.pictures.units_chart import units_figure
from airflow_provider_launchdarkly.pictures.words import (
    capital,
    known_from,
    served,
    state_class,
    state_words,
    title_of_shares,
)
from airflow_provider_launchdarkly.pictures.z_chart import harm_progress, ship_progress, z_figure
from airflow_provider_launchdarkly.views.coverage import newest_of, rows_of
from airflow_provider_launchdarkly.views.model import State
from airflow_provider_launchdarkly.views.words import next_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_launchdarkly.pictures.markup import Child, Markup
    from airflow_provider_launchdarkly.views.coverage import Coverage
    from airflow_provider_launchdarkly.views.handed_over import HandedOver
    from airflow_provider_launchdarkly.views.model import (
        Comparison,
        ExperimentDetail,
        ExperimentSummary,
        HarmWatch,
        Look,
        MetricAtLook,
        PlannedLook,
        Record,
    )

# Further treatments, and metrics, are in the picture of all of them and in the tables.
MOST_LIFTS = 3
MOST_GUARDRAILS = 4

NO_DRIFT = (
    "Nothing is known to. The wait checks at each poll that the iteration is the one that Airflow started, and at each "
    "planned look its allocation and its flag; airflow-launchdarkly plan compares everything else."
)


def experiment_body(detail: ExperimentDetail, *, chip: str | None = None, heading: bool = True) -> Markup:
    """Return the page of one experiment, for the body of a document with :data:`~.theme.STYLE`.

    It has no script and loads nothing. Instants are ``time`` elements with their zone, so that a page's script can
    show them in the viewer's own.

    Args:
        detail: The experiment.
        chip: Words for where it stands, if its state is not known to the model: of a decision record, the verdict.
        heading: Whether it begins with the experiment's name.
    """
    summary = detail.summary
    return element(
        "article",
        _head(detail, chip) if heading else None,
        ladder(summary.stages) if summary.stages else None,
        _banner(detail),
        element("div", element("div", *_pictures(detail)), element("div", *_facts(detail)), class_="ld-grid"),
        *_earlier(detail),
        class_="ld",
    )


def treatments_of(looks: Sequence[Look]) -> tuple[str, ...]:
    """Return the names of all treatments but the baseline, in the order that gives them their colours."""
    return tuple(
        dict.fromkeys(
            compared.treatment for look in looks for metric in look.metrics for compared in metric.comparisons
        )
    )


def _head(detail: ExperimentDetail, chip: str | None) -> Markup:
    summary = detail.summary
    place = f"{summary.project} / {summary.environment}"
    state = element("span", chip or state_words(summary.state), class_=f"ld-chip ld-{state_class(summary.state)}")
    about = [
        place,
        f"flag {summary.flag}" if summary.flag else "",
        f"owner {', '.join(summary.owner)}" if summary.owner else "",
    ]
    links = [
        link(address, text)
        for address, text in (
            (summary.links.launchdarkly, "LaunchDarkly"),
            (summary.links.run, "DAG run"),
            (summary.links.task, "the task that acts"),
        )
        if address
    ]
    return element(
        "header",
        element("h1", summary.name or summary.key, " ", state),
        element(
            "p", " · ".join(part for part in about if part), *(join([" · ", each]) for each in links), class_="ld-soft"
        ),
        element("p", detail.hypothesis) if detail.hypothesis else None,
    )


def _banner(detail: ExperimentDetail) -> Markup:
    summary = detail.summary
    sentences: list[Child] = [element("p", element("strong", detail.why or summary.headline))]
    if summary.unwatched is not None:
        lost = summary.unwatched
        sentences = [
            element("p", element("strong", lost.what), f" {lost.why}"),
            element("p", lost.serves),
            element("p", element("strong", "What to do: "), lost.cure),
        ]
    elif summary.question is not None:
        asked = summary.question
        sentences.append(element("p", "Asked: ", element("strong", asked.subject)))
        until = join([" until ", when(asked.until)]) if asked.until else None
        people = f" by {', '.join(asked.people)}" if asked.people else " by anyone who may in Airflow"
        silent = f" No answer counts as {asked.otherwise}." if asked.otherwise else ""
        sentences.append(element("p", f"To be answered{people}", until, ".", silent))
    elif summary.handed_over is not None:
        sentences.extend(_handed_over(summary.handed_over))
    if summary.next_look is not None:
        number = _next_number(summary)
        sentences.append(element("p", f"Next look{number}: ", when(summary.next_look), "."))
    if summary.next_step is not None:
        sentences.append(element("p", f"{capital(next_step(summary))}: ", when(summary.next_step), "."))
    if summary.since is not None and not _waits(summary.state):
        words = capital(state_words(summary.state)) if summary.state.finished else "Since"
        sentences.append(element("p", f"{words}: ", when(summary.since), "."))
    kind = state_class(summary.state)
    return element("section", *sentences, class_=f"ld-banner ld-is-{kind}", aria_label="where it stands")


def _handed_over(change: HandedOver) -> Iterator[Markup]:
    yield element("p", "To do in LaunchDarkly: ", element("strong", change.whole), ".")
    until = join([" It is waited for until ", when(change.until), "."]) if change.until else None
    yield element("p", change.reviewers.strip(), until)


def _next_number(summary: ExperimentSummary) -> str:
    if summary.look is None or not summary.looks or summary.look.number >= summary.looks:
        return ""
    return f" ({summary.look.number + 1} of {summary.looks})"


def _pictures(detail: ExperimentDetail) -> Iterator[Markup]:
    """Yield the charts of the current iteration."""
    yield element("h2", "What was measured")
    looks = _of_newest_iteration(detail.looks)
    names = treatments_of(detail.looks)
    yield from _charts(looks, names, detail.planned, waiting=_waits(detail.summary.state))


def _charts(
    looks: Sequence[Look],
    names: tuple[str, ...],
    planned: Sequence[PlannedLook],
    *,
    waiting: bool = False,
    where: str = "",
) -> Iterator[Markup]:
    newest = next((look for look in reversed(looks) if look.metrics), None)
    if newest is None:
        yield element("p", "No look has been taken yet.", class_="ld-card")
        return
    end = planned[-1].elapsed_days if planned else 0.0
    regular = [look for look in looks if not look.only_harm] or list(looks)
    for metric in _by_role(regular, "primary"):
        for name in _nearest(metric, ship_progress):
            yield lift_figure(regular, metric.metric, name, series=names.index(name), end=end, where=where)
        yield z_figure(regular, metric.metric, names, planned=planned, waiting=waiting, where=where)
    yield effects_figure(newest, series=names, where=where)
    guarded = _by_role(looks, "guardrail")
    for metric in guarded[:MOST_GUARDRAILS]:
        for name in _nearest(metric, harm_progress)[:1]:
            yield lift_figure(looks, metric.metric, name, series=names.index(name), end=end, where=where)
    if len(guarded) > MOST_GUARDRAILS:
        left = ", ".join(metric.metric for metric in guarded[MOST_GUARDRAILS:])
        yield element("p", f"Further guardrails, drawn above at the newest look: {left}.", class_="ld-soft")


def _facts(detail: ExperimentDetail) -> Iterator[Markup]:
    """Yield what stands beside the charts."""
    summary = detail.summary
    if summary.shares:
        yield element("h2", title_of_shares(summary))
        yield _served(summary)
    if detail.looks:
        yield units_figure(detail.split)
    if coverage := newest_of(look.coverage for look in detail.looks):
        yield element("h2", "What the rows cover")
        yield element("div", _coverage(coverage), class_="ld-card")
    if summary.harm is not None:
        yield element("h2", "Harm watch")
        yield _harm(summary.harm)
    if summary.release is not None:
        yield element("h2", "Release of the winner" if summary.release.winner else "Release of the flag")
        yield element("div", release_line(summary.release), class_="ld-card")
    if detail.to_come:
        yield element("h2", "What would have to happen")
        yield _card(detail.to_come)
    released = summary.release is not None and summary.release.winner is not None
    if summary.drift or (summary.state is State.WAITING and not released):
        yield element("h2", "Differs from the rollout")
        yield _card(summary.drift or (NO_DRIFT,))
    if detail.timeline:
        yield element("h2", "What happened")
        yield element("div", timeline(detail.timeline), class_="ld-card")
    if detail.policy:
        yield element("h2", "How it is decided")
        yield _card(detail.policy)
    if detail.cautions:
        yield element("h2", "What limits these numbers")
        yield _card(detail.cautions)
    if detail.record is not None:
        yield element("h2", "Decision record")
        yield _record(detail.record)


def _served(summary: ExperimentSummary) -> Markup:
    words, known = served(summary.shares), summary.served
    way = release_step(summary.release) if summary.release and summary.release.winner else None
    read = None
    if known is not None and known.at is not None and not known.now:
        read = element("p", f"{known_from(known)}: ", when(known.at), ".", class_="ld-soft")
    return element("div", share_bar(summary.shares), element("p", f"{capital(words)}."), read, way, class_="ld-card")


def _coverage(coverage: Coverage) -> Markup:
    rows = [(what, known if isinstance(known, str) else when(known)) for what, known in rows_of(coverage)]
    return table(("of the newest look", "it knows"), rows, caption="What the rows of the newest look cover")


def _harm(harm: HarmWatch) -> Markup:
    if harm.harmed:
        words = element("p", element("strong", "Harmed: ", class_="ld-bad"), ", ".join(harm.harmed), ".")
    else:
        words = element("p", element("strong", "No harm found", class_="ld-good"), f" on {', '.join(harm.metrics)}.")
    often = "at each planned look" if harm.every_days is None else f"every {_often(harm.every_days)}"
    latest = join([", last ", when(harm.latest_at)]) if harm.latest_at else None
    return element("div", words, element("p", f"Judged {often}", latest, ".", class_="ld-soft"), class_="ld-card")


def _often(days: float) -> str:
    hours = days * 24
    return f"{days:.4g} days" if days >= 1 else f"{hours:.4g} hours" if hours >= 1 else f"{hours * 60:.4g} minutes"


def _record(record: Record) -> Markup:
    if record.trouble:
        words = element("p", element("strong", "Not whole: ", class_="ld-bad"), record.trouble)
    elif record.whole:
        known = (
            join([", each line checked as the newest was written, ", when(record.checked_at), "; not checked since."])
            if record.checked_at
            else ", each line checked now: none was changed."
        )
        words = element("p", element("strong", "Whole", class_="ld-good"), f": {record.entries} entries", known)
    else:
        words = element("p", f"{record.entries} entries; the chain was not checked here.")
    return element(
        "div",
        words,
        element("p", f"Head {record.head}", class_="ld-soft ld-break"),
        element("p", record.path, class_="ld-soft ld-break") if record.path else None,
        class_="ld-card",
    )


def _card(sentences: Sequence[str]) -> Markup:
    return element(
        "div", element("ul", *(element("li", text) for text in sentences), class_="ld-list"), class_="ld-card"
    )


def _earlier(detail: ExperimentDetail) -> Iterator[Markup]:
    """Yield the charts of the iterations before the current one, folded."""
    groups = _iterations(detail.looks)[:-1]
    names = treatments_of(detail.looks)
    for number, looks in enumerate(groups, start=1):
        stage = next((stage.name for stage in detail.summary.stages if stage.number == looks[0].stage), "")
        title = f"Stage {looks[0].stage}{f', {stage}' if stage else ''}: {len(looks)} looks"
        yield element(
            "details",
            element("summary", title),
            element("div", *_charts(looks, names, (), where=f", iteration {number}")),
            class_="ld-card",
        )


def _iterations(looks: Sequence[Look]) -> list[list[Look]]:
    return [list(group) for _, group in groupby(looks, key=lambda look: (look.stage, look.iteration_id))]


def _of_newest_iteration(looks: Sequence[Look]) -> list[Look]:
    groups = _iterations(looks)
    return groups[-1] if groups else []


def _waits(state: State) -> bool:
    return state in {State.STARTING, State.WAITING, State.NEEDS_YOU, State.AWAITING_WINDOW, State.WORKING}


def _by_role(looks: Sequence[Look], role: str) -> list[MetricAtLook]:
    """Return the metrics of a role, each as it is at the newest look that has it."""
    found = {metric.metric: metric for look in looks for metric in look.metrics if metric.role == role}
    return list(found.values())


def _nearest(metric: MetricAtLook, progress: Callable[[Comparison], float]) -> list[str]:
    """Return the treatments that are nearest to a decision on a metric."""
    found = sorted(metric.comparisons, key=progress, reverse=True)
    return [compared.treatment for compared in found[:MOST_LIFTS]]
