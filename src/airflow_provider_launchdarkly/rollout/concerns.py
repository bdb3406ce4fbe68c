"""The settings of a rollout that are allowed but suspicious, for the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.decision.schedule import find_plan_concerns
from airflow_provider_launchdarkly.rollout.options import Gate

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.rollout.spec import Rollout


def find_concerns(rollout: Rollout) -> tuple[str, ...]:
    """Return a sentence for each, with those that take time to compute, which a DAG's documentation leaves out."""
    found = dict.fromkeys(rollout.concerns())
    for number, stage in enumerate(rollout.stages):
        if stage.gate is Gate.DECISION:
            policy = rollout.policy_of(number)
            concerns = find_plan_concerns(policy, len(rollout.experiment.treatments))
            found |= dict.fromkeys(f"policy: {concern}" for concern in concerns)
    return tuple(found)
