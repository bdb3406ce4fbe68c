"""Experiment results in the shape of client 17.2.0, the last that published them, and the legacy results before.

Every field may be null or absent; lists may be missing. LaunchDarkly removed the page with the routes.
"""

from typing import cast

from pydantic import AliasChoices, Field
from typing_extensions import override

from airflow_provider_launchdarkly.api.models.base import Instant, Many, Number, Read, Table, Text


class Interval(Read):
    """A range; for `TreatmentResult.credible_interval` the 90 % credible one."""

    lower: Number = None
    upper: Number = None


class RelativeDifference(Read):
    """A treatment's difference from another, relative to that other one (``from_treatment_id``)."""

    from_treatment_id: Text = ""
    lower: Number = None
    upper: Number = None
    variance: Number = None
    variance_reduction: Number = None


class Distribution(Read):
    """The posterior of the metric's mean: ``normal`` with ``mu``, ``sigma``, or ``beta`` with ``alpha``, ``beta``."""

    kind: Text = ""
    parameters: Table[Number] = Field(default_factory=dict)


class NormalModel(Read):
    """Parameters of LaunchDarkly's normal model."""

    data_weight: Number = None
    prior_mean: Number = None


class BetaModel(Read):
    """Parameters of LaunchDarkly's beta model."""

    data_weight: Number = None
    prior_mean: Number = None
    prior_alpha: Number = None
    prior_beta: Number = None


class MeasuredTreatment(Read, extra="ignore"):
    """The measurements of one treatment, as far as a decision uses them.

    ``data_mean`` and ``data_std_dev`` come from the data alone. ``units`` counts exposed units that have values,
    ``traffic`` all exposed units (only with ``expand=traffic``).
    """

    treatment_id: Text = ""
    treatment_name: Text = ""
    data_mean: Number = None
    data_std_dev: Number = None
    p_best: Number = None
    units: int | None = None
    traffic: int | None = None
    distribution: Distribution | None = None
    variance_reduction: Number = None
    bayesian_normal: NormalModel | None = None


class TreatmentResult(MeasuredTreatment, extra="allow"):
    """Measurements of one treatment, with all that LaunchDarkly says of it; ``mean`` is the posterior mean."""

    mean: Number = None
    credible_interval: Interval | None = None
    relative_differences: Many[RelativeDifference] = ()
    event_values_sum: Number = None
    correlation: Number = None
    standard_deviation_ratio: Number = None
    covariate_imbalance: Number = None
    model: str | None = None
    bayesian_beta: BetaModel | None = None


class MetricSeen(Read):
    """The metric's latest event: if LaunchDarkly ever saw one, and when."""

    ever: bool | None = None
    timestamp: Instant = None


class MeasuredSlice(Read, extra="ignore"):
    """Measurements for one value of an attribute; without an attribute, for everyone."""

    attribute: str | None = None
    treatment_results: Many[MeasuredTreatment] = ()


class MeasuredResults(Read, extra="ignore"):
    """The results of one metric, as far as a decision uses them. ``probability_of_mismatch`` near 1 is a broken split.

    A page has three times as much; leaving the rest unread halves the time that a look takes to read it.
    """

    treatment_results: Many[MeasuredTreatment] = ()
    metric_seen: MetricSeen | None = None
    probability_of_mismatch: Number = None
    results: Many[MeasuredSlice] = ()

    @property
    def total(self) -> tuple[MeasuredTreatment, ...]:
        """Results over everyone: the slice without an attribute, else the deprecated top-level list."""
        for sliced in self.results:
            if not sliced.attribute and sliced.treatment_results:
                return sliced.treatment_results
        return self.treatment_results


class SlicedResults(MeasuredSlice, extra="allow"):
    """Results for one value of an attribute; without an attribute, for everyone."""

    attribute_value: str | None = None
    treatment_results: Many[TreatmentResult] = ()


class MetricResults(MeasuredResults, extra="allow"):
    """Results of one metric, with all that LaunchDarkly says of it."""

    treatment_results: Many[TreatmentResult] = ()
    results: Many[SlicedResults] = ()

    @property
    @override
    def total(self) -> tuple[TreatmentResult, ...]:
        """Results over everyone: the slice without an attribute, else the deprecated top-level list."""
        return cast("tuple[TreatmentResult, ...]", super().total)

    @property
    def slices(self) -> tuple[SlicedResults, ...]:
        """Results by attribute value."""
        return tuple(sliced for sliced in self.results if sliced.attribute)


class GroupedMetric(Read):
    """The metric of a group that a result belongs to."""

    key: Text = ""
    name: Text = ""
    kind: Text = ""
    name_in_group: Text = ""
    version_id: str | None = Field(default=None, alias="_versionId")


class MetricInGroupResults(Read):
    """Results of one metric of a group."""

    metric: GroupedMetric
    results: MetricResults


class MetricGroupResults(Read):
    """Results of a metric group, in the order of the group (a funnel's last step is the last one)."""

    metrics: Many[MetricInGroupResults] = ()


class LegacyTotal(Read):
    """Totals of one variation in legacy results, by variation index."""

    cumulative_value: Number = None
    cumulative_count: int | None = None
    cumulative_impression_count: int | None = None
    cumulative_conversion_rate: Number = None
    cumulative_confidence_interval: Interval | None = None
    p_value: Number = None
    improvement: Number = None
    min_sample_size: int | None = None


class LegacyVariationData(Read):
    """One variation at one time in legacy results."""

    value: Number = None
    count: int | None = None
    cumulative_value: Number = None
    cumulative_count: int | None = None
    conversion_rate: Number = None
    cumulative_conversion_rate: Number = None
    confidence_interval: Interval | None = None
    cumulative_confidence_interval: Interval | None = None


class LegacySeries(Read):
    """One time in legacy results; LaunchDarkly capitalises these two names."""

    time: Instant = Field(default=None, validation_alias=AliasChoices("Time", "time"))
    variation_data: Many[LegacyVariationData] = Field(
        default=(), validation_alias=AliasChoices("VariationData", "variationData")
    )


class LegacyStats(Read):
    """LaunchDarkly's own conclusion in legacy results."""

    p_value: Number = None
    chi2: Number = None
    winning_variation_idx: int | None = None
    min_sample_size_met: bool | None = None


class LegacyMetadata(Read):
    """One variation's name in legacy results."""

    key: str | int | bool | None = None


class LegacyResults(Read):
    """Results of a legacy experiment; LaunchDarkly's last client with them was 17.1.0."""

    metadata: Many[LegacyMetadata] = ()
    totals: Many[LegacyTotal] = ()
    series: Many[LegacySeries] = ()
    stats: LegacyStats | None = None
    granularity: str | None = None
    metric_seen: MetricSeen | None = None
