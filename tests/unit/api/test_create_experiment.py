"""Creating an experiment: made, adopted, or refused with what differs. Against the emulator, by both clients."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.errors import (
    ConflictError,
    ExperimentDiffersError,
    FieldsNotAppliedError,
    InvalidRequestError,
    NotFoundError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.models import ArchiveExperiment, FeatureFlag, TurnFlagOn
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import ENV, FLAG, METRIC, Connect, Driver, design, experiment, relay


def how_many(emulator: EmulatorServer) -> int:
    return len(emulator.effects("experiment.created"))


def test_a_new_experiment_is_created_with_its_first_iteration(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    made = driver.run(writes.create_experiment(ENV, experiment(flag, tags=["b", "a"], description="d")))
    assert not made.adopted
    assert made.experiment.key == "bold"
    assert made.iteration.not_started
    assert [treatment.name for treatment in made.iteration.treatments] == ["Control", "Treatment"]
    assert all(treatment.id for treatment in made.iteration.treatments)
    assert how_many(emulator) == 1


def test_the_flags_version_is_read_just_before_the_write(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    driver.send(endpoints.patch_flag(ENV, FLAG, [TurnFlagOn()]))
    made = driver.run(writes.create_experiment(ENV, experiment(flag)))
    assert made.iteration.flags[FLAG].flag_config_version == 2


def test_a_version_that_the_caller_names_is_sent_as_it_is(driver: Driver, flag: FeatureFlag) -> None:
    stale = design(flag, flags={FLAG: {"ruleId": "fallthrough", "flagConfigVersion": 99}})
    with pytest.raises(ConflictError, match="flagConfigVersion is 99"):
        driver.run(writes.create_experiment(ENV, experiment(flag, iteration=stale)))


def test_a_flag_that_changes_in_between_is_read_again(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    emulator.fault("create_experiment", "status", status=409, message="the flag's version is newer")
    made = driver.run(writes.create_experiment(ENV, experiment(flag)))
    assert not made.adopted
    assert how_many(emulator) == 1
    assert [line.operation for line in emulator.requests()].count("get_feature_flag") == 3


def test_a_400_that_speaks_of_the_version_is_tried_again_with_a_fresh_one(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    emulator.fault("create_experiment", "status", status=400, message="flagConfigVersion is stale")
    assert not driver.run(writes.create_experiment(ENV, experiment(flag))).adopted


def test_a_400_about_anything_else_is_final(driver: Driver, emulator: EmulatorServer, flag: FeatureFlag) -> None:
    unknown = design(flag, metrics=[{"key": "nobody"}], primarySingleMetricKey="nobody")
    with pytest.raises(InvalidRequestError, match="nobody"):
        driver.run(writes.create_experiment(ENV, experiment(flag, iteration=unknown)))
    assert len([line for line in emulator.requests() if line.method == "POST"]) == 1


def test_a_conflict_that_stays_is_an_error_after_three_tries(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    emulator.fault("create_experiment", "status", status=409, times=9)
    with pytest.raises(ConflictError):
        driver.run(writes.create_experiment(ENV, experiment(flag)))
    assert len([line for line in emulator.requests() if line.method == "POST"]) == 3


def test_an_experiment_with_the_same_content_is_adopted(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    first = driver.run(writes.create_experiment(ENV, experiment(flag)))
    again = driver.run(writes.create_experiment(ENV, experiment(flag)))
    assert again.adopted
    assert again.iteration.id == first.iteration.id
    assert how_many(emulator) == 1


def test_what_the_caller_does_not_name_may_be_anything(driver: Driver, flag: FeatureFlag) -> None:
    driver.run(writes.create_experiment(ENV, experiment(flag, description="d", tags=["a"])))
    assert driver.run(writes.create_experiment(ENV, experiment(flag))).adopted


@pytest.mark.parametrize(("first", "second"), [("33.30", "66.70"), ("33.3", "66.7")])
def test_allocations_are_compared_as_numbers(driver: Driver, flag: FeatureFlag, first: str, second: str) -> None:
    driver.run(writes.create_experiment(ENV, experiment(flag, iteration=design(flag, shares=("33.3", "66.7")))))
    again = experiment(flag, iteration=design(flag, shares=(first, second)))
    assert driver.run(writes.create_experiment(ENV, again)).adopted


def test_tags_metrics_and_attributes_are_compared_without_their_order(driver: Driver, flag: FeatureFlag) -> None:
    one = design(flag, attributes=["country", "plan"])
    other = design(flag, attributes=["plan", "country"], metrics=[{"key": "page-load-ms"}, {"key": METRIC}])
    driver.run(writes.create_experiment(ENV, experiment(flag, tags=["a", "b"], iteration=one)))
    assert driver.run(writes.create_experiment(ENV, experiment(flag, tags=["b", "a"], iteration=other))).adopted


def swapped(flag: FeatureFlag) -> list[dict[str, Any]]:
    treatments: Any = design(flag).to_wire()["treatments"]
    return [treatment | {"baseline": not treatment["baseline"]} for treatment in treatments]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (lambda flag: {"name": "Other"}, "name"),
        (lambda flag: {"description": "Other"}, "description"),
        (lambda flag: {"methodology": "frequentist"}, "methodology"),
        (lambda flag: {"tags": ["other"]}, "tags"),
        (lambda flag: {"holdoutId": "other"}, "holdoutId"),
        (lambda flag: {"maintainerId": "other"}, "maintainerId"),
        (lambda flag: {"type": "mab"}, "type"),
        (lambda flag: {"dataSource": "snowflake"}, "dataSource"),
        (lambda flag: {"analysisConfig": {"bayesianThreshold": "90"}}, "analysisConfig.bayesianThreshold"),
        (lambda flag: {"iteration": design(flag, hypothesis="Other")}, "hypothesis"),
        (lambda flag: {"iteration": design(flag, metrics=[{"key": METRIC}])}, "metrics"),
        (
            lambda flag: {"iteration": design(flag, primarySingleMetricKey="page-load-ms")},
            "primarySingleMetricKey",
        ),
        (
            lambda flag: {"iteration": design(flag, shares=("40", "60"))},
            "treatments[Control].allocationPercent",
        ),
        (lambda flag: {"iteration": design(flag, treatments=swapped(flag))}, "treatments[Control].baseline"),
        (lambda flag: {"iteration": design(flag, randomizationUnit="org")}, "randomizationUnit"),
        (lambda flag: {"iteration": design(flag, canReshuffleTraffic=False)}, "canReshuffleTraffic"),
        (lambda flag: {"iteration": design(flag, attributes=["country"])}, "attributes"),
        (
            lambda flag: {"iteration": design(flag, flags={FLAG: {"ruleId": "other"}})},
            f"flags[{FLAG}].ruleId",
        ),
        (
            lambda flag: {
                "iteration": design(
                    flag,
                    flags={FLAG: {"ruleId": "fallthrough", "notInExperimentVariationId": flag.variations[1].id}},
                )
            },
            f"flags[{FLAG}].notInExperimentVariationId",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_content_is_an_error_that_names_the_field_and_changes_nothing(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, changes: Any, field: str
) -> None:
    driver.run(writes.create_experiment(ENV, experiment(flag)))
    before = len(emulator.journal())
    with pytest.raises(ExperimentDiffersError, match="exists already, with other content") as refused:
        driver.run(writes.create_experiment(ENV, experiment(flag, **changes(flag))))
    fields = {difference.field for difference in refused.value.differences}
    assert field in fields
    assert f"{field}: asked " in str(refused.value)
    assert len(emulator.journal()) == before


def test_an_archived_experiment_with_other_content_is_said_to_be_archived(driver: Driver, flag: FeatureFlag) -> None:
    driver.run(writes.create_experiment(ENV, experiment(flag)))
    driver.send(endpoints.patch_experiment(ENV, "bold", [ArchiveExperiment()]))
    with pytest.raises(ExperimentDiffersError, match="exists already and is archived"):
        driver.run(writes.create_experiment(ENV, experiment(flag, name="Other")))


def test_a_waiting_iteration_is_adopted_before_the_running_one(driver: Driver, flag: FeatureFlag) -> None:
    first = driver.run(writes.create_experiment(ENV, experiment(flag)))
    driver.run(writes.start_iteration(ENV, "bold", first.iteration.id, turn_flag_on=True))
    running = driver.run(writes.create_experiment(ENV, experiment(flag)))
    assert running.iteration.id == first.iteration.id
    draft = driver.run(writes.create_iteration(ENV, "bold", design(flag)))
    adopted = driver.run(writes.create_experiment(ENV, experiment(flag)))
    assert adopted.iteration.id == draft.iteration.id


def test_a_stopped_iteration_is_adopted_when_nothing_newer_fits(driver: Driver, flag: FeatureFlag) -> None:
    first = driver.run(writes.create_experiment(ENV, experiment(flag)))
    driver.run(writes.start_iteration(ENV, "bold", first.iteration.id, turn_flag_on=True))
    driver.run(writes.stop_iteration(ENV, "bold", first.iteration.id, winner="baseline", reason="r"))
    adopted = driver.run(writes.create_experiment(ENV, experiment(flag)))
    assert (adopted.adopted, adopted.iteration.id, adopted.iteration.stopped) == (True, first.iteration.id, True)


@pytest.mark.parametrize("where", ["close_before", "close_after", "status_after", "status"])
def test_an_unclear_answer_is_read_back_and_one_experiment_remains(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, where: Any
) -> None:
    emulator.fault("create_experiment", where)
    made = driver.run(writes.create_experiment(ENV, experiment(flag)))
    assert not made.adopted
    assert made.iteration.not_started
    assert how_many(emulator) == 1


def test_an_answer_that_stays_unclear_is_an_error_after_three_tries(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    emulator.fault("create_experiment", "close_before", times=9)
    with pytest.raises(UnclearOutcomeError):
        driver.run(writes.create_experiment(ENV, experiment(flag)))
    assert how_many(emulator) == 0


def test_an_experiment_that_does_not_show_at_once_is_waited_for(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    emulator.fault("get_experiment", "status", status=404, times=4)
    assert not driver.run(writes.create_experiment(ENV, experiment(flag))).adopted
    assert how_many(emulator) == 1


def test_an_experiment_that_never_shows_is_a_retryable_error(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    emulator.fault("get_experiment", "status", status=404, times=99)
    with pytest.raises(UnclearOutcomeError, match="a retry adopts it"):
        driver.run(writes.create_experiment(ENV, experiment(flag)))
    assert how_many(emulator) == 1
    assert sum(driver.time.waits) < 15


def test_a_field_that_launchdarkly_ignored_is_reported_by_name(
    connect: Connect, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    """As an older LaunchDarkly would: it takes ``methodology`` and knows nothing of it."""

    def forget(body: Any) -> None:
        body.pop("methodology", None)

    driver = connect(relay(emulator, forget), url=emulator.url)
    with pytest.raises(FieldsNotAppliedError, match="methodology: asked 'bayesian', found None") as ignored:
        driver.run(writes.create_experiment(ENV, experiment(flag)))
    assert [difference.field for difference in ignored.value.differences] == ["methodology"]


def test_treatments_that_bear_their_variations_id_may_bear_its_name(
    connect: Connect, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    """LaunchDarkly documents a treatment's id and name as the variation's own."""
    emulator.switch(treatment_ids="variation")

    def rename(body: Any) -> None:
        for treatment in body.get("currentIteration", {}).get("treatments", []):
            treatment["name"] = f"variation {treatment['_id'][:4]}"

    driver = connect(relay(emulator, rename), url=emulator.url)
    driver.run(writes.create_experiment(ENV, experiment(flag)))
    assert driver.run(writes.create_experiment(ENV, experiment(flag))).adopted


def test_an_unknown_flag_is_named(driver: Driver, flag: FeatureFlag) -> None:
    lost = flag.model_copy(update={"key": "no-such-flag"})
    with pytest.raises(NotFoundError, match="no-such-flag"):
        driver.run(writes.create_experiment(ENV, experiment(lost)))
