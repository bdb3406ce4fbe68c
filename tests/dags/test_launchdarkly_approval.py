"""The example of LaunchDarkly's own approval, through `dag.test()`: approved, declined, and not demanded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from support.lone_polls import poll_alone
from support.reviewers import requests_in, review_pending

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.testing import EmulatorServer


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize(
    ("demanded", "review", "states", "requests"),
    [
        ("everywhere", "approve", {"ramp": "success", "tell": "success"}, ["approved"]),
        ("everywhere", "decline", {"ramp": "failed", "tell": "upstream_failed"}, ["declined"]),
        ("by_environment", "approve", {"ramp": "success", "tell": "success"}, []),
    ],
)
def test_a_change_is_made_where_it_needs_an_approval_and_where_it_does_not(
    emulator: EmulatorServer,
    load_dag: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    demanded: str,
    review: Any,
    states: dict[str, str],
    requests: list[str],
) -> None:
    emulator.switch(flag_approvals=demanded)

    async def turn(_: float) -> None:
        emulator.clock.advance("PT1H")
        review_pending(emulator, review, "as agreed")

    poll_alone(monkeypatch, turn)

    run = load_dag("launchdarkly_approval").test(run_conf={"percent": 20})

    assert {ti.task_id: str(ti.state) for ti in run.get_task_instances()} == states
    assert [request.review_status for request in requests_in(emulator)] == requests
    assert LaunchDarklyHook().get_flag("checkout-button").environments["production"].on is (states["tell"] == "success")
