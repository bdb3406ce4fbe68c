"""What an error says of the call that failed, and of the response to it. Pure, as the errors are."""

from __future__ import annotations

from typing import NamedTuple

from typing_extensions import override


class Call(NamedTuple):
    """The call that failed.

    Attributes:
        operation: Name of the call, such as ``get_experiment``.
        method: HTTP verb.
        path: Path relative to the host, without its query.
    """

    operation: str
    method: str
    path: str

    @override
    def __str__(self) -> str:
        return f"{self.operation} ({self.method} {self.path})"


class Refusal(NamedTuple):
    """LaunchDarkly's error response.

    Attributes:
        status: HTTP status.
        code: LaunchDarkly's error code, such as ``not_found``; empty when the body had none.
        message: LaunchDarkly's own words; empty when the body had none.
        request_id: The id that LaunchDarkly's support asks for; None when the response had none.
    """

    status: int
    code: str = ""
    message: str = ""
    request_id: str | None = None
