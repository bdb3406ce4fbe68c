"""A tour of the operators and sensors: what each of them looks like in a DAG, in an order that makes sense.

Runs as it is against the emulator. No decision is taken here: a rollout that ships is in `experiment_rollout`.
"""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_launchdarkly import (
    LaunchDarklyArchiveExperimentOperator,
    LaunchDarklyCreateExperimentOperator,
    LaunchDarklyCreateIterationOperator,
    LaunchDarklyFlagStateSensor,
    LaunchDarklyGetExperimentOperator,
    LaunchDarklyGetResultsOperator,
    LaunchDarklyIterationStatusSensor,
    LaunchDarklyListExperimentsOperator,
    LaunchDarklyRestoreExperimentOperator,
    LaunchDarklySaveAndStartIterationOperator,
    LaunchDarklySetFlagOperator,
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
    LaunchDarklyTrafficSensor,
    LaunchDarklyUpdateExperimentationSettingsOperator,
    LaunchDarklyUpdateExperimentOperator,
)

KEY = "bold-checkout-tour"
DESIGN = {
    "experiment_key": KEY,
    "hypothesis": "A bold button brings more people through the checkout.",
    "flag_key": "checkout-button",
    "primary_metric": "checkout-conversion",
}


def shares(bold: int) -> list[dict[str, object]]:
    return [
        {"variation": "Classic", "allocation_percent": 100 - bold, "baseline": True},
        {"variation": "Bold", "allocation_percent": bold},
    ]


with DAG(
    "experiments_api",
    schedule=None,
    catchup=False,
    tags=["launchdarkly"],
    default_args={"retries": 6, "retry_delay": timedelta(minutes=2)},
):
    units = LaunchDarklyUpdateExperimentationSettingsOperator(
        task_id="units", randomization_units=[{"randomization_unit": "user", "default": True}]
    )
    flag = LaunchDarklySetFlagOperator(task_id="flag", flag_key="checkout-button", on=True, variation="Classic")
    create = LaunchDarklyCreateExperimentOperator(
        task_id="create", name="Bold checkout, a tour", treatments=shares(10), **DESIGN
    )
    start = LaunchDarklyStartIterationOperator(
        task_id="start", experiment_key=KEY, iteration_id=create.output["iteration_id"]
    )
    runs = LaunchDarklyIterationStatusSensor(
        task_id="runs", experiment_key=KEY, iteration_id=start.output["iteration_id"], status="running"
    )
    people = LaunchDarklyTrafficSensor(
        task_id="people", experiment_key=KEY, iteration_id=start.output["iteration_id"], units_per_treatment=100
    )
    results = LaunchDarklyGetResultsOperator(task_id="results", experiment_key=KEY)
    rename = LaunchDarklyUpdateExperimentOperator(
        task_id="rename", experiment_key=KEY, changes={"tags": {"operation": "add", "value": ["tour"]}}
    )
    more = LaunchDarklySaveAndStartIterationOperator(
        task_id="more",
        experiment_key=KEY,
        iteration_id=start.output["iteration_id"],
        changes={"treatments": shares(25)},
    )
    half = LaunchDarklyCreateIterationOperator(task_id="half", method="save_and_start", treatments=shares(50), **DESIGN)
    running = LaunchDarklyListExperimentsOperator(task_id="running", status="running")
    stop = LaunchDarklyStopIterationOperator(
        task_id="stop",
        experiment_key=KEY,
        iteration_id=half.output["iteration_id"],
        winner="baseline",
        reason="A tour ships nothing.",
    )
    stopped = LaunchDarklyIterationStatusSensor(
        task_id="stopped", experiment_key=KEY, iteration_id=half.output["iteration_id"], status="stopped"
    )
    served = LaunchDarklyFlagStateSensor(task_id="served", flag_key="checkout-button", variation="Classic")
    archive = LaunchDarklyArchiveExperimentOperator(task_id="archive", experiment_key=KEY)
    restore = LaunchDarklyRestoreExperimentOperator(task_id="restore", experiment_key=KEY)
    read = LaunchDarklyGetExperimentOperator(task_id="read", experiment_key=KEY)

    units >> flag >> create >> start >> runs >> people >> results >> rename >> more >> half >> running
    running >> stop >> stopped >> served >> archive >> restore >> read
