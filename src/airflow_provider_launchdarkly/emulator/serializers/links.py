"""Build LaunchDarkly's paths and links, which are relative to the server."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Sequence


def link(href: str, kind: str = "application/json") -> dict[str, str]:
    """Return a link to a path, with its content type."""
    return {"href": href, "type": kind}


def page_link(href: str) -> dict[str, str]:
    """Return a link to an HTML page."""
    return link(href, "text/html")


def resource_links(collection: str, key: str) -> dict[str, dict[str, str]]:
    """Return the links of a resource in a collection: `parent` and `self`."""
    return {"parent": link(collection), "self": link(f"{collection}/{quote(key, safe='')}")}


def experiments_path(project_key: str, environment_key: str) -> str:
    """Return the path of an environment's experiments."""
    return f"{project_path(project_key)}/environments/{quote(environment_key, safe='')}/experiments"


def flags_path(project_key: str) -> str:
    """Return the path of a project's flags."""
    return f"/api/v2/flags/{quote(project_key, safe='')}"


def metrics_path(project_key: str) -> str:
    """Return the path of a project's metrics."""
    return f"/api/v2/metrics/{quote(project_key, safe='')}"


def project_path(project_key: str) -> str:
    """Return the path of a project."""
    return f"/api/v2/projects/{quote(project_key, safe='')}"


def paging_links(
    path: str, query: Sequence[tuple[str, str]], *, limit: int, offset: int, total: int
) -> dict[str, dict[str, str]]:
    """Return the links `self`, `first`, `prev`, `next`, `last` to existing pages (LaunchDarkly REST docs, Overview)."""
    kept = [(name, value) for name, value in query if name not in ("limit", "offset")]

    def at(start: int) -> dict[str, str]:
        return link(f"{path}?{urlencode([*kept, ('limit', limit), ('offset', start)])}")

    links = {"self": at(offset)}
    if offset > 0:
        links["first"] = at(0)
        links["prev"] = at(max(0, offset - limit))
    if offset + limit < total:
        links["next"] = at(offset + limit)
        links["last"] = at((total - 1) // limit * limit)
    return links
