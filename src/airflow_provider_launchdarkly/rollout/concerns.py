"""The settings of a rollout that are allowed but suspicious, for the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.decision.allocation import Allocation
from airflow_provider_launchdarkly.decision.plan_concerns import find_plan_concerns
from airflow_provider_launchdarkly.rollout.options import Gate

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.rollout.spec import Rollout, Stage


def find_concerns(rollout: Rollout) -> tuple[str, ...]:
    """Return a sentence for each, with those that take time to compute, which a DAG's documentation leaves out."""
    found = list(rollout.concerns())
    for number, stage in enumerate(rollout.stages):
        if stage.gate is Gate.DECISION:
            concerns = find_plan_concerns(rollout.policy_of(number), allocation_of(rollout, stage))
            found += (f"stages[{number}]: policy: {concern}" for concern in concerns)
    return tuple(found)


def allocation_of(rollout: Rollout, stage: Stage) -> Allocation:
    """Return the shares of the treatments in a stage.

    Raises:
        ValueError: The stage compares nothing with the baseline.
    """
    shares = [float(share) for share in rollout.shares(stage)]
    treatments = list(zip(rollout.experiment.treatments, shares, strict=True))
    return Allocation.of_shares([share for _, share in sorted(treatments, key=lambda each: not each[0].baseline)])
