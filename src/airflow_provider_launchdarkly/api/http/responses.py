"""Turn an HTTP response into the value that it carries or the error that it is. Uses no HTTP library.

Every text in an error passes through `Redaction`, so that a token that LaunchDarkly or a proxy echoes does not reach a
log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import ValidationError

from airflow_provider_launchdarkly.api.errors import (
    ApiError,
    ApprovalRequiredError,
    AuthenticationError,
    ConflictError,
    FailedCheck,
    HealthChecksFailedError,
    InvalidRequestError,
    LaunchDarklyError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    TransportError,
    UnexpectedResponseError,
)
from airflow_provider_launchdarkly.api.failed_call import Refusal
from airflow_provider_launchdarkly.api.http.dates import read_http_date
from airflow_provider_launchdarkly.api.http.request import BETA
from airflow_provider_launchdarkly.api.models.base import Many, Read, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_launchdarkly.api.http.request import Request

T = TypeVar("T", bound=Read)
E = TypeVar("E", bound=LaunchDarklyError)

_LONGEST_QUOTE = 500
_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class WireResponse:
    """An HTTP response.

    Attributes:
        status: HTTP status.
        headers: Headers, names in lower case.
        body: The body, decompressed.
        unreadable: Why the body was not read to its end; empty if it was.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    unreadable: str = ""

    def server_time(self) -> datetime:
        """Return LaunchDarkly's time of the response; the local time if it has no date."""
        return read_http_date(self.headers.get("date", "")) or datetime.now(UTC)


def plain_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers as they came by their names in lower case, the values of one name joined by a comma."""
    found: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name = raw_name.lower().decode("latin-1")
        try:
            value = raw_value.decode()
        except UnicodeDecodeError:
            value = raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


class ErrorBody(Read):
    """LaunchDarkly's error body (https://launchdarkly.com/docs/api#errors). ``id`` is for support."""

    code: Text = ""
    message: Text = ""
    id: Text = ""


class FailingCheck(Read):
    """A health check that a release fails."""

    kind: Text = ""
    metric_key: str | None = None
    message: Text = ""


class HealthBody(Read):
    """The error body of a release whose health checks fail."""

    failing_checks: Many[FailingCheck] = ()


HEALTH_CHECKS_FAILED = "health_checks_failed"


@dataclass(frozen=True, slots=True)
class Redaction:
    """Removes the token, and what would break a log line, from a text of LaunchDarkly's or a proxy's."""

    secret: str = field(repr=False)

    def __call__(self, text: str) -> str:
        """Return the text without the secret, on one line, and not longer than a log line should be."""
        clean = _NOT_PRINTABLE.sub(" ", self.hide(text)).strip()
        return clean if len(clean) <= _LONGEST_QUOTE else clean[:_LONGEST_QUOTE] + "…"

    def hide(self, text: str) -> str:
        """Return the text without the secret, also where it is percent-encoded or escaped in quotes."""
        for form in {self.secret, quote(self.secret, safe=""), repr(self.secret)[1:-1]}:
            text = text.replace(form, "***")
        return text

    def clean(self, error: E) -> E:
        """Take the secret out of an error's message and attributes. The other side may have sent it in any field."""
        error.args = self._without(error.args)
        for name, value in vars(error).items():
            setattr(error, name, self._without(value))
        return error

    def _without(self, value: Any) -> Any:
        match value:
            case str():
                return self.hide(value)
            case None | bool() | int() | float():
                return value
            case tuple() | list():
                parts = [self._without(part) for part in value]
                return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
            case dict():
                return {self._without(name): self._without(part) for name, part in value.items()}
        shown = repr(value)
        hidden = self.hide(shown)
        return value if hidden == shown else hidden


class Garbled(NamedTuple):
    """A successful response whose body cannot be read.

    Attributes:
        why: What is wrong with it, for people.
        whole: Whether the body is complete and simply something else, so that asking again brings the same.
    """

    why: str
    whole: bool


def read_value(request: Request[T], response: WireResponse) -> T | Garbled:
    """Read the body of a successful response.

    Args:
        request: What was asked.
        response: A 2xx response.

    Returns:
        The value, or what is wrong with the body.
    """
    if response.unreadable:
        return Garbled(response.unreadable, True)
    body = b"{}" if response.status == 204 and not response.body else response.body
    try:
        return request.response_model.model_validate_json(body)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
    kind = response.headers.get("content-type", "application/json").partition(";")[0]
    if "json" not in kind:
        return Garbled(
            f"it is {kind}, not JSON; check that the host is LaunchDarkly's API, and not a login page or a proxy", True
        )
    if first["type"] == "json_invalid":
        return Garbled(f"{first['msg']}, after {len(response.body)} bytes", False)
    where = ".".join(str(step) for step in first["loc"]) or "the whole"
    return Garbled(f"{where}: {first['msg']}; LaunchDarkly changed its shape, or the host is not LaunchDarkly's", True)


def unreadable(
    request: Request[T], response: WireResponse, garbled: Garbled
) -> UnexpectedResponseError | TransportError:
    """Return the error for a successful response whose body cannot be read: if it came in part, as if none had come."""
    why = f"{request.call} was answered {response.status} with a body that cannot be read: {garbled.why}"
    if not garbled.whole:
        return TransportError(why, call=request.call)
    return UnexpectedResponseError(why, call=request.call, status=response.status)


def error_of(request: Request[T], response: WireResponse, sent_version: str, redact: Redaction) -> LaunchDarklyError:
    """Return the error for a response of status 300 or above.

    Args:
        request: What was asked.
        response: The response.
        sent_version: The ``LD-API-Version`` that was sent.
        redact: Cleans LaunchDarkly's words.

    Returns:
        The error, its message naming the call, LaunchDarkly's words and the cure.
    """
    if response.status < 400:
        return _redirected(request, response, redact)
    refusal = _refusal(response, redact)
    if refusal.code == HEALTH_CHECKS_FAILED:
        return _unhealthy(request, response, refusal, redact)
    kind, cure = _kind_of(refusal, request, sent_version)
    said = ": ".join(part for part in (refusal.code, refusal.message) if part) or "no explanation"
    support = f" [request id {refusal.request_id}]" if refusal.request_id else ""
    return kind(
        f"LaunchDarkly answered {refusal.status} to {request.call}: {said}.{cure and ' ' + cure}{support}",
        call=request.call,
        refusal=refusal,
    )


def _unhealthy(
    request: Request[T], response: WireResponse, refusal: Refusal, redact: Redaction
) -> HealthChecksFailedError:
    """Return the error for a release whose health checks fail, with the cure of each."""
    failing = tuple(
        FailedCheck(redact(check.kind), redact(check.metric_key) if check.metric_key else None, redact(check.message))
        for check in HealthBody.model_validate_json(response.body).failing_checks
    )
    parts = [
        f"{check.kind}{f' of {check.metric_key}' if check.metric_key else ''} ({check.message}): "
        f"{_CURES.get(check.kind, 'read about it in LaunchDarkly')}"
        for check in failing
    ]
    kinds = sorted({check.kind for check in failing})
    return HealthChecksFailedError(
        f"LaunchDarkly answered {refusal.status} to {request.call}: {refusal.message or refusal.code}. "
        f"{'; '.join(parts)}. To start anyway, name the checks in bypassHealthChecks: {kinds}",
        call=request.call,
        refusal=refusal,
        failing=failing,
    )


_CURES = {
    "flag_evaluations_any": "let an application evaluate the flag in this environment",
    "flag_evaluations_with_context": "evaluate the flag with contexts of the release's randomizationUnit",
    "metric_events_any": "send the metric's event in this environment, or leave the metric out",
    "metric_events_with_context": "send the metric's event with contexts of the release's randomizationUnit",
}


def _refusal(response: WireResponse, redact: Redaction) -> Refusal:
    try:
        body = ErrorBody.model_validate_json(response.body)
    except ValidationError:
        body = ErrorBody()
    return Refusal(
        status=response.status,
        code=redact(body.code),
        message=redact(body.message),
        request_id=redact(body.id or response.headers.get("x-request-id", "")) or None,
    )


_KINDS: dict[int, tuple[type[ApiError], str]] = {
    400: (InvalidRequestError, ""),
    # LaunchDarkly responds with 401 to both: https://launchdarkly.com/docs/api#errors
    401: (
        AuthenticationError,
        (
            "The token is wrong or expired, or it has no permission for this call: check the connection's token, and "
            "the role or inline policy that the token has"
        ),
    ),
    404: (NotFoundError, ""),
    409: (ConflictError, ""),
    422: (InvalidRequestError, ""),
    429: (RateLimitedError, "The limit lasts longer than this call may wait: poll less often, or retry later"),
}


def _kind_of(refusal: Refusal, request: Request[T], sent_version: str) -> tuple[type[ApiError], str]:
    """Return the class of an error, and the sentence that names the cure."""
    # Flags respond with 405 where approvals are required, segments with 403 "approval is required". Another 403 may be
    # about an approval request itself, such as a review of one's own.
    words = refusal.message.lower()
    named = "approval" in words and (refusal.status == 405 or (refusal.status == 403 and "requir" in words))
    # To a change of a flag a 405 means nothing else, even if its words are lost on the way.
    if named or (refusal.status == 405 and request.change is not None):
        return ApprovalRequiredError, (
            "Request and apply the change in LaunchDarkly, then run this again; an operator with reviewers does so for "
            "flags"
        )
    if refusal.status == 403:
        return PermissionDeniedError, _forbidden(request, sent_version)
    return _KINDS.get(refusal.status, (ServerError if refusal.status >= 500 else ApiError, ""))


def _forbidden(request: Request[T], sent_version: str) -> str:
    if request.api_version == BETA and sent_version != BETA:
        return (
            f"It was sent with LD-API-Version: {sent_version}; LaunchDarkly documents 'beta' for this resource and "
            "answers 403 without it: set experiments_api_version to 'beta'"
        )
    return "The token's role does not allow it, or the account's plan does not include it"


def _redirected(request: Request[T], response: WireResponse, redact: Redaction) -> UnexpectedResponseError:
    location = response.headers.get("location", "")
    try:
        host = urlsplit(location).netloc
    except ValueError:
        host = ""
    target = f" to host {redact(host)!r}" if host else location and f" to {redact(location)!r}"
    return UnexpectedResponseError(
        f"{request.call} was redirected{target} ({response.status}). Redirects are not followed, so that the token "
        "stays with its host: set the connection's host to LaunchDarkly's API itself",
        call=request.call,
        status=response.status,
    )
