"""The decision card: every number that counts, in each markup, and nothing that a markup could stumble over."""

from __future__ import annotations

import html
import json
import re
import xml.etree.ElementTree as ET
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.decision.evidence import Evidence, Measurement, MetricEvidence, TreatmentEvidence
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.verdict import Reason, Verdict
from airflow_provider_launchdarkly.notifications.cards import CARDS, markdown_card
from support.evidence import evidence as measured
from support.evidence import shifted

KEYS = {
    "project_key": "demo",
    "environment_key": "production",
    "experiment_key": "button",
    "iteration_id": "it-1",
}
URL = "https://app.launchdarkly.com/projects/demo/experiments/button?env=production&selected-env=production"


def verdict(lift: float = 0.1, treatment: str = "Bold", load: float = 200.0) -> dict[str, Any]:
    """A verdict on day 28, as XCom carries it."""
    rates = {"a": 0.1, "b": 0.1 * (1 + lift)}
    evidence = Evidence(
        elapsed=timedelta(days=28),
        treatments=(
            TreatmentEvidence("a", "Classic", baseline=True, share=50, exposed=50_000),
            TreatmentEvidence("b", treatment, share=50, exposed=50_100),
        ),
        metrics=(
            MetricEvidence(
                "conversion",
                tuple(Measurement(arm, 50_000, rate, (rate * (1 - rate)) ** 0.5) for arm, rate in rates.items()),
                Direction.HIGHER,
            ),
            MetricEvidence(
                "page-load-ms",
                (Measurement("a", 50_000, 200.0, 50.0), Measurement("b", 50_000, load, 50.0)),
                Direction.LOWER,
            ),
        ),
        primary_metric="conversion",
    )
    policy = Policy.from_json({"guardrails": [{"metric": "page-load-ms", "margin": 0.02}]})
    verdict: dict[str, Any] = json.loads(json.dumps(decide(policy, evidence).to_json() | KEYS))
    return verdict


@pytest.mark.parametrize("markup", CARDS)
def test_a_card_says_what_is_shipped_why_and_by_which_numbers(markup: str) -> None:
    card = CARDS[markup](verdict(), url=URL)
    assert "Ship Bold" in card
    for part in (
        "button",
        "demo/production",
        "conversion",
        "page-load-ms (guardrail)",
        "+10.0 %",
        "50000",
        "iteration it-1",
    ):
        assert part in card
    assert "Classic 50000, Bold 50100" in card
    assert "app.launchdarkly.com/projects/demo/experiments/button" in card


@pytest.mark.parametrize("markup", CARDS)
def test_a_rollback_names_what_was_harmed(markup: str) -> None:
    card = CARDS[markup](verdict(load=230.0))
    assert "Roll back" in card
    assert "harmed: page-load-ms: Bold" in card


@pytest.mark.parametrize("markup", CARDS)
def test_a_verdict_without_numbers_has_a_card(markup: str) -> None:
    summary = "iteration it-1 is stopped, not by this task: invalid"
    invalid = Verdict.invalid(Reason.ITERATION_STOPPED, summary, timedelta(days=3))
    card = CARDS[markup]({**invalid.to_json(), **KEYS})
    assert "Invalid: a person has to look" in card
    assert summary.replace("_", r"\_") in card or summary in card


def test_names_cannot_break_out_of_their_markup() -> None:
    evil = verdict(treatment="<b>| *x* ```")
    assert "&lt;b&gt;" in CARDS["html"](evil)
    assert "<b>" not in CARDS["html"](evil)
    assert "&lt;b&gt;" in CARDS["slack"](evil)
    assert CARDS["slack"](evil).count("```") == 2
    assert r"\<b\>\| \*x\*" in CARDS["markdown"](evil)


def test_the_text_card_is_a_table_for_a_fixed_width_font() -> None:
    lines = CARDS["text"](verdict()).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("metric "))
    head, row = lines[at], lines[at + 1]
    assert row.index("Bold") == head.index("treatment")
    assert row.index("50000") == head.index("units")


@pytest.mark.parametrize("markup", ["text", "markdown", "slack"])
def test_each_metric_is_drawn_on_a_scale_of_its_own_with_better_on_the_right(markup: str) -> None:
    lines = html.unescape(CARDS[markup](verdict(load=196.0))).splitlines()
    at = lines.index("conversion (primary), higher is better")
    assert lines[at + 1].split() == ["worse", "better"]
    assert re.fullmatch(r"  Bold  ·*\|·*\[=+●=+\]·*  \+10\.0 % \(\+6\.3 % to \+13\.8 %\), better", lines[at + 2])
    at = lines.index("page-load-ms (guardrail, may lose 2 %), lower is better")
    # Two percent faster: to the right of no difference, though the number is smaller.
    assert re.fullmatch(r"  Bold  ·*!·*\|·*\[=+●=+\]·*  -2\.0 % \(.*\), no harm found", lines[at + 2])


def test_airflow_keeps_the_lines_of_the_picture_since_its_fence_has_a_language() -> None:
    card = CARDS["markdown"](verdict())
    assert card.count("```") == 2
    fence = card.partition("```text\n")[2].partition("\n```")[0]
    assert fence.count("●") == 2
    # Slack would show the language as text.
    assert "```text" not in CARDS["slack"](verdict())


def test_a_mail_draws_the_intervals_with_cells_since_its_readers_show_no_svg() -> None:
    card = CARDS["html"](verdict())
    tree = ET.fromstring(f"<body>{card}</body>")
    bars = [table for table in tree.iter("table") if "inline-table" in str(table.get("style"))]
    assert len(bars) == 2
    for bar in bars:
        assert sum(int(str(cell.get("width"))) for cell in bar.iter("td")) == 41 * 6
    assert "svg" not in card
    assert "(primary), higher is better" in "".join(tree.itertext())


@pytest.mark.parametrize("markup", CARDS)
def test_a_metric_without_data_is_named_and_not_drawn(markup: str) -> None:
    empty = verdict()
    for comparison in empty["metrics"][1]["comparisons"]:
        comparison.update(lift=None, lift_lower=None, lift_upper=None)
    card = CARDS[markup](empty)
    assert "no data yet" in card


@pytest.mark.parametrize("markup", CARDS)
def test_a_card_says_which_way_a_metric_is_better_and_why_it_was_decided(markup: str) -> None:
    card = CARDS[markup](verdict())
    assert "page-load-ms (guardrail), lower is better" in card
    assert "conversion, lower is better" not in card
    assert "reason: " in card
    assert "100000 units on the primary metric" in card


def test_a_question_stands_above_the_verdict_and_its_authors_notes_below() -> None:
    card = markdown_card(verdict(), url=URL, headline="Ship the #1 button?", notes="See [the plan](plan.md).")
    assert card.startswith("### Ship the \\#1 button?\n\nShip Bold · button · demo/production\n\n")
    assert card.index("iteration it-1") < card.index("See [the plan](plan.md).") < card.index("[Open in LaunchDarkly]")


def test_a_question_leads_to_the_page_that_shows_every_look() -> None:
    card = markdown_card(verdict(), url=URL, page="https://airflow.example.com/dags/x/runs/y+z/plugin/p")
    links = "[See every look](<https://airflow.example.com/dags/x/runs/y+z/plugin/p>) · [Open in LaunchDarkly]"
    assert links in card


@pytest.mark.parametrize("markup", CARDS)
def test_a_card_says_what_limits_the_verdict_and_which_metric_is_split_wrong(markup: str) -> None:
    shown = verdict()
    shown["cautions"] = ["only what has happened so far was judged"]
    assert "not as allocated" not in CARDS[markup](shown)
    shown["metrics"][0]["split"] = {"treatments": ["Classic", "Bold"], "units": [6000, 4000], "mismatch": True}
    card = CARDS[markup](shown)
    assert "caution: only what has happened so far was judged" in card
    assert "split of the units measured on conversion: Classic 6000, Bold 4000 (not as allocated)" in card


@pytest.mark.parametrize("markup", CARDS)
def test_a_card_says_how_likely_the_plans_end_is_to_bring_a_winner(markup: str) -> None:
    policy = Policy.from_json({"primary": {"minimum_detectable_effect": 0.01}})
    card = CARDS[markup](decide(policy, measured(14, shifted("clicks", 1.0))).to_json())
    words = "Bold on clicks by the plan's end: conditional power on this trend 27.6 %, at the planned effect 97.4 %"
    assert words in html.unescape(card)


@pytest.mark.parametrize("markup", CARDS)
def test_a_card_says_what_the_effect_is_worth_and_at_which_level(markup: str) -> None:
    card = html.unescape(CARDS[markup](decide(Policy(), measured(14, shifted("clicks", 3.2))).to_json()))
    assert "to +1.7 % at 90 %" in card
    assert "Bold on clicks: bias-adjusted +0.79 %, median-unbiased +0.78 % (+0.20 % to +1.4 % at 95 %)" in card
