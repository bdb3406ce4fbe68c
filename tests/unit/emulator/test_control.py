"""The control routes: journal, request log, switches and reset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import pytest

from airflow_provider_launchdarkly.emulator.state.settings import Settings
from airflow_provider_launchdarkly.emulator.transport.control import CONTROLS, is_loopback
from airflow_provider_launchdarkly.emulator.transport.journal import Journal, RequestLog
from airflow_provider_launchdarkly.testing import EmulatorServer

if TYPE_CHECKING:
    from support.emulator_caller import Caller, StartEmulator

CONTROLS_THAT_CHANGE = sorted(path.rpartition("/")[2] for path, verbs in CONTROLS.items() if "POST" in verbs)


JSON = {"content-type": "application/json"}


def control(api: Caller, name: str, body: object = None) -> httpx.Response:
    url = f"{api.server.url}/__emulator__/{name}"
    return httpx.get(url) if body is None else httpx.post(url, json=body)


def test_the_journal_has_the_effects_of_an_experiments_life(api: Caller) -> None:
    api.running()
    iteration = api.read()["currentIteration"]["_id"]
    winner = api.treatments()[1]["_id"]
    api.server.clock.advance("P14D")
    api.stop(winner)
    kinds = [effect["kind"] for effect in api.server.effects()]
    assert kinds == [
        "flag.changed",
        "experiment.created",
        "iteration.created",
        "iteration.started",
        "flag.changed",
        "iteration.stopped",
        "flag.changed",
    ]
    [stopped] = api.server.effects("iteration.stopped")
    assert stopped == {
        "kind": "iteration.stopped",
        "project": "demo",
        "environment": "production",
        "experiment": "bold",
        "iteration": iteration,
        "winner": winner,
    }
    assert api.server.journal()[-1].server_time == "2026-01-19T09:00:00+00:00"


def test_the_journal_keeps_the_request_and_never_the_token(api: Caller) -> None:
    body = api.experiment()
    api.post(api.experiments, body)
    response = control(api, "journal")
    [entry] = response.json()["entries"]
    assert entry["body"] == body
    assert (entry["seq"], entry["operation"], entry["method"]) == (1, "create_experiment", "POST")
    assert entry["path"] == api.experiments
    assert api.server.token not in response.text


def test_the_request_log_keeps_every_request_in_order_with_its_status(api: Caller) -> None:
    api.get(f"{api.experiments}/nothing?expand=treatments")
    api.get("/api/v2/nothing")
    api.get("/api/v2")
    lines = control(api, "requests").json()["requests"]
    assert [(line["operation"], line["status"]) for line in lines] == [
        ("get_experiment", 404),
        ("unknown", 404),
        ("get_root", 200),
    ]
    assert lines[0]["query"] == "expand=treatments"
    assert [line["seq"] for line in control(api, "requests?after=2").json()["requests"]] == [3]
    assert control(api, "requests?after=x").status_code == 400


def test_the_request_log_is_a_ring() -> None:
    log = RequestLog(size=2)
    for index in range(5):
        log.add(server_time="", operation=str(index), method="GET", path="/", query="", status=200)
    assert [line.seq for line in log.after(0)] == [4, 5]
    assert [line.seq for line in log.after(4)] == [5]
    assert log.after(5) == log.after(99) == []


def test_reset_restores_the_first_world_and_leaves_the_clock(api: Caller) -> None:
    api.running()
    api.server.clock.advance("P3D")
    api.server.fault("*", "status", times=50)
    first = api.server.call(lambda emulator: emulator.world.projects["demo"].flags["checkout-button"].variations)
    assert control(api, "reset", {}).json() == {"scenario": "effect", "seed": 42}
    assert api.get(api.experiments).json()["items"] == []
    assert api.production()["on"] is False
    assert api.server.journal() == []
    assert api.server.clock.now().isoformat() == "2026-01-08T09:00:00+00:00"
    again = api.server.call(lambda emulator: emulator.world.projects["demo"].flags["checkout-button"].variations)
    assert again == first


def test_reset_can_change_the_scenario(api: Caller) -> None:
    assert control(api, "reset", {"scenario": "no-traffic"}).json()["scenario"] == "no-traffic"
    assert httpx.post(f"{api.server.url}/__emulator__/reset", headers=JSON).json()["scenario"] == "no-traffic"
    assert control(api, "reset", {"scenario": "nothing"}).status_code == 400
    assert control(api, "reset", {"seed": 1}).status_code == 400


def test_the_same_seed_and_history_give_the_same_ids(emulator_with: StartEmulator) -> None:
    def ids(seed: int) -> tuple[str, str]:
        created = emulator_with(seed=seed).create()
        return created["_id"], created["currentIteration"]["treatments"][0]["_id"]

    assert ids(1) == ids(1) != ids(2)


def test_switches_are_read_and_set_over_http(api: Caller) -> None:
    assert control(api, "settings").json() == Settings().to_json()
    assert control(api, "settings", {"results": "gone"}).json()["results"] == "gone"
    assert "can be present or gone" in control(api, "settings", {"results": "maybe"}).json()["message"]
    assert "no such switch" in control(api, "settings", {"nothing": "on"}).json()["message"]
    assert control(api, "settings", {"results": []}).status_code == 400


@pytest.mark.parametrize(("method", "allowed"), [("DELETE", "GET, POST"), ("PATCH", "GET, POST")])
def test_a_wrong_verb_on_a_control_is_a_405_with_the_allowed_verbs(
    server: EmulatorServer, method: str, allowed: str
) -> None:
    response = httpx.request(method, f"{server.url}/__emulator__/clock")
    assert response.status_code == 405
    assert response.headers["Allow"] == allowed


@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_a_control_takes_a_json_object(server: EmulatorServer, content: bytes) -> None:
    assert httpx.post(f"{server.url}/__emulator__/settings", content=content, headers=JSON).status_code == 400


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        (None, True),
        ("10.0.0.7", False),
        ("192.168.1.27", False),
        ("fe80::1", False),
    ],
)
def test_controls_answer_to_this_machine_only(host: str | None, local: bool) -> None:
    assert is_loopback(host) is local


FOREIGN = [
    {"host": "emulator.example.com"},
    {"host": "localhost.example.com:8700"},
    {"host": "127.0.0.1.example.com"},
    {"host": "127.0.0.1@example.com"},
    {"host": "0.0.0.0:8700"},
    {"host": ""},
    {"origin": "https://example.com"},
    {"origin": "http://localhost.example.com"},
    {"origin": "null"},
    {"origin": "http://[::1"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(("method", "name"), [("GET", "journal"), ("POST", "reset"), ("DELETE", "faults")])
def test_a_page_of_another_site_controls_nothing(api: Caller, headers: dict[str, str], method: str, name: str) -> None:
    api.post(api.experiments, api.experiment())
    response = httpx.request(method, f"{api.server.url}/__emulator__/{name}", headers=JSON | headers)
    assert response.status_code in (400, 403)
    assert len(api.server.journal()) == 1
    [(header, value)] = headers.items()
    if response.status_code == 403:
        assert f"{header.title()} is {value!r}" in response.json()["message"]


# What a page may give a POST without a preflight: the types of HTML forms and of `sendBeacon`, and no type at all where
# there is no body. A `fetch` in the mode `no-cors` drops every other type.
SIMPLE: tuple[dict[str, str], ...] = (
    {},
    {"content-type": ""},
    {"content-type": "text/plain"},
    {"content-type": "text/plain;charset=UTF-8"},
    {"content-type": "application/x-www-form-urlencoded"},
    {"content-type": "multipart/form-data; boundary=x"},
    {"content-type": "text/plain; application/json"},
    {"content-type": "application/jsonp"},
)
BODIES = {"clock": b'{"advance": "P1D"}', "reset": b"", "warehouse": b"", "faults": b'{"fault": "hidden", "times": 9}'}


@pytest.mark.parametrize("headers", SIMPLE)
@pytest.mark.parametrize("name", CONTROLS_THAT_CHANGE)
def test_a_post_that_needs_no_preflight_is_refused(api: Caller, name: str, headers: dict[str, str]) -> None:
    """Also from a page on this machine, and from a browser that states no `Origin`."""
    api.post(api.experiments, api.experiment())
    before = api.server.snapshot()
    url = f"{api.server.url}/__emulator__/{name}"
    for content in {b"", BODIES.get(name, b"{}")}:
        for origin in ({}, {"origin": "http://localhost:3000"}):
            response = api.http.post(url, content=content, headers=headers | origin)
            assert response.status_code == 415
            assert "curl --json" in response.json()["message"]
    assert api.server.snapshot() == before
    assert len(api.server.journal()) == 1


def test_a_preflight_allows_no_page_anything(api: Caller) -> None:
    asked = {"origin": "http://localhost:3000", "access-control-request-method": "POST"}
    response = api.http.options(
        f"{api.server.url}/__emulator__/reset", headers=asked | {"access-control-request-headers": "content-type"}
    )
    assert response.status_code == 405
    assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8700", "ld.localhost:1", "127.0.0.1:8700", "127.9.9.9", "[::1]:8"]
)
def test_names_of_this_machine_are_accepted(api: Caller, host: str) -> None:
    headers = {"host": host, "origin": f"http://{host}"}
    answer = httpx.post(f"{api.server.url}/__emulator__/clock", json={"advance": "P1D"}, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path", ["/__emulator__/load", "/api/v2/projects/demo/environments/production/experiments", "/none"]
)
def test_a_body_without_an_end_is_not_read_to_its_end(api: Caller, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_launchdarkly.emulator.transport.app.LARGEST_BODY", 2**16)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 2**14
            yield b" " * 2**14

    headers = JSON | {"authorization": api.server.token}
    with suppress(httpx.TransportError):
        response = httpx.post(f"{api.server.url}{path}", content=endless(), headers=headers)
        assert response.status_code == 413
    assert sent < 2**26
    assert control(api, "clock").status_code == 200


def test_the_journal_lets_old_changes_go_and_says_so() -> None:
    journal = Journal(size=3)
    for number in range(5):
        journal.add(
            server_time="", operation="x", method="POST", path="/", body=None, effects=({"kind": "k", "n": number},)
        )
    assert [entry.seq for entry in journal.entries] == [3, 4, 5]
    assert (journal.dropped, [effect["n"] for effect in journal.effects("k")]) == (2, [2, 3, 4])
