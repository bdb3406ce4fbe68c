"""The generations of LaunchDarkly's published API, as data: the fields, instructions and defaults that each one has.

The published clients are the source: 17.1 (December 2024) still has legacy results, 17.2 (April 2025) calls results
deprecated, 25 (2026) has none. A new generation is a new entry of `GENERATIONS`, and its name in `GenerationName`; an
operation that came or went with it is marked in the table of operations (`since`, `until`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

GenerationName = Literal["all", "17.1", "17.2", "25"]


@dataclass(frozen=True, slots=True)
class Generation:
    """The differences of one generation of the API.

    Attributes:
        missing_experiment_fields: Fields of an experiment that it neither returns nor reads.
        missing_iteration_fields: Fields of an iteration that it neither returns nor reads.
        missing_metric_fields: Fields of an iteration's metric that it neither returns nor reads.
        missing_metric_resource_fields: Fields of a metric itself that it neither returns nor reads.
        missing_instructions: Instructions of Patch experiment that it rejects as unknown.
        default_methodology: The methodology of an experiment that names none.
        has_standard_units: Whether each randomization unit needs and returns its `standardRandomizationUnit`.
        has_flag_dry_run: Whether Patch feature flag takes `dryRun`.
        has_plain_maintainer: Whether a metric group's maintainer has the field `member`, not `key`, `kind`, `_member`.
    """

    missing_experiment_fields: frozenset[str] = frozenset()
    missing_iteration_fields: frozenset[str] = frozenset()
    missing_metric_fields: frozenset[str] = frozenset()
    missing_metric_resource_fields: frozenset[str] = frozenset()
    missing_instructions: frozenset[str] = frozenset()
    default_methodology: Literal["bayesian", "frequentist"] = "bayesian"
    has_standard_units: bool = False
    has_flag_dry_run: bool = True
    has_plain_maintainer: bool = False

    def read_experiment(self, body: Any) -> Any:
        """Return the body that creates an experiment without the fields that this generation ignores as unknown."""
        if not isinstance(body, dict):
            return body
        known = _without(body, self.missing_experiment_fields)
        if "iteration" in known:
            known["iteration"] = self.read_iteration(known["iteration"])
        return known

    def read_iteration(self, body: Any) -> Any:
        """Return the body of an iteration without the fields that this generation ignores as unknown."""
        if not isinstance(body, dict):
            return body
        known = _without(body, self.missing_iteration_fields)
        if isinstance(known.get("metrics"), list):
            known["metrics"] = [
                _without(metric, self.missing_metric_fields) if isinstance(metric, dict) else metric
                for metric in known["metrics"]
            ]
        return known

    def read_metric(self, body: Any) -> Any:
        """Return the body that creates a metric without the fields that this generation ignores as unknown."""
        return _without(body, self.missing_metric_resource_fields) if isinstance(body, dict) else body

    def metric_resource(self, representation: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a metric's own representation, or a group's, that this generation has."""
        return _without(representation, self.missing_metric_resource_fields)

    def experiment(self, representation: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of an experiment's representation that this generation has."""
        return _without(representation, self.missing_experiment_fields)

    def iteration(self, representation: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of an iteration's representation that this generation has."""
        return _without(representation, self.missing_iteration_fields)

    def metric(self, representation: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a metric's representation in an iteration that this generation has."""
        return _without(representation, self.missing_metric_fields)


_GENERATION_17 = Generation(
    # 18.1.0 and 23.0.0 added them.
    missing_experiment_fields=frozenset(
        {"tags", "methodology", "dataSource", "type", "_access", "analysisConfig", "mutableFieldsByStatus"}
    ),
    # 18.0.0 and 23.0.0 added them.
    missing_iteration_fields=frozenset({"version", "reallocationFrequencyMillis", "covariateInfo", "covariateId"}),
    missing_metric_fields=frozenset({"analysisUnit", "analysisType", "eventKey"}),
    missing_metric_resource_fields=frozenset(
        {"activeExperimentCount", "analysisUnits", "archived", "archivedAt", "dataSource", "denominator", "filters"}
        | {"traceQuery", "traceValueLocation", "unitAggregationField", "valueColumn"}
        | {"windowStartOffset", "windowEndOffset"}
        | {"winsorLowerPercentile", "winsorUpperPercentile", "winsorIncludeImputed"}
    ),
    # 23.0.0 added them.
    missing_instructions=frozenset({"updateExperimentFields", "saveAndStartNewIteration"}),
    has_standard_units=True,
    has_flag_dry_run=False,
    has_plain_maintainer=True,
)

GENERATIONS: dict[str, Generation] = {
    "all": Generation(),
    "17.1": _GENERATION_17,
    "17.2": _GENERATION_17,
    # The documentation of 23 and 24 says that experiments are Bayesian by default; that of 25 no longer does.
    "25": Generation(default_methodology="frequentist"),
}
"""By name, in the order of publication. `all` is everything that was ever published, so that it serves every client."""


def published_generations(since: str | None = None, until: str | None = None) -> tuple[str, ...]:
    """Return the names of the published generations from `since` to `until`, both included, oldest first."""
    names = [name for name in GENERATIONS if name != "all"]
    first = 0 if since is None else names.index(since)
    last = len(names) if until is None else names.index(until) + 1
    return tuple(names[first:last])


def _without(data: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}
