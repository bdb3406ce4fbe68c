"""A retry policy that retries only errors that another try may cure. Needs Airflow 3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import ExceptionRetryPolicy


def retry_policy() -> ExceptionRetryPolicy:
    """Return a policy for any task that talks to LaunchDarkly: ``@task(retries=3, retry_policy=retry_policy())``.

    Errors that another try cannot cure (a rejected token, an experiment that differs) fail the task at once; all
    others use the task's ``retries`` and ``retry_delay``. Our operators do this on every Airflow version; the policy is
    for the sensors and for tasks that use the hook.

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
