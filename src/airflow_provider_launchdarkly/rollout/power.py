"""The stages of a rollout as the planner of `decision.power` takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.decision.power import Stage
from airflow_provider_launchdarkly.rollout.concerns import allocation_of
from airflow_provider_launchdarkly.rollout.options import Gate

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.rollout.spec import Rollout


def power_stages(rollout: Rollout) -> tuple[Stage, ...]:
    """Return the stages of a rollout, each with its own policy and allocation. An extension is left out.

    Raises:
        ValueError: A stage compares nothing with the baseline.
    """
    return tuple(
        Stage(
            name=stage.name or str(number + 1),
            policy=rollout.policy_of(number),
            allocation=allocation_of(rollout, stage),
            ships=stage.gate is Gate.DECISION,
            judged=stage.gate is not Gate.NONE,
        )
        for number, stage in enumerate(rollout.stages)
    )
