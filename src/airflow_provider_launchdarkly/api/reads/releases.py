"""Read all releases of a flag in an environment."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.api.endpoints.releases import list_releases
from airflow_provider_launchdarkly.api.http.paging import Pager

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import EnvironmentRelease

KEPT = timedelta(days=90)
"""How long LaunchDarkly lists a release after its end."""

_LARGEST_PAGE = 100


class Releases(NamedTuple):
    """A flag's releases in an environment.

    Attributes:
        items: Every one that LaunchDarkly still lists, newest first.
        read_at: LaunchDarkly's time of the last page.
    """

    items: tuple[EnvironmentRelease, ...]
    read_at: datetime


def every_release(env: EnvironmentRef, flag_key: str) -> Procedure[Releases]:
    """Read all releases of a flag in an environment that LaunchDarkly still lists, newest first.

    Args:
        env: Project and environment.
        flag_key: The flag.

    Raises:
        LaunchDarklyError: As the calls raise.
    """
    first = list_releases(env, flag_key, limit=_LARGEST_PAGE)
    pager: Pager[EnvironmentRelease] = Pager(first)
    response = yield first
    found = pager.take(response.value)
    while pager.request is not None:
        response = yield pager.request
        found += pager.take(response.value)
    return Releases(found, response.server_time)
