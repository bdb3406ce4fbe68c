"""The account under examination: its client, what was read of it once, and the responses as they came."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from airflow_provider_launchdarkly.api.endpoints import list_experiments
from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.api.http.dates import read_http_date
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.models.base import Read
from airflow_provider_launchdarkly.api.reads.experiments import read_experiment

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import Request
    from airflow_provider_launchdarkly.api.http.responses import WireResponse
    from airflow_provider_launchdarkly.api.models import Experiment, Iteration
    from airflow_provider_launchdarkly.hooks.connection import ConnectionSettings

M = TypeVar("M", bound=Read)
R = TypeVar("R")

# A doctor's visit is short: a call that a task would wait two minutes for tells enough after 20 seconds.
TIMEOUT: Final = 10.0
RETRY_BUDGET: Final = 10.0
_KEPT = 1_000
_CANDIDATES = 50


class NothingToReadError(Exception):
    """A check has nothing to look at. The message says what would give it something."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A response as it came.

    Attributes:
        operation: Name of the call.
        status: HTTP status.
        headers: Its headers, names in lower case.
        arrived: When, by this machine's clock.
    """

    operation: str
    status: int
    headers: dict[str, str]
    arrived: datetime


class Account:
    """A LaunchDarkly account as one token sees it. Close it at the end.

    Args:
        settings: The connection.
        project: Project; None for the connection's.
        environment: Environment; None for the connection's.
        experiment: Experiment; None lets the doctor choose one that was started.

    Attributes:
        settings: The connection.
        version: The ``LD-API-Version`` with which experiments are read: the connection's, unless a check found that
            only another one is accepted.
        reached: Whether LaunchDarkly answered, whatever it said. None before the first call.
        observed: The latest responses, oldest first.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        *,
        project: str | None = None,
        environment: str | None = None,
        experiment: str | None = None,
    ) -> None:
        self.settings = settings
        self.version = settings.client.experiments_api_version
        self.observed: deque[Observed] = deque(maxlen=_KEPT)
        self._project = project or settings.project_key
        self._environment = environment or settings.environment_key
        self._asked = experiment
        self._clients: dict[str, LaunchDarklyClient] = {}
        self._known: dict[Any, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()

    @property
    def project(self) -> str:
        """The project.

        Raises:
            NothingToReadError: None is named.
        """
        if not self._project:
            raise NothingToReadError("no project is named: give --project, or project_key in the connection's extra")
        return self._project

    @property
    def env(self) -> EnvironmentRef:
        """The project and the environment.

        Raises:
            NothingToReadError: One is not named.
        """
        if not self._environment:
            raise NothingToReadError(
                "no environment is named: give --environment, or environment_key in the connection's extra"
            )
        return EnvironmentRef(self.project, self._environment)

    @property
    def chose_experiment(self) -> bool:
        """True if the doctor chooses the experiment."""
        return self._asked is None

    def client(self, version: str | None = None) -> LaunchDarklyClient:
        """Return the client that reads experiments with this ``LD-API-Version``; None for `version`."""
        version = version or self.version
        if version not in self._clients:
            options = asdict(self.settings.client) | {
                "experiments_api_version": version,
                "timeout": min(self.settings.client.timeout, TIMEOUT),
                "retry_budget": min(self.settings.client.retry_budget, RETRY_BUDGET),
            }
            self._clients[version] = LaunchDarklyClient(**options, observe=self._observe)
        return self._clients[version]

    def read(self, request: Request[M]) -> M:
        """Carry out a read, each one once.

        Raises:
            LaunchDarklyError: As the call raised, also when it is asked for again.
        """
        if not request.is_read:
            raise ValueError(f"{request.call} is no read")
        found: M = self.once((request.path, request.query, self.version), lambda: self.client().send(request).value)
        return found

    def status_of(self, request: Request[Any], version: str) -> int:
        """Return the HTTP status with which LaunchDarkly answers a read under an ``LD-API-Version``.

        Raises:
            LaunchDarklyError: It did not answer, or not as LaunchDarkly.
        """
        exact = replace(request, api_version=version, version_is_configurable=False)
        try:
            return self.client().send(exact).status
        except LaunchDarklyError as error:
            status = getattr(error, "status", None)
            if not status:
                raise
            return int(status)

    def server_time(self) -> datetime:
        """Return the time by LaunchDarkly's clock, as its latest response has it; this machine's where none has it."""
        for seen in reversed(self.observed):
            if (date := read_http_date(seen.headers.get("date", ""))) is not None:
                return date + (datetime.now(UTC) - seen.arrived)
        return datetime.now(UTC)

    def run(self, procedure: Procedure[R]) -> R:
        """Carry out a procedure that only reads."""
        return self.client().run(procedure)

    @property
    def experiment(self) -> Experiment:
        """The experiment that was asked for, else one whose iteration runs, else one that was started once.

        Raises:
            NothingToReadError: The environment has none that was ever started.
            LaunchDarklyError: It cannot be read.
        """
        found: Experiment = self.once("experiment", self._find_experiment)
        return found

    @property
    def iteration(self) -> Iteration:
        """The experiment's running iteration, else the one that was started last.

        Raises:
            NothingToReadError: None was started.
        """
        found = self.experiment.latest_started
        if found is None:
            raise NothingToReadError(
                "the experiment has no iteration that was ever started: start one, or name another"
            )
        return found

    def _find_experiment(self) -> Experiment:
        if self._asked:
            return self.run(read_experiment(self.env, self._asked, also=("analysisConfig",)))
        page = self.read(list_experiments(self.env, limit=_CANDIDATES, expand=("treatments",)))
        started = [experiment for experiment in page.items if experiment.latest_started]
        for experiment in sorted(started, key=lambda one: (one.running is None, one.key)):
            return self.run(read_experiment(self.env, experiment.key, also=("analysisConfig",)))
        raise NothingToReadError(
            "the environment has no experiment that was ever started: give --experiment, or start one"
        )

    def once(self, key: Any, find: Callable[[], Any]) -> Any:
        """Return what `find` returned or raised when it was called for this key first."""
        if key not in self._known:
            try:
                self._known[key] = (find(), None)
            except (LaunchDarklyError, NothingToReadError) as failure:
                self._known[key] = (None, failure)
        found, refusal = self._known[key]
        if refusal is not None:
            raise refusal
        return found

    def _observe(self, request: Request[Any], response: WireResponse) -> None:
        self.observed.append(Observed(request.operation, response.status, dict(response.headers), datetime.now(UTC)))
