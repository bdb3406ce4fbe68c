"""Start an analysis when an experiment ships: a DAG scheduled on the experiment's asset, whoever runs the rollout.

Every start and stop of the experiment by Airflow is an event on its asset and starts this DAG. Its first task lets only
`ship` through. For your own: change the keys, and what `analyse` does (a notebook, a dbt run, a page for the team).
Scheduled on `EVERY_EXPERIMENT` instead, it hears of all experiments.
"""

from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_launchdarkly import experiment_asset, experiment_events

with DAG(
    "analysis_on_ship",
    schedule=[experiment_asset("demo", "production", "bold-checkout-button")],
    catchup=False,
    tags=["launchdarkly"],
    default_args={"retries": 6, "retry_delay": timedelta(minutes=2)},
):

    @task.short_circuit
    def shipped(triggering_asset_events=None):
        """The ships among what started this run; none skips the rest."""
        return experiment_events(triggering_asset_events, "ship")

    @task
    def analyse(ships):
        for ship in ships:
            print(f"{ship['experiment_key']}: everyone is served {ship['variation']!r}, since {ship['winning_reason']}")

    analyse(shipped())
