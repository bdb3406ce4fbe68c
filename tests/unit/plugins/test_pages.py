"""The pages: who gets them, what stands on them, and that nothing on them runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.plugins.pages import app as pages
from airflow_provider_launchdarkly.plugins.pages.gathering import list_experiments
from airflow_provider_launchdarkly.views.airflow_run import Asked, Note
from airflow_provider_launchdarkly.views.model import Question
from airflow_provider_launchdarkly.views.notes import WINDOW
from support.audit_records import record
from support.pretended_airflow import COOKIE, PretendedAirflow
from support.shown import (
    DAG,
    DAY,
    RUN,
    START,
    WAITS,
    handed_over,
    keys,
    left_running,
    release_note,
    ships,
    started,
    stopped,
    task,
    watched,
)
from unit.plugins.conftest import Manager

EVIL = "<img src=x onerror=alert(1)>"


def attributes(page: str, tag: str = "tr") -> list[dict[str, str]]:
    """The attributes of each element of a kind that names an experiment. The page is well-formed XML."""
    tree = ElementTree.fromstring(page.removeprefix("<!doctype html>\n"))
    return [dict(element.attrib) for element in tree.iter(tag) if "data-experiment" in element.attrib]


def test_each_route_refuses_the_anonymous(airflow: PretendedAirflow) -> None:
    airflow.add(watched())
    paths = [route.path for route in pages.application.routes if isinstance(route, APIRoute)]
    assert len(paths) == len(pages.application.routes) == 4
    with TestClient(airflow.app) as nobody:
        for path in paths:
            answer = nobody.get(f"/launchdarkly{path.replace('{name}', 'page.js')}", params={"dag_id": DAG})
            assert answer.status_code == 401, path
            assert "checkout" not in answer.text
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert nobody.get(f"/launchdarkly{path}").status_code == 404
    assert not airflow.calls


def test_the_list_shows_stage_allocation_and_what_comes_next(airflow: PretendedAirflow, viewer: TestClient) -> None:
    airflow.add(started(1), started(2), watched())
    airflow.tasks[DAG, RUN] = [WAITS]
    answer = viewer.get("/launchdarkly/experiments")
    assert answer.status_code == 200
    (row,) = attributes(answer.text)
    assert (row["data-state"], row["data-stage"], row["data-look"]) == ("waiting", "2", "8")
    assert (row["data-owner"], row["data-tag"]) == ("growth", "web")
    for words in ("75 % Classic", "z 2.59 of 3.16", "waiting for look 9 of 28", "canary", "2026-03-11T09:00:00+00:00"):
        assert words in answer.text, words
    assert f'href="../dags/{DAG}/runs/{RUN}/tasks/rollout.stage_2.wait"' in answer.text


def test_one_experiment_has_its_looks_timeline_and_reasons(airflow: PretendedAirflow, viewer: TestClient) -> None:
    airflow.add(started(1), started(2), watched(7), watched(8))
    airflow.tasks[DAG, RUN] = [WAITS]
    answer = viewer.get("/launchdarkly/experiment", params={"dag_id": DAG, "run_id": RUN, "map_index": "{MAP_INDEX}"})
    assert answer.status_code == 200
    (section,) = attributes(answer.text, "section")
    assert (section["data-state"], section["data-stage"]) == ("waiting", "2")
    for words in ("z is 2.59, and 3.16 is needed", "started at 10 %", "checkout-conversion", "page-load-ms", "<svg"):
        assert words in answer.text, words


def test_a_finished_one_is_shown_with_its_verdict(airflow: PretendedAirflow, viewer: TestClient) -> None:
    airflow.add(started(1), watched(), stopped(), state="success")
    (row,) = attributes(viewer.get("/launchdarkly/experiments").text)
    assert row["data-state"] == "shipped"
    assert "everyone gets Bold" in viewer.get("/launchdarkly/experiment", params={"dag_id": DAG}).text


def test_a_question_names_whom_it_waits_for(airflow: PretendedAirflow, viewer: TestClient) -> None:
    airflow.add(watched())
    question = Question("Ship Bold?", START, None, ("ann",), ("Approve", "Reject"), "Reject")
    airflow.asked[DAG, RUN] = [Asked("rollout.approve", question)]
    answer = viewer.get("/launchdarkly/experiments")
    (row,) = attributes(answer.text)
    assert row["data-state"] == "needs_you"
    assert "asked: ann" in answer.text


def test_a_closed_window_says_when_it_opens(airflow: PretendedAirflow, viewer: TestClient) -> None:
    airflow.add(watched())
    waits = task("stage_3.window", "deferred", "LaunchDarklyRolloutWindowSensor")
    airflow.tasks[DAG, RUN] = [waits]
    for path in ("experiments", f"experiment?dag_id={DAG}"):
        assert "2026-03-16" not in viewer.get(f"/launchdarkly/{path}").text
    said = Note(waits.task_id, -1, {"opens_at": "2026-03-16T08:00:00+00:00"})
    airflow.notes[DAG, RUN].append((WINDOW, said))
    for path in ("experiments", f"experiment?dag_id={DAG}"):
        assert 'datetime="2026-03-16T08:00:00+00:00"' in viewer.get(f"/launchdarkly/{path}").text


def recorded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Note]:
    """A record of two looks in a folder, and a note that names it."""
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__RECORD_PATH", str(folder))
    about = keys()
    names = ("project_key", "environment_key", "experiment_key")
    file = folder.joinpath(*(about[name] for name in names), f"{about['iteration_id']}.jsonl")
    file.parent.mkdir(parents=True)
    entries = record()[:2]
    file.write_text(chain.write(entries), encoding="utf-8")
    note = watched(record={"path": str(file), "entries": 2, "head": entries[-1]["hash"]})
    return file, note


def test_a_record_in_the_configured_folder_is_checked(
    airflow: PretendedAirflow, viewer: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, note = recorded(tmp_path, monkeypatch)
    airflow.add(note)
    page = f"/launchdarkly/experiment?dag_id={DAG}"
    assert "2 entries, each line checked now: none was changed." in viewer.get(page).text
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text(lines[0] + lines[1].replace('"look":2', '"look":3'), encoding="utf-8")
    assert "broken at line 2: " in viewer.get(page).text
    file.write_text(lines[0], encoding="utf-8")
    assert "it was cut off, or written anew" in viewer.get(page).text


def test_a_record_elsewhere_is_shown_as_its_task_left_it(
    airflow: PretendedAirflow, viewer: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, note = recorded(tmp_path / "there", monkeypatch)
    airflow.add(note)
    page = f"/launchdarkly/experiment?dag_id={DAG}"
    for folder in ("", str(tmp_path / "here"), "no-such-storage://bucket"):
        monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__RECORD_PATH", folder)
        assert "each line checked as the newest was written" in viewer.get(page).text


def test_a_refused_ship_and_a_failed_wait_are_told_apart(airflow: PretendedAirflow, viewer: TestClient) -> None:
    question = Question("Ship Bold?", START, None, (), ("Approve", "Reject"), "Reject")
    airflow.add(watched(), state="success")
    airflow.asked[DAG, RUN] = [Asked("rollout.approve", question, chosen=("Reject",), who="ann")]
    airflow.add(watched(experiment="other"), run="second", experiment="other", state="failed")
    airflow.tasks[DAG, "second"] = [task("stage_2.wait", "failed")]
    rows = attributes(viewer.get("/launchdarkly/experiments").text)
    assert {row["data-run"]: row["data-state"] for row in rows} == {RUN: "refused", "second": "unwatched"}


def test_a_viewer_sees_only_the_dags_that_they_may_read(
    airflow: PretendedAirflow, viewer: TestClient, manager: Manager
) -> None:
    airflow.add(watched())
    airflow.add(watched(experiment="secret"), dag="hidden", experiment="secret")
    assert "secret" not in viewer.get("/launchdarkly/experiments").text
    assert viewer.get("/launchdarkly/experiment", params={"dag_id": "hidden"}).status_code == 403
    assert viewer.get("/launchdarkly/experiment", params={"dag_id": DAG}).status_code == 200
    manager.readable = set()
    assert "checkout" not in viewer.get("/launchdarkly/experiments/rows").text, "withdrawn at once"


def test_what_airflows_own_api_refuses_is_not_shown(airflow: PretendedAirflow, manager: Manager) -> None:
    airflow.add(watched())
    other = TestClient(airflow.app, cookies={"_token": "of someone else"})
    for path in ("/launchdarkly/experiments", f"/launchdarkly/experiment?dag_id={DAG}"):
        answer = other.get(path)
        assert answer.status_code == 401
        assert "Bold" not in answer.text


@pytest.mark.parametrize("page", ["experiments", "experiments/rows", f"experiment?dag_id={DAG}"])
def test_text_is_text_wherever_it_comes_from(airflow: PretendedAirflow, viewer: TestClient, page: str) -> None:
    note = watched(summary=EVIL)
    rollout = {**note.body["rollout"], "name": EVIL, "flag": EVIL, "hypothesis": EVIL}
    rollout["stages"] = [{**stage, "name": EVIL, "notes": EVIL} for stage in rollout["stages"]]
    evil = {**note.body, "rollout": rollout, "owner": [EVIL], "tags": [EVIL], "url": "javascript:alert(1)"}
    evil["treatments"] = [{**arm, "name": EVIL} for arm in note.body["treatments"]]
    airflow.add(Note(note.task_id, -1, {**evil, "trouble": {"at": note.at, "message": EVIL}}))
    airflow.tasks[DAG, RUN] = [replace(WAITS, state="failed")]
    answer = viewer.get(f"/launchdarkly/{page}")
    assert answer.status_code == 200
    assert EVIL not in answer.text
    assert "&lt;img src=x onerror=alert(1)&gt;" in answer.text
    assert 'href="javascript' not in answer.text
    tree = ElementTree.fromstring(answer.text.removeprefix("<!doctype html>\n"))
    assert not any(name.startswith("on") or name == "style" for each in tree.iter() for name in each.attrib)
    assert [each.attrib for each in tree.iter("script")] in ([], [{"src": "static/page.js", "defer": "true"}])


def test_the_policy_lets_nothing_run_but_our_script(viewer: TestClient) -> None:
    for path in ("experiments", "experiments/rows", f"experiment?dag_id={DAG}", "static/page.css", "static/page.js"):
        answer = viewer.get(f"/launchdarkly/{path}")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'self'" in policy
    assert viewer.get("/launchdarkly/static/app.py").status_code == 404


def test_no_answer_holds_the_viewers_session(airflow: PretendedAirflow, viewer: TestClient) -> None:
    airflow.add(watched())
    for path in ("experiments", "experiments/rows", f"experiment?dag_id={DAG}"):
        assert COOKIE not in viewer.get(f"/launchdarkly/{path}").text


def test_a_long_list_is_read_once_and_then_only_what_is_new(airflow: PretendedAirflow, viewer: TestClient) -> None:
    """So that 500 experiments draw in under a second: few requests, and a short line for each."""
    for number in range(120):
        experiment = f"e{number}"
        airflow.add(watched(experiment=experiment), run=f"r{number}", experiment=experiment)
        airflow.tasks[DAG, f"r{number}"] = [WAITS]
    page = ""
    while 'data-pending="0"' not in page:
        page = viewer.get("/launchdarkly/experiments/rows").text
    assert len(attributes(page)) == 120
    assert len(page.encode()) < 120 * 5_000
    assert airflow.calls["value"] == 120, "each note once, however many answers it took"
    airflow.calls.clear()
    airflow.notes[DAG, "r7"] = []
    airflow.add(watched(9, experiment="e7"), run="r7", experiment="e7")
    viewer.get("/launchdarkly/experiments/rows")
    assert airflow.calls["value"] == 1
    assert sum(airflow.calls.values()) - airflow.calls["value"] <= 7, airflow.calls


def test_an_answer_does_not_wait_for_what_takes_long(
    airflow: PretendedAirflow, viewer: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow.add(watched())
    monkeypatch.setattr(pages, "list_experiments", partial(list_experiments, seconds=-1.0))
    page = viewer.get("/launchdarkly/experiments/rows").text
    assert 'data-pending="1"' in page
    assert not airflow.calls["value"]


def released(**changes: Any) -> Note:
    phase = {"rule_id": "rule-1", "step": 1, "percents": [5, 25, 50], "step_ends_at": "2026-03-13T09:00:00+00:00"}
    body = {
        "kind": "release",
        "at": START.isoformat(),
        "project": "demo",
        "environment": "production",
        "flag": "checkout-button",
        "release": "r1",
        "status": "in_progress",
        "current_phase": 0,
        "phases": [phase],
        "metrics": {"errors": "ok"},
        "url": "https://app.launchdarkly.com/projects/demo/flags/checkout-button/targeting",
    }
    return Note("wait", -1, {**body, **changes}, START.isoformat())


def releases_of(page: str) -> list[dict[str, str]]:
    tree = ElementTree.fromstring(page.removeprefix("<!doctype html>\n"))
    return [dict(row.attrib) for row in tree.iter("tr") if "data-release" in row.attrib]


def test_a_dag_with_only_a_release_sensor_has_a_row(
    airflow: PretendedAirflow, viewer: TestClient, manager: Manager
) -> None:
    manager.readable = {"guarded_release"}
    airflow.add_release(released(), dag="guarded_release")
    page = viewer.get("/launchdarkly/experiments").text
    (row,) = releases_of(page)
    assert (row["data-dag"], row["data-status"]) == ("guarded_release", "in_progress")
    for words in ("step 2 of 3, 25 % get the target", "errors ok", "next step, 50 %", "2026-03-13T09:00:00+00:00"):
        assert words in page, words
    assert 'href="https://app.launchdarkly.com/projects/demo/flags/checkout-button/targeting"' in page
    assert attributes(page) == []


def test_an_experiment_shows_the_release_of_its_flag(
    airflow: PretendedAirflow, viewer: TestClient, manager: Manager
) -> None:
    manager.readable = {DAG, "guarded_release"}
    airflow.add(watched())
    airflow.tasks[DAG, RUN] = [WAITS]
    airflow.add_release(released(), dag="guarded_release")
    for path in ("experiments", f"experiment?dag_id={DAG}"):
        page = viewer.get(f"/launchdarkly/{path}").text
        assert "Release of the flag, as LaunchDarkly judges it: in progress: step 2 of 3" in page


@pytest.mark.parametrize("older", [True, False])
def test_a_release_note_that_is_gone_when_it_is_read_fails_no_page(
    airflow: PretendedAirflow, viewer: TestClient, manager: Manager, older: bool
) -> None:
    manager.readable = {DAG, "guarded_release", "newer"}
    airflow.add(watched())
    airflow.deleted = {"newer"}
    airflow.add_release(replace(released(), left_at=(START + timedelta(days=1)).isoformat()), dag="newer")
    if older:
        airflow.add_release(released(), dag="guarded_release")
    answer = viewer.get(f"/launchdarkly/experiment?dag_id={DAG}")
    assert answer.status_code == 200
    assert ("Release of the flag" in answer.text) is older, "the next newest is shown"
    assert viewer.get("/launchdarkly/experiments").status_code == 200


@pytest.mark.parametrize("changes", [{"status": "completed"}, {"flag": "search"}, {"environment": "test"}])
def test_it_shows_no_release_that_is_over_or_of_another_flag(
    airflow: PretendedAirflow, viewer: TestClient, changes: dict[str, str]
) -> None:
    airflow.add(watched())
    airflow.add_release(released(**changes), dag=DAG)
    for path in ("experiments", f"experiment?dag_id={DAG}"):
        assert "Release of the flag" not in viewer.get(f"/launchdarkly/{path}").text


def test_a_viewer_sees_no_release_of_a_dag_that_is_closed_to_them(
    airflow: PretendedAirflow, viewer: TestClient
) -> None:
    airflow.add_release(released(), dag="guarded_release")
    assert releases_of(viewer.get("/launchdarkly/experiments").text) == []


def test_a_release_whose_wait_failed_says_that_nobody_watches(airflow: PretendedAirflow, viewer: TestClient) -> None:
    airflow.add_release(released(trouble=EVIL), dag=DAG)
    page = viewer.get("/launchdarkly/experiments").text
    assert "Nobody watches it here any more" in page
    assert EVIL not in page


RELEASE_WATCH = task("release.watch", "deferred", "LaunchDarklyReleaseSensor")


def polled(**changes: Any) -> Note:
    """The note that the sensor of the winner's release left last."""
    return Note("rollout.release.watch", -1, {**release_note(1), **changes}, (START + 10 * DAY).isoformat())


def test_a_winner_that_ships_through_a_release_is_shown_by_its_step(
    airflow: PretendedAirflow, viewer: TestClient
) -> None:
    airflow.add(started(1), started(2), started(3), watched(8, stage=3), ships())
    airflow.add_release(polled(), dag=DAG)
    airflow.tasks[DAG, RUN] = [RELEASE_WATCH]
    page = viewer.get("/launchdarkly/experiments").text
    (row,) = attributes(page)
    assert (row["data-state"], row["data-stage"]) == ("waiting", "")
    for words in (
        "a guarded release takes Bold to everyone: step 2 of 2, 50 %",
        "50 % Classic, 50 % Bold",
        "guarded release<span",
        "checkout-conversion ok, page-load-ms no data",
        "2026-03-13T09:00:00+00:00",
    ):
        assert words in page, words
    one = viewer.get(f"/launchdarkly/experiment?dag_id={DAG}").text
    for words in (
        "Release of the winner",
        "Step 2 of 2 of the guarded release, since <time",
        "The last step ends: <time",
        "When the last step ends, everyone gets Bold, and the rollout ends.",
        "ended on Classic, and a guarded release of Bold started: 10 %, 50 %",
    ):
        assert words in one, words
    assert "Differs from the rollout" not in one


def test_a_newer_release_of_another_dag_does_not_take_the_place_of_the_winners(
    airflow: PretendedAirflow, viewer: TestClient
) -> None:
    airflow.add(started(3), watched(8, stage=3), ships())
    airflow.add_release(polled(), dag=DAG)
    other = replace(polled(release="r2", status="completed"), left_at=(START + 11 * DAY).isoformat())
    airflow.add_release(other, dag="guarded_release")
    airflow.tasks[DAG, RUN] = [RELEASE_WATCH]
    assert "Step 2 of 2 of the guarded release" in viewer.get(f"/launchdarkly/experiment?dag_id={DAG}").text


def test_reading_the_winners_release_costs_one_request_for_its_note(
    airflow: PretendedAirflow, viewer: TestClient
) -> None:
    airflow.add(started(3), ships())
    airflow.add_release(polled(), dag=DAG)
    airflow.tasks[DAG, RUN] = [RELEASE_WATCH]
    viewer.get(f"/launchdarkly/experiment?dag_id={DAG}")
    assert airflow.calls["value"] == 3


def test_a_change_that_was_handed_over_says_who_has_to_make_it_and_until_when(
    airflow: PretendedAirflow, viewer: TestClient
) -> None:
    airflow.add(started(3), watched(8, stage=3), handed_over(3, release=True, details=EVIL))
    airflow.tasks[DAG, RUN] = [task("release.start", "deferred", "LaunchDarklyShipByReleaseOperator")]
    page = viewer.get("/launchdarkly/experiments").text
    (row,) = attributes(page)
    assert row["data-state"] == "needs_you"
    for words in (
        "a person has to start the release of flag checkout-button in LaunchDarkly",
        "asked: grace@example.com, team:checkout",
        "everyone gets Classic",
        "2026-03-12T09:00:00+00:00",
    ):
        assert words in page, words
    one = viewer.get(f"/launchdarkly/experiment?dag_id={DAG}").text
    assert "To do in LaunchDarkly: <strong>start the release of flag checkout-button: &lt;img" in one
    assert "Reviewers: grace@example.com, team:checkout. It is waited for until <time" in one
    assert EVIL not in one


def test_an_invalid_end_says_that_nobody_watches_and_what_to_do(airflow: PretendedAirflow, viewer: TestClient) -> None:
    airflow.add(started(3), watched(8, stage=3, verdict="ship"), left_running(), state="success")
    page = viewer.get("/launchdarkly/experiments").text
    (row,) = attributes(page)
    assert row["data-state"] == "invalid"
    assert "units are split 40 to 60" in page
    one = viewer.get(f"/launchdarkly/experiment?dag_id={DAG}").text
    assert "<strong>Nobody watches this experiment.</strong> units are split 40 to 60, planned 50 to 50" in one
    assert "<strong>What to do: </strong>To go on, clear the task rollout.verdict." in one


def test_a_release_that_waits_for_a_person_says_so_in_the_list_of_releases(
    airflow: PretendedAirflow, viewer: TestClient
) -> None:
    regressed = {"status": "waiting", "reason": "waiting_regression_detected", "metrics": {"errors": "regressed"}}
    airflow.add_release(released(**regressed), dag=DAG)
    page = viewer.get("/launchdarkly/experiments").text
    assert "It goes on once a person stops the release, or dismisses the regression of errors, in LaunchDarkly." in page
