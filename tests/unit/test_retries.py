"""Retries are spent only where another try may help."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from airflow_provider_launchdarkly.api.errors import (
    AuthenticationError,
    ConflictError,
    ExperimentDiffersError,
    LaunchDarklyError,
    RuleOwnedError,
    TransportError,
)
from airflow_provider_launchdarkly.retries import retry_policy

HAS_POLICIES = tuple(int(part) for part in version("apache-airflow").split(".")[:2]) >= (3, 3)


def action(error: Exception) -> str:
    return str(retry_policy().evaluate(error, 1, 3).action.value)


if HAS_POLICIES:

    @pytest.mark.parametrize(
        "error",
        [
            AuthenticationError("bad token"),
            ExperimentDiffersError("differs"),
            RuleOwnedError("owned"),
            LaunchDarklyError(),
        ],
    )
    def test_what_stays_the_same_on_another_try_fails_at_once(error: LaunchDarklyError) -> None:
        assert action(error) == "fail"

    @pytest.mark.parametrize("error", [TransportError("no answer"), ConflictError("busy"), KeyError("not ours")])
    def test_what_may_pass_takes_the_tasks_own_retries(error: Exception) -> None:
        assert action(error) == "default"

    def test_every_error_is_decided_by_its_own_class() -> None:
        classes = [LaunchDarklyError]
        for error in classes:
            classes += error.__subclasses__()
            assert action(error("…")) == ("default" if error.retryable else "fail"), error

    def test_the_policy_survives_serialisation() -> None:
        from airflow.sdk import ExceptionRetryPolicy

        again = ExceptionRetryPolicy.deserialize(retry_policy().serialize())
        assert again.evaluate(AuthenticationError("bad token"), 1, 3).action.value == "fail"

else:

    def test_an_older_airflow_is_told_what_to_do() -> None:
        with pytest.raises(RuntimeError, match=r"Airflow 3\.3.*leave retry_policy out"):
            retry_policy()
