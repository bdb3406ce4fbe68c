"""The error tree: what each failure is, and that it can travel between processes."""

from __future__ import annotations

import inspect
import pickle

import pytest

from airflow_provider_launchdarkly.api import errors
from airflow_provider_launchdarkly.api.errors import (
    ApiError,
    ConflictError,
    Difference,
    ExperimentDiffersError,
    LaunchDarklyError,
    RuleOwnedError,
    StateError,
)
from airflow_provider_launchdarkly.api.failed_call import Call, Refusal

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, LaunchDarklyError)]
MAY_PASS = {
    "ConnectionUnavailableError",
    "WaitingFailedError",
    "DataNotArrivedError",
    "TransportError",
    "VersionMismatchError",
    "UnclearOutcomeError",
    "ConflictError",
    "RateLimitedError",
    "ServerError",
}


def test_the_docstring_draws_every_error_of_the_tree() -> None:
    assert [kind.__name__ for kind in ALL if f" {kind.__name__}" not in (errors.__doc__ or "")] == []


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_an_error_says_whether_running_the_task_again_may_cure_it(kind: type[LaunchDarklyError]) -> None:
    assert kind.retryable == (kind.__name__ in MAY_PASS)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling(kind: type[LaunchDarklyError]) -> None:
    original = kind("what happened", call=Call("get_experiment", "GET", "/api/v2/x"))
    copy = pickle.loads(pickle.dumps(original))
    assert (type(copy), str(copy), copy.operation, copy.method, copy.path) == (
        kind,
        "what happened",
        "get_experiment",
        "GET",
        "/api/v2/x",
    )


def test_an_answered_error_carries_what_launchdarkly_said() -> None:
    refusal = Refusal(409, "optimistic_locking_error", "try again", "req-1")
    error = pickle.loads(
        pickle.dumps(RuleOwnedError("owned", refusal=refusal, owner="other", flag_key="f", rule_id="r"))
    )
    assert (error.status, error.code, error.message, error.request_id) == (
        409,
        "optimistic_locking_error",
        "try again",
        "req-1",
    )
    assert (error.owner, error.flag_key, error.rule_id) == ("other", "f", "r")


def test_a_rule_owned_is_a_conflict_and_a_conflict_is_an_answer() -> None:
    assert issubclass(RuleOwnedError, ConflictError)
    assert issubclass(ConflictError, ApiError)
    assert not issubclass(StateError, ApiError)


def test_an_error_without_a_call_names_none() -> None:
    error = LaunchDarklyError("nothing was sent")
    assert (error.operation, error.method, error.path) == (None, None, None)


def test_a_difference_reads_as_a_sentence() -> None:
    difference = Difference("name", "A", None)
    assert str(difference) == "name: asked 'A', found None"
    assert ExperimentDiffersError("x", differences=(difference,)).differences == (difference,)
