"""Retries are spent only where another try may help."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.sdk import DAG, TaskGroup
from pydantic import ValidationError

from airflow_provider_launchdarkly.api.errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    ExperimentDiffersError,
    LaunchDarklyError,
    RuleOwnedError,
    TransportError,
)
from airflow_provider_launchdarkly.retries import RETRIES, RETRY_DELAY, retry_policy
from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.rollout.dag_settings import DagSettings
from airflow_provider_launchdarkly.rollout.loading import load_rollouts
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
from support.surroundings import REPOSITORY

CHECKOUT = {
    "experiment": {
        "key": "bold-checkout-button",
        "hypothesis": "A bold button brings more people through the checkout.",
        "flag": "checkout-button",
        "primary_metric": "checkout-conversion",
        "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
    },
    "stages": [{"allocation": 10, "dwell": "2d"}, {"allocation": 50, "gate": "decision", "approval": True}],
}

HAS_POLICIES = tuple(int(part) for part in version("apache-airflow").split(".")[:2]) >= (3, 3)


def action(error: Exception) -> str:
    return str(retry_policy().evaluate(error, 1, 3).action.value)


if HAS_POLICIES:

    @pytest.mark.parametrize(
        "error",
        [
            AuthenticationError("bad token"),
            ExperimentDiffersError("differs"),
            RuleOwnedError("owned"),
            LaunchDarklyError(),
        ],
    )
    def test_what_stays_the_same_on_another_try_fails_at_once(error: LaunchDarklyError) -> None:
        assert action(error) == "fail"

    @pytest.mark.parametrize("error", [TransportError("no answer"), ConflictError("busy"), KeyError("not ours")])
    def test_what_may_pass_takes_the_tasks_own_retries(error: Exception) -> None:
        assert action(error) == "default"

    def test_every_error_is_decided_by_its_own_class() -> None:
        classes = [LaunchDarklyError]
        for error in classes:
            classes += error.__subclasses__()
            assert action(error("…")) == ("default" if error.retryable else "fail"), error

    def test_the_policy_survives_serialisation() -> None:
        from airflow.sdk import ExceptionRetryPolicy

        again = ExceptionRetryPolicy.deserialize(retry_policy().serialize())
        assert again.evaluate(AuthenticationError("bad token"), 1, 3).action.value == "fail"

else:

    def test_an_older_airflow_is_told_what_to_do() -> None:
        with pytest.raises(RuntimeError, match=r"Airflow 3\.3.*leave retry_policy out"):
            retry_policy()


@pytest.mark.parametrize(
    ("around", "given", "expected"),
    [
        ({}, {}, (RETRIES, RETRY_DELAY)),
        ({"retries": 2}, {}, (2, RETRY_DELAY)),
        ({"retries": 0, "retry_delay": timedelta(hours=1)}, {}, (0, timedelta(hours=1))),
        ({"retries": 2}, {"retries": 9, "retry_delay": 60}, (9, timedelta(minutes=1))),
    ],
)
def test_the_dag_s_own_retries_win_and_arguments_win_over_those(
    around: dict[str, Any], given: dict[str, Any], expected: tuple[int, timedelta]
) -> None:
    dag = rollout_dag(CHECKOUT, dag_id="any", default_args=around, **given)
    assert {(task.retries, task.retry_delay) for task in dag.tasks} == {expected}


def test_a_task_group_around_a_rollout_gives_its_retries() -> None:
    with (
        DAG("around", default_args={"retries": 1}) as dag,
        TaskGroup("group", default_args=cast("Any", {"retries": 4})),
    ):
        experiment_rollout(CHECKOUT)
    assert {task.retries for task in dag.tasks} == {4}


def test_retries_in_a_file(tmp_path: Path) -> None:
    text = (REPOSITORY / "dags_examples/rollouts/checkout.yaml").read_text()
    (tmp_path / "one.yaml").write_text(text.replace("dag:", "dag:\n    retries: 3\n    retry_delay: 5m", 1))
    dags = load_rollouts(tmp_path)
    changed = {(task.retries, task.retry_delay) for task in next(iter(dags.values())).tasks}
    assert changed == {(3, timedelta(minutes=5))}


@pytest.mark.parametrize("delay", ["0m", "2d", "-5m", "soon"])
def test_a_delay_that_makes_no_sense_is_refused(delay: str) -> None:
    with pytest.raises(ValidationError, match="retry_delay"):
        DagSettings.model_validate({"retry_delay": delay})


RELEASE = {
    "release": {
        "flag": "checkout-button",
        "rule": "fallthrough",
        "original": "Classic",
        "target": "Bold",
        "kind": "progressive",
        "steps": [{"percent": 10, "duration": "1d"}],
    },
    "environments": [{"key": "test"}, {"key": "production"}],
}
KINDS: dict[str, dict[str, Any]] = {
    "experiment": CHECKOUT,
    "promotion": {**CHECKOUT, "environments": [{"key": "test"}, {"key": "production"}]},
    "release": RELEASE,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("retries", value) for value in (-1, 101, 1.5, True, "3", float("inf"))),
        *(("retry_delay", value) for value in (-1, timedelta(-1), "5m", float("nan"), float("inf"), True, 86_401)),
    ],
)
def test_retries_that_make_no_sense_are_refused_in_python_too(kind: str, name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is .*: write a "):
        rollout_dag(KINDS[kind], dag_id="any", **{name: value})
