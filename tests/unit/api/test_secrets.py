"""The token shows nowhere: not in a repr, not in an error, not in a log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.api.models import StartIteration

from .conftest import ENV, TOKEN, Connect, Script, answer

READ = endpoints.get_experiment(ENV, "bold")
WRITE = endpoints.patch_experiment(ENV, "bold", [StartIteration()])
BOLD = {"key": "bold"}


@pytest.mark.parametrize(
    "build", [lambda: answer(401, {"message": f"bad token {TOKEN}"}), lambda: httpx.ReadError(TOKEN)]
)
def test_the_token_is_in_no_error_even_if_the_other_side_repeats_it(
    connect: Connect, build: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    driver = connect(Script(build()), retry_budget=1.0)
    with pytest.raises(LaunchDarklyError) as failed:
        driver.send(READ)
    seen = [str(failed.value), repr(failed.value), repr(vars(failed.value)), repr(failed.value.__cause__)]
    assert TOKEN not in "".join(seen) + caplog.text


def test_the_token_is_in_no_repr(connect: Connect) -> None:
    client = connect(Script(answer())).client
    parts = [client, client.settings, client._exchange, client._redact, client._http, client._http.auth, vars(client)]
    assert TOKEN not in "".join(map(repr, parts))
