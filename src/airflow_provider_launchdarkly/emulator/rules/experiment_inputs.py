"""Read the bodies that write experiments into values. The checks here need the request alone, not the world."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import invalid_request
from airflow_provider_launchdarkly.emulator.state.models import MetricUse, Parameter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,255}")


@dataclass(frozen=True, slots=True)
class TreatmentInput:
    """A requested treatment."""

    name: str
    baseline: bool
    allocation_percent: str
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True)
class FlagInput:
    """The requested flag and rule."""

    flag_key: str
    rule_id: str
    config_version: int
    not_in_experiment_variation_id: str | None


@dataclass(frozen=True, slots=True)
class IterationInput:
    """A requested iteration."""

    hypothesis: str
    metrics: tuple[MetricUse, ...]
    treatments: tuple[TreatmentInput, ...]
    flag: FlagInput
    primary: MetricUse
    randomization_unit: str
    can_reshuffle: bool
    attributes: tuple[str, ...]
    covariate_id: str | None
    reallocation_millis: int | None


@dataclass(frozen=True, slots=True)
class ExperimentPost:
    """A requested experiment."""

    key: str
    name: str
    iteration: IterationInput
    description: str
    maintainer_id: str | None
    holdout_id: str | None
    tags: tuple[str, ...]
    methodology: str
    data_source: str
    type: str
    analysis_config: Mapping[str, JSON]


def experiment_post(body: RequestBody, *, default_methodology: str = "bayesian") -> ExperimentPost:
    """Read the body that creates an experiment. The default methodology of a bandit is always Bayesian."""
    kind = body.choice("type", ("experiment", "mab", "holdout"), "experiment")
    default = "bayesian" if kind == "mab" else default_methodology
    return ExperimentPost(
        key=key(body),
        name=body.text("name"),
        iteration=iteration_input(body.object("iteration")),
        description=body.optional_text("description") or "",
        maintainer_id=body.optional_text("maintainerId"),
        holdout_id=body.optional_text("holdoutId"),
        tags=body.texts("tags"),
        methodology=body.choice("methodology", ("bayesian", "frequentist", "export_only"), default),
        data_source=body.choice(
            "dataSource", ("launchdarkly", "snowflake", "databricks", "redshift", "bigquery"), "launchdarkly"
        ),
        type=kind,
        analysis_config=dict(body.raw("analysisConfig")) if _is_object(body, "analysisConfig") else {},
    )


def iteration_input(body: RequestBody) -> IterationInput:
    """Read the body that creates an iteration."""
    hypothesis = body.text("hypothesis")
    metrics = metric_uses(body)
    return IterationInput(
        hypothesis=hypothesis,
        metrics=metrics,
        treatments=treatment_inputs(body),
        flag=_flag_input(body),
        primary=_primary(body, metrics),
        randomization_unit=body.optional_text("randomizationUnit") or "user",
        can_reshuffle=body.flag("canReshuffleTraffic", default=True),
        attributes=body.texts("attributes"),
        covariate_id=body.optional_text("covariateId"),
        reallocation_millis=_frequency(body),
    )


def _frequency(body: RequestBody) -> int | None:
    millis = body.optional_integer("reallocationFrequencyMillis")
    if millis is not None and millis < 1:
        raise invalid_request(f"{body.path('reallocationFrequencyMillis')} must be above 0, not {millis}")
    return millis


def key(body: RequestBody) -> str:
    """Return the key, of letters, digits, `.`, `_` and `-`, that starts with a letter or digit."""
    value = body.text("key")
    if not _KEY.fullmatch(value):
        raise invalid_request(
            f"{body.path('key')} must start with a letter or number and only contain letters, numbers, '.', '_' or '-'"
        )
    return value


def metric_uses(body: RequestBody, name: str = "metrics") -> tuple[MetricUse, ...]:
    """Return the requested metrics and metric groups, each at most once."""
    uses = tuple(
        MetricUse(item.text("key"), item.flag("isGroup", default=False), item.optional_text("analysisUnit"))
        for item in body.objects(name)
    )
    if not uses:
        raise invalid_request(f"{body.path(name)} must not be empty")
    if len({(use.key, use.is_group) for use in uses}) < len(uses):
        raise invalid_request(f"{body.path(name)} names a metric twice")
    return uses


def treatment_inputs(body: RequestBody, name: str = "treatments") -> tuple[TreatmentInput, ...]:
    """Return the requested treatments, with exactly one baseline and shares that add up to 100 %."""
    arms = tuple(_treatment_input(item) for item in body.objects(name))
    baselines = sum(arm.baseline for arm in arms)
    if baselines != 1:
        raise invalid_request(f"{body.path(name)} must have exactly one baseline, not {baselines}")
    total = sum(Decimal(arm.allocation_percent) for arm in arms)
    if total != 100:
        raise invalid_request(f"{body.path(name)}: allocationPercent must add up to 100, not {total}")
    return arms


def _treatment_input(item: RequestBody) -> TreatmentInput:
    percent = item.number_text("allocationPercent")
    try:
        share = Decimal(percent)
    except InvalidOperation:
        raise invalid_request(f"{item.path('allocationPercent')} must be a number, not {percent!r}") from None
    if not (share.is_finite() and 0 <= share <= 100):
        raise invalid_request(f"{item.path('allocationPercent')} must be between 0 and 100, not {percent}")
    parameters = tuple(Parameter(p.text("flagKey"), p.text("variationId")) for p in item.objects("parameters"))
    if len(parameters) != 1:
        raise invalid_request(f"{item.path('parameters')} must name one variation of the experiment's flag")
    return TreatmentInput(item.text("name"), item.flag("baseline"), percent, parameters)


def _flag_input(body: RequestBody) -> FlagInput:
    flags = body.object("flags")
    names = list(flags.names())
    if len(names) != 1:
        raise invalid_request(f"{body.path('flags')} must name one flag, not {len(names)}")
    flag = flags.object(names[0])
    return FlagInput(
        flag_key=names[0],
        rule_id=flag.text("ruleId"),
        config_version=flag.integer("flagConfigVersion"),
        not_in_experiment_variation_id=flag.optional_text("notInExperimentVariationId"),
    )


def _primary(body: RequestBody, metrics: tuple[MetricUse, ...]) -> MetricUse:
    single, funnel = body.optional_text("primarySingleMetricKey"), body.optional_text("primaryFunnelKey")
    if (single is None) == (funnel is None):
        raise invalid_request(
            f"one of {body.path('primarySingleMetricKey')} and {body.path('primaryFunnelKey')} is required"
        )
    primary = MetricUse(funnel, is_group=True) if funnel is not None else MetricUse(single or "", is_group=False)
    used = primary_among(metrics, primary.key, is_group=primary.is_group)
    if used is None:
        raise invalid_request(f"the primary metric {primary.key!r} must be one of {body.path('metrics')}")
    return used


def primary_among(metrics: tuple[MetricUse, ...], key: str, *, is_group: bool) -> MetricUse | None:
    """Return the metric or group with a key among those of an iteration, or None."""
    return next((use for use in metrics if use.names(MetricUse(key, is_group))), None)


def _is_object(body: RequestBody, name: str) -> bool:
    return name in body and bool(body.object(name))
