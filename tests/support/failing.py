"""Tasks that fail at once, whatever their `retries` say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError


@contextmanager
def fails_at_once(
    error: type[LaunchDarklyError], match: str | None = None
) -> Iterator[pytest.ExceptionInfo[AirflowFailException]]:
    """Expect that a task fails without a retry, from this error."""
    with pytest.raises(AirflowFailException, match=match) as raised:
        yield raised
    assert type(raised.value.__cause__) is error
    assert str(raised.value).startswith(f"{error.__name__}: ")
