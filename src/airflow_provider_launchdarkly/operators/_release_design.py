"""A release as a DAG's author writes it, checked, and in LaunchDarkly's own form. Pure.

The same checks run when the DAG file is parsed and when the task runs. Nothing that is given is left out silently.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.config.durations import parse_duration
from airflow_provider_launchdarkly.config.problems import shown
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import ReleasePost

UNIT = "user"
"""The kind of context by which rules split if the author names none."""

_PHASE = ("steps", "rule_id", "clauses", "description")
_FROM_PLAN = ("phases", "guardrails", "randomization_unit", "advancement_mode", "cleanup_behavior")
_STEP = '{"percent": 10, "duration": "1d"}'
# What a field that is a template counts as, until the task runs.
_TEMPLATED: Mapping[str, Any] = {
    "original": "original",
    "target": "target",
    "phases": [{"steps": [{"percent": 10, "duration": "1d"}]}],
    "guardrails": (),
    "bypass_health_checks": (),
    "advancement_mode": "automatic",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseArguments:
    """The arguments of :class:`LaunchDarklyStartReleaseOperator` of the same names."""

    original: Any
    target: Any
    phases: Any
    guardrails: Any
    randomization_unit: Any
    advancement_mode: Any
    cleanup_behavior: Any
    before_rule_id: Any
    release_plan_key: Any
    bypass_health_checks: Any

    @classmethod
    def of(cls, operator: Any) -> ReleaseArguments:
        """Return an operator's."""
        return cls(**{field.name: getattr(operator, field.name) for field in fields(cls)})

    def check(self) -> None:
        """Check what can be known when the DAG file is parsed; a field with a template waits until the task runs.

        Raises:
            ConfigurationError: A field is wrong, or would have no effect.
        """
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        if not is_literal(given["phases"]) and given["release_plan_key"] is not None:
            return  # which of the two counts is known only then
        literal = {name: value if is_literal(value) else _TEMPLATED.get(name) for name, value in given.items()}
        if not literal["phases"] and not is_literal(given["release_plan_key"]):
            literal["release_plan_key"] = "plan"
        ReleaseArguments(**literal).post("original", "target", run="the DAG run")

    def post(self, original_id: str, target_id: str, *, run: str, comment: str | None = None) -> ReleasePost:
        """Return the release in LaunchDarkly's own form.

        Args:
            original_id: Id of the variation to move from.
            target_id: Id of the variation to move to.
            run: Describes the first new rule, so that this run's release can be told from others.
            comment: Text for LaunchDarkly's audit log.

        Raises:
            ConfigurationError: A field is wrong, or would have no effect.
        """
        from airflow_provider_launchdarkly.api.models import ReleasePost

        if type(self.original) is type(self.target) and self.original == self.target:
            raise ConfigurationError(f"original and target are both {shown(self.original)}: name two variations")
        made = {
            **self._design(run),
            "originalVariationId": original_id,
            "targetVariationId": target_id,
            "beforeRuleId": self.before_rule_id,
            "bypassHealthChecks": self._bypassed() or None,
            "comment": comment,
        }
        return ReleasePost.checked({name: value for name, value in made.items() if value is not None})

    def _bypassed(self) -> list[str]:
        from airflow_provider_launchdarkly.api.models import HealthCheck

        kinds = _list("bypass_health_checks", self.bypass_health_checks, "kinds of health checks")
        for place, kind in enumerate(kinds):
            _one_of(f"bypass_health_checks[{place}]", kind, get_args(HealthCheck))
        return kinds

    def _design(self, run: str) -> dict[str, Any]:
        """Return the fields that a release plan would supply, or the plan's key."""
        from airflow_provider_launchdarkly.api.models import AdvancementMode, CleanupBehavior

        if self.release_plan_key is not None:
            given = {name: getattr(self, name) for name in _FROM_PLAN if getattr(self, name) not in (None, (), [])}
            if given:
                values = ", ".join(f"{name}={shown(value)}" for name, value in given.items())
                raise ConfigurationError(
                    f"release_plan_key is {self.release_plan_key!r}: leave out {values}, which the plan has, or leave "
                    "out release_plan_key"
                )
            return {"releasePlanKey": _text("release_plan_key", self.release_plan_key)}
        if not self.phases:
            raise ConfigurationError("phases and release_plan_key are both empty: give one of the two")
        if self.advancement_mode is not None:
            _one_of("advancement_mode", self.advancement_mode, get_args(AdvancementMode))
        if self.cleanup_behavior is not None:
            _one_of("cleanup_behavior", self.cleanup_behavior, get_args(CleanupBehavior))
        unit = UNIT if self.randomization_unit is None else _text("randomization_unit", self.randomization_unit)
        metrics = self._metrics()
        listed = _list("phases", self.phases, "phases")
        phases = [_phase(f"phases[{n}]", phase, unit, guarded=bool(metrics)) for n, phase in enumerate(listed)]
        self._check_together(phases)
        if "ruleId" not in phases[0]:
            phases[0].setdefault("description", run)
        return {
            "randomizationUnit": unit,
            "phases": phases,
            "metrics": metrics,
            "advancementMode": self.advancement_mode,
            "cleanupBehavior": self.cleanup_behavior,
        }

    def _metrics(self) -> list[dict[str, Any]]:
        listed = _list("guardrails", self.guardrails, "metrics' keys")
        metrics = [_guardrail(f"guardrails[{place}]", item) for place, item in enumerate(listed)]
        keys = [metric["metricKey"] for metric in metrics]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                raise ConfigurationError(f"guardrails[{place}] is {key!r}, which is there already: name it once")
        return metrics

    def _check_together(self, phases: Sequence[Mapping[str, Any]]) -> None:
        """Check phases that do not fit each other or the rest."""
        several = len(phases) > 1
        if several and self.advancement_mode is None:
            raise ConfigurationError(
                f"advancement_mode is None, and there are {len(phases)} phases: write automatic or manual"
            )
        for place, phase in enumerate(phases):
            if several and "ruleId" in phase:
                raise ConfigurationError(
                    f"phases[{place}].rule_id is {phase['ruleId']!r}: LaunchDarkly takes an existing rule only in a "
                    "release of one phase; give clauses"
                )
            for name in ("clauses", "description"):
                earlier = [other.get(name) for other in phases[:place]]
                if phase.get(name) is not None and phase[name] in earlier:
                    raise ConfigurationError(
                        f"phases[{place}].{name} is that of phases[{earlier.index(phase[name])}] ({shown(phase[name])})"
                        f": LaunchDarkly takes no two rules with the same {name}, so write others"
                    )
        if self.before_rule_id is not None and "ruleId" in phases[0]:
            raise ConfigurationError(
                f"before_rule_id is {self.before_rule_id!r}, and phases[0].rule_id {phases[0]['ruleId']!r} is a rule "
                "that exists, which keeps its place: leave before_rule_id out"
            )


def _phase(where: str, phase: Any, unit: str, *, guarded: bool) -> dict[str, Any]:
    if not isinstance(phase, Mapping):
        raise ConfigurationError(
            f"{where} is {shown(phase)}: write a mapping with steps, and rule_id or clauses and description"
        )
    for name in phase:
        if name not in _PHASE:
            raise ConfigurationError(
                f"{where}.{name} is {shown(phase[name])}, and a phase has no {name}: known are {', '.join(_PHASE)}"
            )
    given = {name: value for name, value in phase.items() if value is not None}
    made: dict[str, Any] = {"steps": _steps(f"{where}.steps", given.get("steps"), guarded=guarded)}
    if "rule_id" in given:
        for name in ("clauses", "description"):
            if name in given:
                raise ConfigurationError(
                    f"{where} has rule_id {shown(given['rule_id'])} and {name} {shown(given[name])}: an existing rule "
                    f"keeps its own {name}. Leave out one of the two"
                )
        return made | {"ruleId": _text(f"{where}.rule_id", given["rule_id"])}
    made["clauses"] = _clauses(f"{where}.clauses", given.get("clauses", ()), unit)
    if "description" in given:
        made["description"] = _text(f"{where}.description", given["description"])
    return made


def _clauses(where: str, clauses: Any, unit: str) -> list[dict[str, Any]]:
    """Return the clauses of a new rule, with the one that LaunchDarkly demands first if the author has left it out."""
    from airflow_provider_launchdarkly.api.models import ReleaseClauseInput

    demanded = {"contextKind": unit, "attribute": "kind", "op": "in", "values": [unit]}
    made = []
    for place, clause in enumerate(_list(where, clauses, "clauses")):
        if not isinstance(clause, Mapping):
            raise ConfigurationError(f"{where}[{place}] is {shown(clause)}: write a mapping such as {demanded}")
        try:
            read = ReleaseClauseInput.checked(clause)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}[{place}] is {shown(dict(clause))}: {error}") from None
        written = read.to_wire()
        if read.attribute == "kind" and {**written, "negate": bool(read.negate)} != {**demanded, "negate": False}:
            raise ConfigurationError(
                f"{where}[{place}] is {shown(dict(clause))}: LaunchDarkly demands that a released rule is for contexts "
                f"of the kind of randomization_unit alone, {demanded}. Write that, or leave it out: it is added then"
            )
        made.append(written)
    return made if any(clause["attribute"] == "kind" for clause in made) else [demanded, *made]


def _steps(where: str, steps: Any, *, guarded: bool) -> list[dict[str, int]]:
    from airflow_provider_launchdarkly.api.models import LARGEST_GUARDED

    listed = _list(where, steps, f"steps such as {_STEP}")
    if not listed:
        raise ConfigurationError(f"{where} is {shown(steps)}: write a list of steps such as {_STEP}")
    made = [_step(f"{where}[{place}]", step) for place, step in enumerate(listed)]
    for place, (before, after) in enumerate(pairwise(made), start=1):
        if after["allocation"] <= before["allocation"]:
            raise ConfigurationError(
                f"{where}[{place}].percent is {listed[place]['percent']!r} after {listed[place - 1]['percent']!r}: "
                "each step serves more people than the one before"
            )
    for place, step in enumerate(made):
        if guarded and step["allocation"] > LARGEST_GUARDED:
            raise ConfigurationError(
                f"{where}[{place}].percent is {listed[place]['percent']!r}: a guarded release allows "
                f"{LARGEST_GUARDED // 1000} at most, since as many people get the original to be compared with. Write "
                "less, or leave out guardrails"
            )
    return made


def _step(where: str, step: Any) -> dict[str, int]:
    if not isinstance(step, Mapping) or step.keys() != {"percent", "duration"}:
        raise ConfigurationError(f"{where} is {shown(step)}: write {_STEP}")
    try:
        allocation = Decimal(str(step["percent"])) * 1000
    except InvalidOperation:
        allocation = Decimal("NaN")
    if not allocation.is_finite() or allocation != allocation.to_integral_value() or not 1 <= allocation <= 100_000:
        raise ConfigurationError(
            f"{where}.percent is {step['percent']!r}: 0.001 to 100 percent are possible, in steps of 0.001"
        )
    try:
        duration = parse_duration(step["duration"])
    except ValueError as error:
        raise ConfigurationError(f"{where}.duration is {step['duration']!r}: {error}") from None
    if duration < timedelta(milliseconds=1):
        raise ConfigurationError(f"{where}.duration is {step['duration']!r}: write more than nothing, such as 1d")
    return {"allocation": int(allocation), "durationMillis": int(duration / timedelta(milliseconds=1))}


def _guardrail(where: str, item: Any) -> dict[str, Any]:
    if isinstance(item, str):
        return {"metricKey": _text(where, item), "autoRollback": True}
    if not isinstance(item, Mapping) or not item.keys() <= {"metric", "auto_rollback"} or "metric" not in item:
        raise ConfigurationError(f"{where} is {shown(item)}: write a metric's key, or metric and auto_rollback")
    rolls_back = item.get("auto_rollback", True)
    if not isinstance(rolls_back, bool):
        raise ConfigurationError(f"{where}.auto_rollback is {shown(rolls_back)}: write True or False")
    return {"metricKey": _text(f"{where}.metric", item["metric"]), "autoRollback": rolls_back}


def _list(name: str, value: Any, of: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise ConfigurationError(f"{name} is {shown(value)}: write a list of {of}")
    return list(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{name} is {shown(value)}: write text")
    return value


def _one_of(name: str, value: Any, choices: Collection[str]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name} is {shown(value)}: write {' or '.join(choices)}")
