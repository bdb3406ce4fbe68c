"""The control routes under `/__emulator__`: clock, reset, snapshots, journal, requests, faults, switches.

They need no token. They reject requests from other machines, and those that a web page of another site can make a
browser on this machine send.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from airflow_provider_launchdarkly.emulator.errors import ApiError, invalid_request, not_found
from airflow_provider_launchdarkly.emulator.state.clock import parse_duration, parse_time
from airflow_provider_launchdarkly.emulator.transport.faults import Fault
from airflow_provider_launchdarkly.emulator.transport.operations import OPERATIONS
from airflow_provider_launchdarkly.emulator.warehouse.options import WarehouseOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_launchdarkly.emulator.transport.engine import Emulator

OPERATION_NAMES = frozenset(operation.name for operation in OPERATIONS)


def get_clock(emulator: Emulator, _query: str, _body: bytes) -> dict[str, Any]:
    """Return the time in ISO 8601 and in epoch milliseconds, and the clock's rate."""
    clock = emulator.clock
    return {"now": clock.now().isoformat(), "milliseconds": clock.milliseconds(), "rate": clock.rate}


def post_clock(emulator: Emulator, query: str, body: bytes) -> dict[str, Any]:
    """Change the clock: `{"set": time}`, `{"advance": duration}` or `{"rate": number}`."""
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
        emulator.write_warehouse()
    except ValueError as error:
        raise invalid_request(str(error)) from None
    return get_clock(emulator, query, body)


def post_reset(emulator: Emulator, _query: str, body: bytes) -> dict[str, Any]:
    """Reset the emulator to its first world, or to the one of `{"scenario": name}`."""
    data = _json_object(body) if body.strip() else {}
    if not data.keys() <= {"scenario"} or not isinstance(data.get("scenario", ""), str):
        raise invalid_request('reset takes no body, or {"scenario": name}')
    try:
        emulator.reset(data.get("scenario"))
    except ValueError as error:
        raise invalid_request(str(error)) from None
    return {"scenario": emulator.scenario, "seed": emulator.seed}


def get_snapshot(emulator: Emulator, _query: str, _body: bytes) -> dict[str, Any]:
    """Return world, time and switches as a snapshot."""
    return emulator.snapshot()


def post_load(emulator: Emulator, query: str, body: bytes) -> dict[str, Any]:
    """Load a snapshot and continue from it."""
    try:
        emulator.load(_json_object(body))
    except (ApiError, ValueError) as error:  # whatever the snapshot names and does not hold
        raise invalid_request(str(error)) from None
    return get_clock(emulator, query, body)


def get_journal(emulator: Emulator, _query: str, _body: bytes) -> dict[str, Any]:
    """Return the latest changes with their requests, oldest first, and the number of earlier ones that it let go."""
    return {"entries": emulator.journal.to_json(), "dropped": emulator.journal.dropped}


def get_requests(emulator: Emulator, query: str, _body: bytes) -> dict[str, Any]:
    """Return the latest requests; `after=N` returns those with a greater sequence number."""
    after = parse_qs(query).get("after", ["0"])[0]
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise invalid_request(f"after must be a whole number of up to 18 digits, not {after[:40]!r}")
    return {"requests": [asdict(line) for line in emulator.requests.after(int(after))]}


def get_faults(emulator: Emulator, _query: str, _body: bytes) -> dict[str, Any]:
    """Return the active faults."""
    return {"faults": [asdict(fault) | {"headers": dict(fault.headers)} for fault in emulator.faults.active()]}


def post_fault(emulator: Emulator, query: str, body: bytes) -> dict[str, Any]:
    """Add a fault."""
    try:
        emulator.faults.add(Fault.from_json(_json_object(body), OPERATION_NAMES), emulator.clock.now())
    except ValueError as error:
        raise invalid_request(str(error)) from None
    return get_faults(emulator, query, body)


def delete_faults(emulator: Emulator, query: str, body: bytes) -> dict[str, Any]:
    """Remove all faults."""
    emulator.faults.clear()
    return get_faults(emulator, query, body)


def get_settings(emulator: Emulator, _query: str, _body: bytes) -> dict[str, Any]:
    """Return every switch and its position."""
    return emulator.settings.to_json()


def post_settings(emulator: Emulator, query: str, body: bytes) -> dict[str, Any]:
    """Change switches: `{"results": "gone"}`."""
    try:
        emulator.settings = emulator.settings.changed(_json_object(body))
    except ValueError as error:
        raise invalid_request(str(error)) from None
    return get_settings(emulator, query, body)


def get_warehouse(emulator: Emulator, _query: str, _body: bytes) -> dict[str, Any]:
    """Return the warehouse's URL and options, and why its rows could not be written the last time, if so."""
    if emulator.warehouse is None:
        raise not_found("the emulator has no warehouse; start it with --warehouse URL")
    problem = emulator.warehouse_problem
    return {"url": emulator.warehouse.name, "options": asdict(emulator.warehouse.options), "problem": problem}


def post_warehouse(emulator: Emulator, query: str, body: bytes) -> dict[str, Any]:
    """Write what the warehouse lacks. Options that the body names, such as `{"lag": "PT2H"}`, replace all others."""
    if emulator.warehouse is not None:
        try:
            if body.strip():
                emulator.warehouse.options = WarehouseOptions.from_dict(_json_object(body))
            emulator.write_warehouse()
        except ValueError as error:
            raise invalid_request(str(error)) from None
    return get_warehouse(emulator, query, body)


def post_releases(emulator: Emulator, _query: str, body: bytes) -> dict[str, Any]:
    """Do what a person does in LaunchDarkly's UI.

    `{"dismiss": id}` a regression, `{"advance": id}` to the next phase, or `{"start": release, "flag": key}` where the
    route demands an approval; `project` and `environment` name other ones than the first.
    """
    match _json_object(body):
        case {"dismiss": str(release_id), **others} if not others:
            return emulator.act_on_release(release_id, "dismiss")
        case {"advance": str(release_id), **others} if not others:
            return emulator.act_on_release(release_id, "advance")
        case {"start": dict(release), "flag": str(flag), **place} if _is_place(place):
            return emulator.start_release(
                flag, release, project_key=place.get("project"), environment_key=place.get("environment")
            )
    raise invalid_request(
        'releases takes one of {"dismiss": release id}, {"advance": release id}, {"start": {…}, "flag": flag key}, '
        'the last with "project" and "environment" if they are not the first'
    )


CONTROLS: Mapping[str, Mapping[str, Callable[[Emulator, str, bytes], dict[str, Any]]]] = {
    "/__emulator__/clock": {"GET": get_clock, "POST": post_clock},
    "/__emulator__/reset": {"POST": post_reset},
    "/__emulator__/snapshot": {"GET": get_snapshot},
    "/__emulator__/load": {"POST": post_load},
    "/__emulator__/journal": {"GET": get_journal},
    "/__emulator__/requests": {"GET": get_requests},
    "/__emulator__/faults": {"GET": get_faults, "POST": post_fault, "DELETE": delete_faults},
    "/__emulator__/settings": {"GET": get_settings, "POST": post_settings},
    "/__emulator__/releases": {"POST": post_releases},
    "/__emulator__/warehouse": {"GET": get_warehouse, "POST": post_warehouse},
}


def is_loopback(host: str | None) -> bool:
    """Return whether a client's address is loopback, or missing as that of an in-process client."""
    return host is None or host == "::1" or host.startswith(("127.", "::ffff:127."))


def check_caller(client: str | None, method: str, headers: Mapping[str, str]) -> None:
    """Reject a client on another machine, and a browser that another site's page has sent.

    A page may send any site a request, unless it needs a preflight (Fetch standard, "CORS-safelisted request-header"):
    JSON does, so a POST without a body states that type too. A name that resolves to this machine is not enough either,
    since its owner chooses where it points (DNS rebinding).

    Args:
        client: The client's address; None for an in-process client, which is let through.
        method: The HTTP verb.
        headers: The request's headers, by lower-case name.

    Raises:
        ApiError: The caller is not accepted; the message names the header and the cure.
    """
    if client is None:
        return
    if not is_loopback(client):
        raise ApiError(403, "forbidden", "the emulator's controls accept requests from its own machine only")
    host = headers.get("host", "")
    if not _names_this_machine(f"//{host}"):
        raise ApiError(403, "forbidden", f"Host is {host!r}; call the emulator's controls by localhost or 127.0.0.1")
    origin = headers.get("origin")
    if origin is not None and not _names_this_machine(origin):
        raise ApiError(
            403, "forbidden", f"Origin is {origin!r}; the emulator's controls accept no page of another site"
        )
    content_type = headers.get("content-type", "")
    if method == "POST" and content_type.split(";")[0].strip().lower() != "application/json":
        raise ApiError(
            415,
            "unsupported_media_type",
            f"Content-Type is {content_type!r}; send application/json, as `curl --json DATA` does, or `curl --json ''` "
            "where there is no body",
        )


def _names_this_machine(url: str) -> bool:
    """Return whether the host of a URL is a name or an address of this machine itself."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host == "localhost" or host.endswith(".localhost") or _is_loopback_address(host)


def _is_loopback_address(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_place(place: Mapping[str, Any]) -> bool:
    return place.keys() <= {"project", "environment"} and all(isinstance(key, str) for key in place.values())


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid_request("the request body is not valid JSON") from None
    if not isinstance(data, dict):
        raise invalid_request("the request body must be a JSON object")
    return data
