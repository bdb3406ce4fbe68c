"""The emulator's own controls under `/__emulator__`: clock, reset, snapshots, journal, requests, faults, switches.

They need no token and answer only to the same machine.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from airflow_provider_launchdarkly.emulator.errors import ApiError, invalid_request
from airflow_provider_launchdarkly.emulator.state.clock import parse_duration, parse_time
from airflow_provider_launchdarkly.emulator.transport.faults import Fault
from airflow_provider_launchdarkly.emulator.transport.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_launchdarkly.emulator.transport.engine import Emulator

OPERATION_NAMES = frozenset(operation.name for operation in OPERATIONS)


def get_clock(emulator: Emulator, _query: str, _body: bytes) -> dict[str, Any]:
    """The time, its rate, and the time as epoch milliseconds."""
    clock = emulator.clock
    return {"now": clock.now().isoformat(), "milliseconds": clock.milliseconds(), "rate": clock.rate}


def post_clock(emulator: Emulator, query: str, body: bytes) -> dict[str, Any]:
    """`{"set": time}`, `{"advance": duration}` or `{"rate": number}`."""
    data = _json_object(body)
    try:
        match data:
            case {"set": str(text), **others} if not others:
                emulator.clock.set(parse_time(text))
            case {"advance": str(text), **others} if not others:
                emulator.clock.advance(parse_duration(text))
            case {"rate": int() | float() as rate, **others} if not others and not isinstance(rate, bool):
                emulator.clock.rate = rate
            case _:
                raise invalid_request('the clock takes one of {"set": time}, {"advance": duration}, {"rate": number}')
    except ValueError as error:
        raise invalid_request(str(error)) from None
    return get_clock(emulator, query, body)


def post_reset(emulator: Emulator, _query: str, body: bytes) -> dict[str, Any]:
    """Begin anew; `{"scenario": name}` begins with another one."""
    data = _json_object(body) if body.strip() else {}
    if not data.keys() <= {"scenario"}:
        raise invalid_request('reset takes nothing, or {"scenario": name}')
    try:
        emulator.reset(data.get("scenario"))
    except ValueError as error:
        raise invalid_request(str(error)) from None
    return {"scenario": emulator.scenario, "seed": emulator.seed}


def get_snapshot(emulator: Emulator, _query: str, _body: bytes) -> dict[str, Any]:
    """World, time and switches, to load later."""
    return emulator.snapshot()


def post_load(emulator: Emulator, query: str, body: bytes) -> dict[str, Any]:
    """Go on from a snapshot."""
    try:
        emulator.load(_json_object(body))
    except ValueError as error:
        raise invalid_request(str(error)) from None
    return get_clock(emulator, query, body)


def get_journal(emulator: Emulator, _query: str, _body: bytes) -> dict[str, Any]:
    """Every change with its request."""
    return {"entries": emulator.journal.to_json()}


def get_requests(emulator: Emulator, query: str, _body: bytes) -> dict[str, Any]:
    """The latest requests; `after=N` gives those with a greater sequence number."""
    after = parse_qs(query).get("after", ["0"])[0]
    if not (after.isascii() and after.isdigit()):
        raise invalid_request(f"after must be a whole number, not {after!r}")
    return {"requests": [asdict(line) for line in emulator.requests.after(int(after))]}


def get_faults(emulator: Emulator, _query: str, _body: bytes) -> dict[str, Any]:
    """The faults that can still strike."""
    return {"faults": [asdict(fault) | {"headers": dict(fault.headers)} for fault in emulator.faults.active()]}


def post_fault(emulator: Emulator, query: str, body: bytes) -> dict[str, Any]:
    """Put one fault in force."""
    try:
        emulator.faults.add(Fault.from_json(_json_object(body), OPERATION_NAMES), emulator.clock.now())
    except ValueError as error:
        raise invalid_request(str(error)) from None
    return get_faults(emulator, query, body)


def delete_faults(emulator: Emulator, query: str, body: bytes) -> dict[str, Any]:
    """Take all faults back."""
    emulator.faults.clear()
    return get_faults(emulator, query, body)


def get_settings(emulator: Emulator, _query: str, _body: bytes) -> dict[str, Any]:
    """Every switch and its position."""
    return emulator.settings.to_json()


def post_settings(emulator: Emulator, query: str, body: bytes) -> dict[str, Any]:
    """Switch some: `{"results": "gone"}`."""
    try:
        emulator.settings = emulator.settings.changed(_json_object(body))
    except ValueError as error:
        raise invalid_request(str(error)) from None
    return get_settings(emulator, query, body)


CONTROLS: Mapping[str, Mapping[str, Callable[[Emulator, str, bytes], dict[str, Any]]]] = {
    "/__emulator__/clock": {"GET": get_clock, "POST": post_clock},
    "/__emulator__/reset": {"POST": post_reset},
    "/__emulator__/snapshot": {"GET": get_snapshot},
    "/__emulator__/load": {"POST": post_load},
    "/__emulator__/journal": {"GET": get_journal},
    "/__emulator__/requests": {"GET": get_requests},
    "/__emulator__/faults": {"GET": get_faults, "POST": post_fault, "DELETE": delete_faults},
    "/__emulator__/settings": {"GET": get_settings, "POST": post_settings},
}


def is_loopback(host: str | None) -> bool:
    """Whether a client's address is loopback. An in-process client has none."""
    return host is None or host == "::1" or host.startswith(("127.", "::ffff:127."))


def check_caller(host: str | None) -> None:
    """Refuse controls to other machines.

    Raises:
        ApiError: the caller is not on this machine.
    """
    if not is_loopback(host):
        raise ApiError(403, "forbidden", "the emulator's controls answer only to the machine it runs on")


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid_request("the request body is not valid JSON") from None
    if not isinstance(data, dict):
        raise invalid_request("the request body must be a JSON object")
    return data
