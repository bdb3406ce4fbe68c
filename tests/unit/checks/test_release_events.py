"""What has happened to a release, as far as LaunchDarkly's models tell, and by which names it is noted."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.models import EnvironmentRelease
from airflow_provider_launchdarkly.assets import EventName
from airflow_provider_launchdarkly.checks.arguments import RELEASE_KINDS
from airflow_provider_launchdarkly.checks.release_events import ReleaseEvent, state_of

ENV = EnvironmentRef("demo", "production")
START = 1_767_600_000_000


def phase(status: str = "in_progress", reason: str | None = None, **fields: Any) -> dict[str, Any]:
    started = {} if status == "pending" else {"startedAt": START, "currentStepIndex": 0}
    ended = {"endedAt": START + 1} if status in ("completed", "reverted") and started else {}
    steps = [{"allocation": 10_000, "durationMillis": 60_000}, {"allocation": 50_000, "durationMillis": 60_000}]
    return {"status": status, "statusReason": reason, "steps": steps, **started, **ended, **fields}


def release(status: str, reason: str | None, *phases: dict[str, Any], **fields: Any) -> EnvironmentRelease:
    current = next((n for n, one in enumerate(phases) if one["status"] in ("in_progress", "waiting")), None)
    known = {"id": "r1", "flagKey": "f", "startedAt": START, "currentPhaseIndex": current, "phases": list(phases)}
    return EnvironmentRelease.model_validate({**known, "status": status, "statusReason": reason, **fields})


def happened(*releases: EnvironmentRelease) -> list[ReleaseEvent]:
    return list(state_of(ENV, releases).events)


def kinds(*releases: EnvironmentRelease) -> list[str]:
    return [event.kind for event in happened(*releases)]


def names(kind: str, one: EnvironmentRelease) -> tuple[str, ...]:
    (found,) = (event for event in happened(one) if event.kind == kind)
    return found.names


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (release("pending", None, phase("pending"), startedAt=None), []),
        (release("reverted", "reverted_discarded", phase("pending"), startedAt=None), ["reverted"]),
        (release("in_progress", None, phase()), ["started"]),
        (release("completed", "completed_automatic", phase("completed")), ["started", "completed"]),
        (release("completed", "completed_manual", phase("completed")), ["started", "stopped", "completed"]),
        (release("reverted", "reverted_manual", phase("reverted")), ["started", "stopped", "reverted"]),
        (release("reverted", "reverted_discarded", phase("reverted")), ["started", "reverted"]),
        (release("reverted", "reverted_insufficient_data", phase("reverted")), ["started", "reverted"]),
        (release("reverted", "reverted_regression_detected", phase("reverted")), ["started", "regressed", "reverted"]),
        (release("waiting", "waiting_regression_detected", phase("waiting")), ["started", "regressed", "waiting"]),
        (release("waiting", "waiting_phase_ended", phase("completed"), phase("pending")), ["started", "waiting"]),
        (release("waiting", None, phase("waiting")), ["started", "waiting"]),
        (release("waiting", None, phase("waiting", metricStatuses={"m": "ok"})), ["started", "waiting"]),
    ],
)
def test_each_state_tells_what_has_happened(one: EnvironmentRelease, expected: list[str]) -> None:
    assert kinds(one) == expected


def test_a_wait_without_a_reason_is_no_regression_and_has_the_reason_null() -> None:
    _, waiting = happened(release("waiting", None, phase("waiting")))
    assert (waiting.content["event"], waiting.content["reason"]) == ("release_waiting", None)
    assert waiting.content["regressed"] == []


def test_a_stop_between_two_phases_shows_in_the_phases_that_it_skipped() -> None:
    first = phase("completed", "completed_automatic")
    skipped = phase("pending") | {"status": "completed", "statusReason": "completed_manual"}
    assert kinds(release("completed", "completed_automatic", first, skipped)) == ["started", "stopped", "completed"]


def test_a_phase_that_somebody_advanced_is_no_stop_of_the_release() -> None:
    advanced = phase("completed", "completed_manual")
    assert kinds(release("completed", "completed_automatic", advanced, phase("completed"))) == ["started", "completed"]


def test_a_regression_keeps_its_names_when_it_is_dismissed_or_reverts() -> None:
    regressed = {"metricStatuses": {"m": "regressed"}}
    waiting = release(
        "waiting", "waiting_regression_detected", phase("waiting", "waiting_regression_detected", **regressed)
    )
    dismissed = release("in_progress", None, phase(metricStatuses={"m": "regression_dismissed"}))
    reason = "reverted_regression_detected"
    reverted = release("reverted", reason, phase("reverted", reason, **regressed))
    assert names("regressed", waiting) == names("regressed", dismissed) == names("regressed", reverted)
    forgotten = release("reverted", reason, phase("reverted", reason))
    assert set(names("regressed", forgotten)) < set(names("regressed", waiting))


def test_another_metric_and_another_phase_are_a_new_regression() -> None:
    first = phase("completed", metricStatuses={"m": "regression_dismissed"})
    seen = set(names("regressed", release("in_progress", None, first, phase("pending"))))
    for later in (phase(metricStatuses={"m": "regressed"}), phase(metricStatuses={"n": "regressed"})):
        assert set(names("regressed", release("in_progress", None, first, later))) - seen


def test_a_wait_has_the_same_names_until_it_waits_for_something_else() -> None:
    def waiting(*regressed: str, step: int = 0, dismissed: str = "") -> set[str]:
        states = dict.fromkeys(regressed, "regressed") | ({dismissed: "regression_dismissed"} if dismissed else {})
        reason = "waiting_regression_detected" if regressed else None
        return set(
            names("waiting", release("waiting", reason, phase("waiting", metricStatuses=states, currentStepIndex=step)))
        )

    assert waiting("n", dismissed="m") <= waiting("m", "n"), "one of two regressions was dismissed"
    assert waiting("n", dismissed="m") - waiting("m"), "the wait for m is over, this one is for n"
    assert not waiting() & waiting(step=1)


def test_waits_after_two_phases_are_two() -> None:
    reason = "waiting_phase_ended"
    one = release("waiting", reason, phase("completed"), phase("pending"), phase("pending"))
    two = release("waiting", reason, phase("completed"), phase("completed"), phase("pending"))
    assert not set(names("waiting", one)) & set(names("waiting", two))


def test_a_release_under_way_without_its_phases_has_to_be_read_alone() -> None:
    assert not state_of(ENV, [release("waiting", None)]).whole
    assert state_of(ENV, [release("completed", "completed_automatic")]).whole


def test_every_event_has_a_name_that_experiment_events_takes() -> None:
    assert {f"release_{kind}" for kind in RELEASE_KINDS} <= set(get_args(EventName))
