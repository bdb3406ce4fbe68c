"""Start a DAG when a release of a flag regresses, waits for a person or ends, whoever started it: an event-driven DAG.

The watcher runs in the triggerer and polls. It fires once for each regression, wait and end; it changes nothing. For
your own: change the keys, what `on` chooses, and what `tell` does. Releases that Airflow starts emit their own events
on the same asset without polling: see `guarded_release.py`.
"""

from datetime import timedelta

from airflow.sdk import DAG, AssetWatcher, task

from airflow_provider_launchdarkly import ReleaseEventTrigger, experiment_events, flag_asset

FLAG = {"project_key": "demo", "environment_key": "production", "flag_key": "checkout-button"}
WHAT = {
    "release_regressed": "regressed",
    "release_waiting": "waits for a person in LaunchDarkly",
    "release_completed": "has reached everyone",
    "release_reverted": "went back",
}

watched = flag_asset(
    **FLAG,
    watchers=[
        AssetWatcher(
            name="releases-of-checkout-button",
            trigger=ReleaseEventTrigger(**FLAG, on=["regressed", "waiting", "completed", "reverted"]),
        )
    ],
)

with DAG(
    "watch_releases",
    schedule=[watched],
    catchup=False,
    tags=["launchdarkly"],
    default_args={"retries": 6, "retry_delay": timedelta(minutes=2)},
):

    @task
    def tell(triggering_asset_events=None):
        """Say what happened; one run may be started by several events."""
        happened = experiment_events(triggering_asset_events, *WHAT, "error")
        for event in happened:
            if event["event"] == "error":  # the watcher's arguments are wrong
                print(event["message"])
                continue
            metrics = ", ".join(event["regressed"]) or "no metric regressed"
            print(f"Release {event['release_id']} of {event['flag_key']} {WHAT[event['event']]}: {metrics}")
        return [event["event"] for event in happened]

    tell()
