"""How LaunchDarkly says no: one exception, made by one function per kind of refusal.

LaunchDarkly REST docs, Overview, "Errors": the body is `{"code", "message", "id"}`; the id is added where the answer is
written, since it belongs to the request.
"""

from __future__ import annotations


class ApiError(Exception):
    """A request is answered with an error.

    Attributes:
        status: the HTTP status.
        code: LaunchDarkly's error code.
        message: for people.
        headers: header lines beyond the usual ones.
    """

    def __init__(self, status: int, code: str, message: str, headers: tuple[tuple[str, str], ...] = ()):
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


def invalid_request(message: str) -> ApiError:
    """400: the request says something that cannot be done."""
    return ApiError(400, "invalid_request", message)


def unauthorized(message: str = "Invalid account ID header or access token") -> ApiError:
    """401: no token, an unknown one, or an SDK key, which the REST API never takes."""
    return ApiError(401, "unauthorized", message)


def forbidden(message: str) -> ApiError:
    """403: the token may not do this, or a beta resource was called without the beta header."""
    return ApiError(403, "forbidden", message)


def not_found(message: str) -> ApiError:
    """404."""
    return ApiError(404, "not_found", message)


def method_not_allowed(message: str, allow: tuple[str, ...] = ()) -> ApiError:
    """405: wrong verb, or a flag change that needs an approval."""
    return ApiError(405, "method_not_allowed", message, (("allow", ", ".join(allow)),) if allow else ())


def conflict(message: str) -> ApiError:
    """409. LaunchDarkly gives races and lasting conflicts the same code."""
    return ApiError(409, "optimistic_locking_error", message)


def patch_failed(message: str) -> ApiError:
    """422: the patch is not understood in its format."""
    return ApiError(422, "patch_failed", message)
