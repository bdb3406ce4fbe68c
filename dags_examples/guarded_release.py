"""A guarded release: from Classic to Bold in three steps, back at the first regression.

Shows what follows an experiment whose winner should reach everyone in steps. For your own: change the keys, the steps,
and what each branch does.
"""

from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_launchdarkly import (
    LaunchDarklyReleaseSensor,
    LaunchDarklySetFlagOperator,
    LaunchDarklyStartReleaseOperator,
    LaunchDarklyStopReleaseOperator,
)

FLAG = "checkout-button"

with DAG(
    "guarded_release",
    schedule=None,
    catchup=False,
    tags=["launchdarkly"],
    default_args={"retries": 6, "retry_delay": timedelta(minutes=2)},
):
    turn_on = LaunchDarklySetFlagOperator(task_id="turn_on", flag_key=FLAG, on=True)
    start = LaunchDarklyStartReleaseOperator(
        task_id="start",
        flag_key=FLAG,
        original="Classic",
        target="Bold",
        phases=[
            {
                "steps": [
                    {"percent": 5, "duration": "1d"},
                    {"percent": 25, "duration": "2d"},
                    {"percent": 50, "duration": "2d"},
                ]
            }
        ],
        # A regression of the first one reverts the release. Of the second one, the release waits for a person.
        guardrails=["checkout-conversion", {"metric": "page-load-ms", "auto_rollback": False}],
        cleanup_behavior="remove_rules_and_update_default_rule",
    )
    release = {"flag_key": FLAG, "release_id": start.output["release_id"]}
    wait = LaunchDarklyReleaseSensor(task_id="wait", **release)

    @task.branch
    def choose(found: dict) -> str:
        return {"completed": "everyone_has_it", "reverted": "look_into_it", "waiting": "give_up"}[found["status"]]

    @task
    def everyone_has_it(found: dict) -> None:
        """Where the old variation's code can go."""
        print(f"release {found['release_id']} is completed: {found['metrics']}")

    @task
    def look_into_it(found: dict) -> None:
        """Where your own message goes: everyone is back on the original."""
        print(f"release {found['release_id']} is reverted ({found['reason']}): {found['regressed']}")

    give_up = LaunchDarklyStopReleaseOperator(
        task_id="give_up", **release, resolution="roll_back_all_phases_and_remove_pending_phases"
    )

    (
        turn_on
        >> start
        >> wait
        >> choose(wait.output)
        >> [everyone_has_it(wait.output), look_into_it(wait.output), give_up]
    )
