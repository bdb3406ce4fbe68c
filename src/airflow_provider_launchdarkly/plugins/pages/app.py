"""The application that Airflow's API server mounts. Nothing else imports it.

Every route asks Airflow who the viewer is, and refuses whoever has no session. One experiment is behind Airflow's own
authorisation for its DAG; a list has the DAGs that the viewer may read, and what Airflow's REST API answers to them.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag, requires_authenticated
from airflow.utils.state import TaskInstanceState
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response

from airflow_provider_launchdarkly.pictures.theme import PAGE_STYLE
from airflow_provider_launchdarkly.plugins.pages import drawing
from airflow_provider_launchdarkly.plugins.pages.airflow_rest import AIRFLOW, AirflowRest, RefusedError
from airflow_provider_launchdarkly.plugins.pages.gathering import Listed, Memory, list_experiments, read_experiments
from airflow_provider_launchdarkly.plugins.pages.record_check import with_checked_record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

# Viewers whose reading is remembered, at most.
VIEWERS = 64

STATES = tuple(state.value for state in TaskInstanceState)

_memories: dict[str, Memory] = {}

application = FastAPI(
    title="LaunchDarkly experiments",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
    dependencies=[Depends(requires_authenticated())],
)


@application.get("/experiments")
async def experiments(request: Request, user: GetUserDep) -> Response:
    """The page of all experiments."""
    return await _listed(request, user, drawing.list_page)


@application.get("/experiments/rows")
async def rows(request: Request, user: GetUserDep) -> Response:
    """The part of that page that changes."""
    return await _listed(request, user, drawing.list_body)


@application.get("/experiment", dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.XCOM))])
async def experiment(
    request: Request,
    dag_id: Annotated[str, Query(max_length=250)],
    run_id: Annotated[str | None, Query(max_length=250)] = None,
    key: Annotated[str | None, Query(max_length=512)] = None,
    map_index: Annotated[str | None, Query(max_length=20)] = None,
) -> Response:
    """The page of one experiment: by its key, or those of a DAG, a run or a task."""
    index = int(map_index) if map_index and map_index.isdecimal() else None
    try:
        found = await read_experiments(AirflowRest(request.scope), dag_id, run_id, key=key, map_index=index)
    except RefusedError as error:
        return _html(drawing.refused_page(error.status), error.status)
    checked = [await run_in_threadpool(with_checked_record, detail) for detail in found]
    return _html(drawing.experiments_page(checked, dag_id))


@application.get("/static/{name}")
async def static(name: str) -> Response:
    """The style sheet and the script."""
    folder = files(__package__ or "") / "static"
    if name == "page.css":
        sheet = PAGE_STYLE + (folder / "page.css").read_text(encoding="utf-8")
        return Response(sheet, media_type="text/css", headers=HEADERS)
    if name == "page.js":
        return Response((folder / "page.js").read_text(encoding="utf-8"), media_type="text/javascript", headers=HEADERS)
    raise HTTPException(404)


async def mounted(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    """Serve a request, and remember the application that it came through: Airflow's, whose REST API the pages read."""
    scope[AIRFLOW] = scope.get("app")
    await application(scope, receive, send)


async def _listed(request: Request, user: Any, draw: Callable[[Listed], str]) -> Response:
    readable = await run_in_threadpool(lambda: get_auth_manager().get_authorized_dag_ids(user=user, method="GET"))
    reading: Awaitable[Listed] = list_experiments(AirflowRest(request.scope), _memory_of(user), readable, STATES)
    try:
        return _html(draw(await reading))
    except RefusedError as error:
        return _html(drawing.refused_page(error.status), error.status)


def _memory_of(user: Any) -> Memory:
    who = str(user.get_id())
    known = _memories.pop(who, None)
    found = Memory() if known is None or known.old else known
    _memories[who] = found  # the newest last
    while len(_memories) > VIEWERS:
        _memories.pop(next(iter(_memories)))
    return found


def _html(text: str, status: int = 200) -> Response:
    return HTMLResponse(text, status, headers=HEADERS)
