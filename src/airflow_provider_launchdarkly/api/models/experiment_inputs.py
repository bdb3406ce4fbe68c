"""Inputs to create experiments and iterations, checked before anything is sent.

An unknown field, allocations that do not add up to 100, no baseline or two: refused here, by name and value.
"""

from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from airflow_provider_launchdarkly.api.models.base import Write

Methodology = Literal["bayesian", "frequentist", "export_only"]
DataSource = Literal["launchdarkly", "snowflake", "databricks", "redshift"]
ExperimentType = Literal["experiment", "mab", "holdout"]


def _percent(value: str) -> str:
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError("is not a percentage; write 50 or 33.33") from None
    if not number.is_finite() or not 0 <= number <= 100:
        raise ValueError("is not a percentage between 0 and 100")
    return format(number.normalize(), "f")


Key = Annotated[str, Field(min_length=1, pattern=r"^\S+$")]
Percent = Annotated[str, AfterValidator(_percent)]


class MetricInput(Write):
    """A metric, or with ``is_group`` a metric group, that an iteration measures."""

    key: Key
    is_group: bool = False
    primary: bool | None = None
    analysis_unit: str | None = None


class TreatmentParameterInput(Write):
    """The variation that a treatment serves on a flag."""

    flag_key: Key
    variation_id: Key


class TreatmentInput(Write):
    """One arm of an iteration. ``allocation_percent`` is its share of the experiment's traffic, sent as a string."""

    name: Annotated[str, Field(min_length=1)]
    baseline: bool
    allocation_percent: Percent
    parameters: tuple[TreatmentParameterInput, ...]


class FlagInput(Write):
    """The rule of the flag that the experiment runs on, ``fallthrough`` for the default rule.

    ``flag_config_version`` is the flag's version in the environment (``environments.<env>.version``). Left None, the
    procedures in `lifecycle` fill it in by reading the flag just before each write, so that it is never stale.
    """

    rule_id: Key
    flag_config_version: int | None = None
    not_in_experiment_variation_id: str | None = None


class IterationInput(Write):
    """The design of one iteration."""

    hypothesis: str
    metrics: Annotated[tuple[MetricInput, ...], Field(min_length=1)]
    treatments: Annotated[tuple[TreatmentInput, ...], Field(min_length=1)]
    flags: Annotated[dict[Key, FlagInput], Field(min_length=1)]
    primary_single_metric_key: str | None = None
    primary_funnel_key: str | None = None
    randomization_unit: str | None = None
    can_reshuffle_traffic: bool | None = None
    reallocation_frequency_millis: Annotated[int, Field(gt=0)] | None = None
    covariate_id: str | None = None
    attributes: tuple[str, ...] | None = None

    @property
    def primary_key(self) -> str:
        """Key of the primary metric or funnel."""
        return self.primary_single_metric_key or self.primary_funnel_key or ""

    @model_validator(mode="after")
    def _is_a_whole_design(self) -> Self:
        if bool(self.primary_single_metric_key) == bool(self.primary_funnel_key):
            raise ValueError(
                "exactly one of primarySingleMetricKey and primaryFunnelKey is needed, given "
                f"{self.primary_single_metric_key!r} and {self.primary_funnel_key!r}"
            )
        baselines = [treatment.name for treatment in self.treatments if treatment.baseline]
        if len(baselines) != 1:
            raise ValueError(f"treatments: exactly one has baseline true, found {len(baselines)}: {baselines}")
        # Treatments: allocations add up to 100 (LaunchDarkly's experiment setup guide). Exact: the shares are decimals.
        shares = {treatment.name: treatment.allocation_percent for treatment in self.treatments}
        total = sum((Decimal(treatment.allocation_percent) for treatment in self.treatments), Decimal(0))
        if total != 100:
            raise ValueError(f"treatments: allocationPercent must add up to 100, adds up to {total}: {shares}")
        _refuse_twice("treatments: name", [treatment.name for treatment in self.treatments])
        _refuse_twice("metrics: key", [metric.key for metric in self.metrics])
        for treatment in self.treatments:
            served = [parameter.flag_key for parameter in treatment.parameters]
            if sorted(served) != sorted(self.flags):
                raise ValueError(
                    f"treatments[{treatment.name}].parameters: one variation for each of the flags "
                    f"{sorted(self.flags)} is needed, given {served}"
                )
        return self


def _refuse_twice(field: str, values: list[str]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise ValueError(f"{field} is given twice: {twice}")


class AnalysisConfigInput(Write):
    """Settings of LaunchDarkly's analysis. Thresholds are sent as strings."""

    bayesian_threshold: str | None = None
    significance_threshold: str | None = None
    test_direction: str | None = None
    multiple_comparison_correction_method: Literal["bonferroni", "benjamini-hochberg"] | None = None
    multiple_comparison_correction_scope: Literal["variations", "variations-and-metrics", "metrics"] | None = None
    sequential_testing_enabled: bool | None = None


class ExperimentPost(Write):
    """A new experiment with its first iteration.

    Send ``methodology`` explicitly: LaunchDarkly's documented default went from Bayesian to frequentist. A service
    token has no member that LaunchDarkly could make the maintainer: send ``maintainer_id`` with one.
    """

    key: Key
    name: Annotated[str, Field(min_length=1)]
    iteration: IterationInput
    description: str | None = None
    maintainer_id: str | None = None
    holdout_id: str | None = None
    tags: tuple[str, ...] | None = None
    methodology: Methodology | None = None
    analysis_config: AnalysisConfigInput | None = None
    data_source: DataSource | None = None
    type: ExperimentType | None = None

    @model_validator(mode="after")
    def _bandits_are_bayesian(self) -> Self:
        # Multi-armed bandits support no other methodology (launchdarkly-api 25, ExperimentPost.methodology).
        if self.type == "mab" and self.methodology not in (None, "bayesian"):
            raise ValueError(f"methodology: a bandit (type mab) is bayesian, given {self.methodology!r}")
        return self


class RandomizationUnitInput(Write):
    """A context kind by which experiments may split people; one of a project's is the default."""

    randomization_unit: Key
    default: bool | None = None
    standard_randomization_unit: str | None = None


class ExperimentationSettingsPut(Write):
    """All randomization units of a project: what is left out is removed."""

    randomization_units: tuple[RandomizationUnitInput, ...]

    @model_validator(mode="after")
    def _one_default(self) -> Self:
        defaults = [unit.randomization_unit for unit in self.randomization_units if unit.default]
        if len(defaults) > 1:
            raise ValueError(f"randomizationUnits: only one may be the default, given {defaults}")
        _refuse_twice("randomizationUnits", [unit.randomization_unit for unit in self.randomization_units])
        return self
