"""The access to LaunchDarkly of the command line: an Airflow connection in the environment, or an access token.

It reads environment variables as Airflow does, but without Airflow, so the command is quick and runs anywhere.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.hooks.connection import ConnectionSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient

TOKEN_VARIABLE = "LAUNCHDARKLY_ACCESS_TOKEN"  # noqa: S105 - the variable's name
_CONNECTION_FIELDS = frozenset(
    {"conn_id", "conn_type", "description", "extra", "host", "login", "password", "port", "schema"}
)


@dataclass(slots=True)
class _Fields:
    conn_id: Any
    host: Any = None
    login: Any = None
    port: Any = None
    password: Any = None
    schema: Any = None
    extra: Any = None


@dataclass(frozen=True, slots=True)
class Access:
    """The environment variables and options that say where LaunchDarkly is.

    Attributes:
        variables: The process's environment variables.
        host: API base URL, for a token without a connection.
        project: Project, where neither rollout nor connection names one.
        environment: Environment, where neither rollout nor connection names one.
    """

    variables: Mapping[str, str]
    host: str | None = None
    project: str | None = None
    environment: str | None = None

    def settings(self, conn_id: str) -> ConnectionSettings:
        """Return the settings of a connection.

        Raises:
            ConfigurationError: Neither the connection's variable nor a token is set, or it is wrong.
        """
        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        if written := self.variables.get(variable, "").strip():
            return read_settings(_parse(conn_id, variable, written))
        if token := self.variables.get(TOKEN_VARIABLE, "").strip():
            return read_settings(_Fields(conn_id, host=self.host, password=token))
        raise ConfigurationError(f"there is no access to LaunchDarkly: set {variable}, or {TOKEN_VARIABLE} and --host")

    def project_key(self, settings: ConnectionSettings) -> str:
        """Return the project of a command on a whole project.

        Args:
            settings: The connection.

        Raises:
            ConfigurationError: Neither options nor connection name one.
        """
        found = self.project or settings.project_key
        if not found:
            raise ConfigurationError("no project is named: give --project, or name it in the connection")
        return found

    def environment_ref(
        self, settings: ConnectionSettings, project: str | None, environment: str | None
    ) -> EnvironmentRef:
        """Return the project and environment of a rollout.

        Args:
            settings: The connection.
            project: The rollout's project, if it names one.
            environment: The rollout's environment, if it names one.

        Raises:
            ConfigurationError: Neither rollout, options nor connection name one.
        """
        found_project = project or self.project or settings.project_key
        found_environment = environment or self.environment or settings.environment_key
        if not found_project or not found_environment:
            missing = "environment" if found_project else "project"
            raise ConfigurationError(f"no {missing} is named: give --{missing}, or name it in the file")
        return EnvironmentRef(found_project, found_environment)


class Clients:
    """One client for each connection; all are closed at the end."""

    def __init__(self) -> None:
        self._clients: dict[Any, LaunchDarklyClient] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()

    def of(self, settings: ConnectionSettings) -> LaunchDarklyClient:
        """Return the connection's client."""
        from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient

        if settings.client not in self._clients:
            self._clients[settings.client] = LaunchDarklyClient(**asdict(settings.client))
        return self._clients[settings.client]


def _parse(conn_id: str, variable: str, written: str) -> _Fields:
    """Read a connection as JSON or as a URI, the two forms that Airflow takes."""
    if not written.startswith("{"):
        return _from_uri(conn_id, variable, written)
    try:
        fields: Any = json.loads(written)
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{variable} is neither a JSON object nor a URI") from None
    if unknown := sorted(fields.keys() - _CONNECTION_FIELDS):
        raise ConfigurationError(
            f"{variable} has unknown fields {', '.join(unknown)}; known are {', '.join(sorted(_CONNECTION_FIELDS))}"
        )
    for name in ("host", "login", "password", "schema"):
        if not isinstance(fields.get(name), str | None):
            raise ConfigurationError(f"{variable}: {name} is not text; put it in quotes")
    extra = fields.get("extra")
    return _Fields(
        conn_id,
        host=fields.get("host"),
        login=fields.get("login"),
        port=fields.get("port"),
        password=fields.get("password"),
        schema=fields.get("schema"),
        extra=extra if isinstance(extra, str) or extra is None else json.dumps(extra),
    )


def _from_uri(conn_id: str, variable: str, written: str) -> _Fields:
    """Read a connection URI as Airflow does, and refuse what Airflow would drop."""
    kind, _, rest = written.partition("://")
    # Airflow takes "launchdarkly://https://…" too.
    protocol, _, address = rest.partition("://") if "://" in rest.partition("?")[0] else ("", "", rest)
    try:
        parts = urlsplit(f"//{address}")
        port = parts.port
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        raise ConfigurationError(f"{variable} is neither a JSON object nor a URI") from None
    if not kind or kind == written:
        raise ConfigurationError(f"{variable} is neither a JSON object nor a URI")
    if parts.fragment:
        raise ConfigurationError(f"{variable}: leave out what follows '#'; in a token or a value, write it as %23")
    if "__extra__" in query and len(query) > 1:
        others = ", ".join(sorted(query.keys() - {"__extra__"}))
        raise ConfigurationError(f"{variable}: beside __extra__ Airflow ignores {others}; put all of it into __extra__")
    host = unquote(parts.hostname or "")
    return _Fields(
        conn_id,
        host=(f"{protocol}://{host}" if protocol else host) or None,
        login=unquote(parts.username or "") or None,
        port=port,
        password=unquote(parts.password or "") or None,
        schema=unquote(parts.path[1:]) or None,
        extra=query.pop("__extra__", None) or json.dumps(query),
    )
