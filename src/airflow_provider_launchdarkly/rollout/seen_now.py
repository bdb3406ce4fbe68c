"""Reads what LaunchDarkly shows of a rollout that nobody watches: which iteration runs, and what its flag serves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.rollout.unwatched import ReleaseLeft, Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from airflow_provider_launchdarkly.api.models import Experiment, FeatureFlag, Iteration
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.rollout.spec import Rollout


def seen_now(
    connect: Callable[[], LaunchDarklyHook],
    rollout: Rollout,
    *,
    experiment_key: str,
    iteration_id: str | None,
    release: Mapping[str, Any] | None = None,
) -> Seen:
    """Read what LaunchDarkly shows now. Never raises: what cannot be read is said to be so.

    Args:
        connect: Returns the hook.
        rollout: The rollout.
        experiment_key: The experiment.
        iteration_id: The iteration that the rollout has started last; None if it has started none.
        release: What the task that starts the winner's release has returned; None if it has not, or there is none.
    """
    from airflow_provider_launchdarkly.api.errors import LaunchDarklyError, NotFoundError
    from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
    from airflow_provider_launchdarkly.rollout.left_release import as_shown, release_after

    known = None if release is None else [release[key] for key in ("flag_key", "release_id", "treatment")]
    left = None if known is None else ReleaseLeft(*known)
    try:
        hook = connect()
        if left is not None:
            found, text = as_shown(left, hook.get_release(left.flag_key, str(left.release_id)))
            return Seen(text, release=found)
        experiment = hook.get_experiment(experiment_key, expand=ITERATIONS)
        iteration = experiment.iteration(iteration_id) if iteration_id else None
        if rollout.release and iteration is not None and (after := release_after(hook, iteration)):
            return Seen(after[1], release=after[0])
        return _seen(hook, experiment, iteration, iteration_id)
    except NotFoundError:
        gone = None if left is None else replace(left, going=False)
        return Seen(f"LaunchDarkly shows no such {'experiment' if gone is None else 'release'}.", release=gone)
    except Exception as error:  # noqa: BLE001 - what is known has to be told, whatever is wrong with the connection
        kind = "" if isinstance(error, LaunchDarklyError) else f"{type(error).__name__}: "
        text = f"That is what was known last: LaunchDarkly cannot be read now ({kind}{error})."
        return Seen(text, release=left)


def _seen(
    hook: LaunchDarklyHook, experiment: Experiment, iteration: Iteration | None, iteration_id: str | None
) -> Seen:
    """Return what an experiment shows of an iteration that was started."""
    running = experiment.running
    if iteration is not None and iteration.running:
        return Seen("LaunchDarkly shows it as running.", served=_served(hook, iteration))
    other = None if running is None else f"iteration {running.id} runs"
    if iteration is None or not iteration.stopped:
        none = "LaunchDarkly shows no running iteration: people get what the flag serves."
        return Seen(none if other is None else f"LaunchDarkly shows another iteration as running: {other}.")
    treatments = iteration.treatments or (running.treatments if running else ())
    names = {each.id: each.name for each in treatments}
    winner = iteration.winning_treatment_id
    how = f"with winner {names.get(winner, winner)!r}" if winner else "without a winner"
    beside = f", and {other} in its place" if other else ""
    return Seen(
        f"Iteration {iteration_id} has ended {how}{beside}.",
        served=_served(hook, running or iteration),
        ended=True,
        winner=winner,
        other=None if running is None else running.id,
    )


def _served(hook: LaunchDarklyHook, iteration: Iteration) -> str | None:
    """Return who gets what by the flag of an iteration; None if the iteration shows no flag.

    The shares are those of the iteration as it was read, if its flag is on and its rule serves them.
    """
    from airflow_provider_launchdarkly.api.reads.flags import read_flag, what_is_served
    from airflow_provider_launchdarkly.checks.flag_seen import compare_flag

    if not iteration.flags:
        return None
    flag_key, used = next(iter(iteration.flags.items()))
    env = hook.environment()
    flag: FeatureFlag = hook.run(read_flag(env, flag_key))
    config = flag.environments[env.environment_key]
    if not config.on:
        off = flag.variation_at(config.off_variation)
        what = "what the code has as its default" if off is None else repr(off.name or off.value)
        return f"everyone gets {what}, since flag {flag_key} is off"
    rule = config.rule(used.targeting_rule)
    ordered = sorted(iteration.treatments, key=lambda each: each.baseline)
    known = [(each.name, each.allocation_percent) for each in ordered]
    shares = ", ".join(f"{name} {share.normalize():f} %" for name, share in known if share is not None)
    if iteration.running and rule is not None and flag.variation_at(rule.variation) is None and shares:
        return compare_flag(env, flag, iteration, datetime.now(UTC)).differs or shares
    return what_is_served(env, flag, used.targeting_rule)
