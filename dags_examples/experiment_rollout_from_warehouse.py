"""The same rollout on LaunchDarkly's own rows in your warehouse: the way for a real account, without a results API.

LaunchDarkly's Data Export writes evaluations and metric events into the schema that you choose at its set-up. The
sensor computes the experiment's metrics from them, by LaunchDarkly's definitions. For your own: change the keys, the
connection `warehouse` and the schema. `make demo RESULTS=warehouse` runs it as it is.
"""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_launchdarkly import (
    DataExportResults,
    LaunchDarklyCreateExperimentOperator,
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
    LaunchDarklyWaitForSignificanceSensor,
    Policy,
)

with DAG(
    "experiment_rollout_from_warehouse",
    schedule=None,
    catchup=False,
    tags=["launchdarkly"],
    default_args={"retries": 6, "retry_delay": timedelta(minutes=2)},
):
    create = LaunchDarklyCreateExperimentOperator(
        task_id="create",
        experiment_key="bold-checkout-button",
        name="Bold checkout button",
        hypothesis="A bold button brings more people through the checkout.",
        flag_key="checkout-button",
        treatments=[
            {"variation": "Classic", "allocation_percent": 50, "baseline": True},
            {"variation": "Bold", "allocation_percent": 50},
        ],
        primary_metric="checkout-conversion",
        metrics=["page-load-ms"],
    )
    iteration = {"experiment_key": "bold-checkout-button", "iteration_id": create.output["iteration_id"]}

    start = LaunchDarklyStartIterationOperator(task_id="start", **iteration, turn_flag_on=True)
    wait = LaunchDarklyWaitForSignificanceSensor(
        task_id="wait",
        **iteration,
        policy=Policy(
            alpha=0.05, looks=timedelta(days=1), min_duration=timedelta(days=7), max_duration=timedelta(days=28)
        ),
        results=DataExportResults(
            conn_id="warehouse", schema="{{ var.value.get('launchdarkly_schema', 'launchdarkly') }}"
        ),
    )
    stop = LaunchDarklyStopIterationOperator(task_id="stop", **iteration, winner=wait.output)

    create >> start >> wait >> stop
