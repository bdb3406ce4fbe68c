"""Start a DAG when something happens to an experiment in LaunchDarkly, whoever does it: an event-driven DAG.

The watcher runs in the triggerer and polls. It fires once when an iteration is started, once when it is stopped, and
once when the results reach a verdict by the policy; it changes nothing. For your own: change the keys, the policy, and
what `tell` does. For experiments that Airflow itself starts and stops, see `analysis_on_ship.py`: it needs no polling.
"""

from datetime import timedelta

from airflow.sdk import DAG, AssetWatcher, task

from airflow_provider_launchdarkly import ExperimentEventTrigger, Policy, experiment_asset, experiment_events

EXPERIMENT = {"project_key": "demo", "environment_key": "production", "experiment_key": "free-shipping"}

watched = experiment_asset(
    **EXPERIMENT,
    watchers=[
        AssetWatcher(
            name="free-shipping",
            trigger=ExperimentEventTrigger(
                **EXPERIMENT, policy=Policy(looks=timedelta(days=1), max_duration=timedelta(days=28))
            ),
        )
    ],
)

with DAG(
    "watch_an_experiment",
    schedule=[watched],
    catchup=False,
    tags=["launchdarkly"],
    default_args={"retries": 6, "retry_delay": timedelta(minutes=2)},
):

    @task
    def tell(triggering_asset_events=None):
        """Say what happened; one run may be started by several events."""
        happened = experiment_events(triggering_asset_events)
        for event in happened:
            said = event["verdict"]["summary"] if "verdict" in event else event.get("winning_reason")
            said = said or event.get("message", "")  # an event "error": the watcher's arguments are wrong
            print(f"{event['experiment_key']}, iteration {event['iteration_id']}: {event['event']} {said}")
        return [event["event"] for event in happened]

    tell()
