"""What each generation of LaunchDarkly's API knows: fields and instructions that came later are not there yet.

From the published clients: 17.1 (December 2024) still has legacy results, 17.2 (April 2025) calls results deprecated,
25 (2026) is without them. `all` is everything that was ever published, which no client refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

EXPERIMENT_SINCE_25 = frozenset(
    {"tags", "methodology", "dataSource", "type", "_access", "analysisConfig", "mutableFieldsByStatus"}
)
"""Fields of an experiment, shown and taken, that the clients 17.x do not have (18.1.0 and 23.0.0)."""
ITERATION_SINCE_25 = frozenset({"version", "reallocationFrequencyMillis", "covariateInfo", "covariateId"})
"""Fields of an iteration, shown and taken, that the clients 17.x do not have (18.0.0, 23.0.0)."""
INSTRUCTIONS_SINCE_25 = frozenset({"updateExperimentFields", "saveAndStartNewIteration"})
"""Instructions of Patch experiment that the clients 17.x do not have (23.0.0)."""


def is_17(generation: str) -> bool:
    """Whether a generation is one of the 17.x clients'."""
    return generation in ("17.1", "17.2")


def default_methodology(generation: str) -> str:
    """What an experiment is that does not say it: the documentation of 23 and 24 says Bayesian, that of 25 does not."""
    return "frequentist" if generation == "25" else "bayesian"


def without(data: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The fields that are not among `names`."""
    return {name: value for name, value in data.items() if name not in names}


def experiment_post(data: Any, generation: str) -> Any:
    """The body of a create, as a generation reads it: fields that it does not know are ignored, as any unknown ones."""
    if not is_17(generation) or not isinstance(data, dict):
        return data
    known = without(data, EXPERIMENT_SINCE_25)
    if "iteration" in known:
        known["iteration"] = iteration_input(known["iteration"], generation)
    return known


def iteration_input(data: Any, generation: str) -> Any:
    """The body of an iteration, as a generation reads it."""
    if not is_17(generation) or not isinstance(data, dict):
        return data
    known = without(data, ITERATION_SINCE_25)
    if isinstance(known.get("metrics"), list):
        known["metrics"] = [
            without(use, ("analysisUnit",)) if isinstance(use, dict) else use for use in known["metrics"]
        ]
    return known
