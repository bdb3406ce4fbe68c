"""Where Airflow's own UI shows the pages: its navigation, its tabs, and the card of a question."""

from __future__ import annotations

import re
import time
from urllib.parse import quote, urlsplit

import pytest

from airflow_provider_launchdarkly.views.notes import key_of
from browser.chrome import SIZE, Chrome, Visitor
from browser.dags.situations import ATTACK
from browser.situations import Driven
from browser.test_pages import frame_of, ours, words
from stack.airflow_stack import PASSWORD, PATIENCE, USER

RAMP = "staged_ramp"
APPROVAL = "rollout.before_ship.approve"


def of_run(driven: dict[str, Driven], dag_id: str) -> str:
    return f"/dags/{dag_id}/runs/{quote(driven[dag_id].run.run_id, safe='')}"


def test_the_navigation_leads_to_the_list_and_on_to_one_experiment(admin: Visitor, driven: dict[str, Driven]) -> None:
    admin.page.goto("/")
    admin.page.get_by_role("link", name="Experiments", exact=True).click()
    frame_of(admin)
    # Airflow adds what its frame shows to its own address, where one can come back to.
    assert urlsplit(admin.page.url).path.startswith("/plugin/launchdarkly-nav")
    shown = ours(admin, admin.page.url)
    shown.locator(f"tr[data-dag='{RAMP}'] th a").click()
    one = shown.locator("section[data-experiment]")
    one.wait_for()
    assert one.get_attribute("data-state") == "waiting"
    assert "75 % Classic, 25 % Bold" in words(one)
    assert admin.complaints == []


@pytest.mark.parametrize("place", ["dag", "run", "task"])
def test_the_tab_shows_the_experiment(admin: Visitor, driven: dict[str, Driven], place: str) -> None:
    run = of_run(driven, RAMP)
    admin.page.goto({"dag": f"/dags/{RAMP}", "run": run, "task": f"{run}/tasks/rollout.stage_2.watch"}[place])
    admin.page.get_by_role("link", name="Experiment", exact=True).click()
    one = frame_of(admin).locator("section[data-experiment]")
    assert (one.get_attribute("data-state"), one.get_attribute("data-stage")) == ("waiting", "2")
    assert "75 % Classic, 25 % Bold" in words(one)
    # From the frame, a link to Airflow leads Airflow's own window there.
    one.get_by_role("link", name="DAG run").click()
    admin.page.wait_for_url(lambda address: urlsplit(address).path.rstrip("/") == urlsplit(run).path.rstrip("/"))
    assert admin.complaints == []


def test_the_card_of_an_approval_is_readable_and_leads_to_the_page(admin: Visitor, driven: dict[str, Driven]) -> None:
    admin.page.goto(f"{of_run(driven, 'awaiting_approval')}/tasks/{APPROVAL}/required_actions")
    picture = admin.page.locator("code").filter(has_text="worse")
    picture.wait_for()
    lines = picture.inner_text().rstrip("\n").split("\n")
    # One scale a metric: worse on the left, better on the right, and the treatment's interval below.
    scales = [number for number, line in enumerate(lines) if line.split() == ["worse", "better"]]
    assert [lines[number - 1].split(" (")[0] for number in scales] == ["checkout-conversion", "page-load-ms"]
    assert all(lines[number + 1].split()[0] == "Bold" and "●" in lines[number + 1] for number in scales)
    # Each line of the text is a line on the screen, as high as its letters at least.
    height, letters = picture.evaluate(
        "part => [part.getBoundingClientRect().height, parseFloat(getComputedStyle(part).fontSize)]"
    )
    assert height >= len(lines) * letters
    card = words(admin.page.locator("body"))
    for told in ("Who gets what now: Bold 50 %, Classic 50 %", "Approve: everyone gets Bold", "No answer by "):
        assert told in card
    admin.draw("approval-card")
    link = admin.page.get_by_role("link", name="See every look").get_attribute("href")
    one = ours(admin, str(link)).locator("section[data-experiment]")
    assert one.get_attribute("data-state") == "needs_you"
    assert admin.complaints == []


def test_a_name_that_attacks_is_shown_as_text_everywhere(admin: Visitor, driven: dict[str, Driven]) -> None:
    run = of_run(driven, "attacking")
    for address, part in (
        ("/plugin/launchdarkly-nav", "tr[data-dag='attacking']"),
        ("/dags/attacking/plugin/launchdarkly-dag", "section"),
        (f"{run}/plugin/launchdarkly-dag-run", "section"),
        (f"{run}/tasks/rollout.watch/plugin/launchdarkly-task-instance", "section"),
    ):
        shown = ours(admin, address)
        shown.locator(part).first.wait_for()
        assert ATTACK in words(shown.locator(part).first), address
        assert shown.locator("img").count() == 0
        assert {window.evaluate("window.attacked") for window in admin.page.frames} == {None}
    assert admin.complaints == []


def test_all_of_it_works_below_a_path(chrome: Chrome, below_a_path: str, driven: dict[str, Driven]) -> None:
    session = chrome.log_in(below_a_path, USER, PASSWORD)
    with chrome.visitor(below_a_path, session=session) as visitor:
        shown = ours(visitor, f"{below_a_path}/plugin/launchdarkly-nav")
        assert urlsplit(shown.url).path == "/airflow/launchdarkly/experiments"
        shown.locator(f"tr[data-dag='{RAMP}'] th a").click()
        one = shown.locator("section[data-experiment]")
        assert "75 % Classic, 25 % Bold" in words(one)
        one.get_by_role("link", name="DAG run").click()
        visitor.page.wait_for_url(lambda address: urlsplit(address).path.startswith(f"/airflow/dags/{RAMP}/runs/"))
        visitor.page.get_by_role("link", name="Experiment", exact=True).click()
        assert frame_of(visitor).locator("section[data-stage='2']").count() == 1
        assert visitor.complaints == []


def test_the_graph_of_a_running_ramp_fits_one_screen_and_can_be_read(admin: Visitor, driven: dict[str, Driven]) -> None:
    page = admin.page
    page.goto(of_run(driven, RAMP))
    page.get_by_role("button", name="Show Graph").click()
    page.get_by_role("button", name="Collapse Details Panel").click()
    nodes = page.locator(".react-flow__node")
    # It opens closed; the rollout is opened, and not yet its stages.
    nodes.get_by_text(re.compile(r"^\+ \d+ Tasks$")).click()
    names = ("canary", "quarter", "half", "before shipping", "verdict", "ship", "rollback", "unwatched")
    for name in names:
        nodes.filter(has=page.get_by_text(name, exact=True)).first.wait_for()
    page.locator(".react-flow__controls-fitview").click()
    page.wait_for_timeout(1000)  # it moves there
    for node in nodes.all():
        box = node.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= SIZE["width"]
        assert box["y"] + box["height"] <= SIZE["height"]
    heights = [nodes.get_by_text(name, exact=True).first.bounding_box()["height"] for name in names]
    assert min(heights) >= 10, "pixels of a line of letters"
    admin.draw("rollout-graph")
    assert admin.complaints == []


def test_a_wait_that_is_cleared_keeps_its_looks(driven: dict[str, Driven]) -> None:
    run, task = driven["attacking"].run, "rollout.watch"

    def looks() -> list[int]:
        note = run.stack.xcom(run.dag_id, run.run_id, task, key_of("demo", "production", "attacking"))
        return [look["look"] for look in note["looks"]]

    before = looks()
    assert len(before) >= 2, "the newest alone is taken anew"
    run.clear(task)
    deadline = time.monotonic() + PATIENCE
    while (again := run.stack.task(run.dag_id, run.run_id, task))["state"] != "deferred" or again["try_number"] < 2:
        assert time.monotonic() < deadline, again["state"]
        time.sleep(0.5)
    assert looks()[: len(before)] == before
