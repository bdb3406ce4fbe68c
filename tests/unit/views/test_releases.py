"""A release as people see it: the note that a poll leaves, read back, in words, and in every version's shape."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.models import EnvironmentRelease
from airflow_provider_launchdarkly.checks.release import release_output
from airflow_provider_launchdarkly.views.notes import experiment_of, key_of
from airflow_provider_launchdarkly.views.releases import (
    next_of_release,
    read_release,
    release_in_words,
    release_key,
    release_note,
    release_place,
)

ENV = EnvironmentRef("demo", "production")
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = 86_400_000


def release(**changes: Any) -> EnvironmentRelease:
    """A release in its second step of three."""
    began = int(AT.timestamp() * 1000)
    steps = [
        {"stepIndex": number, "allocation": share * 1000, "durationMillis": DAY, "startedAt": began + number * DAY}
        for number, share in enumerate((5, 25, 50))
    ]
    phase = {
        "id": "p1",
        "ruleId": "rule-1",
        "status": "in_progress",
        "steps": steps,
        "currentStepIndex": 1,
        "startedAt": began,
        "metricStatuses": {"errors": "ok"},
    }
    fields = {
        "id": "r1",
        "status": "in_progress",
        "flagKey": "search",
        "phases": [phase],
        "currentPhaseIndex": 0,
        "metrics": [{"metricKey": "errors"}, {"metricKey": "latency"}],
    }
    return EnvironmentRelease.model_validate({**fields, **changes})


def noted(found: EnvironmentRelease) -> dict[str, Any]:
    made = release_note(release_output(ENV, found), at=AT, url="https://app.launchdarkly.com/x")
    read: dict[str, Any] = json.loads(json.dumps(made))
    return read


def test_the_note_says_step_percent_what_comes_next_and_the_metrics() -> None:
    shown = read_release(noted(release()), dag_id="ship", run_id="run-1")
    assert shown is not None
    assert (shown.step, shown.steps, shown.percent, shown.next_percent) == (2, 3, 25, 50)
    assert shown.next_at == AT + timedelta(days=2)
    assert shown.metrics == (("errors", "ok"), ("latency", "no_data"))
    words = "in progress: step 2 of 3, 25 % get the target; rule rule-1; errors ok, latency no data"
    assert release_in_words(shown) == words
    assert next_of_release(shown) == "next step, 50 %"
    assert shown.active
    assert not shown.bad


@pytest.mark.parametrize("status", ["completed", "reverted"])
def test_a_release_that_is_over_has_nothing_to_come(status: str) -> None:
    shown = read_release(noted(release(status=status, statusReason=f"{status}_manual")))
    assert shown is not None
    assert (shown.active, shown.next_at, shown.percent) == (False, None, None)
    assert release_in_words(shown).startswith(f"{status} ({status} manual)")


def test_a_regression_and_a_wait_that_failed_are_bad() -> None:
    shown = read_release({**noted(release()), "metrics": {"errors": "regressed"}})
    assert shown is not None
    assert shown.bad
    shown = read_release({**noted(release()), "trouble": "the token is refused"})
    assert shown is not None
    assert shown.bad


def test_a_release_without_phases_is_shown_by_its_status() -> None:
    shown = read_release(noted(release(phases=[], currentPhaseIndex=None, status="pending", metrics=[])))
    assert shown is not None
    assert release_in_words(shown) == "pending"


@pytest.mark.parametrize(
    "changes",
    [
        {"phases": None},
        {"phases": [{"percents": "25", "step": "1"}]},
        {"phases": [{"percents": [5, None], "step": 7}], "current_phase": 3},
        {"metrics": ["errors"], "current_phase": "first", "at": 3, "trouble": {}},
    ],
)
def test_a_note_of_another_version_is_read_as_far_as_it_goes(changes: dict[str, Any]) -> None:
    shown = read_release({**noted(release()), **changes})
    assert shown is not None
    assert release_in_words(shown).startswith("in progress")


@pytest.mark.parametrize("body", [{}, {"kind": "release"}, {"kind": "watch", "project": "demo"}])
def test_another_note_is_no_release(body: dict[str, Any]) -> None:
    assert read_release(body) is None


def test_the_keys_of_releases_and_experiments_are_told_apart() -> None:
    key = release_key("demo", "pro/duction", "search")
    assert release_place(key) == ("demo", "pro/duction", "search")
    assert experiment_of(key) is None
    assert release_place(key_of("release", "production", "search")) is None
