"""Airflow's own REST API, asked within the process and with the viewer's credentials.

So each answer is what Airflow serves to this viewer, on every version, and no database is opened here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, MutableMapping

# The key of Airflow's application in the scope of a request to a mounted one.
AIRFLOW = "airflow_provider_launchdarkly.airflow"

# What says who asks, and through which host.
_FORWARDED = frozenset({b"authorization", b"cookie", b"host"})

# Airflow's own default of `[api] maximum_page_limit`.
PAGE = 100
MOST_PAGES = 200


class RefusedError(Exception):
    """Airflow answers with an error: the viewer may not read this, or it is gone.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, status: int, path: str) -> None:
        super().__init__(f"Airflow answers {status} to {path}")
        self.status = status


class AirflowRest:
    """Airflow's REST API as one viewer sees it.

    Args:
        scope: The ASGI scope of the viewer's request to a mounted application.
    """

    def __init__(self, scope: MutableMapping[str, Any]) -> None:
        self._app = scope[AIRFLOW]
        self._headers = [(name, value) for name, value in scope["headers"] if name in _FORWARDED]
        self._from = {
            name: scope.get(name) for name in ("http_version", "scheme", "server", "client", "state") if name in scope
        }

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Return what a path below ``/api/v2`` answers.

        Raises:
            RefusedError: Airflow answers with an error.
        """
        return await self._ask("GET", path, query, b"")

    async def pages(self, path: str, of: str, **query: Any) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the pages of a list.

        Args:
            path: The path.
            of: The field that holds the entries.
            query: Filters and order.

        Raises:
            RefusedError: Airflow answers with an error.
        """
        for number in range(MOST_PAGES):
            answer = await self.get(path, limit=PAGE, offset=number * PAGE, **query)
            entries: list[dict[str, Any]] = answer[of]
            yield entries
            if (number + 1) * PAGE >= int(answer.get("total_entries") or 0) or not entries:
                return

    async def search(self, path: str, of: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return all entries of a list whose filters go in a body.

        Raises:
            RefusedError: Airflow answers with an error.
        """
        found: list[dict[str, Any]] = []
        for number in range(MOST_PAGES):
            content = {**body, "page_limit": PAGE, "page_offset": number * PAGE}
            answer = await self._ask("POST", path, {}, json.dumps(content).encode())
            found += answer[of]
            if len(found) >= int(answer.get("total_entries") or 0) or not answer[of]:
                break
        return found

    async def _ask(self, method: str, path: str, query: Mapping[str, Any], body: bytes) -> dict[str, Any]:
        whole = f"/api/v2{path}"
        scope = {
            **self._from,
            "type": "http",
            "asgi": {"version": "3.0"},
            "method": method,
            "path": whole,
            "raw_path": whole.encode(),
            "root_path": "",
            "query_string": urlencode(query).encode(),
            "headers": [*self._headers, (b"accept", b"application/json"), (b"content-type", b"application/json")],
        }
        status, chunks, sent = 500, bytearray(), False

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if sent:
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            else:
                chunks.extend(message.get("body", b""))

        await self._app(scope, receive, send)
        if status != 200:
            raise RefusedError(status, whole)
        answer: dict[str, Any] = json.loads(bytes(chunks))
        return answer
