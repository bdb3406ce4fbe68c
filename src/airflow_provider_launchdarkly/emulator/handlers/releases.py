"""Handle environment releases (LaunchDarkly's REST API, Environment releases, beta since client 25.0.0)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import invalid_request
from airflow_provider_launchdarkly.emulator.handlers.operation import Request, Response
from airflow_provider_launchdarkly.emulator.rules import releases as rules
from airflow_provider_launchdarkly.emulator.rules.flag_patch import check_approval
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.serializers import releases as serialize
from airflow_provider_launchdarkly.emulator.serializers.links import link, paging_links

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.release_models import Release
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

_LIMIT = 25
_LARGEST_LIMIT = 100
_MILLION = 1_000_000
_FILTER = re.compile(r'kind equals "?(progressive|guarded)"?')


def list_environment_releases(request: Request) -> Response:
    """GET a flag's releases in an environment, newest first, by `filter`, `limit`, `offset` and `_snapshot`."""
    transaction = request.transaction()
    flag_key, environment_key = _place(request)
    known = _filtered(request, rules.shown(transaction, environment_key, flag_key))
    moment = _snapshot(request)
    known = [release for release in known if release.created_at * _MILLION <= moment]
    limit, offset = request.count("limit", _LIMIT, lowest=1), request.count("offset", 0, lowest=0)
    if limit > _LARGEST_LIMIT:
        raise invalid_request(f"limit must be at most {_LARGEST_LIMIT}, not {limit}")
    query = [(name, value) for name, value in request.query if name != "_snapshot"] + [("_snapshot", str(moment))]
    links = paging_links(request.path, query, limit=limit, offset=offset, total=len(known))
    flag = f"/api/v2/flags/{request.params['projectKey']}/{flag_key}"
    items = [serialize.release(transaction, release) for release in known[offset : offset + limit]]
    return Response(200, {"items": items, "totalCount": len(known), "_links": links | {"parent": link(flag)}})


def get_environment_release(request: Request) -> Response:
    """GET a release with all its phases; `expand=metrics` adds the definitions of its metrics."""
    transaction = request.transaction()
    flag_key, environment_key = _place(request)
    release = rules.release(transaction, environment_key, flag_key, request.params["releaseId"])
    return Response(200, serialize.release(transaction, release, request.query_values("expand")))


def start_environment_release(request: Request) -> Response:
    """POST a release, which starts it. The response is a 201; a repeat is a 409 `release_already_active`."""
    transaction = request.transaction()
    flag_key, environment_key = _place(request)
    check_approval(transaction, environment_key, flag_key)
    return _committed(201, transaction, rules.start(transaction, environment_key, flag_key, RequestBody(request.body)))


def stop_environment_release(request: Request) -> Response:
    """PUT the stop of a release. One that has ended responds with 200 and stays as it is."""
    transaction = request.transaction()
    flag_key, environment_key = _place(request)
    check_approval(transaction, environment_key, flag_key)
    release_id, body = request.params["releaseId"], RequestBody(request.body)
    return _committed(200, transaction, rules.stop(transaction, environment_key, flag_key, release_id, body))


def _place(request: Request) -> tuple[str, str]:
    return request.params["flagKey"], request.params["environmentKey"]


def _committed(status: int, transaction: Transaction, release: Release) -> Response:
    representation = serialize.release(transaction, release)
    transaction.commit()
    return Response(status, representation, transaction.effects)


def _filtered(request: Request, known: list[Release]) -> list[Release]:
    text = request.query_value("filter")
    if not text:
        return known
    match = _FILTER.fullmatch(text.strip())
    if match is None:
        raise invalid_request(f'filter takes kind equals "progressive" or kind equals "guarded", not {text!r}')
    return [release for release in known if release.guarded == (match[1] == "guarded")]


def _snapshot(request: Request) -> int:
    """Return the moment of `_snapshot` in epoch nanoseconds, now unless it is a moment that has been."""
    text = request.query_value("_snapshot") or ""
    now = request.now * _MILLION
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) <= now else now
