"""Reads who gets what in the targets of waves, by its flag, for a question and for the news that all stop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.rollout.served_now import ServedNow, Setting, served_now
from airflow_provider_launchdarkly.rollout.serving import served_after, served_while_released
from airflow_provider_launchdarkly.rollout.wave_tally import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.rollout.spec import Rollout
    from airflow_provider_launchdarkly.rollout.wave_tally import TargetTasks

LONGEST_READING = 300.0
"""Seconds after which no further target is read: an outage keeps no question from being asked."""


def until_when() -> float:
    """Return until when flags are read from now on, by this process's clock."""
    return time.monotonic() + LONGEST_READING


def served_in_target(
    target: TargetTasks, rollout: Rollout, standing: Standing, started: int | None, *, context: Context, until: float
) -> str:
    """Read who gets what in a target; return it in words. Two requests, if the target has begun.

    Args:
        target: The target's tasks.
        rollout: Its rollout.
        standing: How it stands.
        started: Number of the last stage that was started, from 0; None if none was.
        context: The task's context.
        until: As :func:`until_when` returns it.
    """
    if standing in {Standing.UNTOUCHED, Standing.OBSERVED}:
        return f"{standing}, what the flag serves"
    ti: Any = context["ti"]
    if standing not in {Standing.UNDER_WAY, Standing.FAILED}:
        outcome = ti.xcom_pull(task_ids=target.ending(standing)) or {}
        return f"{standing}, {_read(rollout, _after(rollout, outcome), outcome.get('verdict') or {}, until).words}"
    if started is None:
        return f"{standing}, nothing has started"
    output: Mapping[str, Any] = ti.xcom_pull(task_ids=target.starts[started]) or {}
    release = ti.xcom_pull(task_ids=target.release) if target.release else None
    kept = "its release stays watched" if release else "its guardrails stay watched"
    watched = kept if standing is Standing.UNDER_WAY else "nobody watches it"
    after = served_while_released(rollout, release["treatment"]) if release else ""
    key = output.get("experiment_key") or rollout.experiment.key
    setting = Setting(rollout, key, output.get("iteration_id"), started, after, bool(release))
    return f"{standing}, {_read(rollout, setting, output, until).words}, {watched}"


def _after(rollout: Rollout, outcome: Mapping[str, Any]) -> Setting:
    """Return what a target has set that has come to its ending."""
    stage = outcome.get("stage")
    number = None if stage is None else stage - 1
    # An iteration that runs on is read as it is; of another one, the words are those of its ending.
    runs_on = outcome.get("winner") is None
    after = "" if runs_on else served_after(rollout, number, outcome)
    released = bool(outcome.get("release"))
    return Setting(rollout, outcome.get("experiment_key"), outcome.get("iteration_id"), number, after, released)


def _read(rollout: Rollout, setting: Setting, place: Mapping[str, Any], until: float) -> ServedNow:
    if time.monotonic() >= until:
        return setting.unread(f"no flag is read any more after {LONGEST_READING:g} s")
    return served_now(lambda: _hook(rollout, place), setting)


def _hook(rollout: Rollout, place: Mapping[str, Any]) -> LaunchDarklyHook:
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

    project = place.get("project_key") or rollout.project
    return LaunchDarklyHook(rollout.connection, project, place.get("environment_key") or rollout.environment)
