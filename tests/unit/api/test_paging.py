"""Walking through a collection: to the end, with a cap, and never to another host."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import httpx
import pytest

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import LaunchDarklyError, UnexpectedResponseError
from airflow_provider_launchdarkly.api.http.paging import collect

from .conftest import ENV, Connect, answer

PATH = "/api/v2/projects/demo/environments/production/experiments"


def serve(total: int, size: int = 2) -> Any:
    """A collection with LaunchDarkly's links: relative, ``next`` only where there is a next page."""
    seen: list[str] = []

    def reply(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url.query, "ascii"))
        offset = int(request.url.params.get("offset", 0))
        keys = range(offset, min(offset + size, total))
        links = {"next": {"href": f"{PATH}?limit={size}&offset={offset + size}"}} if offset + size < total else {}
        return answer(body={"items": [{"key": f"e{n}"} for n in keys], "total_count": total, "_links": links})

    vars(reply)["seen"] = seen
    return reply


def keys(items: Any) -> list[str]:
    return [item.key for item in items]


@pytest.mark.parametrize("total", [0, 1, 2, 5])
def test_a_walk_brings_every_item_once(connect: Connect, total: int) -> None:
    driver = connect(serve(total))
    wanted = [f"e{n}" for n in range(total)]
    assert keys(driver.pages(endpoints.list_experiments(ENV))) == wanted
    assert keys(driver.run(collect(endpoints.list_experiments(ENV)))) == wanted


@pytest.mark.parametrize("max_items", [0, 1, 2, 3])
def test_a_walk_stops_at_its_cap_without_asking_for_more(connect: Connect, max_items: int) -> None:
    reply = serve(9)
    assert len(connect(reply).pages(endpoints.list_experiments(ENV), max_items=max_items)) == max_items
    assert len(reply.seen) == -(-max_items // 2)


def test_a_lazy_walk_asks_for_a_page_when_it_gets_there(connect: Connect) -> None:
    reply = serve(9)
    driver = connect(reply)
    if driver._loop is None:
        walk = driver.client.pages(endpoints.list_experiments(ENV))
        next(walk)
        assert len(reply.seen) == 1


def test_a_walk_follows_the_link_with_its_own_query(connect: Connect) -> None:
    reply = serve(3)
    connect(reply).pages(endpoints.list_experiments(ENV, limit=2))
    assert reply.seen == ["limit=2", "limit=2&offset=2"]


def test_a_page_that_names_itself_as_the_next_ends_the_walk(connect: Connect) -> None:
    calls: list[int] = []

    def reply(_request: httpx.Request) -> httpx.Response:
        calls.append(1)
        return answer(body={"items": [{"key": "e"}], "_links": {"next": {"href": f"{PATH}?offset=0"}}})

    connect(reply).pages(endpoints.list_experiments(ENV))
    assert len(calls) == 2


def test_an_empty_page_ends_the_walk_whatever_it_links_to(connect: Connect) -> None:
    def reply(_request: httpx.Request) -> httpx.Response:
        return answer(body={"items": [], "_links": {"next": {"href": f"{PATH}?offset=2"}}})

    assert connect(reply).pages(endpoints.list_experiments(ENV)) == []


@pytest.mark.parametrize("href", ["https://evil.test/api/v2/x", "//evil.test/api/v2/x", "http:/api/v2/x"])
def test_a_link_to_a_host_is_not_followed(connect: Connect, href: str) -> None:
    hosts: list[str] = []

    def reply(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return answer(body={"items": [{"key": "e"}], "_links": {"next": {"href": href}}})

    with pytest.raises(UnexpectedResponseError, match="is not followed"):
        connect(reply).pages(endpoints.list_experiments(ENV))
    assert hosts == ["launchdarkly.test"]


@pytest.mark.parametrize(
    "href",
    [
        "/\\evil.test/x",
        "@evil.test/x",
        "\\\\evil.test",
        ":80@evil.test/",
        ".evil.test/",
        "",
        "/elsewhere",
        "/api/v2/é",
        "/api/v2/a b\nc",
    ],
)
def test_a_link_that_is_no_path_of_the_api_is_not_followed(connect: Connect, href: str) -> None:
    hosts: list[str] = []

    def reply(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return answer(body={"items": [{"key": "e"}], "_links": {"next": {"href": href}}})

    driver = connect(reply)
    if href:
        with pytest.raises(UnexpectedResponseError, match="is not followed"):
            driver.pages(endpoints.list_experiments(ENV))
    else:
        assert len(driver.pages(endpoints.list_experiments(ENV))) == 1
    assert hosts == ["launchdarkly.test"]


@pytest.mark.parametrize("path", ["@evil.test/x", ".evil.test/x", ":80@evil.test/x", "//evil.test/x", "/\\evil.test"])
def test_no_path_leads_a_request_to_another_host(connect: Connect, path: str) -> None:
    hosts: list[str] = []

    def reply(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return answer(body={"key": "e"})

    with contextlib.suppress(LaunchDarklyError, httpx.InvalidURL):
        connect(reply).send(replace(endpoints.get_experiment(ENV, "e"), path=path))
    assert set(hosts) <= {"launchdarkly.test"}
