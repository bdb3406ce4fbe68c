"""Decide a rollout on the tables that LaunchDarkly's Data Export writes into your warehouse, without SQL of your own.

LaunchDarkly's metrics are computed as they are defined there, and one more is defined here. For your own: change the
keys, the connection `warehouse` and the schema. Here the warehouse is SQLite, whose only schema is `main`.
"""

from airflow_provider_launchdarkly import rollout_dag

rollout_dag(
    {
        "experiment": {
            "key": "bold-checkout-button",
            "flag": "checkout-button",
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
            "metrics": ["page-load-ms"],
        },
        "stages": [
            {"allocation": 20, "dwell": "2d"},
            {"allocation": 50, "gate": "decision"},
        ],
        "policy": {
            "guardrails": [{"metric": "page-load-ms", "margin": 0.02}],
            "signals": [{"metric": "checkout-within-a-day"}],
        },
        "results": {
            "source": "data_export",
            "conn_id": "warehouse",
            "schema": "main",
            "metrics": {
                # Only people who were first exposed more than a day ago count, each for the first day.
                "checkout-within-a-day": {"event": "checkout-conversion", "window": "1d", "direction": "higher"},
            },
        },
        "turn_flag_on": True,
    },
    dag_id="results_from_data_export",
)
