"""A promotion as task groups: a rollout in each environment, and a gate before each but the first.

The tasks:

* ``ENVIRONMENT.…``: the tasks of :mod:`.task_group`, in a group that goes by the environment's key
* ``promote_to_ENVIRONMENT``: goes on if the winner is shipped in the environment before; else skips all that follows
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar, cast

from airflow.providers.common.compat.sdk import BaseOperator, DownstreamTasksSkipped
from airflow.sdk import TaskGroup
from airflow.sdk.bases.operator import chain
from typing_extensions import override

from airflow_provider_launchdarkly.retries import patient_retries
from airflow_provider_launchdarkly.rollout.entries import gate_id_of, group_id_of
from airflow_provider_launchdarkly.rollout.options import Autonomy, Ending
from airflow_provider_launchdarkly.rollout.promotion import Promotion
from airflow_provider_launchdarkly.rollout.task_group import RolloutTaskGroup, experiment_rollout
from airflow_provider_launchdarkly.rollout.waiting_tasks import NONE_FAILED
from airflow_provider_launchdarkly.rollout.withheld import WITHHELD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.rollout.endings import LaunchDarklyUnwatchedOperator

Group = TypeVar("Group", bound=TaskGroup)


def experiment_promotion(
    rollout: Promotion | Mapping[str, Any],
    *,
    notifiers: Sequence[Any] = (),
    poll_interval: float | None = None,
    retries: int | None = None,
    retry_delay: timedelta | float | None = None,
    **overrides: Any,
) -> dict[str, RolloutTaskGroup]:
    """Compose the same experiment in several environments, one after the other, inside a DAG or another task group.

    Each environment is a rollout with a task group of its own, as :func:`experiment_rollout` makes it. It begins once
    the winner of the one before is shipped. If one does not ship, those after it are skipped, and nothing in them is
    read or written. Where each environment observes, none waits for another. Every task is safe to repeat.

    Args:
        rollout: The promotion, or the same as plain JSON: a rollout with ``environments``.
        notifiers: As for :func:`experiment_rollout`, in each environment.
        poll_interval: As for :func:`experiment_rollout`.
        retries: As for :func:`experiment_rollout`, and for the tasks between two environments.
        retry_delay: As for `retries`.
        overrides: Keys known only when a task runs, the same in each environment: ``experiment_key``,
            ``experiment_name``, ``flag_key``, ``project_key``, and ``timezone`` of the change windows.

    Returns:
        The task group of each environment, by the environment's key, in their order.

    Raises:
        InvalidSettingError: The rollout is not valid; the error names each field and its value.
        ConfigurationError: `retries` or `retry_delay` is of a wrong kind or out of range.
        TypeError: There is no such override.
        ValueError: The task group around it is mapped, in which Airflow cannot skip what follows.
    """
    spec = rollout if isinstance(rollout, Promotion) else Promotion.from_json(rollout)
    for name in ("environment_key", "rule_id"):
        if name in overrides:
            raise TypeError(f"experiment_promotion takes no {name!r}: write it in `environments`")
    groups: dict[str, RolloutTaskGroup] = {}
    for each in spec.rollouts:
        key = str(each.environment)
        groups[key] = experiment_rollout(
            each,
            group_id=group_id_of(key),
            notifiers=notifiers,
            poll_interval=poll_interval,
            retries=retries,
            retry_delay=retry_delay,
            **overrides,
        )
    if spec.rollouts[0].autonomy is not Autonomy.OBSERVE:
        join_environments(groups, _ends, "the winner is shipped", {"retries": retries, "retry_delay": retry_delay})
    return groups


def _ends(group: RolloutTaskGroup) -> dict[str, Any]:
    by_release = group.regressed is not None
    return {
        "ship": group.ship.task_id,
        "verdict": f"{group.group_id}.verdict",
        "release": f"{group.group_id}.release.start" if by_release else None,
        "regressed": f"{group.group_id}.{Ending.REGRESSED}" if by_release else None,
    }


def join_environments(
    groups: Mapping[str, Group], ends: Callable[[Group], Mapping[str, Any]], done: str, given: Mapping[str, Any]
) -> None:
    """Put a gate before each environment but the first.

    Args:
        groups: The task group of each environment, by its key, in their order.
        ends: Returns those arguments of the gate that name a group's tasks.
        done: When a gate goes on, in words.
        given: ``retries`` and ``retry_delay`` of the gates; None for those of the DAG or task group around.

    Raises:
        ValueError: The task group around is mapped, in which Airflow cannot skip what follows.
    """
    gates = {}
    for (before, group), (following, after) in pairwise(groups.items()):
        around = {**group.dag.default_args, **(group.parent_group.default_args if group.parent_group else {})}
        gate = LaunchDarklyPromotionGateOperator(
            task_id=gate_id_of(following),
            task_display_name=f"promote to {following}",
            environment=before,
            following=following,
            **ends(group),
            trigger_rule=NONE_FAILED,
            doc_md=f"Goes on to {following} if {done} in {before}. Else all that follows is skipped.",
            **patient_retries(around, **given),
        )
        if any(gate.iter_mapped_task_groups()):
            raise ValueError("a promotion cannot be in a mapped task group: make one for each of its elements")
        # By the groups, so that Airflow 3.1 sorts them: the endings of one, the first tasks of the next.
        chain(group, gate, after)
        # Those that run even if the tasks before them are skipped follow on the gate themselves: when they are cleared,
        # Airflow skips only what follows directly on what skipped it.
        chain(gate, [task for task in _tasks(after) if task.trigger_rule == NONE_FAILED])
        # A rollout that only observes has none.
        unwatched = after.children.get(f"{after.group_id}.unwatched")
        if unwatched is not None:
            cast("LaunchDarklyUnwatchedOperator", unwatched).after = gate.task_id
        gates[following] = gate
    later: list[str] = []
    for key in reversed(gates):
        later = [*(task.task_id for task in _tasks(groups[key])), *later]
        gates[key].later = later
        later = [gates[key].task_id, *later]


def _tasks(group: TaskGroup) -> list[BaseOperator]:
    return [cast("BaseOperator", task) for task in group.iter_tasks()]


class LaunchDarklyPromotionGateOperator(BaseOperator):
    """Go on to the next environment if the one before has shipped; else skip all that follows. Internal.

    Safe to repeat: it reads only what the tasks before it returned, and writes nothing in LaunchDarkly. What it skips
    stays skipped when it is cleared, until the gate is cleared too and finds the winner shipped.

    Args:
        environment: Key of the environment before.
        following: Key of the next environment.
        ship: Id of the task that succeeds once the environment before has shipped.
        verdict: Id of the task that says how the rollout there ended, unless another one does.
        release: Id of the task that starts the winner's release there; None without a release.
        regressed: Id of the ending that a release there leads to if it goes back; None without a release.

    Returns:
        ``{"environment", "ending", "why", "shipped", "next"}``.
    """

    ui_color = "#f2f2f7"
    ui_fgcolor = "#1a1f36"
    # Airflow keeps what it skipped from running when only that is cleared.
    inherits_from_skipmixin = True

    def __init__(
        self,
        *,
        environment: str,
        following: str,
        ship: str,
        verdict: str,
        release: str | None = None,
        regressed: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.following = following
        self.ship = ship
        self.verdict = verdict
        self.release = release
        self.regressed = regressed
        # Ids of the tasks that are skipped. `experiment_promotion` sets them.
        self.later: list[str] = []

    @override
    def execute(self, context: Context) -> dict[str, Any]:
        """Return that the winner is shipped, or skip."""
        ti: Any = context["ti"]
        back = ti.xcom_pull(task_ids=self.regressed) if self.regressed else None
        withheld = ti.xcom_pull(task_ids=self.release or self.ship, key=WITHHELD)
        outcome: Mapping[str, Any] = back or withheld or ti.xcom_pull(task_ids=self.verdict) or {}
        shipped = ti.xcom_pull(task_ids=self.ship) is not None
        found = {
            "environment": self.environment,
            "ending": outcome.get("ending"),
            "why": outcome.get("why"),
            "shipped": shipped,
            "next": self.following,
        }
        if shipped:
            self.log.info("%s has shipped; %s begins.", self.environment, self.following)
            return found
        self.log.warning(
            "%s ended %s, so %s does not begin: %s", self.environment, found["ending"], self.following, found["why"]
        )
        ti.xcom_push(key="return_value", value=found)
        ti.xcom_push(key="skipmixin_key", value={"skipped": self.later})
        raise DownstreamTasksSkipped(tasks=self.later)
