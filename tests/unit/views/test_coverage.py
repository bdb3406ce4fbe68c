"""What the rows behind a look cover stands on the page, in the terminal, in JSON and in a report, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.decision.evidence import Coverage as Known
from airflow_provider_launchdarkly.decision.evidence_json import evidence_from_json, evidence_to_json
from airflow_provider_launchdarkly.pictures.experiment import experiment_body
from airflow_provider_launchdarkly.pictures.terminal import experiment_text
from airflow_provider_launchdarkly.views.coverage import Coverage
from airflow_provider_launchdarkly.views.model import ExperimentDetail, to_json
from airflow_provider_launchdarkly.views.records import detail_of_record
from airflow_provider_launchdarkly.views.whole import detail_of
from support.audit_records import record
from support.shown import WAITS, found, run, started, watched

EVENT, ROW = datetime(2026, 3, 10, 7, 30, tzinfo=UTC), datetime(2026, 3, 10, 8, 15, tzinfo=UTC)
KNOWN = Known(12, {"revenue": 1200, "refunds": 0}, EVENT, ROW, timedelta(minutes=45))
LINES = (
    "units left out, since they saw several treatments  12",
    "units without an event of revenue                  1,200",
    "units without an event of refunds                  0",
    "last event of a metric                             Tue 10 Mar 2026 07:30 UTC",
    "last row, an exposure or an event                  Tue 10 Mar 2026 08:15 UTC",
    "from the last row to the look                      0.8 h",
)


def written(known: Known) -> dict[str, Any]:
    """Coverage as a look writes it."""
    evidence = next(entry["evidence"] for entry in record() if entry["evidence"])
    made: dict[str, Any] = evidence_to_json(evidence_from_json(evidence)._replace(coverage=known))["coverage"]
    return made


def of_page(known: Known) -> ExperimentDetail:
    evidence = {**found()["evidence"], "coverage": written(known)}
    return detail_of([started(2), watched(evidence=evidence)], run(WAITS))


def of_record(known: Known) -> ExperimentDetail:
    looks = [
        {**entry, "evidence": {**entry["evidence"], "coverage": written(known)} if entry["evidence"] else None}
        for entry in record()
    ]
    return detail_of_record(looks)


@pytest.mark.parametrize("made", [of_page(KNOWN), of_record(KNOWN)], ids=["note", "record"])
def test_what_is_known_of_the_rows_is_shown_everywhere(made: ExperimentDetail) -> None:
    shown = experiment_text(made, zone=UTC)
    assert [line for line in LINES if line not in shown] == []
    page = str(experiment_body(made))
    for told in ("What the rows cover", "units without an event of revenue", "1,200", "0.8 h", ROW.isoformat()):
        assert told in page
    assert to_json(made.looks[-1])["coverage"] == {
        "several_treatments": 12,
        "without_events": [["revenue", 1200], ["refunds", 0]],
        "last_event_at": EVENT.isoformat(),
        "last_row_at": ROW.isoformat(),
        "hours_behind": 0.75,
    }


def test_only_what_is_known_is_shown() -> None:
    made = of_page(Known(last_batch=ROW, lateness=timedelta()))
    assert made.looks[-1].coverage == Coverage(last_row_at=ROW, hours_behind=0.0)
    shown = experiment_text(made, zone=UTC)
    assert "from the last row to the look      0.0 h" in shown
    assert "several treatments" not in shown
    assert "rows of the newest look" not in experiment_text(detail_of([watched()], run(WAITS)))


@pytest.mark.parametrize("strange", [None, 7, [], {}, {"crossovers": "many", "without_events": [1], "last_event": 3}])
def test_what_cannot_be_read_is_left_out(strange: Any) -> None:
    made = detail_of([watched(evidence={**found()["evidence"], "coverage": strange})], run(WAITS))
    assert made.looks[-1].coverage is None
