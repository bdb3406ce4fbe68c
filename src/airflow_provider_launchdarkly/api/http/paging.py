"""Walk through a collection page by page: the next request, and when to stop. No I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_launchdarkly.api.errors import UnexpectedResponseError

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import Request

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

LARGEST_PAGE = 50
"""The largest page of metrics and metric groups; other collections document no limit, and use the same.

https://launchdarkly.com/docs/api/metrics/get-metrics
"""

DEFAULT_CAP = 1_000
"""Default for the most items that a listing returns."""


class PageOf(Protocol[T_co]):
    """One page of a collection."""

    @property
    def items(self) -> tuple[T_co, ...]:
        """The items of this page."""

    @property
    def next_href(self) -> str | None:
        """Path of the next page, relative to the host; None on the last one."""


class Pager(Generic[T]):
    """Iterates over the pages of a collection.

    Stops at the last page, at an empty page, at a page that was there before, and at the cap.
    """

    def __init__(self, first: Request[Any], *, max_items: int = DEFAULT_CAP) -> None:
        self._next: Request[Any] | None = first if max_items > 0 else None
        self._left = max_items
        self._seen = {(first.path, tuple(sorted(first.query)))}

    @property
    def request(self) -> Request[Any] | None:
        """The request for the next page; None at the end."""
        return self._next

    def take(self, page: PageOf[T]) -> tuple[T, ...]:
        """Take the page that the last request brought.

        Args:
            page: The page.

        Returns:
            Its items, as many as the cap still allows.

        Raises:
            UnexpectedResponseError: The next page's link is no path of the API. The token is never sent to a host that
                a response names.
        """
        items = page.items[: self._left]
        self._left -= len(items)
        current, self._next = self._next, None
        if current and page.items and self._left > 0 and page.next_href:
            following = _follow(current, page.next_href)
            place = (following.path, tuple(sorted(following.query)))
            if place not in self._seen:
                self._seen.add(place)
                self._next = following
        return items


def collect(first: Request[Any], *, max_items: int = DEFAULT_CAP) -> Procedure[tuple[Any, ...]]:
    """Read all items of a collection.

    Args:
        first: The request for the first page.
        max_items: Most items to return.

    Returns:
        The items of all pages, at most ``max_items``.
    """
    pager: Pager[Any] = Pager(first, max_items=max_items)
    found: list[Any] = []
    while pager.request:
        response = yield pager.request
        found += pager.take(response.value)
    return tuple(found)


def _follow(current: Request[Any], href: str) -> Request[Any]:
    try:
        parts = urlsplit(href)
        is_path = not parts.scheme and not parts.netloc and parts.path.startswith("/api/v2/")
    except ValueError:
        is_path = False
    if not is_path or not href.isascii() or not href.isprintable():
        raise UnexpectedResponseError(
            f"{current.call} names {href[:200]!r} as its next page. LaunchDarkly's links are paths of its API; this "
            "one is not followed, so that the token stays with its own host",
            call=current.call,
            status=200,
        )
    return replace(current, path=parts.path, query=tuple(parse_qsl(parts.query, keep_blank_values=True)))
