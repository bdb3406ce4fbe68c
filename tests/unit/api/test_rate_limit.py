"""Rate limits: what the headers say, and who waits for how long at the gate."""

from __future__ import annotations

import gc
from datetime import UTC, datetime

import pytest

from airflow_provider_launchdarkly.api.http.rate_limit import (
    LONGEST_WINDOW,
    Limit,
    RateGate,
    RateLimits,
    gate_of,
    read_limits,
)

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
IN_FOUR = str(int(NOW.timestamp() * 1000) + 4_000)
IN_NINE = str(int(NOW.timestamp() * 1000) + 9_000)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-global-remaining": "0", "x-ratelimit-reset": IN_FOUR},
        {"x-ratelimit-route-remaining": "0", "x-ratelimit-reset": IN_FOUR},
        {"x-ratelimit-auth-token-remaining": "0", "x-ratelimit-auth-token-reset": IN_FOUR},
        {"retry-after": "4"},
        {"retry-after": "Mon, 05 Jan 2026 09:00:04 GMT"},
        {"x-ratelimit-reset": IN_FOUR},
        {"x-ratelimit-auth-token-reset": IN_FOUR},
    ],
    ids=["global", "route", "token", "ip", "http date", "only a reset", "only a token reset"],
)
def test_each_family_of_headers_says_how_long_to_wait(headers: dict[str, str]) -> None:
    assert read_limits(headers, NOW).wait == pytest.approx(4.0)


def test_a_reset_in_seconds_is_read_as_seconds() -> None:
    assert read_limits({"x-ratelimit-reset": str(int(NOW.timestamp()) + 4)}, NOW).wait == pytest.approx(4.0)


def test_the_family_that_is_used_up_counts_and_not_the_one_that_resets_last() -> None:
    limits = read_limits(
        {
            "x-ratelimit-route-remaining": "0",
            "x-ratelimit-reset": IN_FOUR,
            "x-ratelimit-auth-token-remaining": "3",
            "x-ratelimit-auth-token-reset": IN_NINE,
        },
        NOW,
    )
    assert limits.wait == pytest.approx(4.0)


def test_when_none_is_used_up_the_longest_wait_counts() -> None:
    limits = read_limits(
        {
            "x-ratelimit-route-remaining": "2",
            "x-ratelimit-reset": IN_FOUR,
            "x-ratelimit-auth-token-remaining": "3",
            "x-ratelimit-auth-token-reset": IN_NINE,
        },
        NOW,
    )
    assert limits.wait == pytest.approx(9.0)


def test_retry_after_is_a_minimum_beside_the_resets() -> None:
    headers = {"x-ratelimit-route-remaining": "0", "x-ratelimit-reset": IN_FOUR, "retry-after": "6"}
    assert read_limits(headers, NOW).wait == pytest.approx(6.0)


def test_a_reset_in_the_past_is_no_wait() -> None:
    past = str(int(NOW.timestamp() * 1000) - 5_000)
    assert read_limits({"x-ratelimit-route-remaining": "0", "x-ratelimit-reset": past}, NOW).wait == 0.0


def test_a_reset_far_ahead_is_read_as_it_is_stated() -> None:
    far = str(int(NOW.timestamp() * 1000) + 200_000)
    limits = read_limits({"x-ratelimit-route-remaining": "0", "x-ratelimit-reset": far}, NOW)
    assert limits.wait == pytest.approx(200.0)
    gate = RateGate()
    gate.observe("get_experiment", limits, now=0.0, refused=None)
    assert gate.closed_for("get_experiment", now=1.0) == pytest.approx(199.0)


def test_an_absurd_reset_beside_an_answer_closes_the_gate_for_a_window_only() -> None:
    gate = RateGate()
    gate.observe("get_experiment", used_up(31_536_000.0), now=0.0, refused=None)
    assert gate.closed_for("get_experiment", now=0.0) == LONGEST_WINDOW


def test_what_is_left_of_a_long_window_is_spread_over_a_short_time() -> None:
    gate = RateGate()
    gate.observe("get_experiment", RateLimits((Limit(True, 10, 1, 900.0),)), now=0.0, refused=None)
    waits = [gate.reserve("get_experiment", now=0.0, chance=0.0) for _ in range(4)]
    assert waits == [0.0, 15.0, 30.0, 30.0]


def test_a_retry_after_is_not_capped() -> None:
    assert read_limits({"retry-after": "3600"}, NOW).wait == 3600.0


@pytest.mark.parametrize("garbage", ["", "soon", "nan", "inf", "-1", "0", "4, 4", "\uff11\uff12", "1e999"])
@pytest.mark.parametrize(
    "name",
    [
        "retry-after",
        "x-ratelimit-reset",
        "x-ratelimit-auth-token-reset",
        "x-ratelimit-route-remaining",
        "x-ratelimit-global-limit",
    ],
)
def test_garbage_in_a_header_is_never_an_error(name: str, garbage: str) -> None:
    assert (read_limits({name: garbage}, NOW).wait or 0.0) <= LONGEST_WINDOW


def test_absence_says_nothing() -> None:
    assert read_limits({}, NOW) == RateLimits()
    assert RateLimits().wait is None


def used_up(seconds: float, *, shared: bool = True) -> RateLimits:
    return RateLimits((Limit(shared, 10, 0, seconds),))


def test_an_open_gate_lets_everybody_through() -> None:
    assert RateGate().reserve("get_experiment", now=0.0, chance=0.5) == 0.0


def test_a_429_closes_the_gate_for_every_caller() -> None:
    gate = RateGate()
    gate.observe("get_experiment", used_up(4.0), now=0.0, refused=4.0)
    assert gate.reserve("get_flag", now=1.0, chance=0.0) == pytest.approx(3.0)
    assert gate.closed_for("get_flag", now=1.0) == pytest.approx(3.0)


def test_a_429_of_one_route_closes_that_route_alone() -> None:
    gate = RateGate()
    gate.observe("get_experiment", used_up(4.0, shared=False), now=0.0, refused=4.0)
    assert gate.reserve("get_experiment", now=1.0, chance=0.0) == pytest.approx(3.0)
    assert gate.reserve("get_flag", now=1.0, chance=0.0) == 0.0


def test_a_429_without_headers_closes_the_gate_for_every_caller() -> None:
    gate = RateGate()
    gate.observe("get_experiment", RateLimits(), now=0.0, refused=0.5)
    assert gate.reserve("get_flag", now=0.0, chance=0.0) == pytest.approx(0.5)


def test_the_ip_limit_closes_the_gate_for_every_caller() -> None:
    gate = RateGate()
    limits = RateLimits((Limit(False, 10, 0, 1.0),), retry_after=5.0)
    gate.observe("get_experiment", limits, now=0.0, refused=5.0)
    assert gate.reserve("get_flag", now=0.0, chance=0.0) == pytest.approx(5.0)


def test_callers_who_waited_together_leave_one_after_the_other() -> None:
    gate = RateGate()
    gate.observe("get_experiment", used_up(4.0), now=0.0, refused=4.0)
    waits = [gate.reserve("get_experiment", now=0.0, chance=0.5) for _ in range(20)]
    assert waits == sorted(waits)
    assert len(set(waits)) == 20
    assert min(waits) >= 4.0


def test_nobody_waits_longer_than_one_more_window_however_many_wait() -> None:
    gate = RateGate()
    gate.observe("get_experiment", used_up(4.0), now=0.0, refused=4.0)
    assert max(gate.reserve("get_experiment", now=0.0, chance=0.5) for _ in range(5_000)) <= 14.0


def test_the_gate_opens_by_itself() -> None:
    gate = RateGate()
    gate.observe("get_experiment", used_up(4.0), now=0.0, refused=4.0)
    assert gate.reserve("get_experiment", now=4.0, chance=0.5) == 0.0
    assert gate.closed_for("get_experiment", now=4.0) == 0.0


def test_an_earlier_end_never_shortens_a_closure() -> None:
    gate = RateGate()
    gate.observe("get_experiment", used_up(8.0), now=0.0, refused=8.0)
    gate.observe("get_experiment", used_up(1.0), now=0.0, refused=1.0)
    assert gate.closed_for("get_experiment", now=0.0) == pytest.approx(8.0)


def test_low_remaining_counts_space_callers_out_before_the_429() -> None:
    gate = RateGate()
    gate.observe("get_experiment", RateLimits((Limit(True, 10, 2, 9.0),)), now=0.0, refused=None)
    waits = [gate.reserve("get_experiment", now=0.0, chance=0.5) for _ in range(3)]
    assert waits == pytest.approx([0.0, 3.0, 6.0])


def test_spacing_ends_with_the_window() -> None:
    gate = RateGate()
    gate.observe("get_experiment", RateLimits((Limit(True, 10, 1, 9.0),)), now=0.0, refused=None)
    assert max(gate.reserve("get_experiment", now=0.0, chance=0.5) for _ in range(50)) <= 9.0
    assert gate.reserve("get_experiment", now=9.0, chance=0.5) == 0.0


def test_a_success_with_nothing_left_closes_the_gate_until_the_reset() -> None:
    gate = RateGate()
    gate.observe("get_experiment", used_up(4.0), now=0.0, refused=None)
    assert gate.reserve("get_experiment", now=0.0, chance=0.0) == pytest.approx(4.0)


def test_plenty_left_slows_nobody_down() -> None:
    gate = RateGate()
    gate.observe("get_experiment", RateLimits((Limit(True, 100, 60, 9.0),)), now=0.0, refused=None)
    assert [gate.reserve("get_experiment", now=0.0, chance=0.5) for _ in range(9)] == [0.0] * 9


def test_one_token_has_one_gate_in_the_process_and_another_token_another() -> None:
    gate = gate_of("https://one", "api-1")
    assert gate_of("https://one", "api-1") is gate
    assert gate_of("https://one", "api-2") is not gate
    assert gate_of("https://two", "api-1") is not gate


def test_a_gate_is_forgotten_with_its_last_client() -> None:
    gate = gate_of("https://one", "api-3")
    gate.observe("get_experiment", used_up(4.0), now=0.0, refused=4.0)
    del gate
    gc.collect()
    assert gate_of("https://one", "api-3").closed_for("get_experiment", now=0.0) == 0.0
