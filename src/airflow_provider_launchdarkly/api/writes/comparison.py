"""Compare an experiment as asked for with the one that LaunchDarkly shows, field by field.

Only what was asked for is compared; what the caller left to LaunchDarkly's default may be anything.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import cache
from typing import TYPE_CHECKING, Final

from pydantic.alias_generators import to_camel

from airflow_provider_launchdarkly.api.errors import Difference
from airflow_provider_launchdarkly.api.models import (
    AnalysisConfig,
    AnalysisConfigInput,
    Experiment,
    ExperimentPost,
    Iteration,
    IterationInput,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_provider_launchdarkly.api.models import Treatment, TreatmentInput
    from airflow_provider_launchdarkly.api.models.base import Read, Write

_DEFAULTS: Final = {"can_reshuffle_traffic": True, "data_source": "launchdarkly", "type": "experiment"}
"""LaunchDarkly's values for fields that are not given; it may leave them out of a response."""


def experiment_differences(asked: ExperimentPost, found: Experiment) -> tuple[Difference, ...]:
    """Compare an experiment's own fields, without its iterations.

    Args:
        asked: What was asked for.
        found: The experiment, read with ``expand=analysisConfig`` if that was asked for.

    Returns:
        The differences. A field that was asked for and is not shown counts: LaunchDarkly ignores what it does not know.
    """
    pairs = _pairs(experiment_fields(), asked, found)
    if asked.analysis_config:
        fields = _plain_fields(AnalysisConfigInput, AnalysisConfig)
        config = found.analysis_config or AnalysisConfig()
        pairs += [
            (f"analysisConfig.{name}", wanted, shown)
            for name, wanted, shown in _pairs(fields, asked.analysis_config, config)
        ]
    return tuple(_differing(pairs))


@cache
def experiment_fields() -> dict[str, str]:
    """Return an experiment's plain fields: the models' names by LaunchDarkly's names."""
    return _plain_fields(ExperimentPost, Experiment, structured=frozenset({"key", "analysis_config"}))


@cache
def iteration_fields() -> dict[str, str]:
    """Return an iteration's plain fields: the models' names by LaunchDarkly's names."""
    return _plain_fields(IterationInput, Iteration, structured=frozenset({"flags", "metrics", "treatments"}))


def _plain_fields(
    written: type[Write], read: type[Read], *, structured: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Return the fields that both models have and that are compared by value, so that a new one is compared at once."""
    return {to_camel(field): field for field in written.model_fields if field in read.model_fields.keys() - structured}


def _pairs(fields: Mapping[str, str], asked: Write, found: Read) -> list[tuple[str, object, object]]:
    return [
        (name, _comparable(getattr(asked, field)), _comparable(_shown(found, field))) for name, field in fields.items()
    ]


def _shown(found: Read, field: str) -> object:
    """Return a field's value; where LaunchDarkly shows none, the default that it takes."""
    value = getattr(found, field)
    return _DEFAULTS.get(field, value) if value in (None, "") else value


def _comparable(value: object) -> object:
    return sorted(set(value)) if isinstance(value, tuple) else value


def iteration_differences(
    asked: IterationInput, found: Iteration, *, moving_allocations: bool = False
) -> tuple[Difference, ...]:
    """Compare an iteration's design.

    Args:
        asked: What was asked for.
        found: The iteration, read with ``expand=treatments``.
        moving_allocations: Whether LaunchDarkly changes allocations by itself, as it does for a running bandit.

    Returns:
        The differences.
    """
    return (
        *_differing(_iteration_fields(asked, found)),
        *_flag_differences(asked, found),
        *treatment_differences(asked.treatments, found.treatments, moving_allocations=moving_allocations),
    )


def _iteration_fields(asked: IterationInput, found: Iteration) -> Iterator[tuple[str, object, object]]:
    yield from _pairs(iteration_fields(), asked, found)
    yield "covariateId", asked.covariate_id, found.covariate_info.id if found.covariate_info else None
    # An iteration always has metrics: when none is shown, LaunchDarkly left them out of this response.
    if found.measured:
        wanted = {asked.primary_key, *(metric.key for metric in asked.metrics)}
        yield "metrics", sorted(wanted), sorted(metric.key for metric in found.measured)
    if found.primary:
        field = "primarySingleMetricKey" if asked.primary_single_metric_key else "primaryFunnelKey"
        yield field, asked.primary_key, found.primary.key


def _flag_differences(asked: IterationInput, found: Iteration) -> Iterator[Difference]:
    for key, wanted in asked.flags.items():
        shown = found.flags.get(key)
        if shown is None:
            yield Difference("flags", sorted(asked.flags), sorted(found.flags))
            return
        fields = [("notInExperimentVariationId", wanted.not_in_experiment_variation_id)]
        yield from _differing(
            (f"flags[{key}].{name}", value, shown.not_in_experiment_variation_id) for name, value in fields
        )
        if shown.targeting_rule:
            yield from _differing([(f"flags[{key}].ruleId", wanted.rule_id, shown.targeting_rule)])


def treatment_differences(
    asked: Iterable[TreatmentInput], found: Iterable[Treatment], *, moving_allocations: bool = False
) -> Iterator[Difference]:
    """Compare treatments, each with the one that serves the same variation.

    Args:
        asked: What was asked for.
        found: What LaunchDarkly shows.
        moving_allocations: Whether LaunchDarkly changes allocations by itself, as it does for a running bandit.
    """
    left = list(found)
    for wanted in asked:
        shown = _counterpart(wanted, left)
        where = f"treatments[{wanted.name}]"
        if shown is None:
            yield Difference(where, _in_words(wanted), None)
            continue
        left.remove(shown)
        served = {parameter.variation_id for parameter in shown.parameters}
        # LaunchDarkly documents that a treatment's id and name are the variation's own; its service takes names of
        # one's own as well. Where the id is the variation's, so is the name, and it was not ours to choose.
        if shown.id not in served:
            yield from _differing([(f"{where}.name", wanted.name, shown.name)])
        yield from _differing([(f"{where}.baseline", wanted.baseline, shown.baseline)])
        yield from _differing([(f"{where}.parameters", _serves(wanted), _serves(shown))])
        if not moving_allocations:
            share = None if shown.allocation_percent is None else str(shown.allocation_percent)
            yield from _differing([(f"{where}.allocationPercent", wanted.allocation_percent, share)])
    for shown in left:
        yield Difference(f"treatments[{shown.name}]", None, _in_words(shown))


def _counterpart(wanted: TreatmentInput, candidates: list[Treatment]) -> Treatment | None:
    """The treatment that serves the same variations, by preference the one of the same name; else that of the name."""
    serving = [treatment for treatment in candidates if _serves(treatment) == _serves(wanted)]
    named = [treatment for treatment in candidates if treatment.name == wanted.name]
    both = [treatment for treatment in serving if treatment in named]
    return next(iter((*both, *serving, *named)), None)


def _serves(treatment: Treatment | TreatmentInput) -> dict[str, str]:
    return {parameter.flag_key: parameter.variation_id for parameter in treatment.parameters}


def _in_words(treatment: Treatment | TreatmentInput) -> str:
    baseline = ", baseline" if treatment.baseline else ""
    return f"{treatment.name} ({treatment.allocation_percent} %{baseline}, serves {_serves(treatment)})"


def _differing(pairs: Iterable[tuple[str, object, object]]) -> Iterator[Difference]:
    for field, wanted, shown in pairs:
        if wanted is not None and not _same(wanted, shown):
            yield Difference(field, wanted, shown)


def _same(wanted: object, shown: object) -> bool:
    """Compare values, and numbers in strings as numbers: LaunchDarkly may show 50 or 50.0 for "50"."""
    if wanted == shown:
        return True
    if not (isinstance(wanted, str) and isinstance(shown, str)):
        return False
    try:
        return Decimal(wanted) == Decimal(shown)
    except InvalidOperation:
        return False
