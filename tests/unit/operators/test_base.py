"""The base of the operators: which errors are retried, the link, and the template fields."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError, ServerError, TransportError
from airflow_provider_launchdarkly.operators._base import LaunchDarklyExperimentBaseOperator
from airflow_provider_launchdarkly.operators.experiments import LaunchDarklyCreateExperimentOperator
from airflow_provider_launchdarkly.operators.iterations import (
    LaunchDarklyCreateIterationOperator,
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
)
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.experiment_tasks import DESIGN, task_context

pytestmark = pytest.mark.usefixtures("connection")


class Failing(LaunchDarklyExperimentBaseOperator):
    """An operator whose work raises an error."""

    def __init__(self, *, error: Exception, **kwargs: Any) -> None:
        super().__init__(experiment_key="button", **kwargs)
        self.error = error

    @override
    def act(self, context: Any) -> Any:
        raise self.error


@pytest.mark.parametrize("error", [TransportError("closed"), ServerError("500")])
def test_an_error_that_a_retry_may_cure_is_left_to_airflows_retries(error: Exception) -> None:
    with pytest.raises(type(error)):
        Failing(task_id="failing", error=error).execute(task_context())


def test_an_error_that_a_retry_cannot_cure_fails_at_once() -> None:
    with pytest.raises(AirflowFailException, match="ConfigurationError: no project"):
        Failing(task_id="failing", error=ConfigurationError("no project")).execute(task_context())


def test_the_link_leads_to_the_experiment_in_launchdarklys_ui(emulator: EmulatorServer) -> None:
    operator = LaunchDarklyStartIterationOperator(task_id="start", experiment_key="a b", iteration_id="i")
    (link,) = operator.operator_extra_links
    url = link.get_link(operator, ti_key=None)
    assert url == f"{emulator.url}/projects/demo/experiments/a%20b?env=production&selected-env=production"


@pytest.mark.parametrize(
    "operator",
    [
        LaunchDarklyCreateExperimentOperator,
        LaunchDarklyCreateIterationOperator,
        LaunchDarklyStartIterationOperator,
        LaunchDarklyStopIterationOperator,
    ],
)
def test_every_template_field_is_an_attribute(operator: type[LaunchDarklyExperimentBaseOperator]) -> None:
    own = (
        {"iteration_id": "i", "winner": "baseline"}
        if "Design" not in str(operator.__mro__)
        else {**DESIGN, "name": "n"}
    )
    if operator is LaunchDarklyCreateIterationOperator:
        own.pop("name")
    if operator is LaunchDarklyStartIterationOperator:
        own.pop("winner")
    task = operator(task_id="t", **({"experiment_key": "button"} | own))
    assert all(hasattr(task, field) for field in task.template_fields)
