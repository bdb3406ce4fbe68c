"""Creating an iteration: made, adopted while it waits, or refused with what differs."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_launchdarkly.api import writes
from airflow_provider_launchdarkly.api.errors import (
    ConflictError,
    ExperimentDiffersError,
    FieldsNotAppliedError,
    InvalidRequestError,
    NotFoundError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.models import FeatureFlag
from airflow_provider_launchdarkly.api.writes.create import CreatedExperiment
from airflow_provider_launchdarkly.api.writes.start import StartedIteration
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import ENV, FLAG, Connect, Driver, design, relay

RAMP = ("75", "25")


def made(emulator: EmulatorServer) -> int:
    """Iterations created beside the first, which came with the experiment."""
    return len(emulator.effects("iteration.created")) - 1


def posts(emulator: EmulatorServer) -> int:
    return [line.operation for line in emulator.requests()].count("create_iteration")


def test_a_new_iteration_waits_beside_the_running_one(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    created = driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=RAMP)))
    assert not created.adopted
    assert created.iteration.not_started
    assert created.experiment.running.id == running.iteration.id
    assert [str(treatment.allocation_percent) for treatment in created.iteration.treatments] == list(RAMP)
    assert made(emulator) == 1


def test_its_flag_version_is_read_just_before_the_write(
    driver: Driver, flag: FeatureFlag, running: StartedIteration
) -> None:
    created = driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=RAMP)))
    assert created.iteration.flags[FLAG].flag_config_version == 3


def test_a_draft_with_the_same_content_is_adopted(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    first = driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=RAMP)))
    again = driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=("75.0", "25.0"))))
    assert (again.adopted, again.iteration.id) == (True, first.iteration.id)
    assert made(emulator) == 1


def test_the_first_iteration_is_adopted_while_it_waits(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, created: CreatedExperiment
) -> None:
    adopted = driver.run(writes.create_iteration(ENV, "bold", design(flag)))
    assert (adopted.adopted, adopted.iteration.id) == (True, created.iteration.id)
    assert posts(emulator) == 0


def test_a_draft_with_other_content_is_an_error_that_names_it_and_the_field(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, created: CreatedExperiment
) -> None:
    with pytest.raises(
        ExperimentDiffersError, match=rf"a draft already, iteration '{created.iteration.id}'"
    ) as refused:
        driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=RAMP)))
    assert {difference.field for difference in refused.value.differences} == {
        "treatments[Control].allocationPercent",
        "treatments[Treatment].allocationPercent",
    }
    assert posts(emulator) == 0


def test_a_running_iteration_with_the_same_content_is_not_adopted(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    created = driver.run(writes.create_iteration(ENV, "bold", design(flag)))
    assert created.iteration.id != running.iteration.id
    assert made(emulator) == 1


def test_an_unknown_experiment_is_named(driver: Driver, emulator: EmulatorServer, flag: FeatureFlag) -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        driver.run(writes.create_iteration(ENV, "nobody", design(flag)))
    assert posts(emulator) == 0


@pytest.mark.parametrize("fault", ["close_before", "close_after", "status_after", "status"])
def test_an_unclear_answer_is_read_back_and_one_iteration_remains(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration, fault: Any
) -> None:
    emulator.fault("create_iteration", fault)
    created = driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=RAMP)))
    assert not created.adopted
    assert made(emulator) == 1


def test_an_unclear_answer_is_looked_after_for_a_while_before_anything_is_sent_again(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    emulator.fault("create_iteration", "close_before")
    driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=RAMP)))
    assert sum(driver.time.waits) >= 3
    assert posts(emulator) == 2


def test_an_answer_that_stays_unclear_is_an_error_after_three_tries(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    emulator.fault("create_iteration", "close_before", times=9)
    with pytest.raises(UnclearOutcomeError):
        driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=RAMP)))
    assert (posts(emulator), made(emulator)) == (3, 0)


def test_a_draft_that_somebody_else_made_meanwhile_is_not_taken_for_ours(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    procedure = writes.create_iteration(ENV, "bold", design(flag, shares=RAMP))
    emulator.fault("create_iteration", "close_after")
    first = driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=("10", "90"))))
    with pytest.raises(ExperimentDiffersError, match=first.iteration.id):
        driver.run(procedure)
    assert made(emulator) == 1


def test_a_passing_conflict_is_tried_again(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    emulator.fault("create_iteration", "status", status=409, times=2)
    assert not driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=RAMP))).adopted
    assert posts(emulator) == 3


def test_a_conflict_that_stays_is_an_error_after_three_tries(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    emulator.fault("create_iteration", "status", status=409, times=9)
    with pytest.raises(ConflictError):
        driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=RAMP)))
    assert posts(emulator) == 3


def test_a_400_about_the_design_is_final(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    with pytest.raises(InvalidRequestError, match="planet"):
        driver.run(writes.create_iteration(ENV, "bold", design(flag, randomizationUnit="planet")))
    assert posts(emulator) == 1


def test_a_field_that_launchdarkly_ignored_is_reported_by_name(
    connect: Connect, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    def forget(body: Any) -> None:
        for iteration in (body.get("draftIteration"), body):
            if isinstance(iteration, dict):
                iteration.pop("randomizationUnit", None)

    driver = connect(relay(emulator, forget), url=emulator.url)
    with pytest.raises(FieldsNotAppliedError, match="randomizationUnit: asked 'user', found None"):
        driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=RAMP, randomizationUnit="user")))


def test_an_iteration_that_does_not_show_at_once_is_waited_for(
    connect: Connect, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    hidden = 3

    def hide(body: Any) -> None:
        nonlocal hidden
        if "draftIteration" in body and hidden:
            hidden -= 1
            del body["draftIteration"]

    driver = connect(relay(emulator, hide), url=emulator.url)
    assert driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=RAMP))).iteration.not_started
    assert made(emulator) == 1


def test_an_iteration_that_never_shows_is_a_retryable_error(
    connect: Connect, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    driver = connect(relay(emulator, lambda body: body.pop("draftIteration", None)), url=emulator.url)
    with pytest.raises(UnclearOutcomeError, match="a retry adopts it"):
        driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=RAMP)))
    assert made(emulator) == 1
