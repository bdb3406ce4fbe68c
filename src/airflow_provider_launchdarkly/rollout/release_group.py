"""Releases as task groups: the release in each environment, and a gate before each but the first.

The tasks of each environment, in a group that goes by its key (``release`` without `environments`):

* ``approve``, ``window``: only where needed
* ``start``, ``watch``, and ``decide``, which waits while a person has to decide
* then exactly one of ``completed``, ``reverted`` and ``refused``

and ``promote_to_ENVIRONMENT`` before each environment but the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import TaskGroup
from airflow.sdk.bases.operator import chain

from airflow_provider_launchdarkly.retries import patient_retries
from airflow_provider_launchdarkly.rollout.entries import RELEASE, group_id_of
from airflow_provider_launchdarkly.rollout.options import ApprovalOption
from airflow_provider_launchdarkly.rollout.promotion_group import join_environments
from airflow_provider_launchdarkly.rollout.release_promotion import ReleasePromotion
from airflow_provider_launchdarkly.rollout.release_spec import arguments_of
from airflow_provider_launchdarkly.rollout.release_steps import (
    LaunchDarklyDecideReleaseSensor,
    LaunchDarklyReleaseEndingOperator,
    LaunchDarklyStartPlannedReleaseOperator,
    ReleaseEnding,
)
from airflow_provider_launchdarkly.rollout.shown import window_in_words
from airflow_provider_launchdarkly.rollout.waiting_tasks import NONE_FAILED, answer_within, entry_of
from airflow_provider_launchdarkly.sensors._base import BACKSTOP
from airflow_provider_launchdarkly.sensors.change_window import LaunchDarklyChangeWindowSensor
from airflow_provider_launchdarkly.sensors.releases import LaunchDarklyReleaseSensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from airflow.sdk import BaseOperator

    from airflow_provider_launchdarkly.rollout.release_spec import ReleaseRollout


class ReleaseTaskGroup(TaskGroup):
    """The task group of a release in one environment. Exactly one of its endings succeeds; the others are skipped."""

    def _child(self, name: str) -> BaseOperator:
        return cast("BaseOperator", self.children[f"{self.group_id}.{name}"])

    @property
    def completed(self) -> BaseOperator:
        """The task that succeeds once the release has completed and the flag serves its target."""
        return self._child(ReleaseEnding.COMPLETED)

    @property
    def reverted(self) -> BaseOperator:
        """The task that succeeds if the release went back to its original."""
        return self._child(ReleaseEnding.REVERTED)

    @property
    def refused(self) -> BaseOperator:
        """The task that succeeds if a person refused the start, or nobody answered in time."""
        return self._child(ReleaseEnding.REFUSED)


def release_promotion(
    rollout: ReleasePromotion | Mapping[str, Any],
    *,
    notifiers: Sequence[Any] = (),
    poll_interval: float | None = None,
    retries: int | None = None,
    retry_delay: timedelta | float | None = None,
) -> dict[str, ReleaseTaskGroup]:
    """Compose the same release in several environments, one after the other, inside a DAG or another task group.

    Each environment has a task group of its own. It begins once the release in the one before has completed. If one is
    reverted, refused or fails, those after it do not begin, and nothing in them is read or written. Every task is safe
    to repeat: a run starts at most one release in each environment.

    Args:
        rollout: The releases, or the same as plain JSON: a rollout with ``release``, and with ``environments`` if there
            are several.
        notifiers: Airflow notifiers to run when a person is asked, at each reminder, and while `decide` waits once for
            each place where the release waits for a person.
        poll_interval: Seconds between two polls while waiting. Default: ``[launchdarkly] poll_interval``.
        retries: Retries of each task. Default: as for :func:`experiment_rollout`.
        retry_delay: As for :func:`experiment_rollout`.

    Returns:
        The task group of each environment, by the environment's key, in their order; without ``environments`` the only
        one, as ``release``.

    Raises:
        InvalidSettingError: The rollout is not valid; the error names each field and its value.
        ConfigurationError: `retries` or `retry_delay` is of a wrong kind or out of range.
        ValueError: The task group around it is mapped, in which Airflow cannot skip what follows.
    """
    spec = rollout if isinstance(rollout, ReleasePromotion) else ReleasePromotion.from_json(rollout)
    given: dict[str, Any] = {"retries": retries, "retry_delay": retry_delay}
    waiting = {} if poll_interval is None else {"poke_interval": poll_interval}
    groups: dict[str, ReleaseTaskGroup] = {}
    for key, each in spec.by_key():
        name = key or RELEASE
        group = ReleaseTaskGroup(group_id_of(name), tooltip=each.notes or "")
        around = {**group.dag.default_args, **group.default_args}
        group.default_args = patient_retries(around, **given)
        with group:
            _compose(each, list(notifiers), waiting)
        groups[name] = group
    join_environments(groups, _ends, "the release has completed", given)
    return groups


def _ends(group: ReleaseTaskGroup) -> dict[str, Any]:
    return {
        "ship": group.completed.task_id,
        "verdict": group.refused.task_id,
        "regressed": group.reverted.task_id,
    }


def _compose(rollout: ReleaseRollout, notifiers: list[Any], waiting: Mapping[str, Any]) -> None:
    """Make the tasks of one environment, within its open group."""
    place = {"project_key": rollout.project, "environment_key": rollout.environment}
    where: dict[str, Any] = {**place, "launchdarkly_conn_id": rollout.connection}
    plain = rollout.to_json()
    before: list[BaseOperator] = []
    if rollout.approval.before_start:
        before.append(_question(rollout, notifiers))
    if rollout.change_window is not None:
        window = LaunchDarklyChangeWindowSensor(
            task_id="window",
            window=rollout.change_window,
            doc_md=f"Waits until the change window is open: {window_in_words(rollout.change_window)}.",
            **where,
            **waiting,
        )
        before.append(window)
    approval = rollout.launchdarkly_approval
    reviewed = {} if approval is None else {"reviewers": list(approval.reviewers), "approval_timeout": approval.timeout}
    arguments = arguments_of(rollout.release)
    start = LaunchDarklyStartPlannedReleaseOperator(
        task_id="start",
        rollout=plain,
        flag_key=rollout.release.flag,
        doc_md=f"Starts the release: {rollout.release.in_words}.",
        **{**arguments, "phases": [{"steps": arguments["phases"][0]["steps"]}]},
        **reviewed,
        **where,
    )
    awaited = {"flag_key": rollout.release.flag, "release_id": entry_of(start, "release_id"), **where, **waiting}
    watch = LaunchDarklyReleaseSensor(
        task_id="watch",
        timeout=BACKSTOP,
        doc_md="Waits until the release has completed, has gone back, or waits for a person.",
        **awaited,
    )
    decide = LaunchDarklyDecideReleaseSensor(
        task_id="decide",
        watched=watch.task_id,
        ends_on=(ReleaseEnding.COMPLETED.value, ReleaseEnding.REVERTED.value),
        timeout=rollout.longest.total_seconds(),
        notifiers=notifiers,
        doc_md="Only if the release waits for a person: waits until it has ended. Fails if that takes too long.",
        **awaited,
    )
    chain(*before, start, watch, decide)
    for ending in ReleaseEnding:
        end = LaunchDarklyReleaseEndingOperator(
            task_id=ending.value,
            ending=ending,
            rollout=plain,
            asked=before[0].task_id if rollout.approval.before_start else None,
            waits=(watch.task_id, decide.task_id),
            trigger_rule=NONE_FAILED,
            doc_md=f"Succeeds if the release ended `{ending}`; else it is skipped.",
        )
        chain(decide, end)


def _question(rollout: ReleaseRollout, notifiers: list[Any]) -> BaseOperator:
    from airflow.providers.standard.operators.hitl import HITLOperator

    from airflow_provider_launchdarkly.rollout.release_question import LaunchDarklyApproveReleaseOperator

    release, approval = rollout.release, rollout.approval
    place = f" in {rollout.environment}" if rollout.environment else ""
    users = [{"id": user, "name": user} for user in approval.users]
    return LaunchDarklyApproveReleaseOperator(
        task_id="approve",
        subject=f"Start the release of {release.flag}{place}?",
        body="\n\n".join(filter(None, [f"**The release**: {release.in_words}.", rollout.notes])),
        options=[str(option) for option in ApprovalOption],
        defaults=[str(ApprovalOption.REJECT)],
        assigned_users=cast("Any", users or None),
        notifiers=notifiers,
        remind_after=approval.remind_after,
        reminders=notifiers,
        doc_md="Asks a person whether the release may start.",
        **answer_within(HITLOperator, approval.timeout),
    )


def releases_in_words(spec: ReleasePromotion) -> str:
    """Return the releases as Markdown, for the DAG's page in Airflow."""
    lines = [f"### Release of {spec.releases[0].release.flag}", ""]
    if spec.several:
        order = ", then ".join(f"**{key}**" for key in spec.environments)
        lines += [f"In order: {order}. Each begins once the release in the one before has completed.", ""]
    lines += ["| Environment | Release | Approval | Starts |", "|---|---|---|---|"]
    for key, each in spec.by_key():
        asked = "yes" if each.approval.before_start else ""
        window = window_in_words(each.change_window) if each.change_window else "at any time"
        lines.append(f"| {key or 'of the connection'} | {each.release.in_words} | {asked} | {window} |")
    notes = dict.fromkeys(each.notes for each in spec.releases if each.notes)
    return "\n".join([*lines, *(f"\n{note}" for note in notes)]) + "\n"
