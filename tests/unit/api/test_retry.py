"""After one attempt: return, wait, read back, or raise."""

from __future__ import annotations

import pytest

from airflow_provider_launchdarkly.api.http.procedure import Sleep
from airflow_provider_launchdarkly.api.http.retry import (
    FLOOR,
    Attempt,
    Body,
    Broken,
    NotSent,
    Outcome,
    Raise,
    ReadBack,
    Responded,
    Return,
    next_step,
)

READ = Attempt(number=1, is_read=True, elapsed=0.0, budget=60.0)
WRITE = Attempt(number=1, is_read=False, elapsed=0.0, budget=60.0)


@pytest.mark.parametrize("attempt", [READ, WRITE])
@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_success_is_returned(attempt: Attempt, status: int) -> None:
    assert next_step(attempt, Responded(status), 0.5) == Return()


@pytest.mark.parametrize("attempt", [READ, WRITE])
@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 409, 410, 422])
def test_a_refusal_is_final(attempt: Attempt, status: int) -> None:
    assert next_step(attempt, Responded(status), 0.5) == Raise()


@pytest.mark.parametrize(
    "outcome", [Responded(500), Responded(503), Responded(408), Responded(200, body=Body.DAMAGED), Broken("closed")]
)
def test_a_read_that_failed_on_the_way_is_sent_again(outcome: Outcome) -> None:
    assert isinstance(next_step(READ, outcome, 0.5), Sleep)


@pytest.mark.parametrize(
    "outcome",
    [
        Responded(500),
        Responded(503),
        Responded(408),
        Responded(200, body=Body.DAMAGED),
        Responded(200, body=Body.STRANGE),
        Broken("closed"),
    ],
)
def test_a_write_that_may_have_happened_is_read_back_and_never_sent_again(outcome: Outcome) -> None:
    assert next_step(WRITE, outcome, 0.5) == ReadBack()


@pytest.mark.parametrize("outcome", [Responded(429), NotSent("connection refused")])
@pytest.mark.parametrize("attempt", [READ, WRITE])
def test_what_surely_did_not_happen_is_sent_again(attempt: Attempt, outcome: Outcome) -> None:
    assert isinstance(next_step(attempt, outcome, 0.5), Sleep)


def test_a_whole_answer_of_another_shape_is_not_asked_for_again() -> None:
    assert next_step(READ, Responded(200, body=Body.STRANGE), 0.5) == Raise()


@pytest.mark.parametrize("attempt", [READ, WRITE])
def test_a_connection_that_can_never_be_made_is_final(attempt: Attempt) -> None:
    assert next_step(attempt, NotSent("certificate not trusted", hopeless=True), 0.5) == Raise()


def test_a_429_waits_at_least_what_it_asks_for() -> None:
    decision = next_step(WRITE, Responded(429, wait=7.0), 0.0)
    assert decision == Sleep(7.0)


def test_a_429_without_headers_waits_at_least_half_a_second() -> None:
    assert next_step(READ, Responded(429), 0.0) == Sleep(FLOOR)


def test_callers_refused_together_part() -> None:
    waits = {next_step(READ, Responded(429, wait=7.0), chance) for chance in (0.0, 0.3, 0.9)}
    assert len(waits) == 3


def test_full_jitter_reaches_from_almost_nothing_to_the_backoff() -> None:
    third = Attempt(number=3, is_read=True, elapsed=0.0, budget=60.0)
    assert next_step(third, Responded(500), 0.0) == Sleep(0.05)
    assert next_step(third, Responded(500), 1.0) == Sleep(2.0)


def test_the_backoff_is_capped_however_often_it_failed() -> None:
    assert next_step(Attempt(10_000, True, 0.0, 60.0), Responded(500), 1.0) == Sleep(10.0)


def test_a_5xx_with_retry_after_waits_at_least_that_long() -> None:
    assert next_step(READ, Responded(503, wait=4.0), 0.0) == Sleep(4.0)


@pytest.mark.parametrize("outcome", [Responded(500), Responded(429), Broken("closed"), NotSent("refused")])
def test_no_wait_reaches_beyond_the_budget(outcome: Outcome) -> None:
    assert next_step(Attempt(5, True, 59.9, 60.0), outcome, 0.9) == Raise()


def test_a_retry_after_beyond_the_budget_gives_up_at_once() -> None:
    assert next_step(WRITE, Responded(429, wait=120.0), 0.0) == Raise()


def test_every_retry_ends() -> None:
    """With the unluckiest jitter, and an answer that takes no time, the budget still runs out."""
    elapsed, number = 0.0, 1
    while isinstance(wait := next_step(Attempt(number, True, elapsed, 60.0), Responded(500), 0.0), Sleep):
        elapsed, number = elapsed + wait.seconds, number + 1
    assert number <= 1_201
