"""The contract holds only if the clients' checks are on: answers that are wrong in one place have to be noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contract.checkout import IN_PROJECT, METRIC, create, read
from contract.official import VERSIONS, ClientProcess, ContractError, OfficialClient
from contract.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.testing import EmulatorServer


def spoilt() -> dict[str, Callable[[dict[str, Any]], Any]]:
    """What is wrong with an experiment's answer, and how to make it so."""
    return {
        "a required field is missing": lambda it: it.pop("_maintainerId"),
        "a required field is null": lambda it: it.update(key=None),
        "a number is a string": lambda it: it.update(_creationDate="1767603600000"),
        "a string is a number": lambda it: it["currentIteration"]["treatments"][0].update(allocationPercent=50),
        "a kind that does not exist": lambda it: it["currentIteration"]["metrics"][0].update(kind="guess"),
        "a required field is missing deep inside": lambda it: it["currentIteration"]["metrics"][0].pop("_versionId"),
        "a field that nobody published": lambda it: it.update(launchedBy="nobody"),
        "a field that nobody published deep inside": lambda it: it["currentIteration"]["metrics"][0].update(colour=1),
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("wrong", spoilt())
def test_a_client_notices(
    processes: dict[str, ClientProcess], emulator: EmulatorServer, version: str, wrong: str
) -> None:
    newest = processes[VERSIONS[-1]]
    create(OfficialClient(processes[version], newest, emulator))

    def spoil(answer: dict[str, Any]) -> dict[str, Any]:
        spoilt()[wrong](answer)
        return answer

    with Wire(emulator, spoil) as wire, pytest.raises(ContractError):
        read(OfficialClient(processes[version], newest, wire))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_behind_the_wire_reads_the_same_as_without(
    processes: dict[str, ClientProcess], emulator: EmulatorServer, version: str
) -> None:
    newest = processes[VERSIONS[-1]]
    straight = OfficialClient(processes[version], newest, emulator).metrics.get_metric(**IN_PROJECT, metric_key=METRIC)

    with Wire(emulator) as wire:
        behind = OfficialClient(processes[version], newest, wire).metrics.get_metric(**IN_PROJECT, metric_key=METRIC)

    assert behind == straight


def test_a_client_will_not_send_what_its_models_do_not_allow(client: OfficialClient) -> None:
    with pytest.raises(ContractError):
        client.metrics.get_metric(**IN_PROJECT, metric_key=7)


def test_the_clients_are_the_versions_that_they_claim_to_be(
    processes: dict[str, ClientProcess], emulator: EmulatorServer
) -> None:
    with Wire(emulator) as wire:
        for version in VERSIONS:
            OfficialClient(processes[version], processes[VERSIONS[-1]], wire).other.get_caller_identity()

    assert [sent.headers["user-agent"] for sent in wire.sent] == [
        [f"OpenAPI-Generator/{version}/python"] for version in VERSIONS
    ]
