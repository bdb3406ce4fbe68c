"""The hook: whose connection, whose project, one client for all, and what a connection test says."""

from __future__ import annotations

import asyncio
import json
import os
import re

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_launchdarkly._version import __version__
from airflow_provider_launchdarkly.api.errors import AuthenticationError, ConfigurationError
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.surroundings import CONNECTION, connection_json


@pytest.fixture
def hook(connection: str) -> LaunchDarklyHook:
    return LaunchDarklyHook(connection)


def test_a_call_runs_both_ways(hook: LaunchDarklyHook) -> None:
    assert hook.get_flag("checkout-button") == asyncio.run(hook.get_flag.aio("checkout-button"))


def test_a_call_keeps_the_docstring_of_its_method(hook: LaunchDarklyHook) -> None:
    assert "Read a flag" in (hook.get_flag.__doc__ or "")
    assert "Read a flag" in (LaunchDarklyHook.get_flag.__doc__ or "")


def test_all_hooks_of_a_process_share_one_client(hook: LaunchDarklyHook) -> None:
    assert LaunchDarklyHook().get_conn() is hook.get_conn()


def test_a_forked_process_does_not_use_its_parents_client(hook: LaunchDarklyHook) -> None:
    """It would write to its parent's sockets: each would read the other's responses."""
    parents = hook.get_conn()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write_end, b"shared" if LaunchDarklyHook().get_conn() is parents else b"own")
        finally:
            os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    with os.fdopen(read_end, "rb") as answered:
        assert answered.read() == b"own"


def test_connections_that_differ_do_not_share_a_client(
    hook: LaunchDarklyHook, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection_json(emulator, timeout=3))
    assert LaunchDarklyHook("other").get_conn() is not hook.get_conn()


def test_a_thousand_triggers_look_the_connection_up_once(
    hook: LaunchDarklyHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups = 0
    original = LaunchDarklyHook._look_up

    async def counted(self: LaunchDarklyHook) -> object:
        nonlocal lookups
        lookups += 1
        await asyncio.sleep(0)
        return await original(self)

    monkeypatch.setattr(LaunchDarklyHook, "_look_up", counted)

    async def many() -> set[int]:
        found = await asyncio.gather(*(LaunchDarklyHook().aget_conn() for _ in range(1000)))
        return {id(client) for client in found}

    assert len(asyncio.run(many())) == 1
    assert lookups == 1


def test_a_refused_token_is_looked_up_again(
    hook: LaunchDarklyHook, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = connection_json(emulator)
    monkeypatch.setenv(CONNECTION, json.dumps(json.loads(good) | {"password": "api-rotated-away"}))

    async def rotate() -> str:
        hook = LaunchDarklyHook()
        with pytest.raises(AuthenticationError):
            await hook.get_project.aio()
        monkeypatch.setenv(CONNECTION, good)
        return (await hook.get_project.aio()).key

    assert asyncio.run(rotate()) == "demo"


def test_the_hooks_own_project_and_environment_come_before_the_connections(connection: str) -> None:
    hook = LaunchDarklyHook(connection, project_key="mine", environment_key="test")
    assert hook.environment() == ("mine", "test")
    assert hook.environment("yours", "other") == ("yours", "other")


@pytest.mark.parametrize("missing", ["project_key", "environment_key"])
def test_a_project_or_environment_that_nobody_names_is_an_error_with_the_cure(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv(CONNECTION, connection_json(emulator, **{missing: None}))
    with pytest.raises(ConfigurationError, match=rf"{missing} is missing.*extra\.{missing}"):
        LaunchDarklyHook().environment()


def test_a_missing_connection_is_airflows_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AirflowNotFoundException, match="nowhere"):
        _ = LaunchDarklyHook("nowhere").settings


def test_nothing_is_read_or_sent_before_it_is_needed(emulator: EmulatorServer) -> None:
    LaunchDarklyHook("nowhere")
    assert emulator.requests() == []


def test_requests_bear_our_version(hook: LaunchDarklyHook) -> None:
    assert hook.settings.client.user_agent == f"airflow-provider-launchdarkly/{__version__}"


def test_a_connection_that_works_says_as_whom_and_what_it_reads(hook: LaunchDarklyHook) -> None:
    works, sentence = hook.test_connection()
    assert works
    assert re.fullmatch(
        r"Connected to http://127\.0\.0\.1:\d+ with token 'emulator'; it reads project demo\.", sentence
    )


def test_without_a_default_project_the_connection_test_lists_projects(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONNECTION, connection_json(emulator, project_key=None))
    assert LaunchDarklyHook().test_connection()[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": "api-no-such-token"}, "does not know this token"),
        ({"password": "sdk-emulator-production"}, "an SDK key"),
        ({"password": "mob-emulator-production"}, "a mobile key"),
        ({"password": "api-outsider"}, "has no access to project 'demo'"),
        ({"password": ""}, "password is empty"),
        ({"extra": {"project_key": "no-such-project"}}, "no project 'no-such-project'"),
        (
            {"extra": {"project_key": "demo", "environment_key": "prodution"}},
            "project 'demo' has no environment 'prodution'",
        ),
        ({"host": "http://127.0.0.1:9", "extra": {"retry_budget": 0.1}}, "could not be reached"),
        ({"host": "127.0.0.1:9"}, "scheme and host are needed"),
        ({"extra": {"projct_key": "demo"}}, "unknown keys projct_key"),
    ],
)
def test_a_connection_that_does_not_work_says_why_in_one_sentence(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], says: str
) -> None:
    monkeypatch.setenv(CONNECTION, json.dumps(json.loads(connection_json(emulator)) | change))
    works, sentence = LaunchDarklyHook().test_connection()
    assert not works
    assert says in sentence
    assert "\n" not in sentence
    if change.get("password"):
        assert str(change["password"]) not in sentence


def test_airflow_finds_the_hook_of_the_connection(connection: str) -> None:
    from airflow.providers.common.compat.sdk import BaseHook

    assert isinstance(BaseHook.get_connection(connection).get_hook(), LaunchDarklyHook)
