"""Checks of an approval request, and of what a person is to start or stop in LaunchDarkly. Pure procedures."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.endpoints.approvals import get_approval_request
from airflow_provider_launchdarkly.api.endpoints.experiments import get_experiment
from airflow_provider_launchdarkly.api.errors import NotFoundError
from airflow_provider_launchdarkly.api.models import ReleasePost
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS, pinned
from airflow_provider_launchdarkly.api.reads.flags import read_flag
from airflow_provider_launchdarkly.api.reads.releases import every_release
from airflow_provider_launchdarkly.api.writes.approved import review_deadline
from airflow_provider_launchdarkly.api.writes.releases import same_release
from airflow_provider_launchdarkly.checks.arguments import RUNNING
from airflow_provider_launchdarkly.checks.result import CheckResult

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import ApprovalRequest, EnvironmentRelease

GONE = "gone"
OVERDUE = "overdue"


def check_approval(
    env: EnvironmentRef, flag_key: str, request_id: str, timeout_seconds: float
) -> Procedure[CheckResult]:
    """Check whether an approval request was approved, declined, applied or deleted, or has waited for too long.

    Args:
        env: Project and environment.
        flag_key: The flag.
        request_id: The request.
        timeout_seconds: How long it may wait, from its creation, by LaunchDarkly's clock.

    Raises:
        LaunchDarklyError: As the call raises.
    """
    where = f"approval request {request_id} for flag {flag_key} in {env}"
    try:
        response = yield get_approval_request(env, flag_key, request_id)
    except NotFoundError:
        return CheckResult(True, f"{where} is gone", _output(flag_key, request_id, GONE))
    request: ApprovalRequest = response.value
    now = response.server_time
    until = review_deadline(request, timedelta(seconds=timeout_seconds), now)
    review = request.status if request.applied or request.failed else request.review_status
    if review == "pending" and now >= until:
        review = OVERDUE
    ends = review != "pending"
    summary = f"{where} is {review}" if ends else f"waiting: {where} is pending, until {until:%Y-%m-%d %H:%M} UTC"
    output = _output(flag_key, request_id, review)
    return CheckResult(ends, summary, output, is_news=ends, left=None if ends else until - now)


def check_handed_over(
    env: EnvironmentRef, experiment_key: str, iteration_id: str, status: str, until: str | None
) -> Procedure[CheckResult]:
    """Check whether a person has started or stopped an iteration in LaunchDarkly, or had the time for it.

    Args:
        env: Project and environment.
        experiment_key: The experiment.
        iteration_id: The pinned iteration.
        status: ``running`` or ``stopped``. A stopped one has reached both.
        until: When the waiting ends, by LaunchDarkly's clock, in ISO 8601; None if that is not known yet.

    Raises:
        IterationNotFoundError: The experiment has no such iteration.
        LaunchDarklyError: As the calls raise.
    """
    response = yield get_experiment(env, experiment_key, expand=ITERATIONS)
    iteration = pinned(response.value, iteration_id)
    reached = iteration.stopped or (status == RUNNING and iteration.running)
    summary = f"{iteration.status}: iteration {iteration_id} of {experiment_key}"
    output = {"experiment_key": experiment_key, "iteration_id": iteration_id}
    return _handed_over(output, summary, status, reached=reached, now=response.server_time, until=until)


def check_release_handed_over(
    env: EnvironmentRef, flag_key: str, design: str, since: str | None, until: str | None
) -> Procedure[CheckResult]:
    """Check whether a person has started a release in LaunchDarkly, or had the time for it.

    Any release that is active ends the waiting, since a flag has one at a time: whoever waited compares it. Of those
    that have ended, only one of this design does that began since the hand-over.

    Args:
        env: Project and environment.
        flag_key: The flag.
        design: The release, as JSON text of what would have been sent. The descriptions of its rules are not compared.
        since: When it was handed over, by LaunchDarkly's clock, in ISO 8601; None for now.
        until: When the waiting ends, by LaunchDarkly's clock, in ISO 8601; None if that is not known yet.

    Raises:
        ConfigurationError: The design is none.
        LaunchDarklyError: As the calls raise.
    """
    known = yield from every_release(env, flag_key)
    since = since or known.read_at.isoformat()
    began = datetime.fromisoformat(since)
    shown = next((release for release in known.items if not release.ended), None)
    ended = [release for release in known.items if release.created_at is not None and release.created_at >= began]
    if shown is None and ended:
        flag = yield from read_flag(env, flag_key)
        post = ReleasePost.checked(json.loads(design))
        shown = next((release for release in ended if same_release(env, flag, post, release, since=began)), None)
    output = {"flag_key": flag_key, "release_id": None if shown is None else shown.id, "since": since}
    return _handed_over(
        output, _shown(flag_key, shown), "a start", reached=shown is not None, now=known.read_at, until=until
    )


def _shown(flag_key: str, release: EnvironmentRelease | None) -> str:
    return f"no release of {flag_key}" if release is None else f"{release.status}: release {release.id} of {flag_key}"


def _handed_over(
    output: dict[str, Any], summary: str, wanted: str, *, reached: bool, now: datetime, until: str | None
) -> CheckResult:
    """Return the result of a look at what a person is to do, which ends the waiting if it is done or overdue."""
    left = None if until is None else datetime.fromisoformat(until) - now
    ends = reached or (left is not None and left <= timedelta())
    told = summary if ends else f"waiting for {wanted}, now {summary}"
    output = {**output, "reached": reached, "at": now.isoformat(), "until": until}
    return CheckResult(ends, told, output, is_news=ends, left=None if ends else left)


def _output(flag_key: str, request_id: str, review: str) -> dict[str, Any]:
    return {"flag_key": flag_key, "request_id": request_id, "review": review}
