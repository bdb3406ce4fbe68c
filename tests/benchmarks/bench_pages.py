"""How long the list of 500 experiments takes until it can be seen, beside a plain page of as many bytes.

Run as a script: `python tests/benchmarks/bench_pages.py [EXPERIMENTS]`; it needs Chromium and the group `browser`. Our
pages are served with a pretended Airflow that answers at once, so what is measured is ours: reading the notes, writing
the page, and the browser's drawing. Medians of visits that follow each other; the goal is a second.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

import uvicorn
from airflow.api_fastapi.core_api import security
from airflow.models.dag import DagModel
from starlette.responses import HTMLResponse

from airflow_provider_launchdarkly.plugins.pages import app as pages
from browser.chrome import Chrome, chromium
from support.pretended_airflow import PretendedAirflow
from support.shown import DAG, WAITS, started, watched

if TYPE_CHECKING:
    from playwright.sync_api import Page

EXPERIMENTS, VISITS, GOAL, TOKEN = 500, 7, 1.0, "viewer"
# Until the browser has painted what the last change asked for.
PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
OURS = "tr[data-experiment]"


def serve(airflow: PretendedAirflow) -> tuple[uvicorn.Server, str]:
    """Serve the application on a free port of this machine."""
    server = uvicorn.Server(uvicorn.Config(airflow.app, port=0, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    return server, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


def seconds(page: Page, address: str, rows: str, count: int) -> float:
    """Return the seconds from asking for a page until it is painted with so many rows."""
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator(rows).nth(count - 1).wait_for(state="attached", timeout=120_000)
    page.evaluate(PAINTED)
    return time.perf_counter() - began


def main(experiments: int) -> None:
    """Print what the first visit takes, what further ones take, and what a plain page takes."""
    airflow = PretendedAirflow(TOKEN)
    for number in range(experiments):
        key, run = f"e{number}", f"r{number}"
        airflow.add(started(1, experiment=key), watched(experiment=key), run=run, experiment=key)
        airflow.tasks[DAG, run] = [WAITS]
    airflow.app.mount("/launchdarkly", pages.mounted)
    plain: dict[str, str] = {"page": ""}

    @airflow.app.get("/plain")
    async def _() -> HTMLResponse:
        return HTMLResponse(plain["page"])

    manager: Any = SimpleNamespace(get_authorized_dag_ids=lambda **_: {DAG}, is_authorized_dag=lambda **_: True)
    pages.application.dependency_overrides[security.get_user] = lambda: SimpleNamespace(get_id=lambda: "ann")
    with (
        patch.object(pages, "get_auth_manager", lambda: manager),
        patch.object(security, "get_auth_manager", lambda: manager),
        patch.object(DagModel, "get_team_name", staticmethod(lambda *_, **__: None), create=True),
        Chrome(chromium()) as chrome,
    ):
        server, address = serve(airflow)
        session = {"cookies": [{"name": "_token", "value": TOKEN, "domain": "127.0.0.1", "path": "/"}], "origins": []}
        with chrome.visitor(address, session=session) as visitor:
            page = visitor.page
            first = seconds(page, f"{address}/launchdarkly/experiments", OURS, experiments)
            whole = page.content()
            cells = "".join(f"<tr><td>{'x' * (len(whole) // experiments - 18)}</td></tr>" for _ in range(experiments))
            plain["page"] = f"<!doctype html><table style='table-layout:fixed'>{cells}</table>"
            pairs = [
                (
                    seconds(page, f"{address}/launchdarkly/experiments", OURS, experiments),
                    seconds(page, f"{address}/plain", "tr", experiments),
                )
                for _ in range(VISITS)
            ]
        server.should_exit = True
    ours, others = median(one for one, _ in pairs), median(other for _, other in pairs)
    print(f"{experiments} experiments, {len(whole) / 1000:,.0f} kB")
    print(f"first visit, which reads each note once: {first:.2f} s")
    print(f"further visits: {ours:.2f} s (goal {GOAL:.0f} s), {ours / others:.1f} times a plain page ({others:.2f} s)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else EXPERIMENTS)
