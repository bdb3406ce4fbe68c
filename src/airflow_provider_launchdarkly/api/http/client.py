"""The two clients that turn the exchange into HTTP: one for tasks, one for event loops.

The only module that imports httpx. `exchange` decides what to send, when to send it again, what a response means and
how long a call may take; the clients keep to that deadline and to the size limit of a response.
"""

from __future__ import annotations

import asyncio
import os
import random as random_numbers
import re
import ssl
import time
import zlib
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack, cast

import httpx
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError, LaunchDarklyError
from airflow_provider_launchdarkly.api.http.body import ACCEPTED_ENCODINGS, BodyReader
from airflow_provider_launchdarkly.api.http.deadline import BoundedBackend, Deadline, DeadlineError, Places
from airflow_provider_launchdarkly.api.http.exchange import Dialogue, Exchange, Reply, WireRequest
from airflow_provider_launchdarkly.api.http.paging import DEFAULT_CAP, Pager
from airflow_provider_launchdarkly.api.http.procedure import STRANGE_DATA, Procedure, Response, Sleep
from airflow_provider_launchdarkly.api.http.rate_limit import RateGate, gate_of
from airflow_provider_launchdarkly.api.http.responses import Redaction, WireResponse, plain_headers
from airflow_provider_launchdarkly.api.http.retry import Broken, NotSent
from airflow_provider_launchdarkly.api.http.settings import ClientSettings
from airflow_provider_launchdarkly.api.models.base import Read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from types import TracebackType

    from airflow_provider_launchdarkly.api.http.request import Request

__all__ = ["AsyncLaunchDarklyClient", "LaunchDarklyClient", "Procedure", "Response", "Sleep"]

T = TypeVar("T", bound=Read)
R = TypeVar("R")
C = TypeVar("C", httpx.Client, httpx.AsyncClient)

# httpx's connection pool slows down with every request that waits in it: 1,000 pollers get 88 calls a second out of
# it, and 950 when a semaphore lets four at a time through.
IN_FLIGHT = 4

# Longer than the minute that pollers usually pause, so that a poll does not pay for a new TLS handshake.
# More connections than places, since a call that takes long has given its place to another.
# Each request looks at each idle connection, so few are kept.
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=2, keepalive_expiry=300.0)

# Raised before anything of the request left this machine.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)

# What OpenSSL's versions say of an answer that is no TLS, and of a TLS that both sides do not have in common.
_NO_TLS = (
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "record layer failure",
    "PACKET_LENGTH_TOO_LONG",
    "UNKNOWN_PROTOCOL",
    "HTTP_REQUEST",
    "UNSUPPORTED_PROTOCOL",
    "NO_PROTOCOLS_AVAILABLE",
)

# Between sending and the whole response: httpx's errors, and what it and zlib raise on strange data.
_FAILURES = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, DeadlineError, zlib.error, OSError, *STRANGE_DATA)

# URLs that a client keeps parsed, so that thousands of experiments do not fill its memory.
_MOST_URLS = 1_000

_PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


class ClientOptions(TypedDict, total=False):
    """Options of both clients beside the host and the token; `settings.ClientSettings` explains each.

    `observe` is called with each request and the response to it as it came, headers included. The last three are for
    tests: the rate-limit gate that is otherwise the process's for the token, seconds of a clock that never goes back,
    and uniform random numbers in [0, 1).
    """

    experiments_api_version: str
    timeout: float
    retry_budget: float
    deadline: float | None
    verify: bool | str
    user_agent: str
    allow_insecure_http: bool
    observe: Callable[[Request[Any], WireResponse], object]
    gate: RateGate
    monotonic: Callable[[], float]
    random: Callable[[], float]


class _Client:
    """Base of both clients: settings, and how a request is built."""

    def __init__(self, base_url: str, token: str, **options: Unpack[ClientOptions]) -> None:
        gate, observe = options.pop("gate", None), options.pop("observe", None)
        monotonic = options.pop("monotonic", time.monotonic)
        random = options.pop("random", random_numbers.random)
        self.settings = ClientSettings(base_url, token, **cast("Any", options))
        self._base = _parsed(self.settings.base_url)
        self._urls: dict[str, httpx.URL] = {}
        self._redact = Redaction(token)
        self._exchange = Exchange(
            redact=self._redact,
            gate=gate if gate is not None else gate_of(self.settings.base_url, token),
            budget=self.settings.retry_budget,
            deadline=self.settings.seconds_per_call,
            experiments_api_version=self.settings.experiments_api_version,
            monotonic=monotonic,
            random=random,
            observe=observe,
        )

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings.base_url!r})"

    def _options(self) -> dict[str, Any]:
        """Return the arguments of the httpx client."""
        settings = self.settings
        return {
            "headers": {"User-Agent": settings.user_agent, "Accept-Encoding": ACCEPTED_ENCODINGS},
            "timeout": httpx.Timeout(settings.timeout),
            "limits": _LIMITS,
            "verify": _tls(settings),
            "follow_redirects": False,
            # Proxies and CA bundles from the environment, but never a proxy in front of this very machine.
            "trust_env": not settings.is_loopback,
        }

    def _build(self, client: httpx.Client | httpx.AsyncClient, wire: WireRequest) -> httpx.Request:
        request = client.build_request(wire.method, self._url(wire.target), headers=wire.headers, content=wire.body)
        # Alone, without a scheme word; and not among the headers of the client, which a traceback could show.
        request.headers["Authorization"] = self.settings.token
        return request

    def _url(self, target: str) -> httpx.URL:
        """Return the URL of a target. Pollers ask for the same few again and again, and parsing one takes its time."""
        url = self._urls.get(target)
        if url is None:
            # The host is the base URL's whatever the target says: "https://host" + "@evil" would be another one.
            url = self._base.copy_with(raw_path=self._base.raw_path.rstrip(b"/") + target.encode("ascii"))
            if len(self._urls) >= _MOST_URLS:
                self._urls.clear()
            self._urls[target] = url
        return url

    def _items(self, pager: Pager[Any], page: Any) -> tuple[Any, ...]:
        try:
            return pager.take(page)
        except LaunchDarklyError as error:
            self._redact.clean(error)
            raise

    def _failure(self, error: Exception, *, late: bool, sent: bool = True) -> NotSent | Broken:
        """Return the outcome of an attempt that brought no whole response.

        Args:
            error: What was raised.
            late: Whether the call's deadline has passed.
            sent: Whether a part of the request may have left this machine.
        """
        why = f"{type(error).__name__}: {self._redact(str(error)) or 'no detail'}"
        if late:
            why = f"no whole response within the call's deadline of {self.settings.seconds_per_call:g} s"
        if isinstance(error, httpx.InvalidURL):
            return NotSent(why, hopeless=True)
        if sent and not isinstance(error, _NEVER_SENT):
            return Broken(why)
        if "CERTIFICATE_VERIFY_FAILED" in why:
            return NotSent(
                "the host's certificate is not trusted; set ca_bundle in the connection's extra to the file of the CA "
                f"that signed it ({why})",
                hopeless=True,
            )
        if any(sign in why for sign in _NO_TLS):
            return NotSent(
                "the server does not speak TLS there: base_url needs the port on which it serves https, or http:// if "
                f"it serves plain http only ({why})",
                hopeless=True,
            )
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
        self._deadline = Deadline()
        self._http = _opened(httpx.Client, transport=transport, **self._options())
        _bound_reads(self._http, self._deadline)

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
            yield from self._items(pager, self.send(pager.request).value)

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
        self._deadline.start(wire.seconds)
        try:
            request = self._build(self._http, wire)
            # The transport and not `send`, which costs a sixth more for cookies, redirects and hooks that are not used.
            response = self._http._transport_for_url(request.url).handle_request(request)  # noqa: SLF001
            headers = plain_headers(response.headers.raw)
            reader = BodyReader(headers.get("content-encoding", ""))
            # The stream and not `iter_bytes`, which decompresses a piece whole, however large that makes it.
            with closing(response):
                for piece in cast("httpx.SyncByteStream", response.stream):
                    if not reader.feed(piece):
                        break
                    self._deadline.shorten(None)
        except _FAILURES as error:
            return self._failure(error, late=self._deadline.passed)
        return WireResponse(response.status_code, headers, reader.body, reader.unreadable)


class AsyncLaunchDarklyClient(_Client):
    """LaunchDarkly's API for an event loop. Build one for each connection and loop, and keep it.

    Arguments and rules are those of `LaunchDarklyClient`; ``sleep`` is awaited. At most `IN_FLIGHT` requests are under
    way at a time; one that takes longer than five seconds gives its place to the next.
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
        self._http = _opened(httpx.AsyncClient, transport=transport, **self._options())
        self._places = Places(IN_FLIGHT)

    async def send(self, request: Request[T], *, retry: bool = True) -> Response[T]:
        """Carry out one call.

        Args:
            request: The call.
            retry: False tries once, for a caller that knows better when to try again.

        Raises:
            LaunchDarklyError: See `exchange.Exchange.send`.
        """
        return await self._drive(self._rules(retry).send(request))

    async def run(self, procedure: Procedure[R], *, retry: bool = True) -> R:
        """Carry out a procedure, such as those of `lifecycle`.

        Args:
            procedure: The procedure.
            retry: False tries each of its calls once.

        Raises:
            LaunchDarklyError: What the procedure raises.
        """
        return await self._drive(self._rules(retry).run(procedure))

    def _rules(self, retry: bool) -> Exchange:
        return self._exchange if retry else replace(self._exchange, retries=False)

    async def pages(self, first: Request[Any], *, max_items: int = DEFAULT_CAP) -> AsyncIterator[Any]:
        """Iterate over a collection's items, reading each page when it is reached.

        Args:
            first: The request for the first page.
            max_items: Most items to return.
        """
        pager: Pager[Any] = Pager(first, max_items=max_items)
        while pager.request:
            for item in self._items(pager, (await self.send(pager.request)).value):
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
        sent = False
        limit = asyncio.timeout(wire.seconds)
        try:
            async with limit, self._places.taken():
                sent = True
                request = self._build(self._http, wire)
                transport = self._http._transport_for_url(request.url)  # noqa: SLF001
                response = await transport.handle_async_request(request)
                headers = plain_headers(response.headers.raw)
                reader = BodyReader(headers.get("content-encoding", ""))
                async with aclosing(response):
                    async for piece in cast("httpx.AsyncByteStream", response.stream):
                        if not reader.feed(piece):
                            break
        except _FAILURES as error:
            return self._failure(error, late=limit.expired(), sent=sent)
        return WireResponse(response.status_code, headers, reader.body, reader.unreadable)


def _parsed(base_url: str) -> httpx.URL:
    try:
        return httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"base_url is {base_url!r}: {error}; write the name of a host that there is") from None


def _tls(settings: ClientSettings) -> ssl.SSLContext | bool:
    """Return the client's TLS context: building one costs 25 ms and 0.7 MB. Plain http needs none."""
    if settings.base_url.startswith("http://"):
        return False
    if isinstance(settings.verify, bool):
        try:
            return httpx.create_ssl_context(verify=settings.verify, trust_env=True)
        except OSError as error:
            named = " and ".join(
                f"{name} is {os.environ[name]!r}" for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ
            )
            raise ConfigurationError(
                f"the environment's CA certificates cannot be read ({error.strerror or error}): {named}; correct or "
                "unset it"
            ) from None
    bundle = Path(settings.verify)
    try:
        if bundle.is_dir():
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"verify is {settings.verify!r} (ca_bundle of a connection): a file or folder of CA certificates is needed "
            f"({why})"
        ) from None


def _bound_reads(client: httpx.Client, deadline: Deadline) -> None:
    """Make the client's connections keep to the deadline. httpx has no option for another network backend."""
    transports: list[Any] = [client._transport, *client._mounts.values()]  # noqa: SLF001
    for transport in transports:
        if isinstance(transport, httpx.HTTPTransport):
            pool: Any = transport._pool  # noqa: SLF001
            pool._network_backend = BoundedBackend(pool._network_backend, deadline)  # noqa: SLF001


def _opened(make: Callable[..., C], **options: Any) -> C:
    """Make an httpx client. It reads the proxies of the environment, and raises on one that it cannot use."""
    try:
        return make(**options)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise ConfigurationError(_proxy_problem(error)) from None


def _proxy_problem(error: Exception) -> str:
    for name in (*_PROXY_VARIABLES, *map(str.lower, _PROXY_VARIABLES)):
        value = os.environ.get(name, "").strip()
        wrong = _proxy_error(value)
        shown = f"the environment variable {name} is {re.sub(r'[^/@]*@', '***@', value)!r}"
        if isinstance(wrong, ImportError):
            return (
                f"{shown}: a SOCKS proxy needs the package socksio; run pip install 'httpx[socks]', name an http:// "
                f"proxy, or unset {name}"
            )
        if wrong:
            return f"{shown}, which is no proxy: write http://HOST:PORT, or unset {name}"
    hosts = os.environ.get("NO_PROXY") or os.environ.get("no_proxy", "")
    return (
        f"the environment variable NO_PROXY is {hosts!r}: write host names or IPv4 addresses with commas between them "
        f"({error})"
    )


def _proxy_error(value: str) -> Exception | None:
    if not value:
        return None
    try:
        httpx.Client(proxy=value if "://" in value else f"http://{value}", trust_env=False).close()
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        return error
    return None
