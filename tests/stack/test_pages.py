"""The pages on a real API server: with a ramp under way, for someone who is logged in, and for nobody."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from xml.etree import ElementTree

import httpx

from stack.airflow_stack import AirflowStack
from stack.demo import Emulator
from stack.rollouts import Rollout, make_true

PAGES = ("experiments", "experiments/rows", "experiment?dag_id=staged_ramp", "static/page.css", "static/page.js")


def test_a_running_ramp_is_shown_to_whoever_may_see_it_and_to_nobody_else(
    stack: AirflowStack, emulator: Emulator
) -> None:
    make_true(emulator, effect=0.0)
    run = Rollout(stack, emulator, "staged_ramp")
    row = until_listed(stack, run)
    assert row["data-state"] == "waiting"
    assert row["data-stage"] == "1"
    listed = page(stack, "experiments")
    stage = emulator.served()
    new = re.search(rf'data-run="{re.escape(run.run_id)}".*?(\d+(?:\.\d+)?) % Bold', listed, re.DOTALL)
    assert new, listed
    assert new[1] in stage, "what people get, as LaunchDarkly serves it"
    assert "waiting for" in listed
    whole = page(stack, "experiment", dag_id="staged_ramp", run_id=run.run_id, map_index="{MAP_INDEX}")
    assert "stage 1 of 3 started" in whole
    assert page(stack, "experiment", dag_id="staged_ramp").count("<section data-experiment") == 1

    stack.call("PATCH", "/dags/staged_ramp", {"is_paused": True})
    a_month_later(stack, run)
    # A list that has no time left to read a note leaves it for the next one.
    run.until(lambda _: (row_of(stack, run) or {}).get("data-state") == "overdue", turning=False)
    assert "DAG staged_ramp is paused" in page(stack, "experiments")
    assert "unpause DAG staged_ramp" in page(stack, "experiment", dag_id="staged_ramp", run_id=run.run_id)
    stack.call("PATCH", "/dags/staged_ramp", {"is_paused": False})

    for path in PAGES:
        with httpx.Client(base_url=stack.url, trust_env=False) as nobody:
            answer = nobody.get(f"/launchdarkly/{path}")
        assert answer.status_code == 401, path
        assert "checkout" not in answer.text
    secrets = [stack.token, os.environ.get("LAUNCHDARKLY_TOKEN", ""), emulator.token]
    for text in (listed, whole, page(stack, "static/page.js")):
        assert not any(secret in text for secret in secrets if secret)

    cookie = httpx.Cookies({"_token": stack.token})
    with httpx.Client(base_url=stack.url, cookies=cookie, trust_env=False) as browser:
        assert browser.get("/launchdarkly/experiments").status_code == 200
    views = stack.call("GET", "/plugins")["plugins"]
    ours = next(plugin for plugin in views if plugin["name"] == "launchdarkly")
    assert {view["destination"] for view in ours["external_views"]} == {"nav", "dag", "dag_run", "task_instance"}


def page(stack: AirflowStack, path: str, **query: str) -> str:
    answer = stack.request("GET", f"/launchdarkly/{path}", **query)
    assert answer.status_code == 200, answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return str(answer.text)


def a_month_later(stack: AirflowStack, run: Rollout) -> None:
    """Let the notes of a run be a month old by Airflow's clock, which no test can turn."""
    older = "strftime('%Y-%m-%d %H:%M:%f000', timestamp, '-30 days')"
    with contextlib.closing(sqlite3.connect(stack.home / "airflow.db", timeout=30)) as database, database:
        changed = database.execute(f"UPDATE xcom SET timestamp = {older} WHERE run_id = ?", (run.run_id,))
    assert changed.rowcount > 0


def row_of(stack: AirflowStack, run: Rollout) -> dict[str, str] | None:
    """The run's row in the list; None if it is not there yet."""
    tree = ElementTree.fromstring(page(stack, "experiments/rows"))
    return next((row.attrib for row in tree.iter("tr") if row.attrib.get("data-run") == run.run_id), None)


def until_listed(stack: AirflowStack, run: Rollout) -> dict[str, str]:
    """The run's row, once its first stage waits."""
    found: list[dict[str, str]] = []

    def waits(states: dict[str, str | None]) -> bool:
        if states.get("rollout.stage_1.watch") != "deferred":
            return False
        row = row_of(stack, run)
        found[:] = [] if row is None else [row]
        return row is not None and row["data-state"] == "waiting"

    run.until(waits)
    return found[0]
