"""One experiment, on its page and in a terminal: the three questions are answered, and nothing that it holds runs."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest

from airflow_provider_launchdarkly.pictures.experiment import experiment_body
from airflow_provider_launchdarkly.pictures.report import document, report_page
from airflow_provider_launchdarkly.pictures.terminal import experiment_text
from airflow_provider_launchdarkly.pictures.words import STATES
from airflow_provider_launchdarkly.views.model import ExperimentDetail, HarmWatch, Record, Share, State
from support.looks import EVIL, GUARDRAIL, PRIMARY, QUESTION, START, UNWATCHED, detail, look


def words_of(found: ExperimentDetail, medium: str) -> str:
    """What a reader sees, in one line."""
    if medium == "terminal":
        return " ".join(experiment_text(found).split())
    return " ".join("".join(ET.fromstring(experiment_body(found)).itertext()).split())


MEDIA = pytest.mark.parametrize("medium", ["page", "terminal"])


@MEDIA
def test_what_people_get_what_is_next_and_why_not_yet(medium: str) -> None:
    words = words_of(detail(), medium)
    assert "75 % Classic, 25 % Bold" in words
    assert re.search(r"Next look[^:]*: Thu 26 Nov 2026 09:00 UTC", words)
    assert "Bold is 8.0 % better than the baseline, and that is not beyond chance yet." in words
    for told in ("Ships from day 7 on.", "A treatment ships if it is better", "approved, by admin", "no earlier look"):
        assert told in words


@MEDIA
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"state": State.NEEDS_YOU, "question": QUESTION},
            ("needs you", "Ship Bold?", "by ada until Thu 19 Nov 2026 09:00 UTC", "No answer counts as Reject."),
        ),
        (
            {"state": State.UNWATCHED, "unwatched": UNWATCHED},
            (
                "Nobody watches this experiment.",
                "The access token is refused.",
                "25 % go on getting Bold.",
                "Clear the",
            ),
        ),
        (
            {"state": State.AWAITING_WINDOW, "next_step": START + timedelta(days=13)},
            ("waiting for its change window", "The change window opens: Mon 30 Nov 2026 09:00 UTC"),
        ),
        (
            {"state": State.ROLLED_BACK, "harm": HarmWatch((GUARDRAIL,), None, (f"{GUARDRAIL}: Bold",), START)},
            ("rolled back", f"Harmed: {GUARDRAIL}: Bold"),
        ),
        (
            {"state": State.SHIPPED, "shares": (Share("Bold", 100.0),)},
            ("shipped", "everyone gets Bold"),
        ),
        ({"drift": ("hypothesis differs",)}, ("hypothesis differs",)),
    ],
    ids=["asked", "unwatched", "window", "harmed", "shipped", "drift"],
)
def test_each_situation_is_told(medium: str, changes: dict[str, Any], told: tuple[str, ...]) -> None:
    words = words_of(detail(**changes), medium)
    for part in told:
        assert part.lower() in words.lower()


@MEDIA
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("looks", [0, 1, 3])
def test_every_state_can_be_shown_with_any_number_of_looks(medium: str, state: State, looks: int) -> None:
    assert STATES[state][0] in words_of(detail(looks, state=state), medium)


def test_the_page_is_well_formed_and_runs_nothing_whatever_people_wrote() -> None:
    evil = detail(key=EVIL, project=EVIL, flag=EVIL, owner=(EVIL,), question=replace(QUESTION, subject=EVIL))
    evil = replace(
        evil, why=EVIL, hypothesis=EVIL, to_come=(EVIL,), policy=(EVIL,), cautions=(EVIL,),
        looks=(look(1, EVIL), look(2, EVIL)), record=Record(1, EVIL, EVIL, trouble=EVIL),
        timeline=tuple(replace(entry, what=EVIL, who=EVIL) for entry in evil.timeline),
        summary=replace(evil.summary, links=replace(evil.summary.links, launchdarkly="javascript:alert(1)", run=EVIL)),
    )  # fmt: skip
    body = experiment_body(evil)
    tree = ET.fromstring(body)
    assert not {"img", "script", "iframe", "object"} & {element.tag for element in tree.iter()}
    assert not [name for element in tree.iter() for name in element.attrib if name.startswith("on") or name == "style"]
    assert "javascript:" not in body
    assert "\x1b" not in experiment_text(evil)
    assert "\x1b" not in experiment_text(evil, chip=EVIL)


def test_ids_on_a_page_are_unique_also_with_the_looks_of_earlier_stages() -> None:
    looks = tuple(
        replace(look(number), stage=stage, iteration_id=f"it-{stage}") for stage in (1, 2, 3) for number in (1, 2)
    )
    tree = ET.fromstring(experiment_body(replace(detail(), looks=looks)))
    ids = Counter(element.get("id") for element in tree.iter() if element.get("id"))
    assert ids
    assert set(ids.values()) == {1}
    assert len(tree.findall("details")) == 2


def test_a_crowd_of_treatments_and_guardrails_is_drawn_without_a_chart_for_each() -> None:
    crowd = look(5, *(f"T{number}" for number in range(12)))
    guardrails = tuple(replace(crowd.metrics[1], metric=f"guardrail-{number}") for number in range(9))
    tree = ET.fromstring(
        experiment_body(replace(detail(), looks=(replace(crowd, metrics=(crowd.metrics[0], *guardrails)),)))
    )
    titles = ["".join(caption.itertext()) for caption in tree.iter("figcaption")]
    assert len([title for title in titles if title.startswith("Lift of")]) == 3 + 4
    assert "guardrail-8" in "".join(tree.itertext())


def test_the_record_says_whether_it_is_whole() -> None:
    for record, told in (
        (Record(8, "af1b", whole=True), "whole"),
        (Record(8, "af1b"), "not checked here"),
        (Record(8, "af1b", trouble="line 3 was changed"), "line 3 was changed"),
    ):
        for medium in ("page", "terminal"):
            assert told in words_of(replace(detail(), record=record), medium).lower()


def test_a_terminal_gets_colour_only_where_it_is_wanted_and_the_zone_that_is_asked_for() -> None:
    zone = timezone(timedelta(hours=1), "CET")
    plain = experiment_text(detail(), zone=zone, now=START + timedelta(days=8, hours=10))
    assert "\x1b" not in plain
    assert "Next look: Thu 26 Nov 2026 10:00 CET (in 14 h)" in plain
    coloured = experiment_text(detail(), colour=True)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == experiment_text(detail())
    assert coloured != experiment_text(detail())


def test_a_terminal_shows_the_effects_on_one_scale_a_metric() -> None:
    lines = experiment_text(detail()).splitlines()
    at = lines.index(f"{PRIMARY} (primary), higher is better")
    assert lines[at + 1].split() == ["worse", "better"]
    assert re.search(
        r"Bold  ·*\[=+.*●.*\]·*  \+8\.0 % \(-13\.2 % to \+29\.2 %\), leans better, not beyond", lines[at + 2]
    )
    assert f"{GUARDRAIL} (guardrail, may lose 5 %), lower is better" in lines


def test_a_report_loads_nothing_and_says_what_came_of_the_replay() -> None:
    page = report_page(
        detail(), chip="verdict: ship", answer="Every verdict follows again.", agrees=True,
        entries=[("1", "now", "1", "wait", EVIL, "")], about=("Made for a test.",),
    )  # fmt: skip
    assert page.startswith("<!doctype html>\n<html lang=")
    assert "Every verdict follows again." in page
    assert "verdict: ship" in page
    assert "<img" not in page
    assert not re.search(r"<[^>]* src=|<link|url\(", page.partition("</style>")[2])
    assert "<script" not in page


def test_a_document_is_one_main_part_with_its_title() -> None:
    assert "<title>A &lt; B</title>" in document("A < B")
