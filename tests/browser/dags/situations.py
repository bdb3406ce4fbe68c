"""Rollouts for the situations in which people look at the pages, each in an account of its own.

With the example `staged_ramp`, which waits for its next look, they are six; one more has a name that attacks the page.
"""

from typing import Any

from airflow_provider_launchdarkly import rollout_dag

ATTACK = "<img src=x onerror=\"window.attacked='yes'\">"
CANARY = {"name": "canary", "allocation": 10, "dwell": "2d"}
HALF = {"name": "half", "allocation": 50, "gate": "decision"}


def rollout(account: str, name: str, stages: list[dict[str, Any]], *, looks: str = "1d", **more: Any) -> dict[str, Any]:
    return {
        "experiment": {
            "key": account.replace("_", "-"),
            "name": name,
            "flag": "checkout-button",
            "hypothesis": "A bold button brings more people through the checkout.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": stages,
        # A look takes Airflow some fifteen seconds, so only where its charts are looked at there is one each day.
        "policy": {
            "min_duration": "7d",
            "max_duration": "14d",
            "looks": looks,
            "guardrails": [{"metric": "page-load-ms", "margin": 0.02}],
        },
        "connection": account,
        "turn_flag_on": True,
        **more,
    }


APPROVAL = {"before_ship": True, "timeout": "2d"}
WINDOW = {"timezone": "Europe/Berlin", "weekdays": ["mon", "tue"], "hours": "09:00-16:00"}
ROLLOUTS = [
    rollout("harmed", "Bold button on phones", [CANARY, HALF], looks="2d"),
    rollout("awaiting_approval", "Bold button for members", [HALF], approval=APPROVAL),
    rollout("awaiting_window", "Bold button in the app", [{**CANARY, "dwell": "3d"}, HALF], change_window=WINDOW),
    rollout("results_gone", "Bold button for guests", [CANARY, HALF], looks="2d"),
    rollout("shipped", "Bold button in the sale", [HALF], looks="7d"),
    rollout("attacking", ATTACK, [{**HALF, "name": ATTACK, "notes": ATTACK}]),
]
for each in ROLLOUTS:
    dag_id = each["connection"]
    tags = ["attack"] if dag_id == "attacking" else ["launchdarkly", "checkout"]
    globals()[dag_id] = rollout_dag(each, dag_id=dag_id, retries=0, tags=tags, default_args={"owner": "growth"})
