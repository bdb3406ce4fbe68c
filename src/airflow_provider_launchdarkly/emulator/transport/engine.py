"""The emulator without its server: authentication, faults, handlers and journal, one request in and one response out.

It does no I/O: the app in front of it reads and writes the bytes.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, assert_never
from urllib.parse import parse_qsl

from airflow_provider_launchdarkly.emulator.errors import ApiError, forbidden, invalid_request, not_found, unauthorized
from airflow_provider_launchdarkly.emulator.handlers.operation import Request, Response
from airflow_provider_launchdarkly.emulator.rules import release_progress, releases
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.serializers import whole_world
from airflow_provider_launchdarkly.emulator.serializers.flags import sdk_caller
from airflow_provider_launchdarkly.emulator.serializers.releases import release as serialize_release
from airflow_provider_launchdarkly.emulator.state import snapshot
from airflow_provider_launchdarkly.emulator.state.clock import Clock, to_milliseconds
from airflow_provider_launchdarkly.emulator.state.likeness import Likeness
from airflow_provider_launchdarkly.emulator.state.settings import Settings
from airflow_provider_launchdarkly.emulator.state.transaction import Transaction
from airflow_provider_launchdarkly.emulator.state.world import add_own_token, first_world
from airflow_provider_launchdarkly.emulator.transport.faults import CODES, Faults, rate_limit_headers
from airflow_provider_launchdarkly.emulator.transport.journal import Journal, RequestLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_launchdarkly.emulator.handlers.operation import Operation, Requirement
    from airflow_provider_launchdarkly.emulator.state.models import Project, World
    from airflow_provider_launchdarkly.emulator.state.release_models import Release
    from airflow_provider_launchdarkly.emulator.transport.faults import Fault, RateLimitFamily, TriggeredFault
    from airflow_provider_launchdarkly.emulator.warehouse.writer import Warehouse

_FAMILIES: tuple[RateLimitFamily, ...] = ("global", "route", "token")
SEMANTIC_PATCH = "launchdarkly.semanticpatch"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request. The names of its headers are lower case and may be repeated."""

    method: str
    path: str
    params: Mapping[str, str]
    query: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> list[str]:
        """Return all values of a header, by its lower-case name."""
        return [value.decode("latin-1") for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP response, to be sent after `delay` real seconds. Without a status the server closes the connection."""

    status: int | None
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0


class Emulator:
    """The emulated LaunchDarkly: a world, a clock, switches, faults, a journal and a request log.

    Args:
        seed: Determines every id and every simulated person.
        scenario: The name of the first world, one of `state.scenarios.SCENARIOS`.
        token: The access token of the account's administrator.
        like: The account that it behaves like: the role of that token, and switches where `settings` is None.
        settings: The switches; None for their defaults.
        start: The clock's first time, aware; None for now, or as far ahead of it as the clock of `like` is.
        rate: Emulated seconds per real second; 0 stops the clock.
        world: The data of a world that replaces the scenario's, as for `state.world.build_world`.
        warehouse: The warehouse to write the people into; None for none. It sets the switch `people` to `single`. Call
            `load` or `write_warehouse` first: what the warehouse holds of another world is deleted.

    Raises:
        ValueError: The scenario is unknown, or the world's data is wrong.
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
        like: Likeness | None = None,
        warehouse: Warehouse | None = None,
    ):
        self.seed = seed
        self.scenario = scenario
        self._like = like or Likeness()
        self.warehouse = warehouse
        self.warehouse_problem: str | None = None
        self.settings = settings or Settings().changed(self._like.switches)
        self.clock = Clock(start or datetime.now(UTC) + self._like.clock_ahead, rate)
        self.journal = Journal()
        self.requests = RequestLog()
        self.faults = Faults(seed)
        self._token = token
        self._errors = 0
        self._world_data = world
        self.world = self._build_world(scenario, world)

    @property
    def settings(self) -> Settings:
        """The switches. With a warehouse, `people` is `single`."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._settings = settings.changed({"people": "single"}) if self.warehouse is not None else settings

    def write_warehouse(self) -> None:
        """Bring the warehouse, if there is one, up to the present world and time.

        Raises:
            WarehouseError: It cannot be written to.
        """
        if self.warehouse is None:
            return
        try:
            self.warehouse.write(self.world, self.settings, self.clock.milliseconds())
        except ValueError as error:
            self.warehouse_problem = str(error)
            raise
        self.warehouse_problem = None

    def reset(self, scenario: str | None = None) -> None:
        """Restore the first world, and clear faults, journal and request log. The clock goes on: it never goes back.

        Args:
            scenario: The scenario to start from instead; it also replaces a world given as data.

        Raises:
            ValueError: The scenario is unknown.
        """
        data = self._world_data if scenario is None else None
        begun = self._build_world(scenario or self.scenario, data)
        self._world_data, self.scenario = data, scenario or self.scenario
        self._replace_world(begun)

    def snapshot(self) -> dict[str, Any]:
        """Return world, time and switches as plain JSON for `load`. Journal and faults are not part of it."""
        return snapshot.to_json(self.world, self.clock.now(), self.settings)

    def load(self, data: Any) -> None:
        """Load a snapshot's world and switches, and clear faults, journal and request log.

        The clock goes forward to the snapshot's time. If it is already later it stays, since it never goes back: then
        the experiments that run in the snapshot have run on.

        Raises:
            ValueError: The data is not a snapshot.
        """
        world, moment, settings = snapshot.from_json(data)
        whole_world.check(world, settings, to_milliseconds(moment))
        self._add_own_token(world)
        if moment > self.clock.now():
            self.clock.set(moment)
        self.settings, self.seed = settings, world.seed
        self._replace_world(world)

    def act_on_release(self, release_id: str, action: str) -> dict[str, Any]:
        """Dismiss a release's regression or advance it to its next phase, and return it.

        Raises:
            ApiError: 404 without such a release, 400 if it does not wait for this.
        """
        for project in self.world.projects.values():
            if release_id in project.releases:
                return self._in_the_ui(project, lambda made: releases.act(made, release_id, action))
        raise not_found(f"release {release_id!r} not found")

    def start_release(
        self, flag_key: str, body: Mapping[str, Any], *, project_key: str | None, environment_key: str | None
    ) -> dict[str, Any]:
        """Start a release as a person does in LaunchDarkly, where the approval has been given, and return it.

        Args:
            flag_key: The flag.
            body: The release, as the route takes it.
            project_key: The project; None for the world's first.
            environment_key: The environment; None for the project's first.

        Raises:
            ApiError: As the route responds, but never with a 405.
        """
        project = self.world.projects.get(project_key or next(iter(self.world.projects), ""))
        if project is None:
            raise not_found(f"project {project_key!r} not found")
        environment = environment_key or next(iter(project.environments), "")
        return self._in_the_ui(
            project, lambda made: releases.start(made, environment, flag_key, RequestBody(dict(body)))
        )

    def _in_the_ui(self, project: Project, change: Callable[[Transaction], Release]) -> dict[str, Any]:
        """Make a change that is no request, and so in no entry of the journal; return the release."""
        now = self.clock.milliseconds()
        transaction = Transaction(world=self.world, project=project, now=now, settings=self.settings)
        release_progress.advance_due_releases(transaction)
        changed = serialize_release(transaction, change(transaction))
        transaction.commit()
        return changed

    def _build_world(self, scenario: str, data: Mapping[str, Any] | None) -> World:
        now = self.clock.milliseconds()
        world = first_world(seed=self.seed, scenario=scenario, now=now, data=data)
        self._add_own_token(world)
        return world

    def _add_own_token(self, world: World) -> None:
        add_own_token(world, self._token, role=self._like.role, service=self._like.service)

    def _replace_world(self, world: World) -> None:
        self.world = world
        self.journal.clear()
        self.requests.clear()
        self.faults = Faults(self.seed)
        self.write_warehouse()

    def handle(self, operation: Operation, request: HttpRequest) -> HttpResponse:
        """Return the response to a request for an operation, after the fault that it triggers, if any."""
        triggered = self.faults.trigger(operation.name, request.method, request.path, self.clock.now())
        if triggered is None:
            return self._log(operation.name, request, self._perform(operation, request), None)
        response = self._perform_under_fault(operation, request, triggered)
        return self._log(operation.name, request, replace(response, delay=triggered.fault.delay), triggered.fault)

    def _perform_under_fault(
        self, operation: Operation, request: HttpRequest, triggered: TriggeredFault
    ) -> HttpResponse:
        fault = triggered.fault
        match fault.fault:
            case "close_before":
                response = HttpResponse(None)
            case "status":
                response = self._fault_response(fault)
            case "hidden":
                response = self._error_response(not_found(f"{request.path} not found"))
            case "status_after":
                self._perform(operation, request)
                response = self._fault_response(fault)
            case "close_after":
                self._perform(operation, request)
                response = HttpResponse(None)
            case "truncated":
                whole = self._perform(operation, request)
                response = replace(whole, body=whole.body[: len(whole.body) // 2])
            case "slow":
                response = self._perform(operation, request)
            case "stale":
                as_of = triggered.active_since - timedelta(hours=fault.hours)
                response = self._perform(operation, request, to_milliseconds(as_of))
            case _:
                assert_never(fault.fault)
        return response

    def _perform(self, operation: Operation, request: HttpRequest, results_as_of: int | None = None) -> HttpResponse:
        try:
            result = self._result_of(operation, request, results_as_of)
        except ApiError as error:
            return self._error_response(error)
        body = b"" if result.status == 204 else _to_json(result.body)
        return HttpResponse(result.status, body, (*self._rate_limits(), *result.headers))

    def _rate_limits(self) -> tuple[tuple[str, str], ...]:
        """Return the rate-limit headers of a response without a fault, by the switch `rate_limit_headers`."""
        if self.settings.rate_limit_headers == "none":
            return ()
        remaining, now = (1 if self.settings.rate_limit_headers == "low" else 1_000), self.clock.now()
        shown = self.settings.rate_limit_families
        families = [
            rate_limit_headers(name, now, remaining=remaining, wait=1.0)
            for name in _FAMILIES
            if shown == "all" or name in shown.split("+")
        ]
        return tuple(dict(header for family in families for header in family).items())

    def reject(self, request: HttpRequest, error: ApiError) -> HttpResponse:
        """Return the error response to a request that matches no operation."""
        return self._log("unknown", request, self._error_response(error), None)

    def _result_of(self, operation: Operation, request: HttpRequest, results_as_of: int | None) -> Response:
        if not operation.exists(self.settings):
            raise unknown_path(request.path)
        credential = _credential(request)
        token = self.world.tokens.get(credential)
        if token is None:
            return self._identify_sdk_key(operation, credential)
        if token.role == "reader" and operation.method != "GET":
            raise forbidden("the token's role does not allow this action")
        self._check_version(operation, request)
        body = self._read_body(operation, request) if operation.method not in ("GET", "DELETE") else None
        operation_request = Request(
            world=self.world,
            settings=self.settings,
            now=self.clock.milliseconds(),
            token=token,
            path=request.path,
            params=request.params,
            query=parse_qsl(request.query, keep_blank_values=True) if request.query else (),
            body=body,
            version=next(iter(request.header(b"ld-api-version")), None),
            semantic=SEMANTIC_PATCH in _content_type(request),
            results_as_of=results_as_of,
        )
        response = operation.handle(operation_request)
        if response.effects:
            self._add_to_journal(operation, request, body, response)
            if operation.method == "POST" and isinstance(body, dict) and isinstance(body.get("key"), str):
                self.faults.record_creation(f"{request.path}/{body['key']}", self.clock.now())
        return response

    def _identify_sdk_key(self, operation: Operation, credential: str) -> Response:
        """Return the environment of an SDK key, which may do nothing else."""
        if operation.name == "get_caller_identity":
            for project in self.world.projects.values():
                for environment in project.environments.values():
                    kinds = {environment.sdk_key: "sdk", environment.mobile_key: "mobile"}
                    if credential in kinds:
                        return Response(200, sdk_caller(self.world, project, environment, kinds[credential]))
        raise unauthorized()

    def _check_version(self, operation: Operation, request: HttpRequest) -> None:
        versions = request.header(b"ld-api-version")
        if len(versions) > 1:
            raise invalid_request("Too many values for parameter LD-API-Version")
        if _is_required(operation.beta, self.settings.beta_header) and versions != ["beta"]:
            raise forbidden("this is a beta resource: use the header LD-API-Version: beta")

    def _read_body(self, operation: Operation, request: HttpRequest) -> Any:
        content_type = _content_type(request)
        if "application/json" not in content_type:
            raise invalid_request("Content-Type must be application/json")
        if _is_required(operation.semantic, self.settings.content_type) and SEMANTIC_PATCH not in content_type:
            raise invalid_request(
                "a semantic patch needs Content-Type: application/json; domain-model=launchdarkly.semanticpatch"
            )
        try:
            return json.loads(request.body, parse_constant=_reject_constant)
        except (ValueError, RecursionError):
            raise invalid_request("the request body is not valid JSON") from None

    def _add_to_journal(self, operation: Operation, request: HttpRequest, body: Any, response: Response) -> None:
        self.journal.add(
            server_time=self.clock.now().isoformat(),
            operation=operation.name,
            method=request.method,
            path=request.path,
            body=body,
            effects=tuple(response.effects),
        )

    def _fault_response(self, fault: Fault) -> HttpResponse:
        code = CODES.get(fault.status, "error")
        return self._error_response(ApiError(fault.status, code, fault.message, fault.headers_at(self.clock.now())))

    def _error_response(self, error: ApiError) -> HttpResponse:
        self._errors += 1
        support_id = str(uuid.UUID(int=(self.seed % 2**64 << 64) + self._errors))
        body = {"code": error.code, "message": error.message, "id": support_id, **error.details}
        return HttpResponse(error.status, _to_json(body), error.headers)

    def _log(self, operation: str, request: HttpRequest, response: HttpResponse, fault: Fault | None) -> HttpResponse:
        self.requests.add(
            server_time=self.clock.now().isoformat(),
            operation=operation,
            method=request.method,
            path=request.path,
            query=request.query,
            status=response.status,
            fault=fault.fault if fault is not None else None,
        )
        return response


def unknown_path(path: str) -> ApiError:
    """Return the error for a path that does not exist."""
    return not_found(f"unknown path {path}")


def _is_required(header: Requirement, strictness: Literal["lenient", "strict"]) -> bool:
    match header:
        case "no":
            return False
        case "strict":
            return strictness == "strict"
        case "always":
            return True
        case _:
            assert_never(header)


def _content_type(request: HttpRequest) -> str:
    return ",".join(request.header(b"content-type")).lower()


def _credential(request: HttpRequest) -> str:
    values = request.header(b"authorization")
    if len(values) != 1:
        raise unauthorized()
    return values[0].strip()


def _to_json(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
