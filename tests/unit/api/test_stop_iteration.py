"""Stopping the pinned iteration ships its winner: once, the right one, and announced."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    ConflictError,
    IterationNotFoundError,
    IterationNotStartedError,
    IterationReplacedError,
    IterationStoppedError,
    StateError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.models import FeatureFlag, SaveAndStartNewIteration
from airflow_provider_launchdarkly.api.writes.create import CreatedExperiment
from airflow_provider_launchdarkly.api.writes.start import StartedIteration
from airflow_provider_launchdarkly.api.writes.stop import StopEffect
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import ENV, FLAG, Connect, Driver, relay


def baseline_of(started: StartedIteration) -> str:
    assert started.iteration.baseline is not None
    return started.iteration.baseline.id


def stops(emulator: EmulatorServer) -> list[tuple[str, str | None]]:
    return [(effect["iteration"], effect["winner"]) for effect in emulator.effects("iteration.stopped")]


def patches(emulator: EmulatorServer) -> int:
    return [line.operation for line in emulator.requests()].count("patch_experiment")


def served(driver: Driver) -> str:
    flag = driver.send(endpoints.get_flag("demo", FLAG, environments=["production"])).value
    return str(flag.variation_at(flag.environments["production"].fallthrough.variation).id)


def stop(iteration_id: str, winner: str = "Treatment", **options: Any) -> Any:
    return writes.stop_iteration(ENV, "bold", iteration_id, winner=winner, **{"reason": "it sells more"} | options)


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_treatment_that_wins_is_served_to_everyone(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration, by: str
) -> None:
    winner = running.iteration.treatments[1]
    ended = driver.run(stop(running.iteration.id, getattr(winner, by)))
    assert (ended.already_stopped, ended.iteration.stopped) == (False, True)
    assert (ended.iteration.winning_treatment_id, ended.iteration.winning_reason) == (winner.id, "it sells more")
    assert stops(emulator) == [(running.iteration.id, winner.id)]
    assert served(driver) == flag.variations[1].id


def test_the_baseline_is_named_when_nobody_won(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    driver.run(stop(running.iteration.id, "baseline"))
    assert stops(emulator) == [(running.iteration.id, baseline_of(running))]
    assert served(driver) == flag.variations[0].id


def test_what_everyone_will_be_served_is_announced_before_it_happens(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    effects: list[tuple[StopEffect, int]] = []
    ended = driver.run(
        stop(running.iteration.id, announce=lambda effect: effects.append((effect, len(stops(emulator)))))
    )
    ((effect, stopped_before),) = effects
    assert stopped_before == 0
    assert effect == ended.effect
    assert (effect.flag_key, effect.rule_id, effect.winner.name) == (FLAG, "fallthrough", "Treatment")
    assert (effect.variation.id, effect.variation.name, effect.variation.value) == (
        flag.variations[1].id,
        "Bold",
        flag.variations[1].value,
    )
    assert str(effect) == (
        f"stopping iteration {running.iteration.id} of experiment bold with the treatment 'Treatment': rule "
        f"fallthrough of flag {FLAG} in demo/production will serve variation 'Bold' ('bold') to everyone it matches"
    )


def test_an_announcement_that_raises_stops_nothing(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    def refuse(_effect: StopEffect) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driver.run(stop(running.iteration.id, announce=refuse))
    assert stops(emulator) == []


def test_the_comment_reaches_the_audit_log(driver: Driver, emulator: EmulatorServer, running: StartedIteration) -> None:
    driver.run(stop(running.iteration.id, comment="Airflow: rollout.stop"))
    assert emulator.journal()[-1].body["comment"] == "Airflow: rollout.stop"


def test_stopped_already_with_the_same_winner_is_a_success_without_a_write(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    first = driver.run(stop(running.iteration.id))
    effects: list[StopEffect] = []
    again = driver.run(stop(running.iteration.id, announce=effects.append))
    assert (again.already_stopped, again.effect, effects) == (True, first.effect, [])
    assert patches(emulator) == 2
    assert len(stops(emulator)) == 1


def test_stopped_already_with_another_winner_is_an_error_that_names_it(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> None:
    driver.run(stop(running.iteration.id, "baseline"))
    with pytest.raises(IterationStoppedError, match="with winner 'Control', not with 'Treatment'") as stopped:
        driver.run(stop(running.iteration.id))
    assert stopped.value.winner == baseline_of(running)
    assert served(driver) == flag.variations[0].id


def test_an_iteration_that_somebody_replaced_is_an_error_that_names_its_successor(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    driver.send(endpoints.patch_experiment(ENV, "bold", [SaveAndStartNewIteration(change_justification="mine")]))
    with pytest.raises(IterationStoppedError, match=r"without a winner, not with 'Treatment'; iteration '.+' runs now"):
        driver.run(stop(running.iteration.id))
    assert stops(emulator) == [(running.iteration.id, None)]


def test_an_iteration_that_was_never_started_cannot_be_stopped(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    with pytest.raises(IterationNotStartedError):
        driver.run(stop(created.iteration.id))
    assert patches(emulator) == 0


def test_an_unknown_iteration_is_an_error(driver: Driver, emulator: EmulatorServer, running: StartedIteration) -> None:
    with pytest.raises(IterationNotFoundError):
        driver.run(stop("nobody"))
    assert stops(emulator) == []


@pytest.mark.parametrize("winner", ["", "nobody", "treatment", "Bold"])
def test_a_winner_that_is_no_treatment_is_refused_with_the_choices(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration, winner: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"name one of 'Control' \(id '.+', the baseline\), 'Treatment'"):
        driver.run(stop(running.iteration.id, winner))
    assert stops(emulator) == []


def altered(change: Any) -> Any:
    def alter(body: Any) -> None:
        for iteration in (body.get("currentIteration"), *body.get("previousIterations", [])):
            if iteration:
                change(iteration)

    return alter


def test_a_treatment_called_baseline_that_is_not_the_baseline_is_ambiguous(
    connect: Connect, emulator: EmulatorServer, running: StartedIteration
) -> None:
    def rename(iteration: Any) -> None:
        for treatment in iteration.get("treatments", []):
            treatment["name"] = treatment["name"] if treatment["baseline"] else "baseline"

    driver = connect(relay(emulator, altered(rename)), url=emulator.url)
    with pytest.raises(ConfigurationError, match="fits 2 treatments"):
        driver.run(stop(running.iteration.id, "baseline"))
    assert stops(emulator) == []


@pytest.mark.parametrize("flags", [None, {}, {"a": {"targetingRule": "r"}, "b": {"targetingRule": "r"}}])
def test_nothing_is_stopped_when_it_cannot_be_said_what_that_ships(
    connect: Connect, emulator: EmulatorServer, running: StartedIteration, flags: Any
) -> None:
    driver = connect(relay(emulator, altered(lambda iteration: iteration.update(flags=flags))), url=emulator.url)
    with pytest.raises(StateError, match="what stopping ships"):
        driver.run(stop(running.iteration.id))
    assert stops(emulator) == []


def test_nothing_is_stopped_when_the_winner_names_no_variation(
    connect: Connect, emulator: EmulatorServer, running: StartedIteration
) -> None:
    def bare(iteration: Any) -> None:
        for treatment in iteration.get("treatments", []):
            treatment["parameters"] = []

    driver = connect(relay(emulator, altered(bare)), url=emulator.url)
    with pytest.raises(StateError, match="names no variation"):
        driver.run(stop(running.iteration.id))
    assert stops(emulator) == []


def test_a_status_of_tomorrow_is_left_alone(
    connect: Connect, emulator: EmulatorServer, running: StartedIteration
) -> None:
    driver = connect(relay(emulator, altered(lambda iteration: iteration.update(status="paused"))), url=emulator.url)
    with pytest.raises(StateError, match="status 'paused'"):
        driver.run(stop(running.iteration.id))
    assert stops(emulator) == []


@pytest.mark.parametrize("fault", ["close_before", "close_after", "status_after", "status"])
def test_an_unclear_answer_is_read_back_and_stopped_once(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration, fault: Any
) -> None:
    emulator.fault("patch_experiment", fault)
    effects: list[StopEffect] = []
    ended = driver.run(stop(running.iteration.id, announce=effects.append))
    assert not ended.already_stopped
    assert len(effects) == 1
    assert stops(emulator) == [(running.iteration.id, running.iteration.treatments[1].id)]


def test_an_answer_that_stays_unclear_is_an_error_after_three_tries(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    emulator.fault("patch_experiment", "close_before", times=9)
    with pytest.raises(UnclearOutcomeError):
        driver.run(stop(running.iteration.id))
    assert stops(emulator) == []


def test_a_passing_conflict_is_tried_again(driver: Driver, emulator: EmulatorServer, running: StartedIteration) -> None:
    emulator.fault("patch_experiment", "status", status=409, times=2)
    assert driver.run(stop(running.iteration.id)).iteration.stopped
    assert len(stops(emulator)) == 1


def test_a_conflict_that_stays_is_an_error_after_three_tries(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    emulator.fault("patch_experiment", "status", status=409, times=9)
    with pytest.raises(ConflictError):
        driver.run(stop(running.iteration.id))
    assert stops(emulator) == []


def test_an_iteration_that_does_not_show_as_stopped_at_once_is_waited_for(
    connect: Connect, emulator: EmulatorServer, running: StartedIteration
) -> None:
    stale = 2

    def lag(iteration: Any) -> None:
        nonlocal stale
        if iteration["status"] == "stopped" and stale:
            stale -= 1
            iteration["status"] = "running"

    driver = connect(relay(emulator, altered(lag)), url=emulator.url)
    assert driver.run(stop(running.iteration.id)).iteration.stopped
    assert len(stops(emulator)) == 1


def test_an_iteration_that_never_shows_as_stopped_is_an_error(
    connect: Connect, emulator: EmulatorServer, running: StartedIteration
) -> None:
    driver = connect(relay(emulator, altered(lambda iteration: iteration.update(status="running"))), url=emulator.url)
    with pytest.raises(IterationReplacedError, match="does not show as stopped"):
        driver.run(stop(running.iteration.id))
    assert len(stops(emulator)) == 1


def test_a_stop_that_shipped_another_winner_is_an_error(
    connect: Connect, emulator: EmulatorServer, running: StartedIteration
) -> None:
    def other(iteration: Any) -> None:
        if iteration["status"] == "stopped":
            iteration["winningTreatmentId"] = baseline_of(running)

    driver = connect(relay(emulator, altered(other)), url=emulator.url)
    with pytest.raises(IterationStoppedError, match="with winner 'Control'"):
        driver.run(stop(running.iteration.id))
