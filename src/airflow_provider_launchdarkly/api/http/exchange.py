"""Generators that carry out one call or a procedure: they yield requests to transmit and sleeps, and do no I/O.

Both clients drive the same generators, so every decision about retries, limits and errors exists once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import urlencode

from airflow_provider_launchdarkly.api.errors import (
    AuthenticationError,
    LaunchDarklyError,
    PermissionDeniedError,
    RateLimitedError,
    TransportError,
    UnclearOutcomeError,
    UnexpectedResponseError,
)
from airflow_provider_launchdarkly.api.failed_call import Refusal
from airflow_provider_launchdarkly.api.http import retry
from airflow_provider_launchdarkly.api.http.procedure import STRANGE_DATA, Procedure, Response, Sleep
from airflow_provider_launchdarkly.api.http.rate_limit import LONGEST_PAUSE, RateGate, read_limits
from airflow_provider_launchdarkly.api.http.request import Request
from airflow_provider_launchdarkly.api.http.responses import (
    Garbled,
    Redaction,
    WireResponse,
    error_of,
    read_value,
    unreadable,
)
from airflow_provider_launchdarkly.api.http.retry import Broken, NotSent
from airflow_provider_launchdarkly.api.models.base import Read

T = TypeVar("T", bound=Read)
R = TypeVar("R")

log = logging.getLogger(__name__)

_SHORTEST_ATTEMPT = 0.001


class WireRequest(NamedTuple):
    """A request to transmit. The client adds the host and the token.

    Attributes:
        method: HTTP verb.
        target: Path and query, encoded.
        headers: Headers of this request.
        body: Body, None for none.
        seconds: How long the attempt may take until its response is read.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None
    seconds: float


Reply: TypeAlias = WireResponse | NotSent | Broken | None
Dialogue: TypeAlias = Generator[WireRequest | Sleep, Reply, R]


@dataclass(slots=True)
class _Attempts:
    """The attempts of one call so far.

    Attributes:
        ends: The call's deadline, in monotonic seconds.
        number: How many have ended.
        first_ended: When the first one ended.
    """

    ends: float
    number: int = 0
    first_ended: float | None = None

    def ended(self, now: float) -> float:
        """Count one more attempt; return the seconds since the first one ended."""
        self.number += 1
        if self.first_ended is None:
            self.first_ended = now
        return now - self.first_ended


@dataclass(frozen=True, slots=True)
class Exchange:
    """The rules of one client.

    Attributes:
        redact: Takes the client's token out of texts.
        gate: The rate-limit gate that all callers of the token share.
        budget: Seconds that the retries of one call may take together.
        retries: False tries each call once; it still waits for the gate.
        deadline: Seconds that one call may take, its waits and retries included.
        experiments_api_version: ``LD-API-Version`` for the Experiments API.
        monotonic: Seconds of a clock that never goes back.
        random: Uniform random numbers in [0, 1).
        observe: Called with each response as it came and the request that it answers; None for nobody.
    """

    redact: Redaction
    gate: RateGate = field(repr=False)
    budget: float
    deadline: float
    experiments_api_version: str
    monotonic: Callable[[], float]
    random: Callable[[], float]
    observe: Callable[[Request[Any], WireResponse], object] | None = None
    retries: bool = True

    def send(self, request: Request[T]) -> Dialogue[Response[T]]:
        """Carry out one call.

        Args:
            request: The call.

        Returns:
            The response.

        Raises:
            LaunchDarklyError: A read failed for good or for longer than the budget; a write was refused
                (`errors.ApiError`), never sent (`errors.TransportError`), or its outcome is unknown
                (`errors.UnclearOutcomeError`).
        """
        version = self.experiments_api_version if request.version_is_configurable else request.api_version
        attempts = _Attempts(self.monotonic() + self.deadline)
        while True:
            yield from self._pass_gate(request, attempts.ends)
            reply = yield _wire(request, version, attempts.ends - self.monotonic())
            now = self.monotonic()
            elapsed = attempts.ended(now)
            outcome, result = self._judge(request, reply, version, now)
            # A further attempt that could not even begin before the deadline is none.
            budget = min(self.budget if self.retries else 0.0, elapsed + attempts.ends - now - _SHORTEST_ATTEMPT)
            attempt = retry.Attempt(attempts.number, request.is_read, elapsed, budget)
            match retry.next_step(attempt, outcome, self.random()):
                case Sleep(seconds=seconds) as sleep:
                    log.info("%s: %s; try %d in %.1f s", request.call, _why(outcome), attempts.number + 1, seconds)
                    yield sleep
                    continue
                case retry.ReadBack():
                    raise _unclear(request, outcome)
            if isinstance(result, LaunchDarklyError):
                raise self.redact.clean(result)
            return result

    def run(self, procedure: Procedure[R]) -> Dialogue[R]:
        """Carry out a procedure: send its requests, hand it the responses, and throw errors in at the yield.

        Args:
            procedure: The procedure, not started yet.

        Returns:
            What the procedure returns.
        """
        last: Request[Any] | None = None
        try:
            step = next(procedure)
            while True:
                try:
                    response = yield from self._carry_out(step)
                except LaunchDarklyError as error:
                    step = procedure.throw(error)
                else:
                    last = step if isinstance(step, Request) else last
                    step = procedure.send(response)
        except StopIteration as done:
            result: R = done.value
            return result
        except LaunchDarklyError as error:
            self.redact.clean(error)
            raise
        except STRANGE_DATA as error:
            if last is None:
                raise
            raise self.redact.clean(_unusable(last, error)) from None
        finally:
            procedure.close()

    def _carry_out(self, step: Request[Any] | Sleep) -> Dialogue[Response[Any] | None]:
        if isinstance(step, Sleep):
            log.info("%s; going on in %.1f s", step.why, step.seconds)
            yield step
            return None
        return (yield from self.send(step))

    def _pass_gate(self, request: Request[Any], ends: float) -> Dialogue[None]:
        entered = self.monotonic()
        wait = self.gate.reserve(request.operation, entered, self.random())
        while wait > 0:
            now = self.monotonic()
            if now - entered + wait > self.budget or now + wait > ends - _SHORTEST_ATTEMPT:
                raise RateLimitedError(
                    f"{request.call} was not sent: LaunchDarkly has stated that this token's rate limit is used up, or "
                    f"that it is away, for another {wait:.1f} s, longer than this call may wait: retry then",
                    call=request.call,
                    refusal=Refusal(429, "rate_limited"),
                )
            yield Sleep(wait)
            wait = self.gate.closed_for(request.operation, self.monotonic())

    def _judge(
        self, request: Request[T], reply: Reply, version: str, now: float
    ) -> tuple[retry.Outcome, Response[T] | LaunchDarklyError]:
        """Return an attempt's outcome for the retry rules, and its result for the caller if it is final."""
        if isinstance(reply, WireResponse):
            try:
                return self._judge_response(request, reply, version, now)
            except STRANGE_DATA as error:
                return retry.Responded(reply.status, body=retry.Body.STRANGE), _unusable(request, error, reply.status)
        if reply is None:
            raise RuntimeError("the client sent a request and returned no reply")
        return reply, TransportError(f"{request.call} got no response: {reply.why}", call=request.call)

    def _judge_response(
        self, request: Request[T], response: WireResponse, version: str, now: float
    ) -> tuple[retry.Outcome, Response[T] | LaunchDarklyError]:
        if self.observe is not None:
            self.observe(request, response)
        server_time = response.server_time()
        limits = read_limits(response.headers, server_time)
        refused = max(retry.FLOOR, limits.wait or 0.0) if response.status == 429 else None
        self.gate.observe(request.operation, limits, now, refused=refused)
        if response.status >= 500 and limits.retry_after is not None:
            self.gate.hold(request.operation, now, limits.retry_after)
        if response.status >= 300:
            error = error_of(request, response, version, self.redact)
            wait = limits.wait if response.status == 429 else limits.retry_after
            if isinstance(error, AuthenticationError | PermissionDeniedError):
                error.answered = self.gate.answered
            if wait and (response.status == 429 or response.status >= 500):
                error.args = (f"{error}. LaunchDarkly asks to wait {_until(wait, server_time)}",)
            return retry.Responded(response.status, wait), error
        value = read_value(request, response)
        if isinstance(value, Garbled):
            body = retry.Body.STRANGE if value.whole else retry.Body.DAMAGED
            return retry.Responded(response.status, body=body), unreadable(request, response, value)
        self.gate.answered += 1
        request_id = response.headers.get("x-request-id")
        return retry.Responded(response.status), Response(value, server_time, response.status, request_id)


def _wire(request: Request[Any], version: str, seconds: float) -> WireRequest:
    headers = {"Accept": "application/json", "LD-API-Version": version}
    body = None
    if request.body is not None:
        headers["Content-Type"] = request.content_type
        body = json.dumps(request.body, allow_nan=False, separators=(",", ":")).encode()
    target = f"{request.path}?{_encoded(request.query)}" if request.query else request.path
    return WireRequest(request.method, target, headers, body, seconds)


@lru_cache(maxsize=256)
def _encoded(query: tuple[tuple[str, str], ...]) -> str:
    return urlencode(query)


def _until(seconds: float, server_time: datetime) -> str:
    """Return how long LaunchDarkly asks to wait, and until when."""
    if seconds > LONGEST_PAUSE:
        return f"for more than {LONGEST_PAUSE:.0f} s"
    return f"{seconds:.0f} s, until {server_time + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S} UTC"


def _unclear(request: Request[Any], outcome: retry.Outcome) -> UnclearOutcomeError:
    status = outcome.status if isinstance(outcome, retry.Responded) else None
    return UnclearOutcomeError(
        f"{request.call} was sent, and whether it took effect is unknown: {_why(outcome)}",
        call=request.call,
        status=status,
    )


def _unusable(request: Request[Any], error: Exception, status: int | None = None) -> UnexpectedResponseError:
    """Return the error for a response that made the code that reads it fail."""
    return UnexpectedResponseError(
        f"the response to {request.call} cannot be used ({type(error).__name__}); LaunchDarkly changed "
        "its shape, or the host is not LaunchDarkly's",
        call=request.call,
        status=status,
    )


def _why(outcome: retry.Outcome) -> str:
    match outcome:
        case retry.Responded(status=status, body=retry.Body.READ):
            return f"LaunchDarkly answered {status}"
        case retry.Responded(status=status):
            return f"LaunchDarkly answered {status} with a body that cannot be read"
        case NotSent(why=why) | Broken(why=why):
            return why
