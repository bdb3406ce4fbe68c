"""An experiment about which a person is asked as soon as it runs; harm meanwhile stops it on the baseline."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task
from typing_extensions import override

from airflow_provider_launchdarkly import (
    LaunchDarklyCreateExperimentOperator,
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
)
from airflow_provider_launchdarkly.rollout.watched_question import WatchedQuestionOperator
from airflow_provider_launchdarkly.sensors._harm_watch import WatchedIteration

WHERE: dict[str, Any] = {"project_key": "demo", "environment_key": "production"}


class Ask(WatchedQuestionOperator):
    """Asks about what a task has started."""

    template_fields = (*WatchedQuestionOperator.template_fields, "running")

    def __init__(self, *, running: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.running = running

    @override
    def watched(self, context: Any) -> WatchedIteration:
        return WatchedIteration({**self.running, "verdict": "wait", "elapsed_days": 0.0}, {"harm_looks": "15m"})


with DAG("asked"):
    create = LaunchDarklyCreateExperimentOperator(
        task_id="create",
        experiment_key="asked-button",
        name="Asked",
        flag_key="checkout-button",
        hypothesis="A bold button brings more people through the checkout.",
        treatments=[
            {"variation": "Classic", "baseline": True, "allocation_percent": 50},
            {"variation": "Bold", "allocation_percent": 50},
        ],
        primary_metric="checkout-conversion",
        **WHERE,
    )
    iteration: Any = create.output
    start = LaunchDarklyStartIterationOperator(
        task_id="start",
        experiment_key="asked-button",
        iteration_id=iteration["iteration_id"],
        turn_flag_on=True,
        **WHERE,
    )
    approve = Ask(
        task_id="approve",
        subject="Go on?",
        body="The card.",
        options=["Approve", "Reject"],
        defaults=["Reject"],
        running=start.output,
    )

    @task
    def winner(answer: Any) -> Any:
        """Name whom everyone gets."""
        return answer.get("ended_by") or "baseline"

    stop = LaunchDarklyStopIterationOperator(
        task_id="stop",
        experiment_key="asked-button",
        iteration_id=iteration["iteration_id"],
        winner=winner(approve.output),
        **WHERE,
    )
