"""Retries of tasks: only of errors that another try may cure, and long enough to outlive an outage of Airflow's own."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.api.errors import ConfigurationError, LaunchDarklyError
from airflow_provider_launchdarkly.config.problems import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.sdk import ExceptionRetryPolicy

# Ten retries wait 65 to 85 minutes in all, depending on Airflow's version and its jitter. So a task outlives an hour
# without LaunchDarkly or a warehouse, as a wait in the triggerer does, and a broker or database that is away as long.
RETRIES = 10
RETRY_DELAY = timedelta(minutes=1)
LONGEST_RETRY_DELAY = timedelta(minutes=10)

# What people may ask for, in Python and in a file.
MOST_RETRIES = 100
LARGEST_RETRY_DELAY = timedelta(days=1).total_seconds()


def patient_retries(
    around: Mapping[str, Any], retries: int | None = None, retry_delay: timedelta | float | None = None
) -> dict[str, Any]:
    """Return the ``default_args`` of a rollout's tasks: a killed task is tried again, at growing delays.

    Every task of a rollout is safe to repeat, and an error that another try cannot cure fails it at once.

    Args:
        around: The ``default_args`` of the DAG and the task groups around, which come before the defaults here.
        retries: Retries of each task, 0 to 100, which come before all others; None for those.
        retry_delay: Time before the first retry, up to a day, in seconds if it is a number; None as for `retries`.

    Raises:
        ConfigurationError: One of the two is something else.
    """
    from airflow.sdk import BaseOperator

    # Before Airflow 3.2 it is a switch and not the factor.
    doubling: float = True if BaseOperator.__annotations__.get("retry_exponential_backoff") == "bool" else 2.0
    return {
        "retries": RETRIES,
        "retry_delay": RETRY_DELAY,
        "retry_exponential_backoff": doubling,
        "max_retry_delay": LONGEST_RETRY_DELAY,
        **around,
        **_checked(retries, retry_delay),
    }


def _checked(retries: Any, retry_delay: Any) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if retries is not None:
        if not isinstance(retries, int) or isinstance(retries, bool) or not 0 <= retries <= MOST_RETRIES:
            raise ConfigurationError(f"retries is {shown(retries)}: write a whole number from 0 to {MOST_RETRIES}")
        given["retries"] = retries
    if retry_delay is not None:
        is_number = isinstance(retry_delay, int | float) and not isinstance(retry_delay, bool)
        seconds = retry_delay.total_seconds() if isinstance(retry_delay, timedelta) else retry_delay
        if not (is_number or isinstance(retry_delay, timedelta)) or not 0 <= seconds <= LARGEST_RETRY_DELAY:
            raise ConfigurationError(
                f"retry_delay is {shown(retry_delay)}: write a timedelta or a number of seconds, from 0 to a day"
            )
        given["retry_delay"] = retry_delay
    return given


@contextmanager
def fail_unless_retryable() -> Iterator[None]:
    """Fail the task at once on an error that another try cannot cure.

    Raises:
        AirflowFailException: The input or LaunchDarkly's response is the cause, and stays the same on another try.
        LaunchDarklyError: Another try may cure it; Airflow's ``retries`` apply.
    """
    try:
        yield
    except LaunchDarklyError as error:
        if error.retryable:
            raise
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error


def retry_policy() -> ExceptionRetryPolicy:
    """Return a policy for any task that talks to LaunchDarkly: ``@task(retries=3, retry_policy=retry_policy())``.

    Errors that another try cannot cure (a rejected token, an experiment that differs) fail the task at once; all
    others use the task's ``retries`` and ``retry_delay``. Our operators and sensors do this on every Airflow version;
    the policy is for tasks that use the hook.

    Raises:
        RuntimeError: This Airflow is older than 3.3 and has no retry policies.
    """
    try:
        from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
    except ImportError:
        raise RuntimeError(
            "retry policies need Airflow 3.3; before it, leave retry_policy out: our operators fail fast without it"
        ) from None
    # The first rule that matches decides, so each class comes before the class that it refines.
    return ExceptionRetryPolicy(
        rules=[
            RetryRule(
                exception=error,
                action=RetryAction.DEFAULT if error.retryable else RetryAction.FAIL,
                reason=None if error.retryable else f"{error.__name__}: another try finds the same",
            )
            for error in _refined_first(LaunchDarklyError)
        ]
    )


def _refined_first(error: type[LaunchDarklyError]) -> Iterator[type[LaunchDarklyError]]:
    for refined in error.__subclasses__():
        yield from _refined_first(refined)
    yield error
