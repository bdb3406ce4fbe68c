"""The sensor on a release."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError, LaunchDarklyError
from airflow_provider_launchdarkly.assets import EVERY_RELEASE, RELEASE_EVENTS, emit_event
from airflow_provider_launchdarkly.checks.arguments import (
    BY_DEFAULT,
    FAIL,
    NOTHING_TOLD,
    validate_outcomes,
    validate_unmeasured,
)
from airflow_provider_launchdarkly.links import LaunchDarklyFlagLink
from airflow_provider_launchdarkly.sensors._base import LaunchDarklyBaseSensor
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.checks.result import Check, CheckResult
    from airflow_provider_launchdarkly.triggers.releases import ReleaseTrigger


class LaunchDarklyReleaseSensor(LaunchDarklyBaseSensor):
    """Wait until a release has completed or reverted, or until it waits for somebody.

    Safe to repeat: it only reads. A metric that LaunchDarkly has no data on is never taken for a good one: a guarded
    release that completed without a state of one of its metrics fails the task, unless ``if_unmeasured`` is ``end``.

    Args:
        flag_key: Key of the flag.
        release_id: Id of the release, usually the output of the task that started it.
        ends_on: Outcomes that end the waiting: ``completed``, ``reverted``, and ``waiting`` for a person (after a
            regression, for a phase that a person has to advance, or for no reason that LaunchDarkly names) or only
            ``regression``. Default: the first three. An end that is not among them fails the task. Without ``waiting``,
            the sensor waits on until somebody has acted. It always does while a release waits for its next phase, which
            starts by itself.
        if_unmeasured: What follows if a guarded release completed and LaunchDarkly has no state of a metric in a phase.
            ``fail`` (default): the task fails. ``end``: it ends, and ``unmeasured`` names the metrics.
        notifiers: Airflow notifiers that are called, with the task's context, once for each wait for a person in which
            the sensor waits on. ``task.handed_over`` says why it waits, who gets what and what to do;
            :class:`.LaunchDarklyNotifier` writes that. A retry or a clear calls them again. Not for the mode
            ``reschedule``.
        emit_asset: Emit the event ``release_completed``, ``release_reverted`` or ``release_waiting`` on the flag's
            asset (see ``assets``) when the task succeeds.
        kwargs: ``project_key``, ``environment_key``, ``launchdarkly_conn_id``, ``deferrable``, ``poke_interval``,
            ``timeout`` and the arguments of every task.

    Returns:
        The release (see :class:`.ReleaseOutput`), without ``url`` and ``changed``.

    Raises:
        ReleaseEndedError: The release ended, and not in one of the outcomes of ``ends_on``.
        ReleaseUnmeasuredError: It completed, and a metric has no data.
    """

    template_fields: Sequence[str] = (*LaunchDarklyBaseSensor.template_fields, "flag_key", "release_id", "ends_on")
    operator_extra_links = (LaunchDarklyFlagLink(),)

    def __init__(
        self,
        *,
        flag_key: str,
        release_id: str,
        ends_on: Sequence[str] = BY_DEFAULT,
        if_unmeasured: str = FAIL,
        notifiers: Sequence[Any] = (),
        emit_asset: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.notifiers = list(notifiers)
        # What is told of the wait for a person, while it is told.
        self.handed_over: Mapping[str, Any] | None = None
        # The wait that was told last; None if nobody is to be told.
        self._wait_told: str | None = NOTHING_TOLD if self.notifiers else None
        if self.notifiers and self.reschedule and not self.deferrable:
            raise ConfigurationError(
                "notifiers go with deferrable=True or mode='poke': in the mode 'reschedule' each poke is a new "
                "process, which does not know what was told"
            )
        self.flag_key = flag_key
        self.release_id = release_id
        self.ends_on = ends_on
        self.if_unmeasured = if_unmeasured
        self.emit_asset = emit_asset
        if emit_asset:
            self.outlets = [*self.outlets, EVERY_RELEASE]
        validate_unmeasured(if_unmeasured)
        if is_literal(ends_on):
            validate_outcomes(ends_on)

    @property
    def flag_url(self) -> str:
        """Address of the flag in LaunchDarkly's UI."""
        return self.hook.flag_url(self.flag_key)

    @override
    def make_check(self, context: Context) -> Check:
        """Return the check of the release."""
        from airflow_provider_launchdarkly.checks.release import check_release

        validate_outcomes(self.ends_on)
        env = self.hook.environment()
        release = (self.flag_key, self.release_id)
        return partial(check_release, env, *release, tuple(self.ends_on), if_unmeasured=self.if_unmeasured)

    @override
    def trigger_class(self) -> type[ReleaseTrigger]:
        """Import and return the trigger with the same check."""
        from airflow_provider_launchdarkly.triggers.releases import ReleaseTrigger

        return ReleaseTrigger

    @override
    def trigger_arguments(self) -> dict[str, Any]:
        """Return the trigger's arguments."""
        return super().trigger_arguments() | {"ends_on": list(self.ends_on), "told": self._wait_told}

    @override
    def execute(self, context: Context) -> Any:
        """Poll once, and defer unless that ends the waiting; or poke, if the sensor is not deferrable."""
        with self._noting_trouble(context):
            return self._told(context, super().execute(context))

    @override
    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the trigger's output, or raise its error here, where Airflow's retries apply."""
        with self._noting_trouble(context):
            output: dict[str, Any] = self._told(context, super().execute_complete(context, event))
            return output

    @override
    def _poll(self, context: Context) -> CheckResult:
        result = super()._poll(context)
        self._leave_note(context, result.output)
        if not result.ends:
            self._tell_wait(context, result.output)
        return result

    @override
    def _after_trigger(self, context: Context, output: Mapping[str, Any]) -> dict[str, Any]:
        from airflow_provider_launchdarkly.checks.release import has_come_to

        self._leave_note(context, output)
        if not has_come_to(output, self.ends_on):
            self._tell_wait(context, output)
            self._defer(context)
        return super()._after_trigger(context, output)

    def _tell_wait(self, context: Context, output: Mapping[str, Any]) -> None:
        """Tell people that the release waits for one of them, unless they were told of this wait."""
        from airflow_provider_launchdarkly.checks.release import wait_of

        wait = wait_of(output)
        if self._wait_told is None or wait in (None, self._wait_told):
            return
        from airflow_provider_launchdarkly.views.releases import told_of_wait

        self._wait_told = wait
        self.handed_over = {**told_of_wait(output, url=self.flag_url), "waits": wait}
        for notifier in self.notifiers:
            try:
                notifier(context)
            except Exception as error:  # noqa: BLE001 - telling is best effort, and the waiting goes on
                self.warn("Not told: %s: %s", type(error).__name__, error)
        self.handed_over = None

    def _leave_note(self, context: Context, output: Mapping[str, Any]) -> None:
        """Let the pages show the release, if that is news."""
        from airflow_provider_launchdarkly.sensors._notes import leave_release, now
        from airflow_provider_launchdarkly.views.releases import release_note

        leave_release(context, release_note(output, at=now(), url=self.flag_url), self.warn)

    @contextmanager
    def _noting_trouble(self, context: Context) -> Iterator[None]:
        """Let the pages say that the waiting has failed, if it fails: what they show then is not watched any more."""
        from airflow.providers.common.compat.sdk import AirflowFailException

        try:
            yield
        except (LaunchDarklyError, AirflowFailException) as error:
            from airflow_provider_launchdarkly.sensors._notes import trouble_release

            with suppress(LaunchDarklyError):  # the connection is gone, or does not name the environment
                trouble_release(context, (*self.hook.environment(), self.flag_key), str(error), self.warn)
            raise

    def _told(self, context: Context, output: Any) -> Any:
        """Emit the event of an output."""
        if self.emit_asset and output and (event := RELEASE_EVENTS.get(output["status"])):
            emit_event(context, self.outlets, event, output)
        return output
