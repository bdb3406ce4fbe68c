"""The emulator without its server: who may ask, what is refused, what is done, what is written down.

One request in, one outcome out, with no I/O: the server in front of it only reads and writes bytes.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from airflow_provider_launchdarkly.emulator.errors import (
    RefusalError,
    forbidden,
    invalid_request,
    not_found,
    unauthorized,
)
from airflow_provider_launchdarkly.emulator.handlers.call import Call, Reply
from airflow_provider_launchdarkly.emulator.serializers.flags import sdk_caller
from airflow_provider_launchdarkly.emulator.state import snapshot
from airflow_provider_launchdarkly.emulator.state.clock import Clock, to_milliseconds
from airflow_provider_launchdarkly.emulator.state.settings import Settings
from airflow_provider_launchdarkly.emulator.state.world import admit_administrator, default_world
from airflow_provider_launchdarkly.emulator.transport.faults import CODES, Faults, rate_limit_headers
from airflow_provider_launchdarkly.emulator.transport.journal import Entry, Journal, RequestLog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_launchdarkly.emulator.handlers.call import Operation
    from airflow_provider_launchdarkly.emulator.state.models import World
    from airflow_provider_launchdarkly.emulator.transport.faults import Fault, Struck

_FAMILIES = ("global", "route", "token")
SEMANTIC_PATCH = "launchdarkly.semanticpatch"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as it came in. `headers` has lower-case names and may repeat them."""

    method: str
    path: str
    params: Mapping[str, str]
    query: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> list[str]:
        """All values of a header."""
        return [value.decode("latin-1") for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the server has to send, after `delay` real seconds; without a status it closes the connection instead."""

    status: int | None
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0


class Emulator:
    """LaunchDarkly on loopback: a world, a clock, switches, faults, and a record of what happened.

    Args:
        seed: of every id and every simulated person.
        scenario: which small world to begin with, see `world.SCENARIOS`.
        token: the access token of the account's administrator.
        settings: the switches.
        start: the time on the clock at the start; now, if None.
        rate: emulated seconds per real second; 0 stands still.
        world: a world of one's own in place of the scenario's, as `world.build_world` takes it.

    Raises:
        ValueError: there is no such scenario, or something is wrong with the world.
    """

    def __init__(
        self,
        *,
        seed: int = 42,
        scenario: str = "effect",
        token: str = "api-emulator",  # noqa: S107 - the well-known token of a server on loopback
        settings: Settings | None = None,
        start: datetime | None = None,
        rate: float = 1.0,
        world: Mapping[str, Any] | None = None,
    ):
        self.seed = seed
        self.scenario = scenario
        self.settings = settings or Settings()
        self.clock = Clock(start or datetime.now(UTC), rate)
        self.journal = Journal()
        self.requests = RequestLog()
        self.faults = Faults(seed)
        self._token = token
        self._errors = 0
        self._world_data = world
        self.world = self._begin(scenario, world)

    def reset(self, scenario: str | None = None) -> None:
        """Begin anew: world as at the start, no faults, empty journal. The clock never goes back, so it goes on.

        Args:
            scenario: begin with that one, even where there was a world of one's own before.

        Raises:
            ValueError: there is no such scenario.
        """
        data = self._world_data if scenario is None else None
        begun = self._begin(scenario or self.scenario, data)
        self._world_data, self.scenario = data, scenario or self.scenario
        self._replace(begun)

    def snapshot(self) -> dict[str, Any]:
        """World, time and switches as plain JSON, to `load` later or elsewhere. Journal and faults are not in it."""
        return snapshot.to_json(self.world, self.clock.now(), self.settings)

    def load(self, data: Any) -> None:
        """Go on from a snapshot: its world and switches, no faults, empty journal.

        The clock goes to the snapshot's time, unless it is past that already: it never goes back, and what runs in the
        snapshot has simply run on.

        Raises:
            ValueError: it is no snapshot.
        """
        world, moment, settings = snapshot.from_json(data)
        admit_administrator(world, self._token)
        if moment > self.clock.now():
            self.clock.set(moment)
        self.settings, self.seed = settings, world.seed
        self._replace(world)

    def _begin(self, scenario: str, data: Mapping[str, Any] | None) -> World:
        now = self.clock.milliseconds()
        return default_world(seed=self.seed, scenario=scenario, token=self._token, now=now, data=data)

    def _replace(self, world: World) -> None:
        self.world = world
        self.journal.entries.clear()
        self.requests.clear()
        self.faults = Faults(self.seed)

    def answer(self, operation: Operation, incoming: Incoming) -> Outcome:
        """Do what a request asks for, or what a fault makes of it."""
        struck = self.faults.strike(operation.name, incoming.method, incoming.path, self.clock.now())
        if struck is None:
            return self._log(operation.name, incoming, self._ordinary(operation, incoming, None), None)
        fault = struck.fault
        match fault.fault:
            case "close_before":
                outcome = Outcome(None)
            case "status":
                outcome = self._injected(fault)
            case "hidden":
                outcome = self._refused(not_found(f"{incoming.path} not found"))
            case _:
                outcome = self._spoilt(self._ordinary(operation, incoming, struck), fault)
        return self._log(operation.name, incoming, replace(outcome, delay=fault.delay), fault)

    def _ordinary(self, operation: Operation, incoming: Incoming, struck: Struck | None) -> Outcome:
        try:
            reply = self._perform(operation, incoming, self._results_as_of(struck))
        except RefusalError as refusal:
            return self._refused(refusal)
        return Outcome(reply.status, _encoded(reply.body), self._rate_limits())

    def _spoilt(self, outcome: Outcome, fault: Fault) -> Outcome:
        """What a fault makes of an answer to what was done."""
        match fault.fault:
            case "status_after":
                return self._injected(fault)
            case "close_after":
                return Outcome(None)
            case "truncated":
                return replace(outcome, body=outcome.body[: len(outcome.body) // 2])
            case _:
                return outcome

    def _results_as_of(self, struck: Struck | None) -> int | None:
        if struck is None or struck.fault.fault != "stale":
            return None
        return to_milliseconds(struck.since - timedelta(hours=struck.fault.hours))

    def _rate_limits(self) -> tuple[tuple[str, str], ...]:
        """The rate-limit headers of an ordinary answer, all three families, by the switch `rate_limit_headers`."""
        if self.settings.rate_limit_headers == "none":
            return ()
        remaining, now = (1 if self.settings.rate_limit_headers == "low" else 1_000), self.clock.now()
        families = [rate_limit_headers(name, now, remaining=remaining, wait=1.0) for name in _FAMILIES]
        return tuple(dict(header for family in families for header in family).items())

    def refuse(self, incoming: Incoming, refusal: RefusalError) -> Outcome:
        """Answer a request that is for no operation."""
        return self._log("unknown", incoming, self._refused(refusal), None)

    def _perform(self, operation: Operation, incoming: Incoming, results_as_of: int | None) -> Reply:
        if not operation.exists(self.settings):
            raise unknown_path(incoming.path)
        credential = _credential(incoming)
        token = self.world.tokens.get(credential)
        if token is None:
            return self._without_token(operation, credential)
        if token.role == "reader" and operation.method != "GET":
            raise forbidden("the token's role does not allow this action")
        self._check_version(operation, incoming)
        body = self._read_body(operation, incoming) if operation.method != "GET" else None
        call = Call(
            world=self.world,
            settings=self.settings,
            now=self.clock.milliseconds(),
            token=token,
            path=incoming.path,
            params=incoming.params,
            query=parse_qsl(incoming.query, keep_blank_values=True) if incoming.query else (),
            body=body,
            version=next(iter(incoming.header(b"ld-api-version")), None),
            semantic=SEMANTIC_PATCH in _content_type(incoming),
            results_as_of=results_as_of,
        )
        reply = operation.answer(call)
        if reply.effects:
            self._write_down(operation, incoming, body, reply)
            if operation.method == "POST" and isinstance(body, dict) and isinstance(body.get("key"), str):
                self.faults.note_created(f"{incoming.path}/{body['key']}", self.clock.now())
        return reply

    def _without_token(self, operation: Operation, credential: str) -> Reply:
        """An SDK key can say who it is, and nothing else."""
        if operation.name == "get_caller_identity":
            for project in self.world.projects.values():
                for environment in project.environments.values():
                    kinds = {environment.sdk_key: "sdk", environment.mobile_key: "mobile"}
                    if credential in kinds:
                        return Reply(200, sdk_caller(self.world, project, environment, kinds[credential]))
        raise unauthorized()

    def _check_version(self, operation: Operation, incoming: Incoming) -> None:
        versions = incoming.header(b"ld-api-version")
        if len(versions) > 1:
            raise invalid_request("Too many values for parameter LD-API-Version")
        needed = operation.beta == "always" or (operation.beta == "strict" and self.settings.beta_header == "strict")
        if needed and versions != ["beta"]:
            raise forbidden("this is a beta resource: use the header LD-API-Version: beta")

    def _read_body(self, operation: Operation, incoming: Incoming) -> Any:
        content_type = _content_type(incoming)
        if "application/json" not in content_type:
            raise invalid_request("Content-Type must be application/json")
        strict = operation.semantic == "always" or (
            operation.semantic == "strict" and self.settings.content_type == "strict"
        )
        if strict and SEMANTIC_PATCH not in content_type:
            raise invalid_request(
                "a semantic patch needs Content-Type: application/json; domain-model=launchdarkly.semanticpatch"
            )
        try:
            return json.loads(incoming.body, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise invalid_request("the request body is not valid JSON") from None

    def _write_down(self, operation: Operation, incoming: Incoming, body: Any, reply: Reply) -> None:
        self.journal.entries.append(
            Entry(
                seq=len(self.journal.entries) + 1,
                server_time=self.clock.now().isoformat(),
                operation=operation.name,
                method=incoming.method,
                path=incoming.path,
                body=body,
                effects=tuple(reply.effects),
            )
        )

    def _injected(self, fault: Fault) -> Outcome:
        code = CODES.get(fault.status, "error")
        return self._refused(RefusalError(fault.status, code, fault.message, fault.headers_at(self.clock.now())))

    def _refused(self, refusal: RefusalError) -> Outcome:
        self._errors += 1
        support_id = str(uuid.UUID(int=(self.seed % 2**64 << 64) + self._errors))
        body = {"code": refusal.code, "message": refusal.message, "id": support_id}
        return Outcome(refusal.status, _encoded(body), refusal.headers)

    def _log(self, operation: str, incoming: Incoming, outcome: Outcome, fault: Fault | None) -> Outcome:
        self.requests.add(
            server_time=self.clock.now().isoformat(),
            operation=operation,
            method=incoming.method,
            path=incoming.path,
            query=incoming.query,
            status=outcome.status,
            fault=fault.fault if fault is not None else None,
        )
        return outcome


def unknown_path(path: str) -> RefusalError:
    """The answer to a path that does not exist."""
    return not_found(f"unknown path {path}")


def _content_type(incoming: Incoming) -> str:
    return ",".join(incoming.header(b"content-type")).lower()


def _credential(incoming: Incoming) -> str:
    values = incoming.header(b"authorization")
    if len(values) != 1:
        raise unauthorized()
    return values[0].strip()


def _encoded(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
