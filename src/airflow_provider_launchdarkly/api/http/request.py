"""A call to LaunchDarkly as a value: the request and the model of its response. The client turns it into HTTP."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.failed_call import Call
from airflow_provider_launchdarkly.api.models.base import Read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import JsonValue

T = TypeVar("T", bound=Read)

STABLE = "20240415"
"""The current dated API version: https://launchdarkly.com/docs/api#versioning"""

BETA = "beta"
"""The API version of a beta resource; without it LaunchDarkly responds with 403: https://launchdarkly.com/docs/api#beta-resources"""

# Control characters, and halves of characters, which arguments of a command line and JSON can hold: none is in a URL.
_UNSENDABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")

JSON_CONTENT = "application/json"
SEMANTIC_PATCH = "application/json; domain-model=launchdarkly.semanticpatch"
"""Without it LaunchDarkly reads a PATCH body as a JSON patch and refuses it.

https://launchdarkly.com/docs/api#updates-using-semantic-patch
"""

_SAFE_METHODS = frozenset({"GET", "HEAD"})


class EnvironmentRef(NamedTuple):
    """A project and an environment."""

    project_key: str
    environment_key: str

    @override
    def __str__(self) -> str:
        return f"{self.project_key}/{self.environment_key}"

    def experiment_url(self, base_url: str, experiment_key: str) -> str:
        """Return the address of an experiment in LaunchDarkly's UI."""
        path = f"/projects/{quote(self.project_key, safe='')}/experiments/{quote(experiment_key, safe='')}"
        query = urlencode({"env": self.environment_key, "selected-env": self.environment_key})
        return f"{base_url}{path}?{query}"

    def flag_url(self, base_url: str, flag_key: str) -> str:
        """Return the address of a flag's targeting in LaunchDarkly's UI."""
        path = f"/projects/{quote(self.project_key, safe='')}/flags/{quote(flag_key, safe='')}/targeting"
        query = urlencode({"env": self.environment_key, "selected-env": self.environment_key})
        return f"{base_url}{path}?{query}"


class FlagChange(NamedTuple):
    """The flag in an environment that a request changes by the instructions in its body."""

    env: EnvironmentRef
    flag_key: str


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One call.

    Attributes:
        operation: Name of the call, as errors and logs show it.
        method: HTTP verb.
        path: Path relative to the host, percent-encoded.
        response_model: Model that reads the body of the response.
        query: Query parameters in order, not yet encoded.
        body: Plain JSON to send, None for no body.
        api_version: Value of ``LD-API-Version``.
        version_is_configurable: Whether the client's setting for experiments replaces ``api_version``. LaunchDarkly's
            docs ask for ``beta`` on experiments, although they are not marked as beta since client 17.0.0.
        content_type: Content type of the body.
        change: What it changes, if LaunchDarkly takes an approval request with the same instructions instead.
    """

    operation: str
    method: str
    path: str
    response_model: type[T]
    query: tuple[tuple[str, str], ...] = ()
    body: JsonValue = None
    api_version: str = STABLE
    version_is_configurable: bool = False
    content_type: str = JSON_CONTENT
    change: FlagChange | None = None

    @property
    def is_read(self) -> bool:
        """True if the call changes nothing, so that it may be repeated."""
        return self.method in _SAFE_METHODS

    @property
    def call(self) -> Call:
        """The call's name, verb and path, for errors."""
        return Call(self.operation, self.method, self.path)


@lru_cache(maxsize=1024)
def path_of(*segments: str, **keys: str) -> str:
    """Build a path from a template and the keys that fill it, each encoded as one segment.

    ``path_of("projects", "{project_key}", project_key="a/b")`` is ``/api/v2/projects/a%2Fb``.

    Raises:
        ConfigurationError: A key is empty, or is a dot segment that an HTTP client would resolve away.
    """
    filled = []
    for segment in segments:
        if segment.startswith("{"):
            name = segment[1:-1]
            filled.append(quote(_usable(name, keys[name]), safe=""))
        else:
            filled.append(segment)
    return "/api/v2/" + "/".join(filled)


def in_environment(env: EnvironmentRef, *segments: str, **keys: str) -> str:
    """Build a path below an environment, as `path_of` does."""
    return path_of(
        "projects",
        "{project_key}",
        "environments",
        "{environment_key}",
        *segments,
        project_key=env.project_key,
        environment_key=env.environment_key,
        **keys,
    )


def query_of(**parameters: str | int | bool | Iterable[str] | None) -> tuple[tuple[str, str], ...]:
    """Build query parameters: None and empty lists are left out, lists become comma lists."""
    pairs = []
    for name, value in parameters.items():
        match value:
            case None:
                continue
            case bool():
                text = "true" if value else "false"
            case int() | str():
                text = str(value)
            case _:
                text = ",".join(value)
        if _UNSENDABLE.search(text):
            raise ConfigurationError(f"{name} is {text!r}: it has a character that cannot be sent; write it again")
        if text:
            pairs.append((name, text))
    return tuple(pairs)


def _usable(name: str, key: str) -> str:
    if not key or key in {".", ".."} or key != key.strip() or _UNSENDABLE.search(key):
        raise ConfigurationError(f"{name} is {key!r}: a LaunchDarkly key is needed here")
    return key
