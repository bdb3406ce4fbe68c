"""The comparison of a rollout's metrics with LaunchDarkly's: keys that do not exist, directions that contradict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.models import Metric
from airflow_provider_launchdarkly.api.reads.metrics import find_metric
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.suitability import UndecidableExperimentError, require_mean
from airflow_provider_launchdarkly.rollout.requests import deciding_metric, judged_metrics
from airflow_provider_launchdarkly.rollout.results import are_computed, own_metrics

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.rollout.spec import Rollout


def check_metrics(rollout: Rollout, project_key: str) -> Procedure[tuple[str, ...]]:
    """Read every metric of a rollout.

    Args:
        rollout: The rollout.
        project_key: Its project.

    Returns:
        A sentence for each direction of the policy that contradicts the metric's own success criteria.

    Raises:
        ConfigurationError: Metrics do not exist or are archived, or a judged one is analysed by a percentile; each is
            named with its field.
        LaunchDarklyError: As the calls raise.
    """
    directions = _directions(rollout)
    # LaunchDarkly's own numbers of a percentile cannot be judged; computed ones can.
    judged = set() if are_computed(rollout.results) else {deciding_metric(rollout), *judged_metrics(rollout.policy)}
    refused, warnings = [], []
    for key, (field, is_group) in _fields(rollout).items():
        try:
            found = yield from find_metric(project_key, key, is_group=is_group)
            if key in judged and isinstance(found, Metric):
                require_mean(key, found.analysis_type, found.percentile_value)
        except (ConfigurationError, UndecidableExperimentError) as error:
            refused.append(f"{field}: {error}")
            continue
        own = Direction.of_success_criteria(getattr(found, "success_criteria", None))
        for place, direction in directions.get(key, ()):
            if own is not None and own is not direction:
                warnings.append(
                    f"{place} is {direction.value}, but metric {key!r} improves when it is {own.value} "
                    f"(LaunchDarkly's success criteria): harm would count as improvement; leave the direction out"
                )
    if refused:
        raise ConfigurationError("; ".join(refused))
    return tuple(warnings)


def _fields(rollout: Rollout) -> dict[str, tuple[str, bool]]:
    """Return each metric's field and whether it is a group, by key."""
    experiment = rollout.experiment
    found: dict[str, tuple[str, bool]] = {}
    if experiment.primary_metric:
        found[experiment.primary_metric] = ("experiment.primary_metric", False)
    if experiment.primary_funnel:
        found[experiment.primary_funnel] = ("experiment.primary_funnel", True)
    for number, metric in enumerate(experiment.metrics):
        found.setdefault(metric.key, (f"experiment.metrics[{number}]", metric.is_group))
    own = own_metrics(rollout.results)
    for key, field in judged_metrics(rollout.policy).items():
        if key not in own:
            found.setdefault(key, (f"policy.{field}", False))
    for key, settings in own.items():
        for part in ("numerator", "denominator"):
            name = getattr(settings, part)
            if name is not None and name not in own:
                found.setdefault(name, (f"results.metrics.{key}.{part}", False))
    return found


def _directions(rollout: Rollout) -> dict[str, list[tuple[str, Direction]]]:
    """Return the directions that the policy sets, with their fields, by metric."""
    policy, primary = rollout.policy, deciding_metric(rollout)
    entries = [
        ("primary", primary, policy.primary.direction),
        *(
            (f"other_primaries[{number}]", each.metric or "", each.direction)
            for number, each in enumerate(policy.other_primaries)
        ),
        *((f"guardrails[{number}]", each.metric, each.direction) for number, each in enumerate(policy.guardrails)),
        *((f"signals[{number}]", each.metric, each.direction) for number, each in enumerate(policy.signals)),
    ]
    found: dict[str, list[tuple[str, Direction]]] = {}
    for place, key, direction in entries:
        if direction is not None:
            found.setdefault(key, []).append((f"policy.{place}.direction", direction))
    return found
