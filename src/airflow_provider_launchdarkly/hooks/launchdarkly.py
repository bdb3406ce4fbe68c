"""LaunchDarkly's API behind an Airflow connection.

The hook finds the connection, its default project and environment, and the process's shared client; what is sent and
what the answers mean is ``api``'s. Each call exists once and runs both ways: ``hook.get_experiment(...)`` in a task,
``await hook.get_experiment.aio(...)`` in a trigger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload
from urllib.parse import quote, urlencode

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import BaseHook
from typing_extensions import override

from airflow_provider_launchdarkly.api import endpoints, lifecycle
from airflow_provider_launchdarkly.api.errors import (
    AuthenticationError,
    ConfigurationError,
    LaunchDarklyError,
    NotFoundError,
    PermissionDeniedError,
    TransportError,
)
from airflow_provider_launchdarkly.api.models.base import Read
from airflow_provider_launchdarkly.api.request import EnvironmentRef, Request
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION
from airflow_provider_launchdarkly.hooks.clients import forget_async_client, shared_async_client, shared_client
from airflow_provider_launchdarkly.hooks.settings import ConnectionSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_launchdarkly.api.client import AsyncLaunchDarklyClient, LaunchDarklyClient
    from airflow_provider_launchdarkly.api.lifecycle import (
        CreatedExperiment,
        CreatedIteration,
        StartedIteration,
        StoppedIteration,
        StopPlan,
    )
    from airflow_provider_launchdarkly.api.models import (
        CallerIdentity,
        Experiment,
        ExperimentInstruction,
        ExperimentPost,
        FeatureFlag,
        FlagInstruction,
        IterationInput,
        Metric,
        Project,
    )
    from airflow_provider_launchdarkly.api.procedure import Procedure

T = TypeVar("T")
M = TypeVar("M", bound=Read)
P = ParamSpec("P")


class BoundCall(Generic[P, T]):
    """One API call of one hook: call it to run it now, or await :meth:`aio` on an event loop."""

    def __init__(self, hook: LaunchDarklyHook, build: Callable[..., Any]) -> None:
        self._hook = hook
        self._build = build
        self.__doc__ = build.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the call on the process's shared client and return what LaunchDarkly answered."""
        value: T = self._hook.run(self._build(self._hook, *args, **kwargs))
        return value

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the call on the event loop's shared client. Takes, returns and raises what the call itself does."""
        await self._hook.load_settings()
        value: T = await self._hook.arun(self._build(self._hook, *args, **kwargs))
        return value


class Call(Generic[P, T]):
    """One API call as a descriptor: reading it from a hook binds it to that hook."""

    def __init__(self, build: Callable[..., Any]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, hook: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, hook: LaunchDarklyHook, owner: type[Any]) -> BoundCall[P, T]: ...
    def __get__(self, hook: LaunchDarklyHook | None, owner: type[Any]) -> Self | BoundCall[P, T]:
        return self if hook is None else BoundCall(hook, self._build)


@overload
def api_call(build: Callable[Concatenate[LaunchDarklyHook, P], Request[M]]) -> Call[P, M]: ...
@overload
def api_call(build: Callable[Concatenate[LaunchDarklyHook, P], Procedure[T]]) -> Call[P, T]: ...
def api_call(build: Callable[..., Any]) -> Call[..., Any]:
    """Make a method that only builds a request, or a procedure, into a call that runs both ways."""
    return Call(build)


class LaunchDarklyHook(BaseHook):
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
        self._settings: ConnectionSettings | None = None

    @property
    def settings(self) -> ConnectionSettings:
        """What the connection says.

        Raises:
            AirflowNotFoundException: There is no such connection.
            ConfigurationError: The connection is not usable; the message names the field and the cure.
        """
        if self._settings is None:
            self._settings = read_settings(self.get_connection(self.launchdarkly_conn_id))
        return self._settings

    async def load_settings(self) -> ConnectionSettings:
        """Read the connection without blocking the event loop; :attr:`settings` answers from then on."""
        self._settings, _ = await shared_async_client(self.launchdarkly_conn_id, self._look_up)
        return self._settings

    async def _look_up(self) -> ConnectionSettings:
        return read_settings(await get_async_connection(self.launchdarkly_conn_id))

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
    def run(self, work: Request[Any] | Procedure[Any]) -> Any:
        """Run a request or a procedure of ``api`` on the process's client.

        Raises:
            LaunchDarklyError: See ``api.errors`` for the tree.
        """
        client = self.get_conn()
        return client.send(work).value if isinstance(work, Request) else client.run(work)

    @overload
    async def arun(self, work: Request[M]) -> M: ...
    @overload
    async def arun(self, work: Procedure[T]) -> T: ...
    async def arun(self, work: Request[Any] | Procedure[Any]) -> Any:
        """Run a request or a procedure of ``api`` on the event loop's client. Raises what :meth:`run` does."""
        client = await self.aget_conn()
        try:
            return (await client.send(work)).value if isinstance(work, Request) else await client.run(work)
        except AuthenticationError:
            forget_async_client(self.launchdarkly_conn_id)
            raise

    def environment(self, project_key: str | None = None, environment_key: str | None = None) -> EnvironmentRef:
        """The project and environment of a call: the call's own, else the hook's, else the connection's.

        Raises:
            ConfigurationError: Nobody names one.
        """
        environment = environment_key or self.environment_key or self.settings.environment_key
        if not environment:
            raise ConfigurationError(
                "environment_key is missing: give it to the task, or to connection "
                f"{self.launchdarkly_conn_id!r} as extra.environment_key"
            )
        return EnvironmentRef(self.project(project_key), environment)

    def project(self, project_key: str | None = None) -> str:
        """The project of a call: the call's own, else the hook's, else the connection's.

        Raises:
            ConfigurationError: Nobody names one.
        """
        project = project_key or self.project_key or self.settings.project_key
        if not project:
            raise ConfigurationError(
                f"project_key is missing: give it to the task, or to connection {self.launchdarkly_conn_id!r} as "
                "extra.project_key"
            )
        return project

    def experiment_url(self, experiment_key: str) -> str:
        """Where LaunchDarkly's UI shows the experiment."""
        env = self.environment()
        path = f"/projects/{quote(env.project_key, safe='')}/experiments/{quote(experiment_key, safe='')}"
        query = urlencode({"env": env.environment_key, "selected-env": env.environment_key})
        return f"{self.settings.client.base_url}{path}?{query}"

    @api_call
    def get_experiment(self, experiment_key: str, *, expand: Iterable[str] = ()) -> Request[Experiment]:
        """Read an experiment; ``expand`` names what LaunchDarkly leaves out otherwise."""
        return endpoints.get_experiment(self.environment(), experiment_key, expand=expand)

    @api_call
    def create_experiment(self, post: ExperimentPost) -> Procedure[CreatedExperiment]:
        """Create an experiment, or adopt the one that has its key and its content. Safe to repeat."""
        return lifecycle.create_experiment(self.environment(), post)

    @api_call
    def create_iteration(self, experiment_key: str, iteration: IterationInput) -> Procedure[CreatedIteration]:
        """Create an iteration, or adopt a draft of the same content. Safe to repeat until it is started."""
        return lifecycle.create_iteration(self.environment(), experiment_key, iteration)

    @api_call
    def start_iteration(
        self,
        experiment_key: str,
        iteration_id: str,
        *,
        turn_flag_on: bool = False,
        justification: str | None = None,
        comment: str | None = None,
    ) -> Procedure[StartedIteration]:
        """Start the pinned iteration. Safe to repeat: running already is success."""
        return lifecycle.start_iteration(
            self.environment(),
            experiment_key,
            iteration_id,
            turn_flag_on=turn_flag_on,
            justification=justification,
            comment=comment,
        )

    @api_call
    def stop_iteration(
        self,
        experiment_key: str,
        iteration_id: str,
        *,
        winner: str,
        reason: str,
        comment: str | None = None,
        announce: Callable[[StopPlan], None] = lambda _plan: None,
    ) -> Procedure[StoppedIteration]:
        """Stop the pinned iteration and ship its winner. Safe to repeat: stopped with that winner is success."""
        return lifecycle.stop_iteration(
            self.environment(),
            experiment_key,
            iteration_id,
            winner=winner,
            reason=reason,
            comment=comment,
            announce=announce,
        )

    @api_call
    def patch_experiment(
        self, experiment_key: str, instructions: Sequence[ExperimentInstruction], *, comment: str | None = None
    ) -> Request[Experiment]:
        """Send instructions as they are, once. The lifecycle's own methods are safe to repeat; this one is not."""
        return endpoints.patch_experiment(self.environment(), experiment_key, instructions, comment=comment)

    @api_call
    def get_flag(self, flag_key: str) -> Request[FeatureFlag]:
        """Read a flag with its configuration in the environment."""
        env = self.environment()
        return endpoints.get_flag(env.project_key, flag_key, environments=(env.environment_key,))

    @api_call
    def patch_flag(
        self, flag_key: str, instructions: Sequence[FlagInstruction], *, comment: str | None = None
    ) -> Request[FeatureFlag]:
        """Send a semantic patch. Instructions that are true already change nothing, so a repeat is safe."""
        return endpoints.patch_flag(self.environment(), flag_key, instructions, comment=comment)

    @api_call
    def get_metric(self, metric_key: str) -> Request[Metric]:
        """Read a metric."""
        return endpoints.get_metric(self.project(), metric_key)

    @api_call
    def get_project(self, project_key: str | None = None) -> Request[Project]:
        """Read a project."""
        return endpoints.get_project(self.project(project_key))

    @api_call
    def get_caller_identity(self) -> Request[CallerIdentity]:
        """Read what LaunchDarkly knows of the token. Says nothing about what it may do."""
        return endpoints.get_caller_identity()

    def test_connection(self) -> tuple[bool, str]:
        """Say in one sentence whether the connection works, and if not, what is wrong."""
        try:
            identity = self._identify()
            seen = self._read_some_project()
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
