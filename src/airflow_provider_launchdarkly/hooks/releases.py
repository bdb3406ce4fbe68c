"""The hook's calls on environment releases.

Each method only builds a request or a procedure; ``calls`` makes it run both ways, ``api`` defines it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.http.paging import DEFAULT_CAP, collect
from airflow_provider_launchdarkly.hooks.calls import Caller, api_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import Request
    from airflow_provider_launchdarkly.api.models import EnvironmentRelease, ReleasePost, Resolution
    from airflow_provider_launchdarkly.api.writes.releases import StartedRelease, StoppedRelease

_LARGEST_PAGE = 100


class ReleaseCalls(Caller):
    """Environment releases."""

    @api_call
    def list_releases(
        self,
        flag_key: str,
        *,
        kind: Literal["progressive", "guarded"] | None = None,
        max_items: int = DEFAULT_CAP,
    ) -> Procedure[tuple[EnvironmentRelease, ...]]:
        """Read a flag's releases of the last 90 days in the environment, newest first, page after page."""
        first = endpoints.list_releases(
            self.environment(), flag_key, kind=kind, limit=min(_LARGEST_PAGE, max(1, max_items))
        )
        return collect(first, max_items=max_items)

    @api_call
    def get_release(self, flag_key: str, release_id: str, *, expand: Iterable[str] = ()) -> Request[EnvironmentRelease]:
        """Read a release; ``expand=("metrics",)`` adds the definitions of its metrics."""
        return endpoints.get_release(self.environment(), flag_key, release_id, expand=expand)

    @api_call
    def start_release(
        self,
        flag_key: str,
        post: ReleasePost,
        *,
        since: datetime | None = None,
        by_description: bool = False,
        any_description: bool = False,
        announce: Callable[[], None] = lambda: None,
    ) -> Procedure[StartedRelease]:
        """Start a release, or adopt the one that is the same. Safe to repeat.

        Args:
            flag_key: The flag.
            post: The release.
            since: LaunchDarkly's time (aware) from which on a same release that ended counts as this one.
            by_description: True if no other release has the first phase's description: one that has it is this.
            any_description: True if a person may have started it, whose descriptions are not compared.
            announce: Called just before the write; not called if nothing is written.
        """
        return writes.start_release(
            self.environment(),
            flag_key,
            post,
            since=since,
            by_description=by_description,
            any_description=any_description,
            announce=announce,
        )

    @api_call
    def stop_release(
        self,
        flag_key: str,
        release_id: str,
        resolution: Resolution,
        *,
        comment: str | None = None,
        announce: Callable[[EnvironmentRelease], None] = lambda _release: None,
    ) -> Procedure[StoppedRelease]:
        """Stop a release, forward to its target or back to its original. Safe to repeat."""
        return writes.stop_release(
            self.environment(), flag_key, release_id, resolution, comment=comment, announce=announce
        )
