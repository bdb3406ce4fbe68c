"""Setting a flag: the desired state, in an order that serves no unwanted variation in between."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators.flags import (
    LaunchDarklyCheckFlagServesOperator,
    LaunchDarklySetFlagOperator,
)
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.scene import Scene


def set_flag(context: Any, **fields: Any) -> Any:
    operator = LaunchDarklySetFlagOperator(task_id="set", **({"flag_key": "checkout-button"} | fields))
    output = operator.execute(context)
    assert json.loads(json.dumps(output)) == output
    return output


def instructions(emulator: EmulatorServer) -> list[str]:
    patches = [entry for entry in emulator.journal() if entry.operation == "patch_feature_flag"]
    return [part["kind"] for entry in patches for part in entry.body["instructions"]]


@pytest.mark.parametrize("variation", ["Bold", "bold"])
def test_a_variation_is_served_and_the_flag_turned_on_after(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any, variation: str
) -> None:
    output = set_flag(context, on=True, variation=variation)
    bold = hook.get_flag("checkout-button").variations[1].id
    assert (output["on"], output["serves"], output["changed"]) == (True, {bold: 100.0}, True)
    assert instructions(emulator) == ["updateFallthroughVariationOrRollout", "turnFlagOn"]


def test_a_repeat_writes_nothing(hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any) -> None:
    first = set_flag(context, on=True, rollout={"Classic": 90, "Bold": "10"})
    again = set_flag(context, on=True, rollout={"Bold": 10.0, "Classic": 90})
    assert (first["changed"], again["changed"]) == (True, False)
    assert sorted(again["serves"].values()) == [10.0, 90.0]
    assert len(instructions(emulator)) == 2


def test_a_flag_is_turned_off_before_its_rule_changes(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    set_flag(context, on=True, variation="Bold")
    output = set_flag(context, on=False, variation="Classic")
    assert output["on"] is False
    assert instructions(emulator)[2:] == ["turnFlagOff", "updateFallthroughVariationOrRollout"]


def test_a_rule_may_be_named_by_its_id(hook: LaunchDarklyHook, context: Any) -> None:
    rule = hook.get_flag("pricing-page").environments["production"].rules[0].id
    output = set_flag(context, flag_key="pricing-page", variation=True, rule_id=rule)
    new = hook.get_flag("pricing-page").variations[1].id
    assert output["serves"] == {new: 100.0}


def test_an_unknown_rule_or_variation_is_an_error_that_names_the_known_ones(
    hook: LaunchDarklyHook, context: Any
) -> None:
    with pytest.raises(AirflowFailException, match=r"'Loud'.*'Classic', 'Bold'"):
        set_flag(context, variation="Loud")
    with pytest.raises(AirflowFailException, match=r"no rule 'r'.*fallthrough"):
        set_flag(context, variation="Bold", rule_id="r")


def test_a_rule_with_a_running_experiment_is_an_error_that_names_it(scene: Scene, context: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"RuleOwnedError.*'bold'"):
        set_flag(context, variation="Bold")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"on": 1},
        {"on": "yes"},
        {"variation": "Bold", "rollout": {"Bold": 100}},
        {"rollout": {"Bold": 60, "Classic": 50}},
        {"rollout": {"Bold": "many"}},
        {"rollout": [60, 40]},
    ],
)
def test_a_wrong_state_is_refused_when_the_dag_file_is_parsed(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        LaunchDarklySetFlagOperator(task_id="set", flag_key="checkout-button", **fields)


def test_a_variation_named_twice_is_refused(hook: LaunchDarklyHook, context: Any) -> None:
    with pytest.raises(AirflowFailException, match="name each once"):
        set_flag(context, rollout={"Bold": 60, "bold": 40})


def test_the_link_leads_to_the_flag_in_launchdarklys_ui(hook: LaunchDarklyHook, emulator: EmulatorServer) -> None:
    operator = LaunchDarklySetFlagOperator(task_id="set", flag_key="a b", on=True)
    (link,) = operator.operator_extra_links
    url = link.get_link(operator, ti_key=None)
    assert url == f"{emulator.url}/projects/demo/flags/a%20b/targeting?env=production&selected-env=production"


@pytest.mark.parametrize("name", ["context_kind", "bucket_by"])
@pytest.mark.parametrize("state", [{"on": True}, {"variation": "Bold"}])
def test_what_only_a_rollout_uses_is_refused_without_one(name: str, state: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is 'country' and rollout is None.* leave {name} out"):
        LaunchDarklySetFlagOperator(task_id="set", flag_key="checkout-button", **{**state, name: "country"})


@pytest.mark.parametrize("beside", [{"flag_key": "other"}, {"variation_id": "v"}, {"rule_id": "r"}])
def test_what_the_stop_names_already_is_refused_beside_it(beside: dict[str, Any]) -> None:
    stopped = {"flag_key": "checkout-button", "rule_id": "fallthrough", "variation_id": "v1"}
    with pytest.raises(ConfigurationError, match=f"stopped is given, and .*{next(iter(beside.values()))}.* leave them"):
        LaunchDarklyCheckFlagServesOperator(task_id="check", stopped=stopped, **beside)


@pytest.mark.parametrize("stopped", [{}, {"flag_key": "checkout-button"}, ["checkout-button"]])
def test_an_output_that_is_no_stops_is_refused_when_the_file_is_parsed(stopped: Any) -> None:
    with pytest.raises(ConfigurationError, match="is missing in"):
        LaunchDarklyCheckFlagServesOperator(task_id="check", stopped=stopped)
