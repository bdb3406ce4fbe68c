"""Compute what a flag serves, and the rollout that an experiment puts on one of its rules. Pure functions of values."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.state.flag_models import (
    FALLTHROUGH,
    WHOLE_ROLLOUT,
    ExperimentAllocation,
    Rollout,
    WeightedVariation,
)

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag, FlagConfig, Serving
    from airflow_provider_launchdarkly.emulator.state.models import Iteration


def with_config(flag: Flag, environment_key: str, config: FlagConfig, now: int) -> Flag:
    """Return the flag with a new configuration in one environment, and both versions raised by one."""
    newer = replace(config, version=flag.configs[environment_key].version + 1, last_modified=now)
    return replace(flag, version=flag.version + 1, configs={**flag.configs, environment_key: newer})


def with_serving(config: FlagConfig, rule_id: str, serving: Serving) -> FlagConfig:
    """Return the configuration with another serving of one rule or of the fallthrough."""
    if rule_id == FALLTHROUGH:
        return replace(config, fallthrough=serving)
    rules = tuple(replace(rule, serving=serving) if rule.id == rule_id else rule for rule in config.rules)
    return replace(config, rules=rules)


def experiment_rollout(flag: Flag, iteration: Iteration, experiment_key: str) -> Rollout:
    """Return the rollout that a running iteration puts on its rule: the variation of each treatment with its share."""
    weights = dict.fromkeys(range(len(flag.variations)), 0)
    heaviest = 0
    for treatment, percent in zip(iteration.treatments, iteration.percentages, strict=True):
        index = index_of(flag, treatment.parameters[0].variation_id)
        exact = Decimal(percent) * (WHOLE_ROLLOUT // 100)
        weights[index] += int(exact.to_integral_value(ROUND_DOWN))
        heaviest = max(heaviest, index, key=lambda i: weights[i])
    weights[heaviest] += WHOLE_ROLLOUT - sum(weights.values())
    return Rollout(
        variations=tuple(WeightedVariation(index, weight) for index, weight in weights.items()),
        context_kind=iteration.randomization_unit,
        seed=iteration.number,
        experiment=ExperimentAllocation(
            experiment_key=experiment_key,
            default_variation=index_of(flag, iteration.flag.not_in_experiment_variation_id),
            can_reshuffle=iteration.can_reshuffle,
        ),
    )


def winning_index(flag: Flag, iteration: Iteration, treatment_id: str) -> int:
    """Return the index of the variation that a treatment of the iteration serves.

    Raises:
        KeyError: The iteration has no such treatment.
    """
    treatment = iteration.treatment(treatment_id)
    if treatment is None:
        raise KeyError(treatment_id)
    return index_of(flag, treatment.parameters[0].variation_id)


def describe(flag: Flag, serving: Serving) -> str:
    """Return in words what a rule serves."""
    if isinstance(serving, int):
        return f"{flag.variations[serving].label} to everyone"
    shares = (f"{v.weight / 1000:g} % {flag.variations[v.variation].label}" for v in serving.variations if v.weight)
    owner = f" (experiment {serving.experiment.experiment_key})" if serving.experiment else ""
    owner += f" (release {serving.release.release_id})" if serving.release else ""
    return ", ".join(shares) + owner


def index_of(flag: Flag, variation_id: str) -> int:
    """Return the index of an existing variation.

    Raises:
        KeyError: The flag has no such variation.
    """
    index = flag.index_of(variation_id)
    if index is None:
        raise KeyError(variation_id)
    return index
