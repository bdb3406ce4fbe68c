"""The status of a flag in an environment: whether people request it, and whether they all get the same.

LaunchDarkly REST docs, Get feature flag status: `new`, `inactive`, `active`, `launched`. The emulator's people request
their flag all the time, in every environment, until the truth's `no_traffic_from_day` after the last start on the flag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_launchdarkly.emulator.rules.simulated_iteration import ground_truth
from airflow_provider_launchdarkly.emulator.state.flag_models import Rollout

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag, FlagConfig
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

_DAY: Final = 24 * 3_600 * 1_000
_WEEK: Final = 7 * _DAY


def last_requested(transaction: Transaction, flag: Flag) -> int | None:
    """Return the time at which people last requested a flag, epoch milliseconds; None for a flag without people."""
    truth = ground_truth(transaction, flag.key)
    if truth.people_per_day <= 0:
        return None
    starts = [
        iteration.started_at
        for experiment in transaction.project.experiments.values()
        for iteration in experiment.iterations
        if iteration.flag.flag_key == flag.key and iteration.started_at is not None
    ]
    if truth.no_traffic_from_day is None or not starts:
        return transaction.now
    return min(transaction.now, max(starts) + round(truth.no_traffic_from_day * _DAY))


def status(transaction: Transaction, flag: Flag, environment_key: str) -> str:
    """Return the status of a flag in an environment."""
    requested = last_requested(transaction, flag)
    if requested is None:
        return "new" if transaction.now - flag.created_at < _WEEK else "inactive"
    if transaction.now - requested > _WEEK:
        return "inactive"
    config = flag.configs[environment_key]
    settled = transaction.now - config.last_modified >= _WEEK
    return "launched" if settled and _serves_one(config) else "active"


def _serves_one(config: FlagConfig) -> bool:
    if not config.on:
        return True
    served = {target.variation for target in config.targets if target.values}
    for serving in (config.fallthrough, *(rule.serving for rule in config.rules)):
        if isinstance(serving, Rollout):
            served |= {share.variation for share in serving.variations if share.weight}
        else:
            served.add(serving)
    return len(served) == 1
