"""LaunchDarkly's error responses: one exception, and one function for each status.

LaunchDarkly REST docs, Overview, "Errors": the body is `{"code", "message", "id"}`. The engine adds the id, which
belongs to the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class ApiError(Exception):
    """The response to a request is an error.

    Attributes:
        status: The HTTP status.
        code: LaunchDarkly's error code.
        message: The explanation for people.
        headers: Headers in addition to the usual ones.
        details: Fields of the body in addition to the usual ones.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: tuple[tuple[str, str], ...] = (),
        details: Mapping[str, Any] | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
        self.details = dict(details or {})


def invalid_request(message: str) -> ApiError:
    """Return a 400: the request asks for something impossible."""
    return ApiError(400, "invalid_request", message)


def unauthorized(message: str = "Invalid account ID header or access token") -> ApiError:
    """Return a 401: the token is missing or unknown, or is an SDK key, which the REST API rejects."""
    return ApiError(401, "unauthorized", message)


def forbidden(message: str) -> ApiError:
    """Return a 403: the token has no right to do this, or the request lacks the header of a beta resource."""
    return ApiError(403, "forbidden", message)


def not_found(message: str) -> ApiError:
    """Return a 404: the resource or path does not exist."""
    return ApiError(404, "not_found", message)


def method_not_allowed(message: str, allow: tuple[str, ...] = ()) -> ApiError:
    """Return a 405: the path lacks the verb, or the change of a flag needs an approval."""
    return ApiError(405, "method_not_allowed", message, (("allow", ", ".join(allow)),) if allow else ())


def conflict(message: str) -> ApiError:
    """Return a 409, with the one code that LaunchDarkly has for races and for lasting conflicts."""
    return ApiError(409, "optimistic_locking_error", message)


def patch_failed(message: str) -> ApiError:
    """Return a 422: the patch has a format or an instruction that LaunchDarkly does not have."""
    return ApiError(422, "patch_failed", message)
