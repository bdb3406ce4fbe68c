"""The emulator as an ASGI app: Starlette's router in front of the engine, which makes every decision."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.routing import Route, Router

from airflow_provider_launchdarkly.emulator.errors import ApiError, method_not_allowed
from airflow_provider_launchdarkly.emulator.transport.control import CONTROLS, check_caller
from airflow_provider_launchdarkly.emulator.transport.engine import Emulator, HttpRequest, HttpResponse, unknown_path
from airflow_provider_launchdarkly.emulator.transport.operations import OPERATIONS
from airflow_provider_launchdarkly.emulator.transport.page import experiment_page, index_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from starlette.types import Receive, Scope, Send

    from airflow_provider_launchdarkly.emulator.handlers.operation import Operation

_HTML = (
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
)
_JSON = b"application/json"
# Larger than any snapshot of a world with thousands of experiments.
LARGEST_BODY = 64 * 2**20
_METHODS_WITH_BODY = frozenset({"POST", "PATCH", "PUT", "DELETE"})


class CannotCloseError(RuntimeError):
    """A fault has to close a connection, but the app runs outside the emulator's own server."""


def build_app(emulator: Emulator, close: Callable[[tuple[str, int] | None], None] | None = None) -> Router:
    """Build the ASGI app.

    Args:
        emulator: The emulator to serve.
        close: Closes the connection of the client with the given address. Without it, a fault that closes connections
            raises `CannotCloseError`.
    """
    paths: dict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in OPERATIONS:
        paths[operation.path][operation.method] = operation
    adapter = _HttpAdapter(emulator, close)
    routes = [Route(path, _ApiRoute(adapter, operations), methods=None) for path, operations in paths.items()]
    routes += [Route(path, _ControlRoute(adapter, handlers), methods=None) for path, handlers in CONTROLS.items()]
    routes.append(Route("/projects/{projectKey}/experiments/{experimentKey}", _ExperimentPage(adapter)))
    routes.append(Route("/", _IndexPage(adapter)))
    return Router(routes, redirect_slashes=False, default=_UnknownPath(adapter))


class _HttpAdapter:
    """Reads requests from ASGI and sends responses to it."""

    def __init__(self, emulator: Emulator, close: Callable[[tuple[str, int] | None], None] | None):
        self.emulator = emulator
        self._close = close

    async def read(self, scope: Scope, receive: Receive) -> HttpRequest:
        """Read the request and its whole body.

        Raises:
            ApiError: The body is larger than `LARGEST_BODY`. The rest of it is not read.
        """
        parts: list[bytes] = []
        size = 0
        if scope["method"] in _METHODS_WITH_BODY:
            more = True
            while more:
                message = await receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > LARGEST_BODY:
                    raise ApiError(
                        413,
                        "request_too_large",
                        f"the body is larger than {LARGEST_BODY // 2**20} MiB, which the emulator does not read",
                        (("connection", "close"),),
                    )
                more = message.get("more_body", False)
        return HttpRequest(
            method=_effective_method(scope),
            path=scope["path"],
            params=scope.get("path_params", {}),
            query=scope["query_string"].decode("latin-1"),
            headers=scope["headers"],
            body=b"".join(parts),
        )

    async def send(self, response: HttpResponse, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a response after its delay, or close the connection."""
        if response.delay:
            await asyncio.sleep(response.delay)
        if response.status is None:
            await self._close_connection(scope, receive)
            return
        headers = [
            (b"date", self.emulator.clock.date_header()),
            (b"content-length", str(len(response.body)).encode()),
        ]
        headers += [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in response.headers]
        if all(name != "content-type" for name, _ in response.headers):
            headers.append((b"content-type", _JSON))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    async def _close_connection(self, scope: Scope, receive: Receive) -> None:
        if self._close is None:
            raise CannotCloseError(
                "a fault that closes the connection needs the emulator's own server: use EmulatorServer"
            )
        self._close(scope.get("client"))
        while (await receive())["type"] != "http.disconnect":
            pass


def _effective_method(scope: Scope) -> str:
    """Return the verb, which `X-HTTP-Method-Override` replaces in a POST (LaunchDarkly REST docs, Overview)."""
    method: str = scope["method"]
    if method == "POST":
        for name, value in scope["headers"]:
            if name == b"x-http-method-override" and value.decode("latin-1").upper() in ("PATCH", "PUT", "DELETE"):
                method = value.decode("latin-1").upper()
    return method


class _ApiRoute:
    """A path of LaunchDarkly's API with all its verbs."""

    def __init__(self, adapter: _HttpAdapter, operations: Mapping[str, Operation]):
        self._http = adapter
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = await self._http.read(scope, receive)
        except ApiError as error:
            await self._http.send(_refusal(error), scope, receive, send)
            return
        operation = self._operations.get(request.method)
        settings = self._http.emulator.settings
        if operation is None and any(other.exists(settings) for other in self._operations.values()):
            allowed = tuple(verb for verb, other in self._operations.items() if other.exists(settings))
            response = self._http.emulator.reject(request, method_not_allowed("method not allowed", allowed))
        elif operation is None:
            response = self._http.emulator.reject(request, unknown_path(request.path))
        else:
            response = self._http.emulator.handle(operation, request)
        await self._http.send(response, scope, receive, send)


class _ControlRoute:
    """A control route with all its verbs."""

    def __init__(self, adapter: _HttpAdapter, handlers: Mapping[str, Callable[[Emulator, str, bytes], object]]):
        self._http = adapter
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        try:
            request = await self._http.read(scope, receive)
            check_caller(client[0] if client else None, request.method, _by_name(request.headers))
            handler = self._handlers.get(request.method)
            if handler is None:
                raise method_not_allowed("method not allowed", tuple(self._handlers))
            body = handler(self._http.emulator, request.query, request.body)
            response = HttpResponse(200, json.dumps(body).encode())
        except ApiError as error:
            response = _refusal(error)
        await self._http.send(response, scope, receive, send)


def _refusal(error: ApiError) -> HttpResponse:
    body = {"code": error.code, "message": error.message}
    return HttpResponse(error.status, json.dumps(body).encode(), error.headers)


def _by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


class _ExperimentPage:
    """The HTML page of an experiment, at the path that LaunchDarkly's interface uses."""

    def __init__(self, adapter: _HttpAdapter):
        self._http = adapter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        params = scope["path_params"]
        project = self._http.emulator.world.projects.get(params["projectKey"])
        wanted = parse_qs(scope["query_string"].decode("latin-1")).get("env", [])
        found = [
            experiment
            for (environment, key), experiment in (project.experiments.items() if project else ())
            if key == params["experimentKey"] and (not wanted or environment in wanted)
        ]
        html = experiment_page(project, found[0]) if project and found else index_page(self._http.emulator.world)
        response = HttpResponse(200 if found else 404, html.encode(errors="replace"), _HTML)
        await self._http.send(response, scope, receive, send)


class _IndexPage:
    """The HTML page that lists the experiments."""

    def __init__(self, adapter: _HttpAdapter):
        self._http = adapter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        html = index_page(self._http.emulator.world)
        await self._http.send(HttpResponse(200, html.encode(errors="replace"), _HTML), scope, receive, send)


class _UnknownPath:
    """Every other path, which gets a 404 in LaunchDarkly's form."""

    def __init__(self, adapter: _HttpAdapter):
        self._http = adapter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = await self._http.read(scope, receive)
            response = self._http.emulator.reject(request, unknown_path(request.path))
        except ApiError as error:
            response = _refusal(error)
        await self._http.send(response, scope, receive, send)
