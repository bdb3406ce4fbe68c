"""The plain operators with a person between the verdict and the ship: a boundary that was crossed stands meanwhile.

The sensor crosses the boundary, somebody approves, and the data are judged again. `standing=wait.output` says what
crossed: that treatment needs no second crossing, only an effect that is still there and no harm. For your own: change
the keys, the policy, and what each branch does.
"""

from datetime import timedelta

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, task

from airflow_provider_launchdarkly import (
    LaunchDarklyCreateExperimentOperator,
    LaunchDarklyJudgeOperator,
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
    LaunchDarklyWaitForSignificanceSensor,
    Policy,
)

POLICY = Policy()

with DAG(
    "plain_approval",
    schedule=None,
    catchup=False,
    tags=["launchdarkly"],
    default_args={"retries": 6, "retry_delay": timedelta(minutes=2)},
):
    create = LaunchDarklyCreateExperimentOperator(
        task_id="create",
        experiment_key="approved-button",
        name="Button, approved by hand",
        hypothesis="A bold button brings more people through the checkout.",
        flag_key="checkout-button",
        treatments=[
            {"variation": "Classic", "allocation_percent": 50, "baseline": True},
            {"variation": "Bold", "allocation_percent": 50},
        ],
        primary_metric="checkout-conversion",
    )
    iteration = {"experiment_key": "approved-button", "iteration_id": create.output["iteration_id"]}
    start = LaunchDarklyStartIterationOperator(task_id="start", **iteration, turn_flag_on=True)
    wait = LaunchDarklyWaitForSignificanceSensor(task_id="wait", **iteration, policy=POLICY)

    @task.short_circuit
    def is_a_winner(verdict: dict) -> bool:
        return verdict["verdict"] == "ship"

    approve = ApprovalOperator(task_id="approve", subject="Ship the bold button to everyone?")
    # The policy is the sensor's, or the crossing counts for nothing.
    judge = LaunchDarklyJudgeOperator(task_id="judge", **iteration, policy=POLICY, standing=wait.output)

    @task.branch
    def choose(verdict: dict) -> str:
        return "stop" if verdict["verdict"] in {"ship", "rollback"} else "tell"

    stop = LaunchDarklyStopIterationOperator(task_id="stop", **iteration, winner=judge.output)

    @task
    def tell(verdict: dict) -> str:
        """Where your own message goes: the effect is gone, and the experiment runs on."""
        return verdict["summary"]

    create >> start >> wait >> is_a_winner(wait.output) >> approve >> judge
    choose(judge.output) >> [stop, tell(judge.output)]
