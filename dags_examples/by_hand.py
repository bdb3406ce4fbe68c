"""A rollout started by hand: Airflow shows a form for the experiment's key, the flag and the name.

For experiments that people start when they are ready. For your own: change the treatments and the metric, and which
fields the form has. Jinja may stand wherever `experiment_rollout` takes an override.
"""

from airflow.sdk import Param

from airflow_provider_launchdarkly import rollout_dag

dag = rollout_dag(
    {
        "experiment": {
            "key": "by-hand",
            "flag": "checkout-button",
            "hypothesis": "The new variation is better.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [{"allocation": 50, "gate": "decision"}],
        "policy": {"min_duration": "7d", "max_duration": "28d"},
        "turn_flag_on": True,
    },
    dag_id="by_hand",
    params={
        "experiment_key": Param(
            "button-by-hand",
            type="string",
            pattern="^[a-z0-9-]+$",
            title="Experiment key",
            description_md="Not used before.",
        ),
        "experiment_name": Param("Button, by hand", type="string", minLength=1, title="Name"),
        "flag_key": Param("checkout-button", type="string", title="Flag", examples=["checkout-button"]),
    },
    overrides={
        "experiment_key": "{{ params.experiment_key }}",
        "experiment_name": "{{ params.experiment_name }}",
        "flag_key": "{{ params.flag_key }}",
    },
)
