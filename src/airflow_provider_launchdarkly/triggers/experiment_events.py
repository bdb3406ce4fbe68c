"""The trigger that watches an experiment for Airflow's event-driven scheduling.

DAG files import it, so what only a running trigger needs is imported there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.checks.arguments import START, STOP, VERDICT
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION
from airflow_provider_launchdarkly.triggers._arguments import (
    REQUIRED,
    Argument,
    policy_text,
    read_policy,
    some_of,
    text,
)
from airflow_provider_launchdarkly.triggers._watcher import Happening, Watch, WatcherTrigger, as_list, given_interval

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from airflow_provider_launchdarkly.api.http.procedure import Procedure, Response
    from airflow_provider_launchdarkly.api.models import Experiment, Metric
    from airflow_provider_launchdarkly.checks.experiment_events import IterationEvent
    from airflow_provider_launchdarkly.evidence.source import Target
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.triggers._sharing import Place

KINDS = (START, STOP, VERDICT)


class ExperimentEventTrigger(WatcherTrigger):
    """Fire when an iteration of the experiment is started or stopped, by anyone, or when it reaches a verdict.

    For an :class:`~airflow.sdk.AssetWatcher` on the asset of
    :func:`~airflow_provider_launchdarkly.assets.experiment_asset`. Each of the three events fires once for each
    iteration, in the order in which they happened. Events from before the first start of the watcher do not fire.

    On Airflow 3.3 and later the trigger notes what it has fired in the asset's state store: a restarted triggerer fires
    what happened meanwhile, and nothing twice. (An event may come twice only if a triggerer is killed between firing
    and noting, or hangs so long that another one takes over; its ``iteration_id`` identifies it.) Before 3.3 there is
    no such store: a restarted triggerer counts everything it finds as fired, so events during its downtime are lost.

    An error does not end the trigger: it logs the error and pauses longer from poll to poll, up to an hour. It waits
    for an experiment that does not exist yet.

    Wrong arguments are a DAG import error. If they reach the triggerer all the same, because it runs another version of
    the provider, the watcher logs the problems each hour, and fires one event after a minute: ``event`` is ``error``,
    ``iteration_id`` is None, and ``message`` names the argument, its value and the cure.

    Args:
        experiment_key: The experiment.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.
        on: Which of ``start``, ``stop`` and ``verdict`` fire.
        policy: The policy of the verdict: a :class:`Policy`, or the same as a mapping or as JSON text. Default: the
            default policy. The iteration runs on after its verdict.
        poll_interval: Seconds between two polls. Default: ``[launchdarkly] poll_interval``.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **WatcherTrigger.accepts,
        "experiment_key": Argument(text),
        "on": Argument(some_of(*KINDS)),
        "policy": Argument(policy_text),
    }
    subject: ClassVar[tuple[str, str]] = ("experiment_key", "iteration_id")
    experiment_key: str
    policy: str

    def __init__(
        self,
        /,
        *,
        experiment_key: str = REQUIRED,
        project_key: str | None = None,
        environment_key: str | None = None,
        launchdarkly_conn_id: str = DEFAULT_CONNECTION,
        on: Sequence[str] = KINDS,
        policy: Policy | Mapping[str, Any] | str | None = None,
        poll_interval: float | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(
            **({} if experiment_key is REQUIRED else {"experiment_key": experiment_key}),
            project_key=project_key,
            environment_key=environment_key,
            launchdarkly_conn_id=launchdarkly_conn_id,
            on=as_list(on),
            policy=_as_json(policy),
            poll_interval=given_interval(poll_interval),
            **unknown,
        )

    @override
    def watches(self, hook: LaunchDarklyHook) -> Sequence[Watch]:
        """Return the watch on the experiment."""
        return [_ExperimentWatch(self, hook)]


class _ExperimentWatch(Watch):
    """The polls of an experiment. ``_found_running`` ran when the watcher began, until its verdict is read once."""

    def __init__(self, trigger: ExperimentEventTrigger, hook: LaunchDarklyHook) -> None:
        super().__init__(trigger, hook)
        self._key = trigger.experiment_key
        self._on = trigger.on
        self._policy = trigger.policy
        self._interval = timedelta(seconds=trigger.poll_interval)
        self._previous: dict[str, timedelta] = {}
        self._definitions: dict[str, Metric] = {}
        self._found_running: str | None = None

    @override
    def place(self) -> tuple[Place, str]:
        from airflow_provider_launchdarkly.triggers._sharing import Place

        return Place(self.hook.environment()), self._key

    @override
    def has_news(self, reading: Response[Experiment]) -> bool:
        from airflow_provider_launchdarkly.checks.experiment_events import read_verdict, state_of
        from airflow_provider_launchdarkly.evidence.source import Target
        from airflow_provider_launchdarkly.triggers._shared_reader import run_on

        place, key = self.place()
        state = state_of(place.environment, reading.value)
        if any(event.kind in self._on and event.name not in self.seen for event in state.events):
            return True
        running = state.running
        if VERDICT not in self._on or not running or f"{VERDICT}:{running}" in self.seen:
            return False
        if running == self._found_running:
            return True
        poll = read_verdict(
            Target(place.environment, key, running),
            read_policy(self._policy),
            previous=self._previous.get(running),
            poll_interval=self._interval,
        )
        found = run_on(poll, place.single(key), reading)
        if found is None or found[0] is not None:
            return True
        self._previous = {running: found[1]}
        return False

    @override
    async def new_events(self) -> AsyncIterator[Happening]:
        from airflow_provider_launchdarkly.checks.experiment_events import read_state
        from airflow_provider_launchdarkly.evidence.source import Target

        await self.hook.load_settings()
        env = self.hook.environment()
        on = "+".join(self._on)
        # One asset may have watchers in several projects and environments, and by several policies. After a change of
        # its policy a watcher goes on from what was noted by the one before.
        here = f"experiment {env.project_key}/{env.environment_key}/{self._key} {on}"
        policy = hashlib.sha256(self._policy.encode()).hexdigest()[:12]
        own, beside = (f"{here} {policy}", here) if VERDICT in self._on else (here, None)
        await self.seen.load(own, beside=beside, of_policy=VERDICT, older=f"{self._key} {on}")
        state = await self.poll(lambda: read_state(env, self._key))
        if not state.exists:
            self.tell_missing(f"experiment {self._key!r}")
        if await self.seen.begin((event.name for event in state.events), state.iterations):
            self._found_running = state.running
        for event in state.events:
            if event.kind in self._on and event.name not in self.seen:
                yield Happening(event.content, (event.name,))
        if VERDICT in self._on and state.running and f"{VERDICT}:{state.running}" not in self.seen:
            verdict = await self._verdict(Target(env, self._key, state.running))
            if verdict is not None:
                yield Happening(verdict.content, (verdict.name,))

    async def _verdict(self, target: Target) -> IterationEvent | None:
        from airflow_provider_launchdarkly.checks.experiment_events import read_verdict
        from airflow_provider_launchdarkly.telemetry import count

        iteration_id = target.iteration_id
        # For an iteration that is older than the watcher, every past look counts as due: a verdict that exists already
        # is noted without firing.
        is_old = self._found_running == iteration_id

        def poll() -> Procedure[tuple[IterationEvent | None, timedelta, bool]]:
            return read_verdict(
                target,
                read_policy(self._policy),
                previous=timedelta() if is_old else self._previous.get(iteration_id),
                poll_interval=self._interval,
                definitions=self._definitions,
            )

        verdict, elapsed, looked = await self.poll(poll)
        if looked:
            count("looks")
        self._previous = {iteration_id: elapsed}
        self._found_running = None
        if is_old and verdict is not None:
            await self.seen.add(verdict.name)
            return None
        if verdict is not None:
            count(f"verdicts.{verdict.content['event']}")
        return verdict


def _as_json(policy: Any) -> Any:
    """Return a policy as JSON text, which every Airflow version stores unchanged; anything else comes back as it is."""
    if policy is None:
        return "{}"
    if isinstance(policy, Policy):
        return json.dumps(policy.to_json())
    if not isinstance(policy, Mapping):
        return policy
    try:
        return json.dumps(dict(policy))
    except (TypeError, ValueError):
        pass
    try:  # a mapping with Python values such as timedelta
        return json.dumps(Policy.from_json(policy).to_json())
    except Exception:  # noqa: BLE001 - a constructor must not raise; `problems` reports it
        return policy
