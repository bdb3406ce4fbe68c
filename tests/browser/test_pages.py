"""The pages in Airflow's UI, with a rollout in each situation in which people look at them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from browser.chrome import Chrome, Visitor
from browser.one_dag_reader import READABLE
from browser.situations import SITUATIONS, Driven
from browser.walks import focusable, severe_findings, stops_of_tab
from stack.airflow_stack import USER, AirflowStack

DAGS = [situation.dag_id for situation in SITUATIONS]


def ours(visitor: Visitor, address: str) -> Any:
    """Open one of Airflow's addresses, and return the frame in it that shows our page."""
    visitor.page.goto(address)
    return frame_of(visitor)


def frame_of(visitor: Visitor) -> Any:
    shown = visitor.page.wait_for_selector("iframe[src*='/launchdarkly/']").content_frame()
    shown.wait_for_selector("main")
    shown.wait_for_load_state()
    return shown


def words(part: Any) -> str:
    """The text of a part of a page, in one line."""
    return re.sub(r"\s+", " ", str(part.inner_text()))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_list_keeps_nobody_from_reading_it(
    chrome: Chrome, stack: AirflowStack, sessions: dict[str, Any], driven: dict[str, Driven], scheme: str
) -> None:
    with chrome.visitor(stack.url, session=sessions[USER], color_scheme=scheme) as visitor:
        shown = ours(visitor, "/plugin/launchdarkly-nav")
        shown.locator("tr[data-experiment]").nth(len(DAGS) - 1).wait_for()
        visitor.shoot(f"experiments-{scheme}")
        shown.locator("#ld-filter-tag").select_option("launchdarkly")
        attack = shown.locator("tr[data-dag='attacking']")
        assert attack.is_hidden()
        if scheme == "light":
            visitor.draw("experiments")
        shown.locator("#ld-filter-tag").select_option("")
        assert attack.is_visible()
        assert severe_findings(shown) == []
        assert stops_of_tab(visitor.page, shown) == focusable(shown)
        assert visitor.complaints == []


# What people get now; what happens next and when; why it has not moved.
ANSWERS: dict[str, tuple[str, ...]] = {
    "staged_ramp": (
        "75 % Classic, 25 % Bold",
        r"Next look \(3 of 4\): \w{3},? \d+ \w{3}.*\(in ",
        r"Bold is [\d.]+ % better than the baseline on checkout-conversion",
    ),
    "harmed": ("rolled back", "everyone is back on Classic", "harmed checkout-conversion"),
    "awaiting_approval": (
        "50 % Classic, 50 % Bold", "Asked: Ship the winner of awaiting-approval to everyone", "No answer counts as",
    ),
    "awaiting_window": (
        "90 % Classic, 10 % Bold", "The change window opens; then", "09:00-16:00 on mon, tue, Europe/Berlin",
    ),
    "results_gone": ("50 % Classic, 50 % Bold", "What to do: ", "Nobody watches this experiment"),
    "shipped": ("shipped", "everyone gets Bold", "stopped: everyone gets Bold"),
}  # fmt: skip


@pytest.mark.parametrize("dag_id", ANSWERS)
def test_the_three_questions_are_answered(admin: Visitor, driven: dict[str, Driven], dag_id: str) -> None:
    run_id = quote(driven[dag_id].run.run_id)
    admin.page.goto(f"/launchdarkly/experiment?dag_id={dag_id}&run_id={run_id}")
    shown = words(admin.page.locator("main"))
    admin.shoot(f"answers-{dag_id}", whole=True)
    if dag_id == "awaiting_approval":
        admin.draw("experiment")
    assert [answer for answer in ANSWERS[dag_id] if not re.search(answer, shown, re.IGNORECASE)] == [], shown
    assert severe_findings(admin.page) == []
    assert admin.complaints == []


def test_strangers_get_nothing(stranger: Visitor, stack: AirflowStack, driven: dict[str, Driven]) -> None:
    for path in (
        "experiments",
        "experiments/rows",
        f"experiment?dag_id={READABLE}",
        "static/page.js",
        "docs",
        "openapi.json",
    ):
        answer = stranger.page.request.get(f"/launchdarkly/{path}")
        assert answer.status in {401, 404}, path
        assert "heckout" not in answer.text()
        assert "Bold" not in answer.text()
    stranger.page.goto("/plugin/launchdarkly-nav")
    stranger.page.get_by_label("Username").wait_for()


def test_a_reader_of_one_dag_sees_that_dag_alone(reader: Visitor, driven: dict[str, Driven]) -> None:
    shown = ours(reader, "/plugin/launchdarkly-nav")
    rows = shown.locator("tr[data-experiment]")
    rows.first.wait_for()
    assert [row.get_attribute("data-dag") for row in rows.all()] == [READABLE]
    assert "Bold button" not in words(shown.locator("main"))
    answers = {dag: reader.page.request.get(f"/launchdarkly/experiment?dag_id={dag}") for dag in DAGS}
    assert [dag for dag, answer in answers.items() if answer.status == 200] == [READABLE]
    assert all("Bold" not in answer.text() for dag, answer in answers.items() if dag != READABLE)
