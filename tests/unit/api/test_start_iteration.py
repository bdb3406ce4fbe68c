"""Starting the pinned iteration: once, on a flag that is on, on a rule that is free."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.errors import (
    ApprovalRequiredError,
    ConflictError,
    ExperimentArchivedError,
    FlagOffError,
    IterationNotFoundError,
    IterationReplacedError,
    IterationStoppedError,
    RuleOwnedError,
    StateError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.models import ArchiveExperiment, FeatureFlag, OtherFlagInstruction, TurnFlagOn
from airflow_provider_launchdarkly.api.writes.create import CreatedExperiment
from airflow_provider_launchdarkly.api.writes.start import StartedIteration
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import ENV, FLAG, Connect, Driver, design, experiment, relay


def started(emulator: EmulatorServer) -> list[str]:
    return [effect["iteration"] for effect in emulator.effects("iteration.started")]


def start(iteration_id: str, **options: Any) -> Any:
    return writes.start_iteration(ENV, "bold", iteration_id, **{"turn_flag_on": True} | options)


def test_a_waiting_iteration_is_started(driver: Driver, emulator: EmulatorServer, created: CreatedExperiment) -> None:
    begun = driver.run(start(created.iteration.id))
    assert begun.iteration.running
    assert begun.iteration.started_at is not None
    assert [treatment.name for treatment in begun.iteration.treatments] == ["Control", "Treatment"]
    assert (begun.already_running, begun.flag_turned_on) == (False, True)
    assert started(emulator) == [created.iteration.id]


def test_a_flag_that_is_on_is_left_alone(driver: Driver, emulator: EmulatorServer, created: CreatedExperiment) -> None:
    driver.send(endpoints.patch_flag(ENV, FLAG, [TurnFlagOn()]))
    assert not driver.run(start(created.iteration.id)).flag_turned_on
    assert [line.operation for line in emulator.requests()].count("patch_feature_flag") == 1


def test_the_comment_reaches_both_audit_logs(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    driver.run(start(created.iteration.id, comment="Airflow: rollout.start"))
    comments = [entry.body.get("comment") for entry in emulator.journal() if entry.method == "PATCH"]
    assert comments == ["Airflow: rollout.start"] * 2


def test_a_flag_that_is_off_is_an_error_that_names_the_cure(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    with pytest.raises(FlagOffError, match="turn_flag_on=True"):
        driver.run(start(created.iteration.id, turn_flag_on=False))
    assert started(emulator) == []


def test_an_archived_flag_is_an_error(driver: Driver, emulator: EmulatorServer, created: CreatedExperiment) -> None:
    driver.send(endpoints.patch_flag(ENV, FLAG, [OtherFlagInstruction.of("archiveFlag")]))
    with pytest.raises(FlagOffError, match="archived"):
        driver.run(start(created.iteration.id))
    assert started(emulator) == []


def test_an_iteration_that_runs_already_is_a_success_without_a_write(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    before = len(emulator.journal())
    again = driver.run(start(running.iteration.id))
    assert (again.already_running, again.flag_turned_on) == (True, False)
    assert again.iteration.id == running.iteration.id
    assert len(emulator.journal()) == before


def test_a_stopped_iteration_never_starts_again(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    winner = running.iteration.treatments[1].id
    driver.run(writes.stop_iteration(ENV, "bold", running.iteration.id, winner=winner, reason="r"))
    with pytest.raises(IterationStoppedError, match="create a new one") as stopped:
        driver.run(start(running.iteration.id))
    assert stopped.value.winner == winner
    assert len(started(emulator)) == 1


def test_an_archived_experiment_starts_nothing(driver: Driver, created: CreatedExperiment) -> None:
    driver.send(endpoints.patch_experiment(ENV, "bold", [ArchiveExperiment()]))
    with pytest.raises(ExperimentArchivedError, match="restore it"):
        driver.run(start(created.iteration.id))


def test_an_unknown_iteration_is_an_error_that_lists_the_known_ones(driver: Driver, created: CreatedExperiment) -> None:
    with pytest.raises(IterationNotFoundError, match=rf"{created.iteration.id} \(not_started\)"):
        driver.run(start("nobody"))


def test_another_running_iteration_is_an_error_that_names_it(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    draft = driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=("75", "25"))))
    with pytest.raises(IterationReplacedError, match="give a justification") as replaced:
        driver.run(start(draft.iteration.id))
    assert (replaced.value.pinned, replaced.value.found) == (draft.iteration.id, running.iteration.id)
    assert started(emulator) == [running.iteration.id]


def test_a_justification_ends_the_running_iteration_by_the_start(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    draft = driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=("75", "25"))))
    begun = driver.run(start(draft.iteration.id, justification="ramp to 25 %"))
    assert begun.iteration.id == draft.iteration.id
    assert started(emulator) == [running.iteration.id, draft.iteration.id]


def test_an_iteration_that_is_not_the_draft_is_not_started_in_its_place(
    connect: Connect, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    """A start names no iteration: LaunchDarkly starts the draft."""

    def another_draft(body: Any) -> None:
        if "currentIteration" in body:
            body["draftIteration"] = body["currentIteration"] | {"_id": "somebody-elses"}

    driver = connect(relay(emulator, another_draft), url=emulator.url)
    with pytest.raises(IterationReplacedError, match="draft is iteration 'somebody-elses'"):
        driver.run(start(created.iteration.id))
    assert started(emulator) == []


def test_a_status_of_tomorrow_is_left_alone(
    connect: Connect, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    def paused(body: Any) -> None:
        if "currentIteration" in body:
            body["currentIteration"]["status"] = "paused"

    driver = connect(relay(emulator, paused), url=emulator.url)
    with pytest.raises(StateError, match="status 'paused', which this version does not support"):
        driver.run(start(created.iteration.id))
    assert started(emulator) == []


def test_a_rule_that_another_experiment_runs_on_is_an_error_that_names_it(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    other = driver.run(writes.create_experiment(ENV, experiment(flag, key="rival")))
    with pytest.raises(RuleOwnedError, match="belongs to the running experiment 'bold'") as owned:
        driver.run(writes.start_iteration(ENV, "rival", other.iteration.id, turn_flag_on=True))
    assert (owned.value.owner, owned.value.flag_key, owned.value.rule_id) == ("bold", FLAG, "fallthrough")
    assert (owned.value.status, owned.value.operation, owned.value.retryable) == (409, "patch_experiment", False)
    assert started(emulator) == [running.iteration.id]


def test_an_experiment_that_once_ran_on_the_rule_does_not_own_it(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    driver.run(writes.stop_iteration(ENV, "bold", running.iteration.id, winner="baseline", reason="r"))
    other = driver.run(writes.create_experiment(ENV, experiment(flag, key="rival")))
    emulator.fault("patch_experiment", "status", status=409, times=9)
    with pytest.raises(ConflictError) as conflict:
        driver.run(writes.start_iteration(ENV, "rival", other.iteration.id, turn_flag_on=True))
    assert not isinstance(conflict.value, RuleOwnedError)


def test_a_conflict_is_news_even_if_its_owner_cannot_be_looked_up(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    emulator.fault("patch_experiment", "status", status=409, times=9, message="held by somebody")
    emulator.fault("get_experiments", "status", status=403, times=9)
    with pytest.raises(ConflictError, match="held by somebody"):
        driver.run(start(created.iteration.id))


def test_a_passing_conflict_is_tried_again(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    emulator.fault("patch_experiment", "status", status=409, times=2)
    assert driver.run(start(created.iteration.id)).iteration.running
    assert len(started(emulator)) == 1


def test_a_conflict_that_stays_is_an_error_after_three_tries(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    emulator.fault("patch_experiment", "status", status=409, times=9)
    with pytest.raises(ConflictError):
        driver.run(start(created.iteration.id))
    assert [line.operation for line in emulator.requests()].count("patch_experiment") == 3


@pytest.mark.parametrize("status", [403, 405])
def test_an_approval_that_is_required_is_said_at_once(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment, status: int
) -> None:
    emulator.fault("patch_feature_flag", "status", status=status, message="approval is required")
    with pytest.raises(ApprovalRequiredError, match="Request and apply the change"):
        driver.run(start(created.iteration.id))
    assert started(emulator) == []


@pytest.mark.parametrize("fault", ["close_before", "close_after", "status_after", "status"])
def test_an_unclear_answer_is_read_back_and_started_once(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment, fault: Any
) -> None:
    emulator.fault("patch_experiment", fault)
    begun = driver.run(start(created.iteration.id))
    assert (begun.already_running, begun.flag_turned_on) == (False, True)
    assert started(emulator) == [created.iteration.id]


def test_an_answer_that_stays_unclear_is_an_error_after_three_tries(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    emulator.fault("patch_experiment", "close_before", times=9)
    with pytest.raises(UnclearOutcomeError):
        driver.run(start(created.iteration.id))
    assert started(emulator) == []


@pytest.mark.parametrize("fault", ["close_before", "close_after", "status_after", "status"])
def test_an_unclear_answer_to_turning_the_flag_on_is_read_back(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment, fault: Any
) -> None:
    emulator.fault("patch_feature_flag", fault)
    assert driver.run(start(created.iteration.id)).flag_turned_on
    turned_on = [entry for entry in emulator.journal() if entry.operation == "patch_feature_flag"]
    assert len(turned_on) == 1


def test_a_flag_that_cannot_be_turned_on_is_an_error(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    emulator.fault("patch_feature_flag", "status", status=409, times=9)
    with pytest.raises(ConflictError):
        driver.run(start(created.iteration.id))
    assert started(emulator) == []


def test_an_iteration_that_does_not_show_as_running_at_once_is_waited_for(
    connect: Connect, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    stale = 2

    def lag(body: Any) -> None:
        nonlocal stale
        if body.get("currentIteration", {}).get("status") == "running" and stale:
            stale -= 1
            body["currentIteration"]["status"] = "not_started"

    driver = connect(relay(emulator, lag), url=emulator.url)
    assert driver.run(start(created.iteration.id)).iteration.running
    assert len(started(emulator)) == 1


def test_an_iteration_that_never_shows_as_running_is_a_retryable_error(
    connect: Connect, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    def stale(body: Any) -> None:
        if "currentIteration" in body:
            body["currentIteration"]["status"] = "not_started"

    driver = connect(relay(emulator, stale), url=emulator.url)
    with pytest.raises(UnclearOutcomeError, match="does not show it as running"):
        driver.run(start(created.iteration.id))
    assert len(started(emulator)) == 1


def test_another_iteration_that_runs_after_the_start_is_an_error_that_names_it(
    connect: Connect, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    """Somebody replaces the draft between our read and our write: the start runs theirs."""

    def replaced(body: Any) -> None:
        current = body.get("currentIteration", {})
        if current.get("status") == "running":
            current["_id"] = "somebody-elses"

    driver = connect(relay(emulator, replaced), url=emulator.url)
    with pytest.raises(IterationReplacedError, match="'somebody-elses' runs now") as other:
        driver.run(start(created.iteration.id))
    assert other.value.found == "somebody-elses"


def test_an_answer_without_treatments_keeps_those_that_were_read(
    connect: Connect, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    """LaunchDarkly's answer to a patch shows no treatments; only a read can ask for them."""
    patches: list[httpx.Request] = []

    def note(request: httpx.Request) -> None:
        if request.method == "PATCH" and "experiments" in request.url.path:
            patches.append(request)

    def bare(body: Any) -> None:
        if patches:
            body.get("currentIteration", {}).pop("treatments", None)

    driver = connect(relay(emulator, bare, after=note), url=emulator.url)
    assert len(driver.run(start(created.iteration.id)).iteration.treatments) == 2
