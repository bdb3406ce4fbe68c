"""A new iteration every Monday at nine in Berlin; the one that it ends is judged and reported first.

For a question that is asked again each week, such as a price or a ranking: nothing is ever shipped. Needs the
provider's timetable, which Airflow finds by itself. For your own: change the keys, the time zone and the policy.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, task

from airflow_provider_launchdarkly import (
    ChangeWindow,
    ChangeWindowTimetable,
    LaunchDarklyCreateExperimentOperator,
    LaunchDarklyCreateIterationOperator,
    LaunchDarklyJudgeOperator,
    LaunchDarklyStartIterationOperator,
)

KEY = "weekly-button"
DESIGN = {
    "experiment_key": KEY,
    "flag_key": "checkout-button",
    "hypothesis": "The bold button is better this week.",
    "treatments": [
        {"variation": "Classic", "allocation_percent": 50, "baseline": True},
        {"variation": "Bold", "allocation_percent": 50},
    ],
    "primary_metric": "checkout-conversion",
}

with DAG(
    "weekly_iterations",
    schedule=ChangeWindowTimetable(
        "0 9 * * mon", ChangeWindow(timezone="Europe/Berlin", hours=("09:00-12:00",), blackout=("2026-12-28",))
    ),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["launchdarkly"],
    default_args={"retries": 6, "retry_delay": timedelta(minutes=2)},
):
    create = LaunchDarklyCreateExperimentOperator(task_id="create", name="Button, week by week", **DESIGN)
    iteration = {"experiment_key": KEY, "iteration_id": create.output["iteration_id"]}
    start_first = LaunchDarklyStartIterationOperator(task_id="start_first", **iteration, turn_flag_on=True)

    @task.short_circuit
    def is_a_later_week(started: dict) -> bool:
        """In the first week there is nothing to report yet, and the iteration that was started goes on."""
        return not started["changed"]

    judge = LaunchDarklyJudgeOperator(
        task_id="judge",
        **iteration,
        policy={"min_duration": "6d", "max_duration": "7d", "looks": {"only_at_end": True}},
    )

    @task
    def report(verdict: dict) -> str:
        """Where your own report goes: a message, a table, a ticket."""
        return f"last week: {verdict['summary']}"

    create_next = LaunchDarklyCreateIterationOperator(task_id="create_next", **DESIGN)
    start_next = LaunchDarklyStartIterationOperator(
        task_id="start_next",
        experiment_key=KEY,
        iteration_id=create_next.output["iteration_id"],
        change_justification="a new week",
    )

    create >> start_first >> is_a_later_week(start_first.output) >> judge
    report(judge.output) >> create_next >> start_next
