"""Read who gets what at the moment at which people are told: by the flag, and not by what the rollout has set.

A flag that is off, that somebody changed or that serves something else is said in the place of the stage's shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.rollout.serving import served_in, stage_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Experiment
    from airflow_provider_launchdarkly.checks.flag_seen import FlagSeen
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.rollout.spec import Rollout

_NOTHING = "nothing of this rollout"


@dataclass(frozen=True, slots=True)
class Setting:
    """The shares that a rollout has set, as far as its tasks know.

    Attributes:
        rollout: The rollout.
        experiment_key: The experiment; None if the rollout has started nothing.
        iteration_id: The iteration that it has started last; None if it has started none.
        stage: Number of the iteration's stage, from 0; None before the first.
        after: Who gets what since the iteration was stopped, in words; empty if the rollout has not stopped it.
        released: True if that is so by a release, of which the flag's rule says only the present step.
    """

    rollout: Rollout
    experiment_key: str | None = None
    iteration_id: str | None = None
    stage: int | None = None
    after: str = ""
    released: bool = False

    @property
    def words(self) -> str:
        """The shares in words."""
        return self.after or served_in(self.rollout, self.stage)

    def unread(self, why: str) -> ServedNow:
        """Return that it is not known who gets what.

        Args:
            why: The reason, without a full stop.
        """
        return ServedNow(f"not known: {why}. This rollout has set {self.words}")


@dataclass(frozen=True, slots=True)
class ServedNow:
    """A reading of who gets what.

    Attributes:
        words: Who gets what in words, without a full stop; or why that is not known.
        at: When the flag was read, by LaunchDarkly's clock; None if it could not be.
    """

    words: str
    at: datetime | None = None

    @property
    def text(self) -> str:
        """The words, with the time of the reading."""
        return self.words if self.at is None else f"{self.words}; read at {self.at:%Y-%m-%d %H:%M} UTC"


def served_now(connect: Callable[[], LaunchDarklyHook], setting: Setting) -> ServedNow:
    """Read who gets what now. Never raises: what cannot be read is said to be so.

    Args:
        connect: Returns the hook.
        setting: What the rollout has set.
    """
    from airflow_provider_launchdarkly.api.errors import LaunchDarklyError

    try:
        hook = connect()
        return hook.run(_read(hook.environment(), setting))
    except Exception as error:  # noqa: BLE001 - people are told, whatever is wrong with the connection
        kind = "" if isinstance(error, LaunchDarklyError) else f"{type(error).__name__}: "
        return setting.unread(f"LaunchDarkly could not be read ({kind}{error})")


def _read(env: EnvironmentRef, setting: Setting) -> Procedure[ServedNow]:
    from airflow_provider_launchdarkly.api.endpoints import get_experiment
    from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
    from airflow_provider_launchdarkly.checks.flag_seen import see_flag, see_rule

    planned = setting.rollout.experiment
    if setting.released:
        # The default rule is always there, so only a flag that is off or gone differs.
        found = yield from see_rule(env, planned.flag, "fallthrough")
        return setting.unread(found.trouble) if found.trouble else ServedNow(_unless_changed(setting, found), found.at)
    if setting.experiment_key is None or setting.iteration_id is None:
        return _before(setting, (yield from see_rule(env, planned.flag, planned.rule)))
    experiment: Experiment = (yield get_experiment(env, setting.experiment_key, expand=ITERATIONS)).value
    own, running = experiment.iteration(setting.iteration_id), experiment.running
    shown = running or own
    seen = None if shown is None else (yield from see_flag(env, shown))
    if shown is None or seen is None or seen.trouble:
        trouble = seen.trouble if seen is not None else f"LaunchDarkly shows no iteration {setting.iteration_id}"
        return setting.unread(trouble)
    if own is not None and (own.running or (setting.after and running is None)):
        return ServedNow(_unless_changed(setting, seen), seen.at)
    if own is not None and running is None and not own.stopped:
        return _before(setting, seen)  # a draft
    ended = f"iteration {setting.iteration_id} does not run any more"
    other = f", and iteration {running.id} runs in its place" if running else ""
    return ServedNow(f"{ended}{other}: {seen.differs or _in_shares(seen)}", seen.at)


def _before(setting: Setting, seen: FlagSeen) -> ServedNow:
    """Return who gets what before anything is started."""
    if seen.trouble:
        return ServedNow(f"{_NOTHING}; {seen.trouble}")
    rule = setting.rollout.experiment.rule
    return ServedNow(
        f"{_NOTHING}; {seen.differs or f'rule {rule} of flag {seen.flag} serves {_in_shares(seen)}'}", seen.at
    )


def _unless_changed(setting: Setting, seen: FlagSeen) -> str:
    if seen.differs:
        return f"{seen.differs} (this rollout has set {setting.words})"
    if setting.after or setting.stage is None:
        return setting.words
    return f"{_in_shares(seen)}, in {stage_name(setting.rollout, setting.stage)}"


def _in_shares(seen: FlagSeen) -> str:
    """Return the shares that a flag serves, the new ones first."""
    ordered = sorted(seen.served, key=lambda arm: arm[2])
    return ", ".join(f"{name} {percent:.10g} %" for name, percent, _ in ordered) or "nobody a variation"
