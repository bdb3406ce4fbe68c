"""A promoted experiment is found in each environment by what it is called; what is missing is named before a write."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.endpoints import patch_flag
from airflow_provider_launchdarkly.api.models import OtherFlagInstruction
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.promotions import PromotionRunner, make_true, three_environments

pytestmark = pytest.mark.usefixtures("connection")

FLAG = "checkout-button"


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer(world=three_environments()) as server:
        make_true(server, 0.3)
        yield server


def add_rule(environment: str, description: str, country: str) -> str:
    """Add a rule to the flag in an environment; return its id."""
    hook = LaunchDarklyHook(environment_key=environment)
    clause = {"contextKind": "user", "attribute": "country", "op": "in", "values": [country]}
    classic = hook.get_flag(FLAG).variations[0].id
    add = OtherFlagInstruction.of("addRule", clauses=[clause], variationId=classic, description=description)
    hook.run(patch_flag(hook.environment(), FLAG, [add]))
    return str(hook.get_flag(FLAG).environments[environment].rules[-1].id)


def promoted(emulator: EmulatorServer, **changes: Any) -> PromotionRunner:
    spec = {
        "experiment": {
            "key": "button",
            "flag": FLAG,
            "rule": "Germans",
            "hypothesis": "Bold is better.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
            **changes,
        },
        "stages": [{"allocation": 50, "gate": "decision"}],
        "policy": {"min_duration": "2d", "max_duration": "7d"},
        "turn_flag_on": True,
        "environments": ["test", "production"],
    }
    return PromotionRunner(rollout_dag(spec), wait=lambda _task: emulator.clock.advance(timedelta(days=1))).go_on()


def test_each_environment_has_its_own_rule_of_the_same_description(emulator: EmulatorServer) -> None:
    ids = {each: add_rule(each, "Germans", "de") for each in ("test", "production")}
    assert ids["test"] != ids["production"]
    done = promoted(emulator)
    assert done.succeeded("test.ship", "production.ship") == ["test.ship", "production.ship"]
    for environment, rule_id in ids.items():
        flag = LaunchDarklyHook(environment_key=environment).get_flag(FLAG)
        rule = flag.environments[environment].rule(rule_id)
        assert rule is not None
        served = flag.variation_at(rule.variation)
        assert served is not None
        assert served.name == "Bold"


@pytest.mark.parametrize(("there", "told"), [((), "Germans"), (("de", "at"), "is the description of 2 rules")])
def test_a_rule_that_is_missing_or_there_twice_in_the_next_one_is_named_before_a_write(
    emulator: EmulatorServer, there: tuple[str, ...], told: str
) -> None:
    add_rule("test", "Germans", "de")
    for country in there:
        add_rule("production", "Germans", country)
    before = len(emulator.effects())
    done = promoted(emulator)
    assert done.states["test.ship"] == "success"
    assert done.states["production.start"] == "failed"
    assert told in done.reasons["production.start"]
    assert [effect for effect in emulator.effects()[before:] if effect["environment"] == "production"] == []
