"""Experiments and iterations as LaunchDarkly shows them.

Read an iteration's state from its ``status`` alone: ``currentIteration`` may not be started yet, and ``draftIteration``
may be running already: https://launchdarkly.com/docs/api/experiments/get-experiment
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from pydantic import Field

from airflow_provider_launchdarkly.api.errors import MetricNotMeasuredError
from airflow_provider_launchdarkly.api.models.base import Instant, Link, Many, Number, Page, Read, Table, Text, YesNo

FALLTHROUGH = "fallthrough"
"""LaunchDarkly's name for a flag's default rule."""

_IN_PLACE = timedelta(minutes=1)


class IterationStatus(StrEnum):
    """State of an iteration. It never goes backwards."""

    NOT_STARTED = "not_started"
    RUNNING = "running"
    STOPPED = "stopped"


class TreatmentParameter(Read):
    """The variation that a treatment serves on a flag."""

    flag_key: Text = ""
    variation_id: Text = ""


class Treatment(Read):
    """One treatment of an iteration.

    ``id`` is what a stop names as its winner; ``parameters`` say which variation of the flag it serves.
    """

    id: Text = Field(default="", alias="_id")
    name: Text = ""
    baseline: YesNo = False
    allocation_percent: Decimal | None = None
    parameters: Many[TreatmentParameter] = ()

    def variation_of(self, flag_key: str) -> str | None:
        """Id of the variation that this treatment serves on the flag; None when it names none."""
        return next((p.variation_id for p in self.parameters if p.flag_key == flag_key and p.variation_id), None)


class IterationFlag(Read):
    """The flag and rule that an iteration runs on."""

    targeting_rule: Text = ""
    targeting_rule_description: Text = ""
    flag_config_version: int | None = None
    not_in_experiment_variation_id: str | None = None


class MeasuredMetric(Read):
    """A metric, or a metric group, that an iteration measures.

    ``metrics`` holds a group's metrics, in the order of the group.
    """

    key: Text = ""
    version_id: str | None = Field(default=None, alias="_versionId")
    name: Text = ""
    kind: Text = ""
    is_group: YesNo = False
    is_numeric: bool | None = None
    event_key: str | None = None
    analysis_type: str | None = None
    analysis_unit: str | None = None
    unit_aggregation_type: str | None = None
    metrics: Many["MeasuredMetric"] = ()


class LayerSnapshot(Read):
    """A layer's reservations when the iteration was stopped."""

    key: Text = ""
    name: Text = ""
    reservation_percent: Number = None
    other_reservation_percent: Number = None


class CovariateInfo(Read):
    """The file that stratified sampling used."""

    id: Text = ""
    file_name: Text = ""
    created_at: Instant = None


class Iteration(Read):
    """One iteration of an experiment. ``treatments`` is empty unless they were asked for with ``expand``."""

    id: Text = Field(default="", alias="_id")
    status: Text = ""
    hypothesis: Text = ""
    created_at: Instant = None
    started_at: Instant = None
    ended_at: Instant = None
    winning_treatment_id: str | None = None
    winning_reason: str | None = None
    can_reshuffle_traffic: bool | None = None
    randomization_unit: str | None = None
    reallocation_frequency_millis: int | None = None
    version: int | None = None
    flags: Table[IterationFlag] = Field(default_factory=dict)
    primary_single_metric: MeasuredMetric | None = None
    primary_funnel: MeasuredMetric | None = None
    primary_metric: MeasuredMetric | None = None
    metrics: Many[MeasuredMetric] = ()
    secondary_metrics: Many[MeasuredMetric] = ()
    treatments: Many[Treatment] = ()
    attributes: Many[str] = ()
    layer_snapshot: LayerSnapshot | None = None
    covariate_info: CovariateInfo | None = None

    @property
    def not_started(self) -> bool:
        """True for a draft that can still be started."""
        return self.status == IterationStatus.NOT_STARTED

    @property
    def running(self) -> bool:
        """True while it is under way."""
        return self.status == IterationStatus.RUNNING

    @property
    def stopped(self) -> bool:
        """True once it is over; it never starts again."""
        return self.status == IterationStatus.STOPPED

    @property
    def baseline(self) -> Treatment | None:
        """The treatment that the others are compared with."""
        return next((treatment for treatment in self.treatments if treatment.baseline), None)

    @property
    def primary(self) -> MeasuredMetric | None:
        """The primary metric or funnel; LaunchDarkly's deprecated ``primaryMetric`` is the last resort."""
        return self.primary_single_metric or self.primary_funnel or self.primary_metric

    @property
    def measured(self) -> tuple[MeasuredMetric, ...]:
        """Every metric and group of the iteration, the primary one first, each once."""
        found: dict[str, MeasuredMetric] = {}
        primary = (self.primary,) if self.primary else ()
        listed = {metric.key: metric for metric in self.metrics}
        for metric in (*primary, *self.metrics, *self.secondary_metrics):
            found.setdefault(metric.key, listed.get(metric.key, metric))
        return tuple(found.values())

    def measured_metric(self, key: str | None = None) -> MeasuredMetric:
        """Find a metric or metric group that the iteration measures.

        Args:
            key: Its key. None for the primary metric.

        Returns:
            The metric; ``is_group`` is True for a funnel, whose results have the route of metric groups.

        Raises:
            MetricNotMeasuredError: The iteration does not measure it; the message lists what it does measure.
        """
        wanted = key or (self.primary.key if self.primary else None)
        metric = next((metric for metric in self.measured if metric.key == wanted), None)
        if metric is None:
            known = ", ".join(metric.key for metric in self.measured) or "nothing"
            missing = f"does not measure {wanted!r}" if wanted else "has no primary metric"
            raise MetricNotMeasuredError(
                f"iteration {self.id!r} {missing}; it measures {known}. Name one of these, or add the metric to the "
                "experiment's next iteration"
            )
        is_funnel = self.primary_funnel is not None and self.primary_funnel.key == wanted
        return metric.model_copy(update={"is_group": metric.is_group or is_funnel})

    def treatment(self, id_or_name: str) -> Treatment | None:
        """The treatment with this id, else the only one with this name, else None."""
        for treatment in self.treatments:
            if treatment.id and treatment.id == id_or_name:
                return treatment
        named = [treatment for treatment in self.treatments if treatment.name == id_or_name]
        return named[0] if len(named) == 1 else None


class AnalysisConfig(Read):
    """Settings of LaunchDarkly's analysis. The thresholds are strings in LaunchDarkly's JSON."""

    bayesian_threshold: str | None = None
    significance_threshold: str | None = None
    test_direction: str | None = None
    multiple_comparison_correction_method: str | None = None
    multiple_comparison_correction_scope: str | None = None
    sequential_testing_enabled: bool | None = None


class Experiment(Read):
    """An experiment with those of its iterations that were asked for with ``expand``."""

    id: Text = Field(default="", alias="_id")
    key: str
    name: Text = ""
    description: Text = ""
    maintainer_id: Text = Field(default="", alias="_maintainerId")
    creation_date: Instant = Field(default=None, alias="_creationDate")
    environment_key: Text = ""
    methodology: str | None = None
    data_source: str | None = None
    type: str | None = None
    archived_date: Instant = None
    holdout_id: str | None = None
    tags: Many[str] = ()
    current_iteration: Iteration | None = None
    draft_iteration: Iteration | None = None
    previous_iterations: Many[Iteration] = ()
    analysis_config: AnalysisConfig | None = None
    mutable_fields_by_status: Table[Table[Many[str]]] = Field(default_factory=dict)
    links: Table[Link] = Field(default_factory=dict, alias="_links")

    @property
    def archived(self) -> bool:
        """True if it is archived: hidden from lists, and unable to start iterations."""
        return self.archived_date is not None

    @property
    def iterations(self) -> tuple[Iteration, ...]:
        """Every iteration shown, each once: the current one, the draft, then the previous ones.

        Where LaunchDarkly shows one iteration twice, the view that has treatments wins.
        """
        found: dict[str, Iteration] = {}
        for iteration in self._shown():
            known = found.get(iteration.id)
            if known is None or (iteration.treatments and not known.treatments):
                found[iteration.id] = iteration
        return tuple(found.values())

    @property
    def running(self) -> Iteration | None:
        """The iteration under way, wherever LaunchDarkly shows it."""
        return next((iteration for iteration in self.iterations if iteration.running), None)

    @property
    def latest_started(self) -> Iteration | None:
        """The running iteration; else the one that was started last; None if none was ever started."""
        starts = {iteration.started_at: iteration for iteration in self.iterations if iteration.started_at}
        return self.running or (starts[max(starts)] if starts else None)

    @property
    def drafts(self) -> tuple[Iteration, ...]:
        """The iterations that are not started yet."""
        return tuple(iteration for iteration in self.iterations if iteration.not_started)

    def iteration(self, iteration_id: str) -> Iteration | None:
        """The iteration with this id; None when it is not among those shown."""
        return next((iteration for iteration in self.iterations if iteration.id == iteration_id), None)

    def unbroken_since(self, iteration: Iteration) -> datetime | None:
        """Return when the experiment began to run without a break until this iteration; None if it has not started.

        An iteration that began within a minute of the end of another one, which had no winner, took its place: so the
        stages of a ramp follow each other.
        """
        since = iteration.started_at
        over = [(each.ended_at, each.started_at, each) for each in self.iterations if each.ended_at and each.started_at]
        for ended_at, started_at, other in sorted(over, key=lambda each: each[:2], reverse=True):
            if since is not None and started_at < since:
                if other.winning_treatment_id or abs(since - ended_at) > _IN_PLACE:
                    break
                since = started_at
        return since

    def _shown(self) -> Iterator[Iteration]:
        if self.current_iteration:
            yield self.current_iteration
        if self.draft_iteration:
            yield self.draft_iteration
        yield from self.previous_iterations


class ExperimentPage(Page):
    """One page of experiments."""

    items: Many[Experiment] = ()


class RandomizationUnit(Read):
    """A context kind by which experiments may split people."""

    randomization_unit: Text = ""
    default: YesNo = False
    hidden: YesNo = Field(default=False, alias="_hidden")
    display_name: Text = Field(default="", alias="_displayName")
    standard_randomization_unit: str | None = None


class ExperimentationSettings(Read):
    """A project's randomization units."""

    project_id: Text = Field(default="", alias="_projectId")
    project_key: Text = Field(default="", alias="_projectKey")
    randomization_units: Many[RandomizationUnit] = ()
    creation_date: Instant = Field(default=None, alias="_creationDate")
