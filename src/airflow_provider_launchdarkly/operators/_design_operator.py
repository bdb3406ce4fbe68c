"""The base of the operators that create an iteration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.decision.suitability import UndecidableExperimentError, require_mean
from airflow_provider_launchdarkly.operators._base import LaunchDarklyExperimentBaseOperator, is_checked_already
from airflow_provider_launchdarkly.operators._design import DESIGN_FIELDS, IterationDesign
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from airflow_provider_launchdarkly.api.models import IterationInput
    from airflow_provider_launchdarkly.operators._design import MetricSpec, TreatmentSpec


class LaunchDarklyIterationDesignBaseOperator(LaunchDarklyExperimentBaseOperator):
    """Base of the operators that create an iteration: its design, checked as early as possible.

    The constructor names each field of :class:`IterationDesign` again, since Airflow's ``default_args`` and type
    checkers read its signature.

    Args:
        flag_key: Key of the flag whose rule serves the treatments.
        hypothesis: The hypothesis, in a sentence. LaunchDarkly requires one.
        treatments: Two or more of ``{"variation": …, "allocation_percent": …, "baseline": …, "name": …}``. A variation
            is named by its name, its value or its id. Percentages add up to 100; exactly one is the baseline.
        primary_metric: Key of the metric that decides; or
        primary_funnel: key of the funnel metric group that decides. One of the two.
        metrics: Further metrics: keys, or ``{"key": …, "is_group": True}`` for metric groups.
        rule_id: The flag's rule: its id or its description; ``fallthrough`` is the default rule.
        not_in_experiment_variation: Variation for people whom the experiment leaves out. Default: the baseline's.
        randomization_unit: Context kind that is randomized. None leaves LaunchDarkly's default, ``user``.
        can_reshuffle_traffic: False keeps people in their treatment when the audience grows. None leaves LaunchDarkly's
            default, true.
        attributes: Context attributes by which results can be sliced.
        covariate_id: Id of a covariate file for stratified sampling.
        reallocation_frequency: How often a bandit moves its traffic: a timedelta, or seconds.
        judged: False for an iteration that no policy judges: one treatment may then get everyone. Default: the baseline
            and a new treatment need a share.
        judged_metrics: Keys of the metrics that a policy judges by LaunchDarkly's results. One that LaunchDarkly
            analyses by a percentile has no mean to compare, and is refused before anything is created.
    """

    template_fields: Sequence[str] = (*LaunchDarklyExperimentBaseOperator.template_fields, *DESIGN_FIELDS)

    def __init__(
        self,
        *,
        flag_key: str,
        hypothesis: str,
        treatments: Sequence[TreatmentSpec | Mapping[str, Any]],
        primary_metric: str | None = None,
        primary_funnel: str | None = None,
        metrics: Sequence[str | MetricSpec | Mapping[str, Any]] = (),
        rule_id: str = "fallthrough",
        not_in_experiment_variation: Any = None,
        randomization_unit: str | None = None,
        can_reshuffle_traffic: bool | None = None,
        attributes: Sequence[str] | None = None,
        covariate_id: str | None = None,
        reallocation_frequency: timedelta | float | str | None = None,
        judged: bool = True,
        judged_metrics: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flag_key = flag_key
        self.hypothesis = hypothesis
        self.treatments = treatments
        self.primary_metric = primary_metric
        self.primary_funnel = primary_funnel
        self.metrics = metrics
        self.rule_id = rule_id
        self.not_in_experiment_variation = not_in_experiment_variation
        self.randomization_unit = randomization_unit
        self.can_reshuffle_traffic = can_reshuffle_traffic
        self.attributes = attributes
        self.covariate_id = covariate_id
        self.reallocation_frequency = reallocation_frequency
        self.judged = judged
        self.judged_metrics = judged_metrics
        if not is_checked_already() and all(is_literal(getattr(self, field)) for field in DESIGN_FIELDS):
            self.design().check()

    def design(self) -> IterationDesign:
        """Return the design in the rendered fields."""
        return IterationDesign(**{field: getattr(self, field) for field in DESIGN_FIELDS})

    def resolved(self) -> IterationInput:
        """Return the design in LaunchDarkly's own form: variations by id, and metrics that exist.

        Raises:
            ConfigurationError: The design is wrong, the flag has no such variation, the project has no such metric or
                metric group (LaunchDarkly itself accepts a metric group's key as a metric's), or a judged metric is
                analysed by a percentile.
        """
        from airflow_provider_launchdarkly.api.models import Metric
        from airflow_provider_launchdarkly.api.reads.metrics import find_metric

        design = self.design()
        iteration = design.resolve(self.hook.get_flag(self.flag_key))
        for key, is_group in design.metric_kinds().items():
            try:
                metric = self.hook.run(find_metric(self.hook.project(), key, is_group=is_group))
                if key in design.judged_metrics and isinstance(metric, Metric):
                    require_mean(key, metric.analysis_type, metric.percentile_value)
            except (ConfigurationError, UndecidableExperimentError) as error:
                raise ConfigurationError(f"metrics: {error}") from None
        return iteration
