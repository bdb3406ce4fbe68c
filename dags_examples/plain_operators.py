"""The plain operators and a branch of your own, for those who want no magic.

Shows what a rollout is made of, and where to put what the ready-made one does not do. For your own: change the keys,
and what each branch does.
"""

from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_launchdarkly import (
    LaunchDarklyCheckFlagServesOperator,
    LaunchDarklyCreateExperimentOperator,
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
    LaunchDarklyWaitForSignificanceSensor,
    Policy,
)

with DAG(
    "plain_operators",
    schedule=None,
    catchup=False,
    tags=["launchdarkly"],
    default_args={"retries": 6, "retry_delay": timedelta(minutes=2)},
):
    create = LaunchDarklyCreateExperimentOperator(
        task_id="create",
        experiment_key="plain-button",
        name="Button, plainly",
        hypothesis="A bold button brings more people through the checkout.",
        flag_key="checkout-button",
        treatments=[
            {"variation": "Classic", "allocation_percent": 50, "baseline": True},
            {"variation": "Bold", "allocation_percent": 50},
        ],
        primary_metric="checkout-conversion",
    )
    iteration = {"experiment_key": "plain-button", "iteration_id": create.output["iteration_id"]}
    start = LaunchDarklyStartIterationOperator(task_id="start", **iteration, turn_flag_on=True)
    wait = LaunchDarklyWaitForSignificanceSensor(task_id="wait", **iteration, policy=Policy())

    @task.branch
    def choose(verdict: dict) -> str:
        return {"ship": "ship", "rollback": "back", "inconclusive": "back"}.get(verdict["verdict"], "tell")

    ship = LaunchDarklyStopIterationOperator(task_id="ship", **iteration, winner=wait.output)
    back = LaunchDarklyStopIterationOperator(task_id="back", **iteration, winner="baseline", reason="no winner")
    check = LaunchDarklyCheckFlagServesOperator(task_id="check", stopped=ship.output)

    @task
    def tell(verdict: dict) -> None:
        """Where your own message goes. Nothing was stopped: somebody has to look."""
        print(verdict["summary"])

    create >> start >> wait >> choose(wait.output) >> [ship, back, tell(wait.output)]
    ship >> check
