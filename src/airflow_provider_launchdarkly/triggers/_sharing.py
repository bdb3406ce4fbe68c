"""Objects that the triggers of an event loop share: a circuit for each connection, a reader for each list."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.sdk import conf

from airflow_provider_launchdarkly.api.endpoints import get_experiment, get_release, list_experiments, list_releases
from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.models.experiments import IterationStatus
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.triggers._circuit import Circuit
from airflow_provider_launchdarkly.triggers._listed import ListedExperiments, ListedReleases, NewestReleases
from airflow_provider_launchdarkly.triggers._shared_reader import FEWEST, SharedReader

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from airflow_provider_launchdarkly.api.http.procedure import Procedure, Response
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request
    from airflow_provider_launchdarkly.triggers._listed import ListedPage

# The default in get_provider_info. Airflow 3.1 does not always load the defaults that providers declare.
DEFAULT_OUTAGE_TOLERANCE = 3600.0

FEWEST_RELEASES = 2
"""Waits on releases of one flag from which a list costs less: it has the newest release in front."""


class Place(NamedTuple):
    """A list of LaunchDarkly's: an environment's running experiments, or a flag's releases in it.

    Attributes:
        environment: Project and environment.
        flag_key: The flag whose releases are listed; None for experiments. LaunchDarkly has no list of the releases of
            several flags, and lets one release of a flag run at a time. So sharing saves only where several triggers
            await releases of the same flag: tasks of several DAGs, runs or mapped tasks.
    """

    environment: EnvironmentRef
    flag_key: str | None = None

    def single(self, key: str) -> Request[Any]:
        """Return the request that reads one item of the list alone."""
        if self.flag_key is None:
            return get_experiment(self.environment, key, expand=ITERATIONS)
        return get_release(self.environment, self.flag_key, key)

    def listing(self, limit: int, offset: int) -> Request[ListedPage]:
        """Return the request for a page of the list."""
        page: type[ListedPage]
        listing: Any
        if self.flag_key is None:
            listing = list_experiments(
                self.environment, limit=limit, offset=offset, status=IterationStatus.RUNNING, expand=ITERATIONS
            )
            page = ListedExperiments
        else:
            listing = list_releases(self.environment, self.flag_key, limit=limit, offset=offset)
            page = ListedReleases if offset else NewestReleases
        return replace(listing, response_model=page)

    @property
    def fewest(self) -> int:
        """Waits below which each reads alone."""
        return FEWEST if self.flag_key is None else FEWEST_RELEASES


_circuits: WeakKeyDictionary[AbstractEventLoop, dict[str, Circuit]] = WeakKeyDictionary()
_readers: WeakKeyDictionary[AbstractEventLoop, dict[tuple[str, Place], SharedReader]] = WeakKeyDictionary()


def configured_outage_tolerance() -> float:
    """Return the configured seconds for which waits outlive an outage.

    Raises:
        ConfigurationError: The configured value is no such number.
    """
    written: str = conf.get("launchdarkly", "outage_tolerance", fallback=str(DEFAULT_OUTAGE_TOLERANCE))
    try:
        seconds = float(written)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ConfigurationError(
            f"[launchdarkly] outage_tolerance is {written!r} in the triggerer's configuration: write seconds, a number "
            "from 0, such as 14400 for four hours"
        )
    return seconds


def circuit_of(conn_id: str) -> Circuit:
    """Return the running event loop's circuit for a connection.

    Raises:
        ConfigurationError: The configured tolerance is wrong.
    """
    circuits = _circuits.setdefault(asyncio.get_running_loop(), {})
    if conn_id not in circuits:
        circuits[conn_id] = Circuit(conn_id, configured_outage_tolerance())
    return circuits[conn_id]


def reader_of(conn_id: str, place: Place) -> SharedReader:
    """Return the running event loop's reader for a list of LaunchDarkly's."""
    readers = _readers.setdefault(asyncio.get_running_loop(), {})
    if (conn_id, place) not in readers:
        hook = LaunchDarklyHook(conn_id, *place.environment)

        def page(limit: int, offset: int, mark: bytes | None) -> Procedure[Response[ListedPage]]:
            found: Response[ListedPage] = yield place.listing(limit, offset)
            if found.value.mark != mark:
                _ = found.value.contents  # a page that cannot be read fails here, as any response does
            return found

        async def read_page(limit: int, offset: int, mark: bytes | None) -> Response[ListedPage] | None:
            return await circuit_of(conn_id).call_once(lambda: hook.arun(page(limit, offset, mark), retry=False))

        readers[conn_id, place] = SharedReader(read_page, place.fewest)
    return readers[conn_id, place]
