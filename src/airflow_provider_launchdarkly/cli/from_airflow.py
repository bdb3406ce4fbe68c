"""The experiments of a DAG run, read from Airflow's REST API over HTTP: the same reading as that of the page."""

from __future__ import annotations

import asyncio
import json
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from typing_extensions import override

from airflow_provider_launchdarkly.plugins.pages.airflow_rest import AirflowRest, RefusedError
from airflow_provider_launchdarkly.plugins.pages.gathering import read_experiments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.views.model import ExperimentDetail

URL_VARIABLE = "AIRFLOW_API_URL"
TOKEN_VARIABLE = "AIRFLOW_API_TOKEN"  # noqa: S105 - the variable's name
_SECONDS = 30.0


class AirflowError(ValueError):
    """Airflow cannot be read; the message has the cure, and never the token."""


class _NoRedirects(HTTPRedirectHandler):
    """Follows no redirect, which would send the token to another place."""

    @override
    def redirect_request(self, *_: Any) -> None:
        return None


class AirflowOverHttp(AirflowRest):
    """Airflow's REST API at an address.

    Args:
        url: Airflow's address, with its path if it has one.
        token: A bearer token of Airflow's.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._opener = build_opener(_NoRedirects)

    @override
    async def _ask(self, method: str, path: str, query: Mapping[str, Any], body: bytes) -> dict[str, Any]:
        return await asyncio.to_thread(self._send, method, path, query, body)

    def _send(self, method: str, path: str, query: Mapping[str, Any], body: bytes) -> dict[str, Any]:
        # Within Airflow's process a path is not encoded; here it is.
        whole = f"/api/v2{path}"
        address = f"{self._url}{quote(whole, safe='/~')}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        headers |= {"Content-Type": "application/json"} if body else {}
        request = Request(address, data=body or None, headers=headers, method=method)  # noqa: S310 - http and https
        try:
            with self._opener.open(request, timeout=_SECONDS) as response:
                answer: dict[str, Any] = json.loads(response.read())
        except HTTPError as error:
            raise RefusedError(error.code, whole) from None
        except (URLError, OSError, HTTPException) as error:
            raise AirflowError(f"{self._url} does not answer ({error}); correct --airflow") from None
        except (ValueError, RecursionError):
            raise AirflowError(f"{self._url} answers without JSON; give the address of Airflow's API server") from None
        return answer


def read_run(url: str, token: str, dag_id: str, run_id: str | None) -> tuple[ExperimentDetail, ...]:
    """Return the experiments of a run.

    Args:
        url: Airflow's address.
        token: A bearer token of Airflow's.
        dag_id: The DAG.
        run_id: The run; None for the newest one that has any.

    Raises:
        AirflowError: Airflow cannot be read, or the run has no experiment.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise AirflowError(f"--airflow {url} is no address; write https://airflow.example.com")
    if not token:
        raise AirflowError(f"{TOKEN_VARIABLE} is not set; put a token of Airflow's there (POST /auth/token gives one)")
    try:
        found = asyncio.run(read_experiments(AirflowOverHttp(url, token), dag_id, run_id))
    except RefusedError as error:
        cure = {
            401: f"renew the token in {TOKEN_VARIABLE}",
            403: "ask for the right to read this DAG and its XComs",
            404: "correct the DAG and the run",
        }.get(error.status, "try again later")
        raise AirflowError(f"{error}; {cure}") from None
    if not found:
        where = f"run {run_id} of {dag_id} has no experiment" if run_id else f"no run of {dag_id} has an experiment"
        raise AirflowError(f"{where}: name the DAG that runs one, or wait until its first task did")
    return found
