"""Once a week, tell what was forgotten: experiments that nobody ends, and flags that have done their work.

Both tasks only read. For your own: change the flags, the plans of experiments that run longer than four weeks, and what
`tell` does with the texts, such as a message or a pull request.
"""

from airflow.sdk import DAG, task

from airflow_provider_launchdarkly import LaunchDarklyHygieneReportOperator, LaunchDarklyRetireFlagOperator

FLAGS = ["checkout-button", "pricing-page"]

with DAG(
    "hygiene",
    schedule="@weekly",
    catchup=False,
    tags=["launchdarkly"],
    default_args={"retries": 6},
):
    report = LaunchDarklyHygieneReportOperator(task_id="report", max_duration="28d", plans={"free-shipping": "56d"})
    propose = LaunchDarklyRetireFlagOperator.partial(
        task_id="propose", mode="propose", served_for="30d", multiple_outputs=False
    ).expand(flag_key=FLAGS)

    @task
    def tell(found, proposals):
        """Say what to do this week: each finding with its owner, and each flag that can go."""
        for finding in found["findings"]:
            print(f"{finding['owner'] or 'nobody'}: {finding['experiment_key']}: {finding['what']}; {finding['cure']}")
        ready = [proposal for proposal in proposals if proposal["outcome"] == "proposed"]
        for proposal in ready:
            print(proposal["card"])
        return [proposal["flag_key"] for proposal in ready]

    tell(report.output, propose.output)
