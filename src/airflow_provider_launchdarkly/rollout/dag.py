"""A rollout as a whole DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta


def rollout_dag(
    rollout: Rollout | Mapping[str, Any],
    *,
    dag_id: str | None = None,
    notifiers: Sequence[Any] = (),
    poll_interval: float | None = None,
    retries: int | None = None,
    retry_delay: timedelta | float | None = None,
    overrides: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> DAG:
    """Make the DAG of one rollout.

    By default it has no schedule, and one run at a time: a second run would find the experiment already started.

    Args:
        rollout: The rollout, or the same as plain JSON.
        dag_id: Default: the experiment's key.
        notifiers: As for :func:`experiment_rollout`.
        poll_interval: As for :func:`experiment_rollout`.
        retries: As for :func:`experiment_rollout`.
        retry_delay: As for :func:`experiment_rollout`.
        overrides: As for :func:`experiment_rollout`: keys known only when a task runs, such as
            ``{"experiment_key": "{{ params.key }}"}``.
        arguments: Anything that ``DAG`` takes.

    Raises:
        InvalidSettingError: The rollout is not valid; the error names each field and its value.
    """
    spec = rollout if isinstance(rollout, Rollout) else Rollout.from_json(rollout)
    defaults = {
        "schedule": None,
        "catchup": False,
        "max_active_runs": 1,
        "tags": ["launchdarkly"],
        "doc_md": schedule_in_words(spec),
        "description": spec.experiment.hypothesis,
    }
    with DAG(dag_id or spec.experiment.key, **{**defaults, **arguments}) as dag:
        experiment_rollout(
            spec,
            notifiers=notifiers,
            poll_interval=poll_interval,
            retries=retries,
            retry_delay=retry_delay,
            **(overrides or {}),
        )
    return dag


def schedule_in_words(rollout: Rollout) -> str:
    """Return the rollout's schedule as Markdown, for the people who approve it and the DAG's page in Airflow."""
    experiment = rollout.experiment
    lines = [
        f"### {experiment.name or experiment.key}",
        "",
        experiment.hypothesis,
        "",
        f"Flag `{experiment.flag}`, rule `{experiment.rule}`, autonomy **{rollout.autonomy.value}**.",
        "",
        "| Stage | Something new for | For | Left when | Approval | Notes |",
        "|---|---:|---|---|---|---|",
    ]
    for number, stage in enumerate(rollout.stages):
        policy = rollout.policy_of(number)
        longest = format_duration(stage.dwell or policy.max_duration)
        asked = "yes" if stage.approval else ""
        share = f"{rollout.share_of_new(stage).normalize():f} %"
        lines.append(
            f"| {stage.name or number + 1} | {share} | {longest} | {stage.gate.value} | {asked} | {stage.notes or ''} |"
        )
    lines += [
        "",
        f"Without a winner: {rollout.endings.inconclusive.value}. Harm: stop on the baseline at once. Invalid: hold.",
    ]
    if rollout.change_window:
        window = rollout.change_window
        days = ", ".join(day.value for day in window.weekdays)
        lines.append(f"Starts and ships only {', '.join(window.hours)} on {days}, {window.timezone}.")
    concerns = rollout.concerns()
    if concerns:
        lines += ["", "Mind:", *(f"- {concern}" for concern in concerns)]
    if rollout.notes:
        lines += ["", rollout.notes]
    # Airflow would take a text that ends in ".md" for the name of a file.
    return "\n".join(lines) + "\n"
