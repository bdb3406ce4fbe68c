"""The arguments of a release: each one that is given reaches LaunchDarkly, or is refused when the file is parsed."""

from __future__ import annotations

from inspect import signature
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.operators._release_design import ReleaseArguments
from airflow_provider_launchdarkly.operators.releases import LaunchDarklyStartReleaseOperator

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

STEPS = [{"percent": 10, "duration": "1d"}]
TESTERS = {"contextKind": "user", "attribute": "group", "op": "in", "values": ["testers"]}
KIND = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"]}
SHAPES: dict[str, dict[str, Any]] = {
    "new rule": {"phases": [{"steps": STEPS}]},
    "existing rule": {"phases": [{"steps": STEPS, "rule_id": "rule-1"}]},
    "plan": {"release_plan_key": "careful"},
}
# A value that is not the default of each argument that shapes a release.
GIVEN: dict[str, Any] = {
    "original": "Loud",
    "target": "Loud",
    "phases": [{"steps": [{"percent": 20, "duration": "1d"}]}],
    "guardrails": ["errors"],
    "randomization_unit": "device",
    "advancement_mode": "manual",
    "cleanup_behavior": "remove_rules_and_update_default_rule",
    "before_rule_id": "rule-2",
    "release_plan_key": "quick",
    "bypass_health_checks": ["metric_events_any"],
}


def starting(**fields: Any) -> LaunchDarklyStartReleaseOperator:
    given = {"flag_key": "checkout-button", "original": "Classic", "target": "Bold"}
    return LaunchDarklyStartReleaseOperator(task_id="start", **(given | fields))


def sent(**fields: Any) -> dict[str, Any]:
    arguments = ReleaseArguments.of(starting(**fields))
    return arguments.post(str(arguments.original), str(arguments.target), run="run-1").to_wire()


def refusal_of(**fields: Any) -> str | None:
    try:
        starting(**fields)
    except ConfigurationError as refused:
        return str(refused)
    return None


def test_every_argument_that_shapes_a_release_is_listed_here() -> None:
    others = {"self", "flag_key", "comment", "emit_asset", "kwargs"}
    assert set(GIVEN) == set(signature(LaunchDarklyStartReleaseOperator.__init__).parameters) - others


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", GIVEN)
def test_no_argument_is_left_out_silently(shape: str, name: str) -> None:
    fields = SHAPES[shape] | {name: GIVEN[name]}
    if refused := refusal_of(**fields):
        assert name in refused
        assert "leave" in refused
    else:
        assert sent(**fields) != sent(**SHAPES[shape])


@pytest.mark.parametrize("own", [{"rule_id": "rule-1"}, {}])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rule_id", "rule-2"),
        ("clauses", [TESTERS]),
        ("description", "Testers"),
        ("steps", [*STEPS, {"percent": 50, "duration": "2d"}]),
    ],
)
def test_nor_is_a_key_of_a_phase(own: dict[str, Any], name: str, value: Any) -> None:
    phase = {"steps": STEPS, **own}
    if refused := refusal_of(phases=[phase | {name: value}]):
        assert f"{name} " in refused
        assert "Leave out one of the two" in refused
    else:
        assert sent(phases=[phase | {name: value}]) != sent(phases=[phase])


PHASE: dict[str, Any] = {"steps": STEPS}
TWO = [PHASE, {"steps": STEPS, "clauses": [TESTERS]}]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"phases": "all"}, "phases is 'all': write a list"),
        ({"phases": ["all"]}, r"phases\[0\] is 'all': write a mapping"),
        ({"phases": [{"step": []}]}, r"phases\[0\].step is \[\], and a phase has no step: known are steps"),
        ({"phases": [{"steps": "10"}]}, r"phases\[0\].steps is '10': write a list of steps"),
        ({"phases": [{"steps": []}]}, r"phases\[0\].steps is \[\]: write a list of steps"),
        ({"phases": [{"steps": [{"percent": 5, "duration": "0.0001s"}]}]}, "duration is '0.0001s'"),
        (
            {"phases": [{"steps": [{"percent": 50, "duration": "1d"}, *STEPS]}]},
            r"phases\[0\].steps\[1\].percent is 10 after 50",
        ),
        (
            {"phases": [{"steps": [{"percent": 80, "duration": "1d"}]}], "guardrails": ["errors"]},
            r"steps\[0\].percent is 80: a guarded release allows 50 at most",
        ),
        ({"phases": [{**PHASE, "rule_id": ""}]}, r"phases\[0\].rule_id is '': write text"),
        ({"phases": [{**PHASE, "description": ""}]}, r"phases\[0\].description is '': write text"),
        ({"phases": [{**PHASE, "clauses": "all"}]}, r"phases\[0\].clauses is 'all': write a list"),
        ({"phases": [{**PHASE, "clauses": ["all"]}]}, r"clauses\[0\] is 'all': write a mapping"),
        ({"phases": [{**PHASE, "clauses": [{**TESTERS, "kontext": "user"}]}]}, r"clauses\[0\] is .*kontext"),
        (
            {"phases": [{**PHASE, "clauses": [{**TESTERS, "op": "isIn"}]}]},
            r"clauses\[0\] is .*op: Input should be 'in'",
        ),
        (
            {"phases": [{**PHASE, "clauses": [{"attribute": "group", "op": "in", "values": ["a"]}]}]},
            "contextKind is required unless op is segmentMatch",
        ),
        (
            {"phases": [{**PHASE, "clauses": [{**KIND, "values": ["device"]}]}]},
            "of the kind of randomization_unit alone",
        ),
        ({"phases": [{**PHASE, "clauses": [{**KIND, "negate": True}]}]}, "Write that, or leave it out"),
        ({"phases": TWO}, "advancement_mode is None, and there are 2 phases: write automatic or manual"),
        ({"phases": TWO, "advancement_mode": "auto"}, "advancement_mode is 'auto': write manual or automatic"),
        ({"phases": [PHASE, PHASE], "advancement_mode": "manual"}, r"phases\[1\].clauses is that of phases\[0\]"),
        (
            {"phases": [{**phase, "description": "Us"} for phase in TWO], "advancement_mode": "manual"},
            r"phases\[1\].description is that of phases\[0\] \('Us'\)",
        ),
        (
            {"phases": [PHASE, {**PHASE, "rule_id": "rule-1"}], "advancement_mode": "manual"},
            r"phases\[1\].rule_id is 'rule-1': LaunchDarkly takes an existing rule only in a release of one phase",
        ),
        ({"cleanup_behavior": "remove"}, "cleanup_behavior is 'remove': write leave_rules_in_place or remove"),
        ({"randomization_unit": ""}, "randomization_unit is '': write text"),
        ({"bypass_health_checks": "metric_events_any"}, "bypass_health_checks is 'metric_events_any': write a list"),
        ({"bypass_health_checks": ["all"]}, r"bypass_health_checks\[0\] is 'all': write flag_evaluations_any or"),
        ({"guardrails": "errors"}, "guardrails is 'errors': write a list of metrics' keys"),
        (
            {"guardrails": [{"metric": "errors", "rollback": True}]},
            r"guardrails\[0\] is .*write a metric's key, or metric",
        ),
        ({"guardrails": [{"metric": "errors", "auto_rollback": "no"}]}, "auto_rollback is 'no': write True or False"),
        ({"guardrails": ["errors", "errors"]}, r"guardrails\[1\] is 'errors', which is there already"),
        ({"original": "Bold"}, "original and target are both 'Bold': name two variations"),
        ({"phases": None, "release_plan_key": ""}, "release_plan_key is '': write text"),
    ],
)
def test_a_wrong_value_is_refused_when_the_file_is_parsed_and_when_the_task_runs(
    fields: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"phases": [PHASE], **fields}
    with pytest.raises(ConfigurationError, match=words):
        starting(**given)
    monkeypatch.setattr(ReleaseArguments, "check", lambda _self: None)  # as if each field were a template
    with pytest.raises(ConfigurationError, match=words):
        sent(**given)


TEMPLATE = "{{ params.it }}"


@pytest.mark.parametrize("name", [name for name in GIVEN if name != "release_plan_key"])
def test_a_template_is_checked_when_the_task_runs_and_the_rest_when_the_file_is_parsed(name: str) -> None:
    fields = {"phases": [PHASE], name: TEMPLATE}
    starting(**fields)
    wrong = {"bypass_health_checks": ["all"]} if name != "bypass_health_checks" else {"guardrails": "errors"}
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        starting(**fields, **wrong)


def test_a_plan_and_phases_of_which_a_template_leaves_one_out_are_checked_when_the_task_runs() -> None:
    starting(phases=TEMPLATE, release_plan_key=TEMPLATE, guardrails=["errors"])
    starting(release_plan_key=TEMPLATE)


def test_the_clauses_of_a_new_rule_reach_the_flag(hook: LaunchDarklyHook) -> None:
    hook.turn_flag("checkout-button", on=True)
    run: Any = {"ti": SimpleNamespace(dag_id="ship", task_id="start", run_id="run-1", try_number=1)}
    starting(phases=[{**PHASE, "clauses": [TESTERS], "description": "Testers"}]).execute(run)
    (rule,) = hook.get_flag("checkout-button").environments["production"].rules
    assert rule.description == "Testers"
    assert [(clause.attribute, list(clause.values)) for clause in rule.clauses] == [
        ("kind", ["user"]),
        ("group", ["testers"]),
    ]
