"""The two clients that turn the exchange into HTTP: one for tasks, one for event loops.

The only module that imports httpx. `exchange` decides what to send, when to send it again and what a response means.
"""

from __future__ import annotations

import asyncio
import random as random_numbers
import ssl
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack, cast

import httpx
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.http.exchange import Dialogue, Exchange, Reply, WireRequest
from airflow_provider_launchdarkly.api.http.paging import DEFAULT_CAP, Pager
from airflow_provider_launchdarkly.api.http.procedure import Procedure, Response, Sleep
from airflow_provider_launchdarkly.api.http.rate_limit import RateGate, gate_of
from airflow_provider_launchdarkly.api.http.responses import Redaction, WireResponse
from airflow_provider_launchdarkly.api.http.retry import Broken, NotSent
from airflow_provider_launchdarkly.api.http.settings import ClientSettings
from airflow_provider_launchdarkly.api.models.base import Read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
    from types import TracebackType

    from airflow_provider_launchdarkly.api.http.request import Request

__all__ = ["AsyncLaunchDarklyClient", "LaunchDarklyClient", "Procedure", "Response", "Sleep"]

T = TypeVar("T", bound=Read)
R = TypeVar("R")

# httpx's connection pool slows down with every request that waits in it: 1,000 pollers get 88 calls a second out of
# it, and 950 when a semaphore lets four at a time through.
IN_FLIGHT = 4

# Longer than the minute that pollers usually pause, so that a poll does not pay for a new TLS handshake.
_LIMITS = httpx.Limits(max_connections=16, max_keepalive_connections=16, keepalive_expiry=300.0)

# Raised before anything of the request left this machine.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


class _Token(httpx.Auth):
    """Sends the token as LaunchDarkly wants it: alone, without a scheme word.

    As an auth object it is in no headers that a traceback could show, and httpx drops it when the host changes.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._token
        yield request


class ClientOptions(TypedDict, total=False):
    """Options of both clients beside the host and the token; `settings.ClientSettings` explains each.

    The last three are for tests: the rate-limit gate that is otherwise the process's for the token, seconds of a clock
    that never goes back, and uniform random numbers in [0, 1).
    """

    experiments_api_version: str
    timeout: float
    retry_budget: float
    verify: bool | str
    user_agent: str
    allow_insecure_http: bool
    gate: RateGate
    monotonic: Callable[[], float]
    random: Callable[[], float]


class _Client:
    """Base of both clients: settings, and how a request is built."""

    def __init__(self, base_url: str, token: str, **options: Unpack[ClientOptions]) -> None:
        gate = options.pop("gate", None)
        monotonic = options.pop("monotonic", time.monotonic)
        random = options.pop("random", random_numbers.random)
        self.settings = ClientSettings(base_url, token, **cast("Any", options))
        self._base = httpx.URL(self.settings.base_url)
        self._redact = Redaction(token)
        self._exchange = Exchange(
            redact=self._redact,
            gate=gate if gate is not None else gate_of(self.settings.base_url, token),
            budget=self.settings.retry_budget,
            experiments_api_version=self.settings.experiments_api_version,
            monotonic=monotonic,
            random=random,
        )

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings.base_url!r})"

    def _options(self) -> dict[str, Any]:
        """Return the arguments of the httpx client."""
        settings = self.settings
        return {
            "auth": _Token(settings.token),
            "headers": {"User-Agent": settings.user_agent},
            "timeout": httpx.Timeout(settings.timeout),
            "limits": _LIMITS,
            "verify": _tls(settings),
            "follow_redirects": False,
            # Proxies and CA bundles from the environment, but never a proxy in front of this very machine.
            "trust_env": not settings.is_loopback,
        }

    def _build(self, client: httpx.Client | httpx.AsyncClient, wire: WireRequest) -> httpx.Request:
        # The host is the base URL's whatever the target says: "https://host" + "@evil" would be another one.
        raw_path = self._base.raw_path.rstrip(b"/") + wire.target.encode("ascii")
        url = self._base.copy_with(raw_path=raw_path)
        return client.build_request(wire.method, url, headers=wire.headers, content=wire.body)

    def _failure(self, error: httpx.HTTPError) -> NotSent | Broken:
        why = f"{type(error).__name__}: {self._redact(str(error)) or 'no detail'}"
        if not isinstance(error, _NEVER_SENT):
            return Broken(why)
        if "CERTIFICATE_VERIFY_FAILED" in why:
            return NotSent(f"the host's certificate is not trusted; set verify to its CA bundle ({why})", hopeless=True)
        return NotSent(why)


class LaunchDarklyClient(_Client):
    """LaunchDarkly's API for code that may block. Build one for each connection and process, and keep it.

    Thread-safe. A call is retried within ``retry_budget`` seconds: reads on 429, 5xx and broken connections, writes
    only on a 429 or a connection that was never made, since only then they surely did not happen.

    Args:
        base_url: Scheme and host.
        token: Access token.
        transport: Replaces httpx's transport, for tests.
        sleep: Waits so many seconds.
        options: See `ClientOptions`.

    Raises:
        ConfigurationError: A setting is wrong; the message names it, never the token.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(base_url, token, **options)
        self._sleep = sleep
        self._http = httpx.Client(transport=transport, **self._options())

    def send(self, request: Request[T]) -> Response[T]:
        """Carry out one call.

        Raises:
            LaunchDarklyError: See `exchange.Exchange.send`.
        """
        return self._drive(self._exchange.send(request))

    def run(self, procedure: Procedure[R]) -> R:
        """Carry out a procedure, such as those of `lifecycle`.

        Raises:
            LaunchDarklyError: What the procedure raises.
        """
        return self._drive(self._exchange.run(procedure))

    def pages(self, first: Request[Any], *, max_items: int = DEFAULT_CAP) -> Iterator[Any]:
        """Iterate over a collection's items, reading each page when it is reached.

        Args:
            first: The request for the first page.
            max_items: Most items to return.
        """
        pager: Pager[Any] = Pager(first, max_items=max_items)
        while pager.request:
            yield from pager.take(self.send(pager.request).value)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _drive(self, dialogue: Dialogue[R]) -> R:
        reply: Reply = None
        with closing(dialogue):
            while True:
                try:
                    step = dialogue.send(reply)
                except StopIteration as done:
                    result: R = done.value
                    return result
                if isinstance(step, Sleep):
                    self._sleep(step.seconds)
                    reply = None
                else:
                    reply = self._transmit(step)

    def _transmit(self, wire: WireRequest) -> Reply:
        try:
            response = self._http.send(self._build(self._http, wire))
        except httpx.HTTPError as error:
            return self._failure(error)
        return WireResponse(response.status_code, response.headers, response.content)


class AsyncLaunchDarklyClient(_Client):
    """LaunchDarkly's API for an event loop. Build one for each connection and loop, and keep it.

    Arguments and rules are those of `LaunchDarklyClient`; ``sleep`` is awaited. At most `IN_FLIGHT` requests are under
    way at a time, whoever waits.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(base_url, token, **options)
        self._sleep = sleep
        self._http = httpx.AsyncClient(transport=transport, **self._options())
        self._turnstile = asyncio.Semaphore(IN_FLIGHT)

    async def send(self, request: Request[T]) -> Response[T]:
        """Carry out one call.

        Raises:
            LaunchDarklyError: See `exchange.Exchange.send`.
        """
        return await self._drive(self._exchange.send(request))

    async def run(self, procedure: Procedure[R]) -> R:
        """Carry out a procedure, such as those of `lifecycle`.

        Raises:
            LaunchDarklyError: What the procedure raises.
        """
        return await self._drive(self._exchange.run(procedure))

    async def pages(self, first: Request[Any], *, max_items: int = DEFAULT_CAP) -> AsyncIterator[Any]:
        """Iterate over a collection's items, reading each page when it is reached.

        Args:
            first: The request for the first page.
            max_items: Most items to return.
        """
        pager: Pager[Any] = Pager(first, max_items=max_items)
        while pager.request:
            for item in pager.take((await self.send(pager.request)).value):
                yield item

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _drive(self, dialogue: Dialogue[R]) -> R:
        reply: Reply = None
        with closing(dialogue):
            while True:
                try:
                    step = dialogue.send(reply)
                except StopIteration as done:
                    result: R = done.value
                    return result
                if isinstance(step, Sleep):
                    await self._sleep(step.seconds)
                    reply = None
                else:
                    reply = await self._transmit(step)

    async def _transmit(self, wire: WireRequest) -> Reply:
        try:
            async with self._turnstile:
                response = await self._http.send(self._build(self._http, wire))
        except httpx.HTTPError as error:
            return self._failure(error)
        return WireResponse(response.status_code, response.headers, response.content)


def _tls(settings: ClientSettings) -> ssl.SSLContext | bool:
    """Return the client's TLS context: building one costs 25 ms and 0.7 MB. Plain http needs none."""
    if settings.base_url.startswith("http://"):
        return False
    if isinstance(settings.verify, bool):
        return httpx.create_ssl_context(verify=settings.verify, trust_env=True)
    bundle = Path(settings.verify)
    try:
        if bundle.is_dir():
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise ConfigurationError(
            f"verify is {settings.verify!r}: a file or folder of CA certificates is needed ({error.strerror or error})"
        ) from None
