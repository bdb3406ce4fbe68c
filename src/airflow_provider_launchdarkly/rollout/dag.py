"""A rollout as a whole DAG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, assert_never

from airflow.sdk import DAG

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.rollout.content import read_rollout, rollouts_of
from airflow_provider_launchdarkly.rollout.release_requests import release_in_words
from airflow_provider_launchdarkly.rollout.shown import window_in_words
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
from airflow_provider_launchdarkly.rollout.timed_out import LaunchDarklyTimedOutNotifier
from airflow_provider_launchdarkly.rollout.words import retirement_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow_provider_launchdarkly.rollout.content import Content
    from airflow_provider_launchdarkly.rollout.promotion import Promotion
    from airflow_provider_launchdarkly.rollout.waves import Waves


def rollout_dag(
    rollout: Content | Mapping[str, Any],
    *,
    dag_id: str | None = None,
    notifiers: Sequence[Any] = (),
    poll_interval: float | None = None,
    retries: int | None = None,
    retry_delay: timedelta | float | None = None,
    overrides: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> DAG:
    """Make the DAG of one rollout, of a promotion (with ``environments``), of waves (with ``targets``), or of releases.

    By default it has no schedule, and one run at a time: a second run would find the experiment already started.

    Args:
        rollout: The rollout, or the same as plain JSON.
        dag_id: Default: the experiment's key; for a ``release``, the flag's.
        notifiers: As for :func:`experiment_rollout`.
        poll_interval: As for :func:`experiment_rollout`.
        retries: As for :func:`experiment_rollout`.
        retry_delay: As for :func:`experiment_rollout`.
        overrides: As for :func:`experiment_rollout`: keys known only when a task runs, such as
            ``{"experiment_key": "{{ params.key }}"}``. A release takes none.
        arguments: Anything that ``DAG`` takes. Callbacks in ``on_failure_callback`` are called besides the rollout's
            own, which tells of ``unwatched`` if the run ends by ``dagrun_timeout``.

    Raises:
        InvalidSettingError: The rollout is not valid; the error names each field and its value.
        ConfigurationError: `retries` or `retry_delay` is of a wrong kind or out of range.
    """
    spec = read_rollout(rollout) if isinstance(rollout, Mapping) else rollout
    name, description = _name_and_description(spec)
    defaults = {
        "schedule": None,
        "catchup": False,
        "max_active_runs": 1,
        "tags": ["launchdarkly"],
        "doc_md": content_in_words(spec),
        "description": description,
    }
    given: dict[str, Any] = {
        "notifiers": notifiers,
        "poll_interval": poll_interval,
        "retries": retries,
        "retry_delay": retry_delay,
        **(overrides or {}),
    }
    called = arguments.pop("on_failure_callback", None) or []
    callbacks = [*(called if isinstance(called, list | tuple) else [called]), LaunchDarklyTimedOutNotifier()]
    with DAG(dag_id or name, **{**defaults, **arguments}, on_failure_callback=callbacks) as dag:
        _compose(spec, given)
    return dag


def _name_and_description(content: Content) -> tuple[str, str]:
    if rollouts := rollouts_of(content):
        return rollouts[0].experiment.key, rollouts[0].experiment.hypothesis
    from airflow_provider_launchdarkly.rollout.release_promotion import ReleasePromotion

    assert isinstance(content, ReleasePromotion), "all others have a rollout"  # noqa: S101
    release = content.releases[0].release
    return release.flag, f"Release of {release.in_words}"


def _compose(content: Content, given: dict[str, Any]) -> None:
    if isinstance(content, Rollout):
        experiment_rollout(content, **given)
        return
    # Imported here: most are rollouts.
    from airflow_provider_launchdarkly.rollout.promotion import Promotion
    from airflow_provider_launchdarkly.rollout.promotion_group import experiment_promotion
    from airflow_provider_launchdarkly.rollout.release_group import release_promotion
    from airflow_provider_launchdarkly.rollout.release_promotion import ReleasePromotion
    from airflow_provider_launchdarkly.rollout.wave_group import experiment_waves
    from airflow_provider_launchdarkly.rollout.waves import Waves

    match content:
        case Promotion():
            experiment_promotion(content, **given)
        case Waves():
            experiment_waves(content, **given)
        case ReleasePromotion():
            release_promotion(content, **given)
        case unknown:
            assert_never(unknown)


def content_in_words(content: Content) -> str:
    """Return the schedule as Markdown, of each environment or for the first target."""
    if isinstance(content, Rollout):
        return schedule_in_words(content)
    from airflow_provider_launchdarkly.rollout.promotion import Promotion
    from airflow_provider_launchdarkly.rollout.release_group import releases_in_words
    from airflow_provider_launchdarkly.rollout.release_promotion import ReleasePromotion
    from airflow_provider_launchdarkly.rollout.waves import Waves

    match content:
        case Promotion():
            return promotion_in_words(content)
        case Waves():
            return waves_in_words(content)
        case ReleasePromotion():
            return releases_in_words(content)
        case unknown:
            assert_never(unknown)


def waves_in_words(waves: Waves) -> str:
    """Return the waves as Markdown, and the schedule of the first target."""
    settings = waves.settings
    lines = [
        f"{len(waves.targets)} targets in {len(waves.waves)} waves, at most {settings.max_under_way} under way.",
        f"Once more than {waves.tolerated} have failed, nothing further starts.",
        "",
        "| Wave | Targets | Pause before | Approval | Notes |",
        "|---:|---|---|---|---|",
    ]
    for number, (keys, wave) in enumerate(zip(waves.waves, settings.order, strict=True), start=1):
        pause = format_duration(wave.pause) if wave.pause else ""
        asked = "yes" if wave.approval else ""
        lines.append(f"| {number} | {', '.join(keys)} | {pause} | {asked} | {wave.notes or ''} |")
    return "\n".join(lines) + "\n\n" + schedule_in_words(waves.rollouts[0], place=waves.targets[0])


def promotion_in_words(promotion: Promotion) -> str:
    """Return the schedules of a promotion's environments as Markdown, in their order."""
    order = ", then ".join(f"**{key}**" for key in promotion.environments)
    head = f"In order: {order}. Each begins once the winner is shipped in the one before.\n\n"
    return head + "\n".join(schedule_in_words(rollout, place=rollout.environment) for rollout in promotion.rollouts)


def schedule_in_words(rollout: Rollout, *, place: str | None = None) -> str:
    """Return the rollout's schedule as Markdown, for the people who approve it and the DAG's page in Airflow.

    Args:
        rollout: The rollout.
        place: The environment or target, for the heading; None leaves it out.
    """
    experiment = rollout.experiment
    lines = [
        f"### {experiment.name or experiment.key}{f' in {place}' if place else ''}",
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
            f"| {rollout.title_of(number)} | {share} | {longest} | {stage.gate.value} | {asked} | {stage.notes or ''} |"
        )
    answer_within = format_duration(rollout.approval.timeout)
    unanswered = rollout.when_refused(by_person=False).value
    lines += [
        "",
        f"Without a winner: {rollout.endings.inconclusive.value}. Harm: stop on the baseline at once. Invalid: hold.",
        f"Refused: {rollout.when_refused(by_person=True).value}. No answer within {answer_within}: {unanswered}.",
    ]
    if rollout.release:
        lines.append(f"Ships {release_in_words(rollout)}.")
    if rollout.retire:
        lines.append(f"Afterwards: {retirement_in_words(rollout)}.")
    if rollout.change_window:
        lines.append(f"Starts and ships only {window_in_words(rollout.change_window)}.")
    concerns = rollout.concerns()
    if concerns:
        lines += ["", "Mind:", *(f"- {concern}" for concern in concerns)]
    if rollout.notes:
        lines += ["", rollout.notes]
    # Airflow would take a text that ends in ".md" for the name of a file.
    return "\n".join(lines) + "\n"
