"""Reports, which are files of their own: as a browser shows them, in light and dark."""

from __future__ import annotations

import pytest

from airflow_provider_launchdarkly.pictures.experiment import experiment_body
from airflow_provider_launchdarkly.pictures.report import document
from browser.chrome import Chrome
from browser.walks import focusable, severe_findings, stops_of_tab
from support.looks import EVIL, QUESTION, UNWATCHED, detail

REPORTS = {
    "waiting": detail(),
    "before-the-first-look": detail(looks=0),
    "asked": detail(question=QUESTION),
    "unwatched": detail(unwatched=UNWATCHED),
    "evil": detail(name=EVIL, headline=EVIL, flag=EVIL, owner=(EVIL,)),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", REPORTS)
def test_a_report_keeps_nobody_from_reading_it_and_runs_nothing(chrome: Chrome, name: str, scheme: str) -> None:
    with chrome.visitor("http://127.0.0.1", color_scheme=scheme) as visitor:
        opened: list[str] = []
        # Writing a document keeps the window's properties.
        visitor.page.evaluate("window.alert = text => { window.attacked = text; }")
        visitor.page.on("request", lambda request: opened.append(request.url))
        visitor.page.set_content(document("A report", experiment_body(REPORTS[name])))
        assert severe_findings(visitor.page) == []
        assert stops_of_tab(visitor.page, visitor.page) == focusable(visitor.page)
        visitor.shoot(f"report-{name}-{scheme}", whole=True)
        assert visitor.page.evaluate("window.attacked") is None
        assert opened == []
        assert visitor.complaints == []
