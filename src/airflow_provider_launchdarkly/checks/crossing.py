"""Read a crossing of the boundary from the output of the task that found it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.config.problems import shown

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.evidence import Standing
    from airflow_provider_launchdarkly.evidence.source import Target


class Crossing(NamedTuple):
    """An earlier verdict's crossing of the boundary.

    Attributes:
        standing: The crossing; None if there is none for this iteration.
        warning: Why the verdict counts for nothing although it has a crossing; empty otherwise.
    """

    standing: Standing | None = None
    warning: str = ""


def check_standing(value: Any) -> None:
    """Raise if a value cannot be the output of a task that judges.

    Raises:
        ConfigurationError: It is no verdict. The message has the cure.
    """
    if value is not None and (not isinstance(value, Mapping) or "verdict" not in value):
        raise ConfigurationError(
            f"standing is {shown(value)}: pass the output of an earlier sensor, as in standing=wait.output"
        )


def read_crossing(verdict: Mapping[str, Any] | None, target: Target) -> Crossing:
    """Read the crossing from an earlier verdict on the same iteration.

    Args:
        verdict: The output of a sensor or of the judge operator; None for none.
        target: The iteration that is judged now. A crossing in another one counts for nothing.

    Raises:
        ConfigurationError: The value is no verdict.
    """
    check_standing(verdict)
    found = (verdict or {}).get("standing")
    if verdict is None or not found:
        return Crossing()
    wanted = target.to_json()
    others = [f"{name} {verdict.get(name)!r}" for name, value in wanted.items() if verdict.get(name) != value]
    if others:
        judged = ", ".join(f"{name} {value!r}" for name, value in wanted.items())
        return Crossing(
            warning=f"standing is about {', '.join(others)} and counts for nothing: this task judges {judged}"
        )
    return Crossing(standing_from_json(found))


def standing_from_json(value: Any) -> Standing:
    """Read a crossing from plain JSON.

    Raises:
        ConfigurationError: It is no crossing. The message has the cure.
    """
    match value:
        case {"treatment_id": str(treatment), "look": int(look), "metric": str(metric), "policy": str(policy)}:
            # Imported here, as everything that only a running task needs.
            from airflow_provider_launchdarkly.decision.evidence import Standing

            return Standing(treatment, look, metric, policy)
    raise ConfigurationError(
        f"standing.standing is {shown(value)}, which is no crossing: pass the output of an earlier sensor unchanged"
    )
