"""Flags: on and off, one variation or a rollout; idempotent, and telling who holds the rule."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    ConflictError,
    FlagOffError,
    InvalidRequestError,
    NotFoundError,
    RuleOwnedError,
    StateError,
)
from airflow_provider_launchdarkly.api.models import ApprovalRequestPost, FeatureFlag, OtherFlagInstruction
from airflow_provider_launchdarkly.api.writes.flags import Serving
from airflow_provider_launchdarkly.api.writes.start import StartedIteration
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import ENV, FLAG, Connect, Driver, relay

FAULTS = ["close_before", "close_after", "status_after", "status"]


def written(emulator: EmulatorServer) -> int:
    return len([entry for entry in emulator.journal() if entry.operation == "patch_feature_flag"])


@pytest.mark.parametrize("first", [True, False])
def test_a_flag_is_turned_once_however_often_it_is_asked(driver: Driver, emulator: EmulatorServer, first: bool) -> None:
    driver.run(writes.turn_flag(ENV, FLAG, on=not first))
    before = written(emulator)
    seen = [driver.run(writes.turn_flag(ENV, FLAG, on=first, comment="c")) for _ in range(2)]
    assert [(reached.value.environments["production"].on, reached.changed) for reached in seen] == [
        (first, True),
        (first, False),
    ]
    assert written(emulator) == before + 1


def test_only_the_environment_named_is_touched(driver: Driver) -> None:
    driver.run(writes.turn_flag(ENV, FLAG, on=True))
    flag = driver.send(endpoints.get_flag("demo", FLAG)).value
    assert (flag.environments["production"].on, flag.environments["test"].on) == (True, False)


def test_an_archived_flag_is_an_error(driver: Driver) -> None:
    driver.send(endpoints.patch_flag(ENV, FLAG, [OtherFlagInstruction.of("archiveFlag")]))
    with pytest.raises(FlagOffError, match="archived"):
        driver.run(writes.turn_flag(ENV, FLAG, on=True))


def test_an_unknown_flag_is_an_error(driver: Driver) -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        driver.run(writes.turn_flag(ENV, "nobody", on=True))


def test_a_flag_without_the_environment_is_an_error(connect: Connect, emulator: EmulatorServer) -> None:
    driver = connect(relay(emulator, lambda body: body.update(environments={})), url=emulator.url)
    with pytest.raises(StateError, match="no configuration in environment 'production'"):
        driver.run(writes.turn_flag(ENV, FLAG, on=True))


@pytest.mark.parametrize("fault", FAULTS)
def test_an_unclear_answer_is_read_back_and_written_once(driver: Driver, emulator: EmulatorServer, fault: Any) -> None:
    emulator.fault("patch_feature_flag", fault)
    assert driver.run(writes.turn_flag(ENV, FLAG, on=True)).changed
    assert written(emulator) == 1


def test_everyone_is_served_one_variation(driver: Driver, emulator: EmulatorServer, flag: FeatureFlag) -> None:
    bold = flag.variations[1].id
    seen = [driver.run(writes.serve(ENV, FLAG, Serving(variation_id=bold), comment="c")) for _ in range(2)]
    assert [reached.changed for reached in seen] == [True, False]
    assert seen[1].value.environments["production"].fallthrough.variation == 1
    assert written(emulator) == 1


def test_a_rollout_is_set_by_percentages(driver: Driver, emulator: EmulatorServer, flag: FeatureFlag) -> None:
    classic, bold = (variation.id for variation in flag.variations)
    serving = Serving(weights=writes.weights_of({classic: "87.5", bold: 12.5}))
    seen = [driver.run(writes.serve(ENV, FLAG, serving)) for _ in range(2)]
    assert [reached.changed for reached in seen] == [True, False]
    parts = seen[1].value.environments["production"].fallthrough.rollout.variations
    assert {part.variation: part.weight for part in parts} == {0: 87_500, 1: 12_500}
    assert written(emulator) == 1


def test_a_weight_of_nothing_is_no_difference(driver: Driver, flag: FeatureFlag) -> None:
    classic, bold = (variation.id for variation in flag.variations)
    driver.run(writes.serve(ENV, FLAG, Serving(weights={classic: 100_000})))
    assert not driver.run(writes.serve(ENV, FLAG, Serving(weights={classic: 100_000, bold: 0}))).changed


def test_another_context_kind_is_a_difference(driver: Driver, flag: FeatureFlag) -> None:
    halves = {variation.id: 50_000 for variation in flag.variations}
    driver.run(writes.serve(ENV, FLAG, Serving(weights=halves)))
    reached = driver.run(writes.serve(ENV, FLAG, Serving(weights=halves, context_kind="org")))
    assert reached.changed
    assert reached.value.environments["production"].fallthrough.rollout.context_kind == "org"


def test_a_rule_is_set_by_its_id(driver: Driver, flag: FeatureFlag) -> None:
    clause = {"contextKind": "user", "attribute": "country", "op": "in", "negate": False, "values": ["nl"]}
    rule = OtherFlagInstruction.of("addRule", clauses=[clause], variationId=flag.variations[0].id)
    made = driver.send(endpoints.patch_flag(ENV, FLAG, [rule])).value.environments["production"].rules[0]
    serving = Serving(variation_id=flag.variations[1].id)
    reached = driver.run(writes.serve(ENV, FLAG, serving, rule_id=made.id))
    assert reached.value.environments["production"].rule(made.id).variation == 1


def test_an_unknown_rule_is_an_error_that_lists_the_known_ones(driver: Driver, flag: FeatureFlag) -> None:
    with pytest.raises(StateError, match="has no rule 'nobody'; it has fallthrough"):
        driver.run(writes.serve(ENV, FLAG, Serving(variation_id=flag.variations[1].id), rule_id="nobody"))


@pytest.mark.parametrize("serving", [Serving(variation_id="nobody"), Serving(weights={"nobody": 100_000})])
def test_an_unknown_variation_is_an_error_that_lists_the_known_ones(driver: Driver, serving: Serving) -> None:
    with pytest.raises(ConfigurationError, match=r"has no variation 'nobody'; it has .* \(Classic\)"):
        driver.run(writes.serve(ENV, FLAG, serving))


@pytest.mark.parametrize("serving", [Serving(), Serving(variation_id="v", weights={"v": 100_000})])
def test_a_variation_or_a_rollout_is_asked_for_and_not_both(driver: Driver, serving: Serving) -> None:
    with pytest.raises(ConfigurationError, match="exactly one of variationId and rolloutWeights"):
        driver.run(writes.serve(ENV, FLAG, serving))


def test_a_rule_that_an_experiment_runs_on_is_an_error_that_names_it(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    before = written(emulator)
    with pytest.raises(RuleOwnedError, match="belongs to the running experiment 'bold'") as owned:
        driver.run(writes.serve(ENV, FLAG, Serving(variation_id=flag.variations[1].id)))
    assert (owned.value.owner, owned.value.rule_id) == ("bold", "fallthrough")
    assert written(emulator) == before


def test_what_a_stop_has_set_is_found_so(driver: Driver, flag: FeatureFlag, running: StartedIteration) -> None:
    """LaunchDarkly's stop sets the rule to the winner: a separate step to do so finds nothing to do."""
    driver.run(writes.stop_iteration(ENV, "bold", running.iteration.id, winner="Treatment", reason="r"))
    assert not driver.run(writes.serve(ENV, FLAG, Serving(variation_id=flag.variations[1].id))).changed


def test_a_conflict_without_an_owner_passes_or_stays_a_conflict(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    emulator.fault("patch_feature_flag", "status", status=409, times=2)
    assert driver.run(writes.serve(ENV, FLAG, Serving(variation_id=flag.variations[1].id))).changed
    emulator.fault("patch_feature_flag", "status", status=409, times=9)
    with pytest.raises(ConflictError) as conflict:
        driver.run(writes.serve(ENV, FLAG, Serving(variation_id=flag.variations[0].id)))
    assert not isinstance(conflict.value, RuleOwnedError)


def test_a_conflict_that_lasts_names_the_open_approval_requests_of_the_flag(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    on = {"description": "Somebody's: turn it on", "instructions": [{"kind": "turnFlagOn"}]}
    asked = driver.send(endpoints.create_approval_request(ENV, FLAG, ApprovalRequestPost.checked(on))).value
    emulator.fault("patch_feature_flag", "status", status=409, times=2)
    assert driver.run(writes.serve(ENV, FLAG, Serving(variation_id=flag.variations[1].id))).changed
    emulator.fault("patch_feature_flag", "status", status=409, times=9)
    with pytest.raises(ConflictError, match=rf"may be the cause: {asked.id} \(Somebody's: turn it on\). Have them"):
        driver.run(writes.serve(ENV, FLAG, Serving(variation_id=flag.variations[0].id)))
    driver.send(endpoints.delete_approval_request(ENV, FLAG, asked.id))
    emulator.fault("patch_feature_flag", "status", status=409, times=9)
    with pytest.raises(ConflictError) as conflict:
        driver.run(writes.serve(ENV, FLAG, Serving(variation_id=flag.variations[0].id)))
    assert "pproval" not in str(conflict.value)


def test_a_refusal_of_what_somebody_else_has_done_meanwhile_is_a_success(
    connect: Connect, emulator: EmulatorServer
) -> None:
    """The look shows the flag off; before the write arrives, somebody turns it on, and the write is refused."""
    looks = 0

    def first_look_is_old(body: Any) -> None:
        nonlocal looks
        looks += 1
        body["environments"]["production"]["on"] = looks > 1

    emulator.fault("patch_feature_flag", "status", status=400)
    driver = connect(relay(emulator, first_look_is_old), url=emulator.url)
    assert not driver.run(writes.turn_flag(ENV, FLAG, on=True)).changed


def test_a_refusal_that_stands_is_an_error(driver: Driver, emulator: EmulatorServer) -> None:
    emulator.fault("patch_feature_flag", "status", status=400, message="no")
    with pytest.raises(InvalidRequestError):
        driver.run(writes.turn_flag(ENV, FLAG, on=True))


@pytest.mark.parametrize(
    ("shares", "weights"),
    [
        ({"a": 50, "b": "50"}, {"a": 50_000, "b": 50_000}),
        ({"a": 33.333, "b": Decimal("66.667")}, {"a": 33_333, "b": 66_667}),
        ({"a": 0.1, "b": 0.2, "c": 99.7}, {"a": 100, "b": 200, "c": 99_700}),
        ({"a": 0, "b": 100}, {"a": 0, "b": 100_000}),
    ],
)
def test_percentages_are_weights_exactly(shares: Any, weights: dict[str, int]) -> None:
    assert writes.weights_of(shares) == weights


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"a": 50}, "add up to 50 %"),
        ({"a": "half"}, "write a percentage"),
        ({"a": 33.3333, "b": 66.6667}, r"steps of 0\.001"),
        ({"a": -1, "b": 101}, "0 to 100 percent"),
        ({"a": float("nan")}, "0 to 100 percent"),
        ({}, "add up to 0 %"),
    ],
)
def test_shares_that_are_no_rollout_are_refused(shares: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        writes.weights_of(shares)
