"""Reading results: the numbers, and each reason for having none by its own name."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.errors import (
    IterationNotFoundError,
    IterationNotStartedError,
    MetricNotMeasuredError,
    NotFoundError,
    PermissionDeniedError,
    ResultsUnavailableError,
)
from airflow_provider_launchdarkly.api.reads import results
from airflow_provider_launchdarkly.api.writes.create import CreatedExperiment
from airflow_provider_launchdarkly.api.writes.start import StartedIteration
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import ENV, METRIC, Connect, Driver, answer, design, experiment


def read(iteration_id: str, metric: str = METRIC, key: str = "bold", **options: Any) -> Any:
    return results.metric_results(ENV, key, metric, iteration_id, **options)


def test_results_come_with_the_servers_time(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    emulator.clock.advance("P3D")
    got = driver.run(read(running.iteration.id, traffic=True))
    assert got.server_time == emulator.clock.now().replace(microsecond=0)
    assert {result.treatment_name for result in got.value.total} == {"Control", "Treatment"}
    assert all(result.units > 0 and result.traffic >= result.units for result in got.value.total)


def test_no_data_yet_is_an_answer_and_not_an_error(driver: Driver, running: StartedIteration) -> None:
    assert all(not result.units for result in driver.run(read(running.iteration.id)).value.total)


def test_a_route_that_is_gone_is_said_to_be_gone(
    driver: Driver, emulator: EmulatorServer, running: StartedIteration
) -> None:
    emulator.switch(results="gone")
    with pytest.raises(ResultsUnavailableError, match=r"client 18\.0\.0") as gone:
        driver.run(read(running.iteration.id))
    assert (gone.value.status, gone.value.retryable) == (404, False)
    assert "warehouse by SQL" in str(gone.value)


@pytest.mark.parametrize("status", [405, 410])
def test_a_route_that_refuses_the_verb_or_says_gone_is_gone(connect: Connect, status: int) -> None:
    with pytest.raises(ResultsUnavailableError) as gone:
        connect(lambda _request: answer(status)).run(read("i"))
    assert gone.value.status == status


def test_an_unknown_experiment_is_named(driver: Driver, running: StartedIteration) -> None:
    with pytest.raises(NotFoundError, match="there is no experiment 'nobody' in demo/production"):
        driver.run(read(running.iteration.id, key="nobody"))


def test_an_unknown_metric_is_named(driver: Driver, running: StartedIteration) -> None:
    with pytest.raises(NotFoundError, match="there is no metric 'nobody' in project 'demo'"):
        driver.run(read(running.iteration.id, "nobody"))


def test_an_unknown_metric_group_is_named(driver: Driver, running: StartedIteration) -> None:
    with pytest.raises(NotFoundError, match="there is no metric group 'nobody' in project 'demo'"):
        driver.run(read(running.iteration.id, "nobody", is_group=True))


def test_an_unknown_iteration_is_named(driver: Driver, running: StartedIteration) -> None:
    with pytest.raises(IterationNotFoundError, match="nobody"):
        driver.run(read("nobody"))


def test_a_metric_that_the_iteration_does_not_measure_is_named_with_those_it_does(
    driver: Driver, running: StartedIteration
) -> None:
    with pytest.raises(MetricNotMeasuredError, match=f"it measures {METRIC}, page-load-ms"):
        driver.run(read(running.iteration.id, "revenue-per-user"))


def test_an_iteration_that_was_not_started_is_said_to_be_so(
    driver: Driver, emulator: EmulatorServer, created: CreatedExperiment
) -> None:
    emulator.fault("get_experiment_results", "status", status=404)
    with pytest.raises(IterationNotStartedError):
        driver.run(read(created.iteration.id))


def test_a_403_stays_a_question_of_permission(connect: Connect) -> None:
    with pytest.raises(PermissionDeniedError):
        connect(lambda _request: answer(403)).run(read("i"))


def test_a_groups_results_come_in_the_order_of_its_metrics(driver: Driver, emulator: EmulatorServer) -> None:
    flag = driver.send(endpoints.get_flag("demo", "pricing-page", environments=["production"])).value
    funnel = design(
        flag,
        metrics=[{"key": "signup-funnel", "isGroup": True}],
        primarySingleMetricKey=None,
        primaryFunnelKey="signup-funnel",
    )
    made = driver.run(writes.create_experiment(ENV, experiment(flag, key="signup", iteration=funnel)))
    driver.run(writes.start_iteration(ENV, "signup", made.iteration.id, turn_flag_on=True))
    emulator.clock.advance("P3D")
    got = driver.run(read(made.iteration.id, "signup-funnel", key="signup", is_group=True))
    steps = [entry.metric.key for entry in got.value.metrics]
    assert steps == ["signup-form-opened", "signup-form-sent", "signup-confirmed"]
    assert all(entry.results.total for entry in got.value.metrics)
    emulator.switch(results="gone")
    with pytest.raises(ResultsUnavailableError):
        driver.run(read(made.iteration.id, "signup-funnel", key="signup", is_group=True))
