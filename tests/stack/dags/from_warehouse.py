"""Two rollouts that are judged by LaunchDarkly's Data Export, each in an account and a warehouse of its own."""

from typing import Any

from airflow_provider_launchdarkly import rollout_dag


def rollout(account: str) -> dict[str, Any]:
    return {
        "experiment": {
            # Keys of their own: Airflow knows no accounts, and fails one of two tasks that first name an asset at once.
            "key": f"exported-{account}",
            "flag": "checkout-button",
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [{"allocation": 50, "gate": "decision"}],
        "policy": {
            "min_duration": "3d",
            "max_duration": "14d",
            "guardrails": [{"metric": "page-load-ms", "margin": 0.1}],
        },
        "results": {
            "source": "data_export",
            "conn_id": f"rows_of_{account}",
            "schema": "{{ var.value.exported_schema }}",
        },
        "connection": account,
        "turn_flag_on": True,
    }


better = rollout_dag(rollout("better"), dag_id="from_warehouse_better")
worse = rollout_dag(rollout("worse"), dag_id="from_warehouse_worse")
