"""What our client sends is what LaunchDarkly's own clients send: verb, path, query, body and the headers that count."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from email.message import Message
from importlib import import_module
from inspect import isfunction
from typing import TYPE_CHECKING

import pytest

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.api.http.client import AsyncLaunchDarklyClient, LaunchDarklyClient
from contract.official import VERSIONS, ContractError, OfficialClient, Refusal
from contract.pairs import PAIRS
from contract.wire import Wire

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.testing import EmulatorServer
    from contract.official import ClientProcess
    from contract.pairs import Pair
    from contract.wire import Sent


def sent_by_us(pair: Pair, emulator: EmulatorServer) -> Sent:
    # Whether the emulator's world has what is asked for does not matter here.
    with Wire(emulator) as wire, suppress(LaunchDarklyError), LaunchDarklyClient(wire.url, wire.token) as client:
        client.send(pair.ours)
    return wire.sent[0]


async def sent_by_our_async_client(pair: Pair, emulator: EmulatorServer) -> Sent:
    with Wire(emulator) as wire, suppress(LaunchDarklyError):
        async with AsyncLaunchDarklyClient(wire.url, wire.token) as client:
            await client.send(pair.ours)
    return wire.sent[0]


def sent_by_them(pair: Pair, emulator: EmulatorServer, process: ClientProcess, newest: ClientProcess) -> Sent:
    with Wire(emulator) as wire:
        client = OfficialClient(process, newest, wire, api_version="beta" if pair.beta else None)
        try:
            client.call(pair.api, pair.method, pair.content_type, pair.arguments)
        except (Refusal, ContractError):
            if not wire.sent:
                raise
    return wire.sent[0]


def meaning(query: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """A query without regard to order. LaunchDarkly documents `summary=0`; its clients write booleans out."""
    return sorted((name, "false" if (name, value) == ("summary", "0") else value) for name, value in query)


def media_type(header: str) -> tuple[str, dict[str, str]]:
    """A content type without regard to case and spaces."""
    message = Message()
    message["content-type"] = header
    first, *parameters = message.get_params([])
    return first[0].lower(), {name.lower(): value.lower() for name, value in parameters}


SAID = [(name, version) for name, pair in PAIRS.items() for version in pair.versions]


@pytest.mark.parametrize(("name", "version"), SAID, ids=[f"{name} - {version}" for name, version in SAID])
def test_both_say_the_same(
    processes: dict[str, ClientProcess], emulator: EmulatorServer, name: str, version: str
) -> None:
    pair = PAIRS[name]

    ours = sent_by_us(pair, emulator)
    theirs = sent_by_them(pair, emulator, processes[version], processes[VERSIONS[-1]])

    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    assert meaning(ours.query) == meaning(theirs.query)
    assert ours.body == theirs.body
    assert ours.headers["authorization"] == theirs.headers["authorization"]
    assert ours.headers["accept"] == theirs.headers["accept"]
    if theirs.body is not None:
        [our_type], [their_type] = ours.headers["content-type"], theirs.headers["content-type"]
        assert media_type(our_type) == media_type(their_type)
    # Up to 17.2.0 the clients set no version of their own, so that the token's holds; ours always says which.
    assert len(ours.headers["ld-api-version"]) == 1
    if "ld-api-version" in theirs.headers:
        assert ours.headers["ld-api-version"] == theirs.headers["ld-api-version"]


@pytest.mark.parametrize("name", PAIRS)
def test_our_token_goes_into_one_header_and_nowhere_else(emulator: EmulatorServer, name: str) -> None:
    sent = sent_by_us(PAIRS[name], emulator)

    holding = [header for header, values in sent.headers.items() if any(emulator.token in value for value in values)]
    assert holding == ["authorization"]
    assert sent.headers["authorization"] == [emulator.token]
    assert emulator.token not in f"{sent.path}{sent.query}{sent.body}"


@pytest.mark.parametrize("name", PAIRS)
def test_our_async_client_says_the_same_as_the_other(emulator: EmulatorServer, name: str) -> None:
    ours, theirs = sent_by_us(PAIRS[name], emulator), asyncio.run(sent_by_our_async_client(PAIRS[name], emulator))

    assert replace(ours, headers={}) == replace(theirs, headers={})
    assert {**ours.headers, "host": []} == {**theirs.headers, "host": []}


def test_every_endpoint_of_ours_is_compared() -> None:
    names = import_module(endpoints.__name__).__all__
    ours = {name for name in names if isfunction(getattr(endpoints, name))}

    assert {pair.ours.operation for pair in PAIRS.values()} == ours


def test_every_method_of_their_experiments_api_is_compared(
    processes: dict[str, ClientProcess], emulator: EmulatorServer
) -> None:
    for version in VERSIONS:
        client = OfficialClient(processes[version], processes[VERSIONS[-1]], emulator)
        compared = {p.method for p in PAIRS.values() if p.api == "experiments" and version in p.versions}
        assert compared == set(client.methods("experiments"))
