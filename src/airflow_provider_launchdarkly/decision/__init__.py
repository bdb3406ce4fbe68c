"""Evidence in, verdict out: no I/O, no clock, no Airflow, no numpy. What is re-exported here is the public surface.

Each name is loaded when it is first asked for: a DAG file that only writes down a policy does not pay for the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.evidence import (
        Evidence,
        EvidenceError,
        Measurement,
        MetricEvidence,
        TreatmentEvidence,
    )
    from airflow_provider_launchdarkly.decision.judge import decide
    from airflow_provider_launchdarkly.decision.plan import Plan, due_look, look_times, next_look, plan_for
    from airflow_provider_launchdarkly.decision.policy import (
        Budget,
        Direction,
        Guardrail,
        Looks,
        Mismatch,
        MismatchAction,
        Missing,
        MissingAction,
        Policy,
        Primary,
        Rule,
        Signal,
        Test,
        Traffic,
    )
    from airflow_provider_launchdarkly.decision.reading import PolicyError, parse_policy, read_policy
    from airflow_provider_launchdarkly.decision.suitability import UndecidableExperimentError, require_decidable
    from airflow_provider_launchdarkly.decision.verdict import (
        Bar,
        Comparison,
        Kind,
        MetricJudgement,
        Reason,
        Role,
        Split,
        Verdict,
    )

_NAMES = {
    "evidence": "Evidence EvidenceError Measurement MetricEvidence TreatmentEvidence",
    "judge": "decide",
    "plan": "Plan due_look look_times next_look plan_for",
    "policy": "Budget Direction Guardrail Looks Mismatch MismatchAction Missing MissingAction Policy Primary Rule "
    "Signal Test Traffic",
    "reading": "PolicyError parse_policy read_policy",
    "suitability": "UndecidableExperimentError require_decidable",
    "verdict": "Bar Comparison Kind MetricJudgement Reason Role Split Verdict",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [
    "Bar",
    "Budget",
    "Comparison",
    "Direction",
    "Evidence",
    "EvidenceError",
    "Guardrail",
    "Kind",
    "Looks",
    "Measurement",
    "MetricEvidence",
    "MetricJudgement",
    "Mismatch",
    "MismatchAction",
    "Missing",
    "MissingAction",
    "Plan",
    "Policy",
    "PolicyError",
    "Primary",
    "Reason",
    "Role",
    "Rule",
    "Signal",
    "Split",
    "Test",
    "Traffic",
    "TreatmentEvidence",
    "UndecidableExperimentError",
    "Verdict",
    "decide",
    "due_look",
    "look_times",
    "next_look",
    "parse_policy",
    "plan_for",
    "read_policy",
    "require_decidable",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
