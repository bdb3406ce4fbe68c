"""Changing an experiment that exists: fields in place, archive and restore, save-and-start."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from airflow_provider_launchdarkly.api import writes
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    ConflictError,
    FieldsNotAppliedError,
    IterationNotFoundError,
    IterationNotStartedError,
    IterationReplacedError,
    IterationStoppedError,
    RuleOwnedError,
    StateError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.models import FeatureFlag, FieldChange
from airflow_provider_launchdarkly.api.writes.create import CreatedExperiment
from airflow_provider_launchdarkly.api.writes.start import StartedIteration
from airflow_provider_launchdarkly.api.writes.update import field_changes
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import ENV, METRIC, Connect, Driver, answer, design, relay

FAULTS = ["close_before", "close_after", "status_after", "status"]


def patches(emulator: EmulatorServer) -> list[Any]:
    return [entry.body["instructions"] for entry in emulator.journal() if entry.operation == "patch_experiment"]


def update(**changes: Any) -> Any:
    return writes.update_experiment(ENV, "bold", field_changes(changes), comment="by a test")


def test_fields_are_changed_in_place(driver: Driver, emulator: EmulatorServer, running: StartedIteration) -> None:
    reached = driver.run(update(name="New name", tags={"operation": "add", "value": ["a"]}))
    assert reached.changed
    assert (reached.value.name, reached.value.tags) == ("New name", ("a",))
    assert reached.value.running.id == running.iteration.id
    assert patches(emulator)[-1] == [
        {
            "kind": "updateExperimentFields",
            "value": {
                "name": {"operation": "update", "value": "New name"},
                "tags": {"operation": "add", "value": ["a"]},
            },
        }
    ]


def test_what_is_so_already_is_not_written_again(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    driver.run(update(name="New name", tags=["a", "b"]))
    before = len(emulator.journal())
    assert not driver.run(update(name="New name", tags=["b", "a"])).changed
    assert len(emulator.journal()) == before


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"hypothesis": "New"}, lambda found: found.current_iteration.hypothesis == "New"),
        ({"randomizationUnit": "user"}, lambda found: found.current_iteration.randomization_unit == "user"),
        ({"canReshuffleTraffic": False}, lambda found: found.current_iteration.can_reshuffle_traffic is False),
        ({"methodology": "frequentist"}, lambda found: found.methodology == "frequentist"),
        (
            {"analysisConfig": {"significanceThreshold": "5"}},
            lambda found: found.analysis_config.significance_threshold == "5",
        ),
        (
            {"metrics": {"operation": "add", "value": [{"key": "checkout-errors"}]}},
            lambda found: "checkout-errors" in [metric.key for metric in found.current_iteration.measured],
        ),
        (
            {"metrics": {"operation": "remove", "value": [{"key": "page-load-ms"}]}},
            lambda found: [metric.key for metric in found.current_iteration.measured] == [METRIC],
        ),
        (
            {"primarySingleMetricKey": "page-load-ms"},
            lambda found: found.current_iteration.primary.key == "page-load-ms",
        ),
        ({"attributes": ["country"]}, lambda found: found.current_iteration.attributes == ("country",)),
        ({"description": {"operation": "remove"}}, lambda found: found.description == ""),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_draft_lets_its_design_change(
    driver: Driver, created: CreatedExperiment, changes: dict[str, Any], shown: Any
) -> None:
    assert shown(driver.run(update(**changes)).value)


def test_a_drafts_allocation_changes_with_its_treatments(
    driver: Driver, flag: FeatureFlag, created: CreatedExperiment
) -> None:
    treatments = design(flag, shares=("90", "10")).to_wire()["treatments"]
    reached = driver.run(update(treatments=treatments))
    shares = [str(treatment.allocation_percent) for treatment in reached.value.current_iteration.treatments]
    assert shares == ["90", "10"]
    assert not driver.run(update(treatments=treatments)).changed


def test_a_field_that_is_locked_is_refused_by_name_with_those_that_are_not(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    before = len(emulator.journal())
    with pytest.raises(
        ConfigurationError, match=r"hypothesis: LaunchDarkly does not update it while .* running; .*name"
    ):
        driver.run(update(hypothesis="New"))
    assert len(emulator.journal()) == before


def test_a_misspelt_field_is_refused_by_name(driver: Driver, created: CreatedExperiment) -> None:
    with pytest.raises(ConfigurationError, match="hypothesys"):
        driver.run(update(hypothesys="New"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "changes is empty"),
        ({"tags": "a"}, "tags: a list is needed"),
        ({"metrics": ["m"]}, "metrics: an object is needed"),
        ({"metrics": [{"kye": "m"}]}, "kye"),
        ({"treatments": [{"name": "a"}]}, "baseline: is required"),
        ({"analysisConfig": "strict"}, "analysisConfig: an object is needed"),
        ({"analysisConfig": {"alpha": 5}}, "alpha"),
    ],
)
def test_a_change_of_the_wrong_shape_is_refused_before_it_is_sent(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        driver.run(update(**changes))
    assert patches(emulator) == []


def test_changes_are_read_from_values_mappings_and_typed_changes() -> None:
    typed = FieldChange(operation="remove")
    read = field_changes({"a": "x", "b": {"operation": "add", "value": ["y"]}, "c": typed, "d": {"no": "operation"}})
    assert [change.to_wire() for change in read.values()] == [
        {"operation": "update", "value": "x"},
        {"operation": "add", "value": ["y"]},
        {"operation": "remove"},
        {"operation": "update", "value": {"no": "operation"}},
    ]
    with pytest.raises(ConfigurationError, match="operation"):
        field_changes({"a": {"operation": "replace", "value": 1}})


def test_an_older_launchdarkly_is_told_the_name_by_its_own_instruction(
    connect: Connect, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    driver = connect(relay(emulator, lambda body: body.pop("mutableFieldsByStatus", None)), url=emulator.url)
    assert driver.run(update(name="New name", description="d")).value.name == "New name"
    assert patches(emulator) == [
        [{"kind": "updateName", "value": "New name"}, {"kind": "updateDescription", "value": "d"}]
    ]


def test_a_field_that_did_not_take_effect_is_reported_by_name(
    connect: Connect, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    driver = connect(relay(emulator, lambda body: body.update(name="Old")), url=emulator.url)
    with pytest.raises(FieldsNotAppliedError, match=r"name: asked .*New name.*, found 'Old'") as ignored:
        driver.run(update(name="New name"))
    assert [difference.field for difference in ignored.value.differences] == ["name"]


def test_a_field_of_tomorrow_is_looked_for_under_its_own_name(
    connect: Connect, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    def tomorrow(body: Any) -> None:
        body["guardrails"] = ["a"]
        if "mutableFieldsByStatus" in body:
            body["mutableFieldsByStatus"]["not_started"]["guardrails"] = ["update"]

    driver = connect(relay(emulator, tomorrow), url=emulator.url)
    assert not driver.run(update(guardrails=["a"])).changed


def test_an_experiment_that_shows_no_iteration_is_an_error(
    connect: Connect, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    driver = connect(relay(emulator, lambda body: body.pop("currentIteration", None)), url=emulator.url)
    with pytest.raises(StateError, match="shows no iteration"):
        driver.run(update(name="New"))


@pytest.mark.parametrize("fault", FAULTS)
def test_an_unclear_update_is_read_back_and_made_once(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment, fault: Any
) -> None:
    emulator.fault("patch_experiment", fault)
    assert driver.run(update(name="New name")).changed
    assert len(patches(emulator)) == 1


@pytest.mark.parametrize("fault", ["close_before", "status"])
def test_an_update_that_never_gets_through_is_an_error_after_three_tries(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment, fault: Any
) -> None:
    emulator.fault("patch_experiment", fault, status=409, times=9)
    with pytest.raises((UnclearOutcomeError, ConflictError)):
        driver.run(update(name="New name"))
    assert [line.operation for line in emulator.requests()].count("patch_experiment") == 3


def test_archive_and_restore_go_there_and_back(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    archive, restore = writes.archive_experiment, writes.restore_experiment
    seen = [driver.run(write(ENV, "bold")) for write in (archive, archive, restore, restore)]
    assert [(reached.value.archived, reached.changed) for reached in seen] == [
        (True, True),
        (True, False),
        (False, True),
        (False, False),
    ]
    assert len(emulator.effects("experiment.archived")) == len(emulator.effects("experiment.restored")) == 1


def test_a_running_experiment_is_not_archived(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    with pytest.raises(StateError, match=f"runs iteration '{running.iteration.id}': stop it before archiving"):
        driver.run(writes.archive_experiment(ENV, "bold"))
    assert emulator.effects("experiment.archived") == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["archive_experiment", "restore_experiment"])
def test_an_unclear_archiving_is_read_back(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment, name: str, fault: Any
) -> None:
    if name == "restore_experiment":
        driver.run(writes.archive_experiment(ENV, "bold"))
    emulator.fault("patch_experiment", fault)
    assert driver.run(getattr(writes, name)(ENV, "bold", comment="c")).changed
    kind = "experiment.archived" if name == "archive_experiment" else "experiment.restored"
    assert len(emulator.effects(kind)) == 1


def save(iteration_id: str, **changes: Any) -> Any:
    return writes.save_and_start(
        ENV, "bold", iteration_id, field_changes(changes), justification="ramp", comment="by a test"
    )


def starts(emulator: EmulatorServer) -> int:
    """Iterations started beside the first."""
    return len(emulator.effects("iteration.started")) - 1


def test_a_changed_copy_runs_in_place_of_the_iteration_named(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    ramp = design(flag, shares=("75", "25")).to_wire()["treatments"]
    saved = driver.run(save(running.iteration.id, treatments=ramp))
    assert not saved.already_saved
    assert saved.iteration.id != running.iteration.id
    assert [str(treatment.allocation_percent) for treatment in saved.iteration.treatments] == ["75", "25"]
    ended = saved.experiment.iteration(running.iteration.id)
    assert (ended.stopped, ended.winning_treatment_id) == (True, None)
    assert starts(emulator) == 1


def test_without_changes_the_copy_is_the_same_again(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    driver.run(save(running.iteration.id))
    assert patches(emulator)[-1] == [{"kind": "saveAndStartNewIteration", "changeJustification": "ramp"}]
    assert starts(emulator) == 1


def test_a_repeat_finds_the_work_done(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    ramp = design(flag, shares=("75", "25")).to_wire()["treatments"]
    first = driver.run(save(running.iteration.id, treatments=ramp))
    again = driver.run(save(running.iteration.id, treatments=ramp))
    assert (again.already_saved, again.iteration.id) == (True, first.iteration.id)
    assert starts(emulator) == 1


def test_a_copy_with_other_changes_is_an_error_that_names_it(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    first = driver.run(save(running.iteration.id, hypothesis="One"))
    with pytest.raises(IterationReplacedError, match=r"hypothesis: asked .*Two.*, found 'One'") as replaced:
        driver.run(save(running.iteration.id, hypothesis="Two"))
    assert replaced.value.found == first.iteration.id
    assert starts(emulator) == 1


def test_an_iteration_stopped_with_a_winner_is_not_replaced(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    driver.run(writes.stop_iteration(ENV, "bold", running.iteration.id, winner="baseline", reason="r"))
    with pytest.raises(IterationStoppedError, match="no copy of it can take its place"):
        driver.run(save(running.iteration.id))
    assert starts(emulator) == 0


def test_a_draft_is_not_replaced(driver: Driver, emulator: EmulatorServer, created: CreatedExperiment) -> None:
    with pytest.raises(IterationNotStartedError, match="change it in place"):
        driver.run(save(created.iteration.id))
    assert patches(emulator) == []


def test_an_unknown_iteration_is_an_error(driver: Driver, running: StartedIteration) -> None:
    with pytest.raises(IterationNotFoundError):
        driver.run(save("nobody"))


def test_a_change_that_a_draft_does_not_take_is_refused_by_name(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    with pytest.raises(
        ConfigurationError, match="flags: LaunchDarkly does not update it while the iteration is not_st"
    ):
        driver.run(save(running.iteration.id, flags={}))
    assert starts(emulator) == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_an_unclear_save_is_read_back_and_made_once(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration, fault: Any
) -> None:
    emulator.fault("patch_experiment", fault)
    saved = driver.run(save(running.iteration.id, hypothesis="New"))
    assert (saved.already_saved, saved.iteration.hypothesis) == (False, "New")
    assert starts(emulator) == 1


@pytest.mark.parametrize(("fault", "error"), [("close_before", UnclearOutcomeError), ("status", ConflictError)])
def test_a_save_that_never_gets_through_is_an_error_after_three_tries(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration, fault: Any, error: type[Exception]
) -> None:
    emulator.fault("patch_experiment", fault, status=409, times=9)
    with pytest.raises(error) as failed:
        driver.run(save(running.iteration.id))
    assert not isinstance(failed.value, RuleOwnedError)
    assert starts(emulator) == 0


def test_a_copy_that_does_not_show_at_once_is_waited_for(
    connect: Connect, emulator: EmulatorServer, running: StartedIteration
) -> None:
    hidden = 2

    def lag(body: Any) -> None:
        nonlocal hidden
        current = body.get("currentIteration", {})
        if current.get("status") == "running" and current["_id"] != running.iteration.id and hidden:
            hidden -= 1
            current["_id"] = running.iteration.id

    driver = connect(relay(emulator, lag), url=emulator.url)
    assert driver.run(save(running.iteration.id)).iteration.id != running.iteration.id
    assert starts(emulator) == 1


def test_a_copy_that_never_shows_is_a_retryable_error(
    connect: Connect, emulator: EmulatorServer, running: StartedIteration
) -> None:
    def stale(body: Any) -> None:
        if body.get("currentIteration", {}).get("status") == "running":
            body["currentIteration"]["_id"] = running.iteration.id
            body.pop("previousIterations", None)

    driver = connect(relay(emulator, stale), url=emulator.url)
    with pytest.raises(UnclearOutcomeError, match="shows no other as running"):
        driver.run(save(running.iteration.id))
    assert starts(emulator) == 1


def test_a_copy_without_the_changes_is_reported_by_field(
    connect: Connect, emulator: EmulatorServer, running: StartedIteration
) -> None:
    def forget(body: Any) -> None:
        if body.get("currentIteration", {}).get("hypothesis") == "New":
            body["currentIteration"]["hypothesis"] = "Old"

    driver = connect(relay(emulator, forget), url=emulator.url)
    with pytest.raises(FieldsNotAppliedError, match="hypothesis"):
        driver.run(save(running.iteration.id, hypothesis="New"))


def test_a_field_that_shows_nowhere_is_written_each_time_and_believed(
    connect: Connect, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    def allow(body: Any) -> None:
        if "mutableFieldsByStatus" in body:
            body["mutableFieldsByStatus"]["not_started"]["covert"] = ["update"]

    inner = relay(emulator, allow)

    def accepts_all(request: httpx.Request) -> httpx.Response:
        return answer(body={"key": "bold"}) if request.method == "PATCH" else inner(request)

    driver = connect(accepts_all, url=emulator.url)
    assert [driver.run(update(covert=True)).changed for _ in range(2)] == [True, True]
