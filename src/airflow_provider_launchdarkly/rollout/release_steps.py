"""The internal tasks of a release in one environment: start it, wait for a person's decision, and end.

They keep the prefix ``LaunchDarkly`` because Airflow's UI shows the class of each task.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator
from typing_extensions import override

from airflow_provider_launchdarkly.operators.releases import LaunchDarklyStartReleaseOperator
from airflow_provider_launchdarkly.retries import fail_unless_retryable
from airflow_provider_launchdarkly.rollout.release_spec import FALLTHROUGH, ReleaseRollout
from airflow_provider_launchdarkly.sensors.releases import LaunchDarklyReleaseSensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.operators._release import ReleaseOutput
    from airflow_provider_launchdarkly.rollout.release_checks import Releasable

REFUSED = "refused"
"""The XCom of a question that was refused: who refused it, in words."""


class ReleaseEnding(StrEnum):
    """How a release of a rollout ends in one environment."""

    COMPLETED = "completed"
    """Everyone whom the rule matches gets the target."""

    REVERTED = "reverted"
    """The original is served again."""

    REFUSED = "refused"
    """A person refused the start, or nobody answered in time. Nothing was changed."""


class LaunchDarklyStartPlannedReleaseOperator(LaunchDarklyStartReleaseOperator):
    """Start the release of a rollout in one environment. Internal.

    Flag, rule, variations and metrics are found there by what the rollout calls them, and the rule has to serve the
    original to everyone, before anything is written. Safe to repeat, as the base is.

    Args:
        rollout: The release, as plain JSON.
        kwargs: As for :class:`LaunchDarklyStartReleaseOperator`.
    """

    def __init__(self, *, rollout: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rollout = dict(rollout)

    @override
    def act(self, context: Context) -> ReleaseOutput:
        """Turn the flag on if it is to be, and start the release, or adopt the one that this run has started."""
        from airflow_provider_launchdarkly.api.errors import FlagOffError

        rollout, env = ReleaseRollout.from_json(self.rollout), self.hook.environment()
        found = self._found(rollout)
        if rollout.release.rule != FALLTHROUGH:
            self.phases = [{**phase, "rule_id": found.rule_id} for phase in self.phases or ()]
        if not rollout.turn_flag_on or found.is_on(env) or found.flag.archived:
            return super().act(context)
        try:
            return super().act(context)  # adopts or names a release that is there, and turns nothing on for it
        except FlagOffError:
            self._require_startable(rollout, found, context)
        self.hook.turn_flag(self.flag_key, on=True)
        self.flags_changed = (self.flag_key,)
        self.say("Turned the flag on.")
        return super().act(context)

    @override
    def before_start(self) -> None:
        """Check that the window is open and that everyone gets the original, right before the start."""
        rollout = ReleaseRollout.from_json(self.rollout)
        self._require_ready(rollout, self._found(rollout))
        super().before_start()

    def _require_startable(self, rollout: ReleaseRollout, found: Releasable, context: Context) -> None:
        """Check all that can be known of the start before the flag is turned on, which serves people its rules."""
        from airflow_provider_launchdarkly.rollout.release_checks import check_left_rules

        self._require_ready(rollout, found)
        self.hook.run(check_left_rules(self.hook.environment(), found.flag, self._post(found.flag, context)))

    def _require_ready(self, rollout: ReleaseRollout, found: Releasable) -> None:
        from airflow_provider_launchdarkly.rollout.approved_writes import require_open

        if rollout.change_window is not None:
            require_open(rollout.change_window, self.hook)
        self._require_original(found)

    def _found(self, rollout: ReleaseRollout) -> Releasable:
        from airflow_provider_launchdarkly.rollout.release_checks import find_releasable

        return self.hook.run(find_releasable(rollout, self.hook.environment()))

    def _require_original(self, found: Releasable) -> None:
        """Check that the rule serves the original to everyone.

        Raises:
            FlagServesUnexpectedVariationError: It does not.
        """
        from airflow_provider_launchdarkly.api.reads.flags import FlagServesUnexpectedVariationError
        from airflow_provider_launchdarkly.api.variations import label_of

        env = self.hook.environment()
        if found.serves(env, found.original):
            return
        original = found.original.name or label_of(found.original.value)
        done = found.serves(env, found.target)
        released = "It is released already: leave this environment out"
        if not found.is_on(env):
            released = "The flag is off, so nobody gets that: turn it on, and leave this environment out"
        cure = released if done else f"Let it serve {original!r}, or start from what it serves"
        raise FlagServesUnexpectedVariationError(
            f"rule {found.rule_id!r} of flag {found.flag.key!r} in {env} serves {found.served_in_words(env)}, and the "
            f"release starts from everyone on {original!r}. Nothing was changed. {cure}"
        )


class LaunchDarklyDecideReleaseSensor(LaunchDarklyReleaseSensor):
    """Wait until a release that waits for a person has ended; skip if it does not wait. Internal.

    Args:
        watched: Id of the task that waited before.
        kwargs: As for :class:`LaunchDarklyReleaseSensor`.
    """

    def __init__(self, *, watched: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.watched = watched

    @override
    def execute(self, context: Context) -> Any:
        """Wait, or skip."""
        ti: Any = context["ti"]
        found = ti.xcom_pull(task_ids=self.watched) or {}
        if found.get("status") != "waiting":
            raise AirflowSkipException(f"the release is {found.get('status')}: nobody has to decide")
        self.log.info("A person has to dismiss, resume, advance or stop it in LaunchDarkly: %s", found.get("reason"))
        return super().execute(context)


class LaunchDarklyReleaseEndingOperator(BaseOperator):
    """Succeed if the release of a rollout has ended so; else skip. Internal.

    Safe to repeat: it only reads. ``completed`` checks that the flag serves the target to everyone.

    Args:
        ending: The ending.
        rollout: The release, as plain JSON.
        asked: Id of the task that asks a person; None without one.
        waits: Ids of the tasks that wait for its end, in their order.

    Returns:
        ``ending`` and ``why``, and ``release`` as :class:`LaunchDarklyReleaseSensor` returns it, None if refused.
    """

    ui_color = "#f2f2f7"
    ui_fgcolor = "#1a1f36"

    def __init__(
        self,
        *,
        ending: ReleaseEnding,
        rollout: Mapping[str, Any],
        waits: tuple[str, ...],
        asked: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"multiple_outputs": True} | kwargs)
        self.ending = ending.value
        self.rollout = dict(rollout)
        self.asked = asked
        self.waits = waits

    @override
    def execute(self, context: Context) -> dict[str, Any]:
        """Return how it ended, or skip."""
        found = self._found(context)
        if found["ending"] != self.ending:
            raise AirflowSkipException(f"the release ended {found['ending']}: {found['why']}")
        if self.ending == ReleaseEnding.COMPLETED:
            with fail_unless_retryable():
                self._require_target(found["release"])
        self.log.info("The release ended %s: %s", self.ending, found["why"])
        return found

    def _found(self, context: Context) -> dict[str, Any]:
        ti: Any = context["ti"]
        refused = ti.xcom_pull(task_ids=self.asked, key=REFUSED) if self.asked else None
        if refused is not None:
            return {"ending": ReleaseEnding.REFUSED.value, "why": refused, "release": None}
        ended = next(
            (found for task in reversed(self.waits) if (found := ti.xcom_pull(task_ids=task)) is not None), None
        )
        if ended is None:
            raise AirflowSkipException(
                "no task before this one has seen the end of a release: none was started, or `watch` was marked by "
                "hand and returned nothing. Clear `watch` with all that follows to go by the release"
            )
        completed = ended["status"] == ReleaseEnding.COMPLETED
        ending = ReleaseEnding.COMPLETED if completed else ReleaseEnding.REVERTED
        regressed = f"; regressed: {', '.join(ended['regressed'])}" if ended["regressed"] else ""
        return {"ending": ending.value, "why": f"{ended['reason'] or ended['status']}{regressed}", "release": ended}

    def _require_target(self, release: Mapping[str, Any]) -> None:
        from airflow_provider_launchdarkly.api.reads.flags import flag_that_serves
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

        rollout = ReleaseRollout.from_json(self.rollout)
        hook = LaunchDarklyHook(rollout.connection, rollout.project, rollout.environment)
        rule = FALLTHROUGH if rollout.release.rule == FALLTHROUGH else str(release["phases"][0]["rule_id"])
        target = str(release["target_variation_id"])
        hook.run(flag_that_serves(hook.environment(), rollout.release.flag, rule, target))
