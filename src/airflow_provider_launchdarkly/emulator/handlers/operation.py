"""An operation of LaunchDarkly's API, its authenticated request and its response. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_launchdarkly.emulator.errors import forbidden, invalid_request, not_found
from airflow_provider_launchdarkly.emulator.rules.bandits import reallocate_due_bandits
from airflow_provider_launchdarkly.emulator.rules.release_progress import advance_due_releases
from airflow_provider_launchdarkly.emulator.serializers.links import paging_links
from airflow_provider_launchdarkly.emulator.state.generations import published_generations
from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON
    from airflow_provider_launchdarkly.emulator.state.models import Token, World
    from airflow_provider_launchdarkly.emulator.state.settings import Settings

Requirement = Literal["no", "strict", "always"]
"""The condition on which an operation needs a header: never, when a switch is `strict`, or always."""


@dataclass(frozen=True, slots=True)
class Response:
    """The status, JSON and further headers of a response, and the effects of the request for the journal."""

    status: int
    body: JSON
    effects: Sequence[dict[str, JSON]] = ()
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """An authenticated request for an operation.

    Attributes:
        world: The account.
        settings: The switches.
        now: The time of the request, epoch milliseconds.
        token: The access token.
        path: The path as sent.
        params: The parameters of the path.
        query: The parameters of the query.
        body: The JSON body; None for a GET.
        version: The header `LD-API-Version`.
        semantic: Whether the content type is that of a semantic patch.
        results_as_of: The time that results show, epoch milliseconds; None for now.
    """

    world: World
    settings: Settings
    now: int
    token: Token
    path: str
    params: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    body: Any = None
    version: str | None = None
    semantic: bool = False
    results_as_of: int | None = None

    def query_value(self, name: str) -> str | None:
        """Return the first value of a query parameter, or None."""
        return next((value for key, value in self.query if key == name), None)

    def query_values(self, name: str) -> list[str]:
        """Return all values of a query parameter, which may be repeated or separated by commas."""
        return [part for key, value in self.query if key == name for part in value.split(",") if part]

    def query_flag(self, name: str) -> bool:
        """Return whether a query parameter is true. The older official clients write `True`."""
        return (self.query_value(name) or "").lower() in ("true", "1")

    def transaction(self) -> Transaction:
        """Return a transaction on the project in the path.

        Raises:
            ApiError: 404 if the project does not exist, 403 if the token has no access to it.
        """
        key = self.params["projectKey"]
        project = self.world.projects.get(key)
        if project is None:
            raise not_found(f"project {key!r} not found")
        if self.token.projects is not None and key not in self.token.projects:
            raise forbidden(f"the token has no access to project {key!r}")
        transaction = Transaction(
            world=self.world,
            project=project,
            now=self.now,
            settings=self.settings,
            member_id=self.token.member_id,
            results_as_of=self.results_as_of,
        )
        if project.bandits:
            reallocate_due_bandits(transaction)
        if project.releases:
            advance_due_releases(transaction)
        return transaction

    def page(self, items: Sequence[Any], highest: int | None = None) -> tuple[Sequence[Any], dict[str, Any]]:
        """Return the page of a list by `limit` (20 by default) and `offset`, and its paging links."""
        limit, offset = self.count("limit", 20, lowest=1), self.count("offset", 0, lowest=0)
        if highest is not None:
            limit = min(limit, highest)
        links = paging_links(self.path, self.query, limit=limit, offset=offset, total=len(items))
        return items[offset : offset + limit], links

    def query_time(self, name: str) -> int | None:
        """Return the value of a query parameter in epoch milliseconds, or None."""
        return self.count(name, 0, lowest=0, digits=15) if self.query_value(name) is not None else None

    def count(self, name: str, default: int, lowest: int, digits: int = 9) -> int:
        """Return the value of a query parameter as a whole number, or the default."""
        text = self.query_value(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= digits and int(text) >= lowest):
            raise invalid_request(f"{name} must be a whole number from {lowest}, not {text!r}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Operation:
    """A verb on a path, and the function that handles it.

    Attributes:
        name: The name in LaunchDarkly's published clients.
        method: The HTTP verb.
        path: The path, with its parameters in braces.
        handle: Returns the response to a request.
        beta: Whether `LD-API-Version: beta` is needed; `strict` means by the switch `beta_header`.
        semantic: Whether the semantic-patch content type is needed; `strict` means by the switch `content_type`.
        result: Whether this is one of the results routes, which the switch `results` can remove.
        since: The first generation that has published it; None for the oldest.
        until: The last generation that has published it; None for the newest.
    """

    name: str
    method: str
    path: str
    handle: Callable[[Request], Response]
    beta: Requirement = "no"
    semantic: Requirement = "no"
    result: bool = False
    since: str | None = None
    until: str | None = None

    @property
    def generations(self) -> tuple[str, ...]:
        """The API generations that have published the operation, oldest first."""
        return published_generations(self.since, self.until)

    def exists(self, settings: Settings) -> bool:
        """Return whether the LaunchDarkly that the switches describe has this operation."""
        if self.result and settings.results == "gone":
            return False
        return settings.generation == "all" or settings.generation in self.generations
