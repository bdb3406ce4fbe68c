"""LaunchDarkly's API behind an Airflow connection.

The hook finds the connection, its default project and environment, and the process's shared client; what is sent and
what the answers mean is ``api``'s. Each call exists once and runs both ways: ``hook.get_experiment(...)`` in a task,
``await hook.get_experiment.aio(...)`` in a trigger. The calls themselves are in ``experiments`` and ``resources``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import BaseHook
from typing_extensions import override

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.errors import (
    AuthenticationError,
    ConfigurationError,
    LaunchDarklyError,
    NotFoundError,
    PermissionDeniedError,
    TransportError,
)
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request
from airflow_provider_launchdarkly.api.models.base import Read
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION
from airflow_provider_launchdarkly.hooks.clients import forget_async_client, shared_async_client, shared_client
from airflow_provider_launchdarkly.hooks.connection import ConnectionSettings, read_settings
from airflow_provider_launchdarkly.hooks.experiments import ExperimentCalls
from airflow_provider_launchdarkly.hooks.releases import ReleaseCalls
from airflow_provider_launchdarkly.hooks.resources import FlagCalls, HoldoutCalls, MetricCalls, ProjectCalls
from airflow_provider_launchdarkly.hooks.unbroken import unbroken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from airflow_provider_launchdarkly.api.http.client import AsyncLaunchDarklyClient, LaunchDarklyClient
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import CallerIdentity
    from airflow_provider_launchdarkly.api.writes.approved import Approval
    from airflow_provider_launchdarkly.hooks.calls import Pages

T = TypeVar("T")
M = TypeVar("M", bound=Read)


class LaunchDarklyHook(ExperimentCalls, ReleaseCalls, FlagCalls, MetricCalls, HoldoutCalls, ProjectCalls, BaseHook):
    """LaunchDarkly's experiments API on one Airflow connection.

    All hooks of a process share one client for equal connections; all triggers of an event loop share one async
    client, with at most four requests in flight.

    Args:
        launchdarkly_conn_id: The Airflow connection.
        project_key: Project that calls use unless they name one. Default: the connection's.
        environment_key: Environment that calls use unless they name one. Default: the connection's.
    """

    conn_name_attr = "launchdarkly_conn_id"
    default_conn_name = DEFAULT_CONNECTION
    conn_type = "launchdarkly"
    hook_name = "LaunchDarkly"

    def __init__(
        self,
        launchdarkly_conn_id: str = default_conn_name,
        project_key: str | None = None,
        environment_key: str | None = None,
    ) -> None:
        super().__init__()
        self.launchdarkly_conn_id = launchdarkly_conn_id
        self.project_key = project_key
        self.environment_key = environment_key
        # How writes are asked for that LaunchDarkly refuses without an approval; None leaves the refusal to the caller.
        self.approval: Approval | None = None
        self._settings: ConnectionSettings | None = None

    @property
    def settings(self) -> ConnectionSettings:
        """The settings that the connection holds.

        Raises:
            AirflowNotFoundException: There is no such connection.
            ConfigurationError: The connection is not usable; the message names the field and the cure.
        """
        if self._settings is None:
            self._settings = read_settings(self.get_connection(self.launchdarkly_conn_id))
        return self._settings

    @override
    async def load_settings(self) -> ConnectionSettings:
        """Read the connection without blocking the event loop; :attr:`settings` needs no look-up afterwards.

        Raises:
            ConnectionUnavailableError: There is no such connection, or Airflow cannot read it now.
            ConfigurationError: The connection is not usable; the message names the field and the cure.
        """
        self._settings, _ = await shared_async_client(self.launchdarkly_conn_id, self._look_up)
        return self._settings

    async def _look_up(self) -> ConnectionSettings:
        return read_settings(await unbroken(get_async_connection(self.launchdarkly_conn_id)))

    @override
    def get_conn(self) -> LaunchDarklyClient:
        """Return the process's client for this connection."""
        return shared_client(self.settings)

    async def aget_conn(self) -> AsyncLaunchDarklyClient:
        """Return the event loop's client for this connection."""
        self._settings, client = await shared_async_client(self.launchdarkly_conn_id, self._look_up)
        return client

    @overload
    def run(self, work: Request[M]) -> M: ...
    @overload
    def run(self, work: Procedure[T]) -> T: ...
    @override
    def run(self, work: Request[Any] | Procedure[Any]) -> Any:
        """Run a request or a procedure of ``api`` on the process's client.

        Raises:
            LaunchDarklyError: See ``api.errors`` for the tree.
        """
        client = self.get_conn()
        if isinstance(work, Request):
            return client.send(work).value
        return client.run(self._approved(work))

    def _approved(self, work: Procedure[T]) -> Procedure[T]:
        return work if self.approval is None else writes.through_approval(work, self.approval)

    @overload
    async def arun(self, work: Request[M], *, retry: bool = True) -> M: ...
    @overload
    async def arun(self, work: Procedure[T], *, retry: bool = True) -> T: ...
    @override
    async def arun(self, work: Request[Any] | Procedure[Any], *, retry: bool = True) -> Any:
        """Run a request or a procedure of ``api`` on the event loop's client. Raises what :meth:`run` does.

        Args:
            work: The request or the procedure.
            retry: False tries each call once.
        """
        client = await self.aget_conn()
        try:
            if isinstance(work, Request):
                return (await client.send(work, retry=retry)).value
            return await client.run(self._approved(work), retry=retry)
        except AuthenticationError:
            forget_async_client(self.launchdarkly_conn_id)
            raise

    @override
    def pages(self, work: Pages[T]) -> Iterator[T]:
        """Walk through a collection on the process's client, reading each page when it is reached."""
        return self.get_conn().pages(work.first, max_items=work.max_items)

    @override
    async def apages(self, work: Pages[T]) -> AsyncIterator[T]:
        """Walk through a collection on the event loop's client. Raises what :meth:`run` does."""
        client = await self.aget_conn()
        try:
            async for item in client.pages(work.first, max_items=work.max_items):
                yield item
        except AuthenticationError:
            forget_async_client(self.launchdarkly_conn_id)
            raise

    @override
    def environment(self, project_key: str | None = None, environment_key: str | None = None) -> EnvironmentRef:
        """The project and environment of a call: the call's own, else the hook's, else the connection's.

        Raises:
            ConfigurationError: Neither the call, the hook nor the connection names one.
        """
        environment = environment_key or self.environment_key or self.settings.environment_key
        if not environment:
            raise ConfigurationError(
                "environment_key is missing: give it to the task, or to connection "
                f"{self.launchdarkly_conn_id!r} as extra.environment_key"
            )
        return EnvironmentRef(self.project(project_key), environment)

    @override
    def project(self, project_key: str | None = None) -> str:
        """The project of a call: the call's own, else the hook's, else the connection's.

        Raises:
            ConfigurationError: Neither the call, the hook nor the connection names one.
        """
        project = project_key or self.project_key or self.settings.project_key
        if not project:
            raise ConfigurationError(
                f"project_key is missing: give it to the task, or to connection {self.launchdarkly_conn_id!r} as "
                "extra.project_key"
            )
        return project

    def experiment_url(self, experiment_key: str) -> str:
        """URL of the experiment in LaunchDarkly's UI."""
        return self.environment().experiment_url(self.settings.client.base_url, experiment_key)

    def flag_url(self, flag_key: str) -> str:
        """URL of the flag's targeting in LaunchDarkly's UI."""
        return self.environment().flag_url(self.settings.client.base_url, flag_key)

    def test_connection(self) -> tuple[bool, str]:
        """Say in one sentence whether the connection works, and if not, what is wrong."""
        try:
            identity = self._identify()
            seen = self._read_some_project()
            self._check_environment()
        except LaunchDarklyError as error:
            return False, str(error)
        kind = "service token" if identity.service_token else "token"
        name = identity.token_name or identity.token_id
        return True, f"Connected to {self.settings.client.base_url} with {kind} {name!r}; it reads {seen}."

    def _identify(self) -> CallerIdentity:
        where = self.settings.client.base_url
        try:
            identity = self.get_caller_identity()
        except AuthenticationError:
            raise ConfigurationError(
                f"LaunchDarkly at {where} does not know this token: it is mistyped, expired or deleted."
            ) from None
        except TransportError as error:
            raise ConfigurationError(f"LaunchDarkly at {where} could not be reached: {error}") from None
        # LaunchDarkly identifies any credential, so an answer alone proves nothing.
        if identity.environment_id and not identity.token_id:
            raise ConfigurationError("This is the SDK key of an environment; the API needs an API access token.")
        return identity

    def _check_environment(self) -> None:
        """Check that the default environment exists, if there is one and a project to read it in.

        Raises:
            ConfigurationError: It does not, or the token may not read it.
        """
        key = self.environment_key or self.settings.environment_key
        project = self.project_key or self.settings.project_key
        if not key or not project:
            return
        try:
            self.run(endpoints.get_environment(EnvironmentRef(project, key)))
        except NotFoundError:
            raise ConfigurationError(
                f"The token is valid, but project {project!r} has no environment {key!r}, or it may not see it: "
                "correct environment_key"
            ) from None
        except (AuthenticationError, PermissionDeniedError):
            raise ConfigurationError(
                f"The token is valid, but it has no access to environment {key!r} of project {project!r}: it needs at "
                "least the Reader role there."
            ) from None

    def _read_some_project(self) -> str:
        key = self.project_key or self.settings.project_key
        try:
            if key:
                return f"project {self.get_project(key).key}"
            page = self.run(endpoints.list_projects(limit=1))
        except NotFoundError:
            raise ConfigurationError(
                f"The token is valid, but there is no project {key!r}, or it may not see it."
            ) from None
        except (AuthenticationError, PermissionDeniedError):
            wanted = f"project {key!r}" if key else "any project"
            raise ConfigurationError(
                f"The token is valid, but it has no access to {wanted}: it needs at least the Reader role there."
            ) from None
        if not page.items:
            raise ConfigurationError(
                "The token is valid, but it may read no project: it needs at least the Reader role."
            )
        return f"{page.total_count or len(page.items)} project(s)"
