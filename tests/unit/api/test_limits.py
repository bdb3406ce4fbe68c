"""Meeting a rate limit: how long one call waits, and what the next callers of the token learn from it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.endpoints import Request
from airflow_provider_launchdarkly.api.errors import RateLimitedError
from airflow_provider_launchdarkly.api.http.rate_limit import RateGate
from airflow_provider_launchdarkly.api.models import StartIteration

from .conftest import DATE, DATE_MS, ENV, Connect, Script, answer

READ = endpoints.get_experiment(ENV, "bold")
WRITE = endpoints.patch_experiment(ENV, "bold", [StartIteration()])
BOLD = {"key": "bold"}

FAMILIES: dict[str, dict[str, str]] = {
    "global": {"x-ratelimit-global-remaining": "0", "x-ratelimit-reset": str(DATE_MS + 4_000)},
    "route": {"x-ratelimit-route-remaining": "0", "x-ratelimit-reset": str(DATE_MS + 4_000)},
    "token": {"x-ratelimit-auth-token-remaining": "0", "x-ratelimit-auth-token-reset": str(DATE_MS + 4_000)},
    "ip": {"retry-after": "4"},
    "mixed case": {"X-RateLimit-Route-Remaining": "0", "X-RateLimit-Reset": str(DATE_MS + 4_000)},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("request_", [READ, WRITE], ids=["read", "write"])
def test_a_429_is_waited_for_as_its_headers_say(connect: Connect, request_: Request[Any], family: str) -> None:
    script = Script(answer(429, **FAMILIES[family]), answer(body=BOLD))
    driver = connect(script)
    assert driver.send(request_).value.key == "bold"
    assert 4.0 <= sum(driver.time.waits) < 5.0
    assert len(script.seen) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-ratelimit-reset": str(DATE_MS - 9_000), "x-ratelimit-route-remaining": "0"},
        {"x-ratelimit-reset": "soon"},
        {"retry-after": ""},
    ],
    ids=["none", "past", "garbage", "empty"],
)
def test_a_429_that_does_not_say_how_long_is_waited_for_a_little(connect: Connect, headers: dict[str, str]) -> None:
    driver = connect(Script(answer(429, **headers), answer(body=BOLD)))
    driver.send(READ)
    assert 0.5 <= sum(driver.time.waits) < 2.0


def test_resets_are_measured_against_the_servers_clock(connect: Connect) -> None:
    """The answer is dated 2026; the worker's clock, whatever it shows, does not matter."""
    script = Script(
        answer(429, x_ratelimit_route_remaining="0", x_ratelimit_reset=str(DATE_MS + 2_000), date=DATE),
        answer(body=BOLD),
    )
    driver = connect(script)
    driver.send(READ)
    assert 2.0 <= sum(driver.time.waits) < 3.0


def test_a_limit_that_outlasts_the_budget_is_an_error_that_says_so(connect: Connect) -> None:
    driver = connect(Script(answer(429, {"code": "rate_limited", "message": "slow down"}, retry_after="3600")))
    with pytest.raises(RateLimitedError, match="slow down") as limited:
        driver.send(WRITE)
    assert limited.value.retryable
    assert driver.time.waits == []


def test_another_caller_of_the_token_waits_for_the_same_window_without_meeting_it(connect: Connect) -> None:
    gate = RateGate()
    first = connect(Script(answer(429, retry_after="4"), answer(body=BOLD)), gate=gate, retry_budget=0.0)
    with pytest.raises(RateLimitedError):
        first.send(READ)
    script = Script(answer(body=BOLD))
    second = connect(script, gate=gate)
    second.send(WRITE)
    assert sum(second.time.waits) == pytest.approx(4.025)
    assert len(script.seen) == 1


def test_a_window_longer_than_the_budget_is_not_waited_for_at_all(connect: Connect) -> None:
    gate = RateGate()
    script = Script(answer(429, retry_after="40"), answer(body=BOLD))
    driver = connect(script, gate=gate, retry_budget=5.0)
    for _ in range(2):
        with pytest.raises(RateLimitedError):
            driver.send(READ)
    assert len(script.seen) == 1


def test_low_remaining_counts_slow_callers_down_before_the_429(connect: Connect) -> None:
    low = answer(body=BOLD, x_ratelimit_route_remaining="1", x_ratelimit_reset=str(DATE_MS + 8_000))
    driver = connect(Script(low))
    for _ in range(3):
        driver.send(READ)
    assert driver.time.waits == pytest.approx([4.0])
