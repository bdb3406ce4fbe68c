"""The design of an iteration as a DAG's author writes it, checked, and resolved into LaunchDarkly's own form.

Pure. An error that needs no data from LaunchDarkly is raised when the DAG file is parsed; one that needs the flag, such
as a variation that does not exist, when the task runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypedDict

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.variations import as_text, find_rule_id, find_variation, label_of, served_twice
from airflow_provider_launchdarkly.config.problems import shown
from airflow_provider_launchdarkly.decision.suitability import UndecidableExperimentError, require_comparison

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import FeatureFlag, IterationInput


class _TreatmentSpec(TypedDict):
    variation: Any
    allocation_percent: float | int | str


class TreatmentSpec(_TreatmentSpec, total=False):
    """One treatment: a share of the people in the experiment, and the variation that they get.

    Keys:
        variation: The flag's variation: its name, its value (``True``, ``"bold"``, ``3``) or its id.
        allocation_percent: Share of the iteration's people, 0 to 100. All shares add up to 100.
        baseline: True on exactly one treatment.
        name: Name in LaunchDarkly. Default: the variation's name, or its value.
    """

    baseline: bool
    name: str


class _MetricSpec(TypedDict):
    key: str


class MetricSpec(_MetricSpec, total=False):
    """One metric, if its key alone is not enough.

    Keys:
        key: The metric's or metric group's key.
        is_group: True for a metric group.
    """

    is_group: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationDesign:
    """The design of an iteration.

    Attributes: the arguments of :class:`LaunchDarklyIterationDesignBaseOperator` of the same names, with its defaults.
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
    judged: bool = True
    judged_metrics: Sequence[str] = ()

    def check(self) -> IterationInput:
        """Reject a design that is wrong for every flag.

        Returns:
            The request's iteration, with ``id`` in place of the flag's variation ids.

        Raises:
            ConfigurationError: A share, the baseline, a metric or a text is missing or wrong.
        """
        return self._input(lambda _wanted: "id")

    def resolve(self, flag: FeatureFlag) -> IterationInput:
        """Return the request's iteration, with the flag's variation ids.

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
            raise ConfigurationError(f"treatments is {shown(self.treatments)}: an experiment compares at least two")
        if (second := served_twice([treatment["variation"] for treatment in treatments])) is not None:
            raise ConfigurationError(
                f"treatments[{second}].variation is {shown(treatments[second]['variation'])}, which another treatment "
                "serves: name each variation once"
            )
        left_out = self.not_in_experiment_variation
        iteration = IterationInput.checked(
            {
                "hypothesis": self.hypothesis,
                "treatments": [_treatment(self.flag_key, treatment, variation_id, flag) for treatment in treatments],
                "metrics": self._metrics(),
                "primary_single_metric_key": self.primary_metric,
                "primary_funnel_key": self.primary_funnel,
                "flags": {
                    self.flag_key: {
                        "rule_id": self._rule_id(flag),
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
        # A bandit moves its traffic by itself, and no policy judges it.
        if self.judged and self.reallocation_frequency is None:
            check_shares(treatment.to_wire() for treatment in iteration.treatments)
        return iteration

    def _rule_id(self, flag: FeatureFlag | None) -> str:
        if not isinstance(self.rule_id, str):
            return self.rule_id  # rejected with the iteration
        # Without the flag, a description passes for an id.
        return "-".join(self.rule_id.split()) if flag is None else find_rule_id(flag, self.rule_id)

    def metric_kinds(self) -> dict[str, bool]:
        """Return every metric of the design by key: True for a metric group."""
        return {metric["key"]: bool(metric.get("is_group")) for metric in self._metrics()}

    def _metrics(self) -> list[Mapping[str, Any]]:
        primary = {"key": self.primary_metric or self.primary_funnel, "is_group": bool(self.primary_funnel)}
        if not isinstance(self.metrics, list | tuple):
            raise ConfigurationError(f"metrics is {shown(self.metrics)}: write a list of metrics' keys")
        named = [{"key": metric} if isinstance(metric, str) else metric for metric in self.metrics]
        others = _entries("metrics", named, MetricSpec)
        return [primary, *(metric for metric in others if metric["key"] != primary["key"])]


DESIGN_FIELDS = tuple(field.name for field in fields(IterationDesign))


def resolve_treatments(flag: FeatureFlag, treatments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return treatments in LaunchDarkly's own form.

    Args:
        flag: The flag, as read just now.
        treatments: The treatments, each as a :class:`TreatmentSpec`.

    Raises:
        ConfigurationError: A key is unknown or missing, or the flag has no such variation.
    """
    from airflow_provider_launchdarkly.api.models import TreatmentInput

    checked = _entries("treatments", treatments, TreatmentSpec)
    resolved = [_treatment(flag.key, entry, lambda wanted: find_variation(flag, wanted).id, flag) for entry in checked]
    return [TreatmentInput.checked(treatment).to_wire() for treatment in resolved]


def check_treatments(field: str, treatments: Any) -> None:
    """Reject treatments with a key that is unknown or missing.

    Args:
        field: The field that has them.
        treatments: The treatments, each as a :class:`TreatmentSpec`.

    Raises:
        ConfigurationError: The message names the entry and its key.
    """
    _entries(field, treatments, TreatmentSpec)


def check_shares(treatments: Iterable[Any]) -> None:
    """Reject treatments whose shares leave nothing to compare.

    Args:
        treatments: The treatments, each as a :class:`TreatmentSpec` or in LaunchDarkly's own form. Entries without a
            share that is a number are left to the other checks.

    Raises:
        ConfigurationError: The baseline or every new treatment has no share.
    """
    shares = []
    for treatment in treatments:
        if not isinstance(treatment, Mapping):
            return
        percent = treatment.get("allocation_percent", treatment.get("allocationPercent"))
        try:
            share = Decimal(str(percent))
        except InvalidOperation:
            return
        name = treatment.get("name") or label_of(treatment.get("variation"))
        shares.append((name, share, bool(treatment.get("baseline"))))
    try:
        require_comparison(shares)
    except UndecidableExperimentError as error:
        raise ConfigurationError(f"treatments: {error}") from None


def _treatment(
    flag_key: str, treatment: Mapping[str, Any], variation_id: Callable[[Any], str], flag: FeatureFlag | None
) -> dict[str, Any]:
    wanted = treatment["variation"]
    name = treatment.get("name")
    if name is None and flag is not None:
        variation = find_variation(flag, wanted)
        name = variation.name or label_of(variation.value)
    return {
        "name": name or label_of(wanted),
        "baseline": treatment.get("baseline", False),
        "allocation_percent": as_text(treatment["allocation_percent"]),
        "parameters": [{"flag_key": flag_key, "variation_id": variation_id(wanted)}],
    }


def _entries(field: str, entries: Any, spec: Any) -> Sequence[Mapping[str, Any]]:
    """Check the keys of a list of mappings, and return the list."""
    if not isinstance(entries, list | tuple):
        raise ConfigurationError(f"{field} is {shown(entries)}: write a list")
    known = spec.__required_keys__ | spec.__optional_keys__
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise ConfigurationError(
                f"{field}[{number}] is {shown(entry)}: write a mapping with {', '.join(sorted(known))}"
            )
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
