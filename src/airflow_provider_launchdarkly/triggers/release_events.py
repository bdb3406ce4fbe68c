"""The trigger that watches the releases of flags for Airflow's event-driven scheduling.

DAG files import it, so what only a running trigger needs is imported there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.checks.arguments import RELEASE_KINDS
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION
from airflow_provider_launchdarkly.triggers._arguments import REQUIRED, Argument, some_of, text_or_texts
from airflow_provider_launchdarkly.triggers._watcher import Happening, Watch, WatcherTrigger, as_list, given_interval

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from airflow_provider_launchdarkly.api.http.procedure import Response
    from airflow_provider_launchdarkly.api.models import EnvironmentRelease
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.triggers._sharing import Place


class ReleaseEventTrigger(WatcherTrigger):
    """Fire when a release of the flag is started, regresses, waits, is stopped or ends, whoever does it.

    For an :class:`~airflow.sdk.AssetWatcher` on the asset of :func:`~airflow_provider_launchdarkly.assets.flag_asset`.
    The events have the names and fields of those that the release operators and sensor emit. Each fires once for each
    release; ``regressed`` and ``waiting`` once for each regression and each wait of it. The events of one flag fire in
    the order in which they happened. Those from before the first start of the watcher do not fire.

    After a restart of the triggerer, after errors, and with wrong arguments it does as
    :class:`.ExperimentEventTrigger`: on Airflow 3.3 and later what happened meanwhile fires, and nothing twice. (An
    event may come twice only if a triggerer is killed between firing and noting, or hangs so long that another one
    takes over.) Before 3.3, everything that is found counts as fired. It waits for a flag that does not exist yet. Of
    a wait that began and ended between two polls, only its regression is seen.

    Args:
        flag_key: The flag, or a list of flags.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.
        on: Which events fire, each as ``release_…``. ``started``; ``regressed``: LaunchDarkly has found that a metric
            regressed; ``waiting``: it is paused until somebody acts, ``reason`` says why or is None; ``stopped``:
            somebody ended it; ``completed`` and ``reverted``: it ended, also after a stop. Default: all.
        poll_interval: Seconds between two polls. Default: ``[launchdarkly] poll_interval``.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **WatcherTrigger.accepts,
        "flag_key": Argument(text_or_texts),
        "on": Argument(some_of(*RELEASE_KINDS)),
    }
    subject: ClassVar[tuple[str, str]] = ("flag_key", "release_id")
    flag_key: str | list[str]

    def __init__(
        self,
        /,
        *,
        flag_key: str | Sequence[str] = REQUIRED,
        project_key: str | None = None,
        environment_key: str | None = None,
        launchdarkly_conn_id: str = DEFAULT_CONNECTION,
        on: Sequence[str] = RELEASE_KINDS,
        poll_interval: float | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(
            **({} if flag_key is REQUIRED else {"flag_key": as_list(flag_key)}),
            project_key=project_key,
            environment_key=environment_key,
            launchdarkly_conn_id=launchdarkly_conn_id,
            on=as_list(on),
            poll_interval=given_interval(poll_interval),
            **unknown,
        )

    @override
    def watches(self, hook: LaunchDarklyHook) -> Sequence[Watch]:
        """Return a watch on each flag: LaunchDarkly has no list of the releases of several."""
        keys = [self.flag_key] if isinstance(self.flag_key, str) else dict.fromkeys(self.flag_key)
        return [_FlagWatch(self, hook, key) for key in keys]


class _FlagWatch(Watch):
    """The polls of a flag's releases."""

    settles: ClassVar[bool] = True

    def __init__(self, trigger: ReleaseEventTrigger, hook: LaunchDarklyHook, flag_key: str) -> None:
        super().__init__(trigger, hook)
        self._key = flag_key
        self._on = trigger.on

    @override
    def place(self) -> tuple[Place, str]:
        from airflow_provider_launchdarkly.triggers._listed import NEWEST
        from airflow_provider_launchdarkly.triggers._sharing import Place

        return Place(self.hook.environment(), self._key), NEWEST

    @override
    def has_news(self, reading: Response[tuple[EnvironmentRelease, ...]]) -> bool:
        from airflow_provider_launchdarkly.checks.release_events import state_of

        state = state_of(self.hook.environment(), reading.value)
        return not state.whole or any(self._is_new(event.kind, event.names) for event in state.events)

    @override
    async def new_events(self) -> AsyncIterator[Happening]:
        from airflow_provider_launchdarkly.checks.release_events import read_state

        await self.hook.load_settings()
        env = self.hook.environment()
        # One asset may have watchers on several flags and environments.
        watched = f"{env.project_key}/{env.environment_key}/{self._key}"
        await self.seen.load(f"releases of {watched} {'+'.join(self._on)}")
        state = await self.poll(lambda: read_state(env, self._key))
        if not state.exists:
            self.tell_missing(f"flag {self._key!r}")
        await self.seen.begin((name for event in state.events for name in event.names), state.releases)
        for event in state.events:
            if self._is_new(event.kind, event.names):
                yield Happening(event.content, event.names)

    def _is_new(self, kind: str, names: tuple[str, ...]) -> bool:
        return kind in self._on and any(name not in self.seen for name in names)
