"""A change that LaunchDarkly demands an approval for: asked for, waited for and applied by the task that needs it.

Shows one DAG for every environment: where no approval is demanded, the task makes the change at once. For your own:
change the keys, the reviewers, and what follows.
"""

from datetime import timedelta

from airflow.sdk import DAG, Param, task

from airflow_provider_launchdarkly import LaunchDarklySetFlagOperator

with DAG(
    "launchdarkly_approval",
    schedule=None,
    catchup=False,
    tags=["launchdarkly"],
    params={"percent": Param(10, type="number", minimum=0, maximum=100)},
    default_args={"retries": 6, "retry_delay": timedelta(minutes=2)},
):
    ramp = LaunchDarklySetFlagOperator(
        task_id="ramp",
        flag_key="checkout-button",
        on=True,
        rollout={"Classic": "{{ 100 - params.percent }}", "Bold": "{{ params.percent }}"},
        # LaunchDarkly tells these people. A team is "team:" and its key.
        reviewers=["grace@example.com"],
        # Then the request is deleted, and the task fails.
        approval_timeout="8h",
    )

    @task
    def tell(flag: dict) -> None:
        """Where your own message goes: the change is made, with or without an approval."""
        print(f"{flag['flag_key']} serves {flag['serves']}")

    ramp >> tell(ramp.output)
