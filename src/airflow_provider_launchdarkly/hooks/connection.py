"""Read the fields of an Airflow connection strictly.

Pure: takes the connection's fields, returns :class:`ConnectionSettings` or a ConfigurationError that names the
connection, the field and the cure.
"""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.http.settings import ClientSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

# The three instances and their base URIs: https://launchdarkly.com/docs/api
REGIONS: Mapping[str, str] = {
    "us": "https://app.launchdarkly.com",
    "eu": "https://app.eu.launchdarkly.com",
    "federal": "https://app.launchdarkly.us",
}
_LONGEST_SHOWN = 100

KNOWN_EXTRAS = frozenset(
    {
        "region",
        "project_key",
        "environment_key",
        "timeout",
        "retry_budget",
        "deadline",
        "verify",
        "ca_bundle",
        "experiments_api_version",
        "allow_insecure_http",
    }
)


class ConnectionFields(Protocol):
    """The part of an Airflow connection that is read here."""

    @property
    def conn_id(self) -> Any:
        """The connection's id."""

    @property
    def host(self) -> Any:
        """Base URL, or empty."""

    @property
    def login(self) -> Any:
        """Must be empty."""

    @property
    def port(self) -> Any:
        """Port, if a connection URI split it off."""

    @property
    def schema(self) -> Any:
        """Must be empty."""

    @property
    def password(self) -> Any:
        """The access token."""

    @property
    def extra(self) -> Any:
        """A JSON object as text."""


class ConnectionSettings(NamedTuple):
    """A connection, checked. Equal settings share one HTTP client.

    Attributes:
        client: What the client is built from.
        project_key: The default project, or None.
        environment_key: The default environment, or None.
    """

    client: ClientSettings
    project_key: str | None = None
    environment_key: str | None = None


def read_settings(connection: ConnectionFields) -> ConnectionSettings:
    """Read a connection's fields.

    Args:
        connection: An Airflow connection of type ``launchdarkly``: token in the password, base URL in the host (empty
            for the region's own), the rest in extra. Numbers and booleans may be text, as a connection URI makes them.

    Returns:
        The checked settings.

    Raises:
        ConfigurationError: A field is missing, unknown or impossible; the message names it and says what to write.
    """
    extra = _Extra.of(connection)
    _refuse_unused(connection)
    token = (connection.password or "").strip()
    if not token:
        raise ConfigurationError(
            f"connection {connection.conn_id!r}: the password is empty; put LaunchDarkly's API access token there "
            "(Organization settings > Authorization, it starts with 'api-')"
        )
    options: dict[str, Any] = {
        "base_url": _base_url(connection, extra),
        "timeout": extra.number("timeout"),
        "retry_budget": extra.number("retry_budget"),
        "deadline": extra.number("deadline"),
        "verify": extra.text("ca_bundle") if extra.boolean("verify") is not False else False,
        "experiments_api_version": extra.text("experiments_api_version"),
        "allow_insecure_http": extra.boolean("allow_insecure_http"),
    }
    try:
        client = ClientSettings(token=token, **{name: value for name, value in options.items() if value is not None})
    except ConfigurationError as error:
        raise ConfigurationError(f"connection {connection.conn_id!r}: {error}") from None
    return ConnectionSettings(
        client=client, project_key=extra.text("project_key"), environment_key=extra.text("environment_key")
    )


def _base_url(connection: ConnectionFields, extra: _Extra) -> str:
    host = (connection.host or "").strip().rstrip("/")
    region = extra.text("region")
    if region is not None and region not in REGIONS:
        raise extra.error("region", region, f"write one of {', '.join(REGIONS)}, or give the base URL as host")
    if not host:
        return REGIONS[region or "us"]
    if region is not None and host != REGIONS[region]:
        raise extra.error("region", region, f"the host is {host!r} already: give one of the two")
    return _with_port(connection, host)


def _with_port(connection: ConnectionFields, host: str) -> str:
    """Put back the port that a connection URI splits off "http://127.0.0.1:8700"."""
    if connection.port in (None, ""):
        return host
    try:
        port = int(connection.port)
        parts = urlsplit(host)
        named = parts.port
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"connection {connection.conn_id!r}: host {host!r} and port {connection.port!r} make no base URL; write "
            "one such as 'https://ld.example.com:8443' as host, without a port"
        ) from None
    if not parts.hostname or named == port:
        return host
    if named is not None or parts.path:
        raise ConfigurationError(
            f"connection {connection.conn_id!r}: port is {port}, and the host is {host!r}; write the port in the host"
        )
    return f"{parts.scheme}://{parts.netloc}:{port}"


def _refuse_unused(connection: ConnectionFields) -> None:
    """Refuse fields that would have no effect: they are a mistake in a connection URI.

    A login is not shown, since it may be the token in the wrong place.
    """
    if getattr(connection, "login", None):
        raise ConfigurationError(
            f"connection {connection.conn_id!r}: login is set, and LaunchDarkly has none; the access token is the "
            "password: launchdarkly://:TOKEN@/?project_key=…"
        )
    if schema := getattr(connection, "schema", None):
        raise ConfigurationError(
            f"connection {connection.conn_id!r}: schema is {schema!r}, and nothing uses it; in a connection URI write "
            "the whole base URL, percent-encoded, between '@' and '/': launchdarkly://:TOKEN@https%3A%2F%2FHOST/"
        )
    if connection.port and not connection.host:
        raise ConfigurationError(
            f"connection {connection.conn_id!r}: port is {connection.port!r} without a host; write the base URL as host"
        )


def _is_printed(text: str) -> bool:
    """Return whether a text has no control character, and no half of a character, which nothing can send."""
    return not any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)


def _briefly(text: str) -> str:
    """Return a text as a message can show it."""
    short = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    return short.encode(errors="backslashreplace").decode()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object whose keys are there once each: one of two values would have no effect."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{_briefly(twice)} is there twice; keep one")
    return values


class _Extra(NamedTuple):
    """The connection's extra field, read key by key with errors that name the key."""

    conn_id: Any
    values: Mapping[str, Any]

    @classmethod
    def of(cls, connection: ConnectionFields) -> _Extra:
        # Parsed here and not by Airflow's extra_dejson, which asks the supervisor to mask each value: no key of ours
        # holds a secret, and on Airflow before 3.3.2 that question blocks the triggerer's loop.
        text = connection.extra or "{}"
        try:
            values = json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(
                f"connection {connection.conn_id!r}: extra is not a JSON object ({error}); write one such as "
                '{"project_key": "demo"}'
            ) from None
        if not isinstance(values, dict):
            raise ConfigurationError(f"connection {connection.conn_id!r}: extra is not a JSON object")
        extra = cls(connection.conn_id, {key: value for key, value in values.items() if value not in (None, "")})
        if unknown := sorted(extra.values.keys() - KNOWN_EXTRAS):
            raise ConfigurationError(
                f"connection {connection.conn_id!r}: extra has unknown keys {_briefly(', '.join(unknown))}; "
                f"known are {', '.join(sorted(KNOWN_EXTRAS))}"
            )
        return extra

    def error(self, key: str, value: Any, cure: str) -> ConfigurationError:
        return ConfigurationError(f"connection {self.conn_id!r}: extra.{key} is {_briefly(repr(value))}: {cure}")

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise self.error(key, value, "write text")
        if value is not None and not _is_printed(value):
            raise self.error(key, value, "it holds a control character or half of one; write it again")
        return value

    def number(self, key: str) -> float | None:
        value = self.values.get(key)
        if value is None:
            return None
        try:
            return float(value if not isinstance(value, bool) else "")
        except (TypeError, ValueError, OverflowError):
            raise self.error(key, value, "write a number of seconds") from None

    def boolean(self, key: str) -> bool | None:
        value = self.values.get(key)
        if isinstance(value, str) and value.lower() in {"true", "false", "1", "0"}:
            return value.lower() in {"true", "1"}
        if value is not None and not isinstance(value, bool):
            raise self.error(key, value, "write true or false")
        return value
