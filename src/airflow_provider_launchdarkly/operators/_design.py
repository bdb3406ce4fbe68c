"""An iteration as a DAG's author writes it, checked, and resolved against the flag into what LaunchDarkly takes.

Pure. What can be seen to be wrong without LaunchDarkly is refused when the DAG file is parsed; what needs the flag
(does this variation exist?) when the task runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.variations import as_text, find_variation

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import FeatureFlag, IterationInput


class _TreatmentSpec(TypedDict):
    variation: Any
    allocation_percent: float | int | str


class TreatmentSpec(_TreatmentSpec, total=False):
    """One treatment: what a share of the people in the experiment is served.

    Keys:
        variation: The flag's variation: its name, its value (``True``, ``"bold"``, ``3``) or its id.
        allocation_percent: Share of the iteration's people, 0 to 100. All shares add up to 100.
        baseline: True on exactly one treatment.
        name: Shown in LaunchDarkly. Default: the variation's name, or its value.
    """

    baseline: bool
    name: str


class _MetricSpec(TypedDict):
    key: str


class MetricSpec(_MetricSpec, total=False):
    """One metric, where its key alone does not say it all.

    Keys:
        key: The metric's or metric group's key.
        is_group: True for a metric group.
    """

    is_group: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationDesign:
    """What a DAG's author says about an iteration.

    Attributes:
        flag_key: The flag whose rule serves the treatments.
        hypothesis: What is believed, in a sentence. LaunchDarkly requires one.
        treatments: Two or more, shares adding up to 100, one baseline.
        primary_metric: Key of the metric that decides; or
        primary_funnel: key of the funnel metric group that decides. One of the two.
        metrics: Further metrics and metric groups. The primary one need not be repeated.
        rule_id: The rule's id, or ``fallthrough`` for the flag's default rule.
        not_in_experiment_variation: The variation for people whom the experiment leaves out. Default: the baseline's.
        randomization_unit: What is randomized. None leaves LaunchDarkly's default, ``user``.
        can_reshuffle_traffic: False keeps people where they are when the audience grows. None leaves the default, true.
        attributes: Context attributes by which results can be sliced.
        covariate_id: Id of a covariate file for stratified sampling.
        reallocation_frequency: How often a bandit moves its traffic, as a timedelta or in seconds.
    """

    flag_key: str
    hypothesis: str
    treatments: Sequence[TreatmentSpec | Mapping[str, Any]]
    primary_metric: str | None = None
    primary_funnel: str | None = None
    metrics: Sequence[str | MetricSpec | Mapping[str, Any]] = ()
    rule_id: str = "fallthrough"
    not_in_experiment_variation: Any = None
    randomization_unit: str | None = None
    can_reshuffle_traffic: bool | None = None
    attributes: Sequence[str] | None = None
    covariate_id: str | None = None
    reallocation_frequency: timedelta | float | str | None = None

    def check(self) -> None:
        """Refuse what cannot be an experiment, whatever the flag looks like.

        Raises:
            ConfigurationError: A share, the baseline, a metric or a text is missing or wrong.
        """
        self._input(as_text)

    def resolve(self, flag: FeatureFlag) -> IterationInput:
        """Turn the design into the request's iteration, with the flag's variation ids.

        Args:
            flag: The flag, as read just now.

        Raises:
            ConfigurationError: The design is wrong, or names a variation that the flag does not have.
        """
        return self._input(lambda wanted: find_variation(flag, wanted).id, flag)

    def _input(self, variation_id: Callable[[Any], str], flag: FeatureFlag | None = None) -> IterationInput:
        # Imported here: a DAG file whose fields are all templates does not need it.
        from airflow_provider_launchdarkly.api.models import IterationInput

        for field in ("flag_key", "hypothesis"):
            value = getattr(self, field)
            if not isinstance(value, str) or not value.strip():
                raise ConfigurationError(f"{field} is {value!r}: LaunchDarkly needs a text here")
        if bool(self.primary_metric) == bool(self.primary_funnel):
            given = f"primary_metric is {self.primary_metric!r} and primary_funnel is {self.primary_funnel!r}"
            raise ConfigurationError(f"{given}: name the one metric, or the one funnel, that decides the experiment")
        treatments = tuple(_entries("treatments", self.treatments, TreatmentSpec))
        if len(treatments) < 2:
            raise ConfigurationError(f"treatments is {self.treatments!r}: an experiment compares at least two")
        left_out = self.not_in_experiment_variation
        return IterationInput.checked(
            {
                "hypothesis": self.hypothesis,
                "treatments": [_treatment(self.flag_key, part, variation_id, flag) for part in treatments],
                "metrics": self._metrics(),
                "primary_single_metric_key": self.primary_metric,
                "primary_funnel_key": self.primary_funnel,
                "flags": {
                    self.flag_key: {
                        "rule_id": self.rule_id,
                        "not_in_experiment_variation_id": None if left_out is None else variation_id(left_out),
                    }
                },
                "randomization_unit": self.randomization_unit,
                "can_reshuffle_traffic": self.can_reshuffle_traffic,
                "attributes": self.attributes,
                "covariate_id": self.covariate_id,
                "reallocation_frequency_millis": _milliseconds(self.reallocation_frequency),
            }
        )

    def metric_kinds(self) -> dict[str, bool]:
        """Every metric of the design by key, and whether it is a metric group."""
        return {metric["key"]: bool(metric.get("is_group")) for metric in self._metrics()}

    def _metrics(self) -> list[Mapping[str, Any]]:
        primary = {"key": self.primary_metric or self.primary_funnel, "is_group": bool(self.primary_funnel)}
        named = [{"key": metric} if isinstance(metric, str) else metric for metric in self.metrics]
        others = _entries("metrics", named, MetricSpec)
        return [primary, *(metric for metric in others if metric["key"] != primary["key"])]


def resolve_treatments(flag: FeatureFlag, treatments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Turn treatments as a DAG's author writes them into LaunchDarkly's own form.

    Args:
        flag: The flag, as read just now.
        treatments: As in :class:`IterationDesign`.

    Raises:
        ConfigurationError: A key is unknown or missing, or the flag has no such variation.
    """
    from airflow_provider_launchdarkly.api.models import TreatmentInput

    checked = _entries("treatments", treatments, TreatmentSpec)
    made = [_treatment(flag.key, part, lambda wanted: find_variation(flag, wanted).id, flag) for part in checked]
    return [TreatmentInput.checked(part).to_wire() for part in made]


def _treatment(
    flag_key: str, treatment: Mapping[str, Any], variation_id: Callable[[Any], str], flag: FeatureFlag | None
) -> dict[str, Any]:
    wanted = treatment["variation"]
    name = treatment.get("name")
    if name is None and flag is not None:
        variation = find_variation(flag, wanted)
        name = variation.name or as_text(variation.value)
    return {
        "name": name or as_text(wanted),
        "baseline": treatment.get("baseline", False),
        "allocation_percent": as_text(treatment["allocation_percent"]),
        "parameters": [{"flag_key": flag_key, "variation_id": variation_id(wanted)}],
    }


def _entries(field: str, entries: Any, spec: Any) -> Sequence[Mapping[str, Any]]:
    """The entries of a list of mappings, once their keys are known to be right."""
    if not isinstance(entries, list | tuple):
        raise ConfigurationError(f"{field} is {entries!r}: write a list")
    known = spec.__required_keys__ | spec.__optional_keys__
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise ConfigurationError(f"{field}[{number}] is {entry!r}: write a mapping with {', '.join(sorted(known))}")
        if unknown := sorted(set(entry) - known):
            raise ConfigurationError(
                f"{field}[{number}] has unknown keys {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )
        if missing := sorted(spec.__required_keys__ - set(entry)):
            raise ConfigurationError(f"{field}[{number}] lacks {', '.join(missing)}")
    return entries


def _milliseconds(frequency: timedelta | float | str | None) -> int | None:
    if frequency is None:
        return None
    if isinstance(frequency, timedelta):
        return round(frequency.total_seconds() * 1000)
    try:
        return round(float(frequency) * 1000)
    except ValueError:
        raise ConfigurationError(
            f"reallocation_frequency is {frequency!r}: write a timedelta, or a number of seconds"
        ) from None
