"""The rollouts of the crash matrix: a staged ramp with approvals, a change window and a guardrail, and neighbours."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import DAG

RAMP: dict[str, Any] = {
    "experiment": {
        "key": "button",
        "flag": "checkout-button",
        "hypothesis": "A bold button brings more people through the checkout.",
        "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
        "primary_metric": "checkout-conversion",
    },
    "stages": [
        {"allocation": 10, "dwell": "1d", "approval": True},
        {"allocation": 50, "gate": "decision", "approval": True},
    ],
    "policy": {
        "min_duration": "2d",
        "max_duration": "5d",
        "guardrails": [{"metric": "page-load-ms", "margin": 0.02}],
    },
    "approval": {"before_ship": True},
    "change_window": {"timezone": "Europe/Berlin", "weekdays": ["mon", "tue", "wed", "thu"], "hours": "09:00-16:00"},
    "turn_flag_on": True,
    "if_running": "refuse",
}
ONE_STAGE: dict[str, Any] = {
    **RAMP,
    "stages": [{"allocation": 50, "gate": "decision"}],
    "approval": {},
    "change_window": None,
    "endings": {"inconclusive": "extend", "extension": "2d"},
}
# Its ship is checked once more, since LaunchDarkly may demand an approval.
APPROVED: dict[str, Any] = {**ONE_STAGE, "launchdarkly_approval": {"reviewers": ["grace@example.com"]}}
# Its flag is archived after the end.
RETIRED: dict[str, Any] = {
    **ONE_STAGE,
    "endings": {"retire": {"mode": "archive", "served_for": "8d", "environments": ["production"]}},
}
# Its second stage awaits the window for two days.
SHUT: dict[str, Any] = {
    **RAMP,
    "stages": [{**stage, "approval": False} for stage in RAMP["stages"]],
    "change_window": {**RAMP["change_window"], "blackout": ["2026-01-06/2026-01-07"]},
}
# The winner ships through a release.
RELEASED: dict[str, Any] = {
    **ONE_STAGE,
    "endings": {
        "ship": {
            "release": {
                "steps": [{"percent": 10, "duration": "1d"}, {"percent": 50, "duration": "1d"}],
                "metrics": [{"metric": "checkout-conversion", "auto_rollback": False}],
            }
        }
    },
}
# LaunchDarkly demands an approval for each change of the flag, so that a person starts the release.
HANDED_OVER: dict[str, Any] = {
    **RELEASED,
    "launchdarkly_approval": {"reviewers": ["grace@example.com"], "timeout": "2d"},
}
# Each environment starts, ships and is left in one task each.
PROMOTION: dict[str, Any] = {
    **RAMP,
    "stages": [{"allocation": 50, "gate": "decision"}],
    "approval": {},
    "change_window": None,
    "environments": ["test", "staging", "production"],
}
# In each environment a release starts, completes and is left in one task each.
RELEASES: dict[str, Any] = {
    "release": {
        "flag": "checkout-button",
        "original": "Classic",
        "target": "Bold",
        "steps": [{"percent": 10, "duration": "1d"}],
        "metrics": [{"metric": "checkout-conversion", "auto_rollback": False}],
        "bypass_health_checks": ["flag_evaluations_any", "metric_events_any"],
    },
    "turn_flag_on": True,
    "environments": ["test", "staging", "production"],
}
# Each target starts, ships and is counted in one task each.
WAVES: dict[str, Any] = {
    **{name: value for name, value in PROMOTION.items() if name != "environments"},
    "targets": [{"key": key, "environment": key} for key in ("test", "staging", "production")],
    "waves": {"order": [1, {"size": 1, "pause": "1d"}, "rest"]},
}
ROLLOUTS = {
    "ramp": RAMP,
    "shut": SHUT,
    "one stage": ONE_STAGE,
    "approved": APPROVED,
    "released": RELEASED,
    "handed over": HANDED_OVER,
    "retired": RETIRED,
    "observed": {**ONE_STAGE, "autonomy": "observe"},
}


@cache
def rollout_of(name: str) -> DAG:
    """Return a DAG with one of the rollouts."""
    from airflow.sdk import DAG

    from airflow_provider_launchdarkly.rollout.promotion_group import experiment_promotion
    from airflow_provider_launchdarkly.rollout.release_group import release_promotion
    from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
    from airflow_provider_launchdarkly.rollout.wave_group import experiment_waves

    with DAG("rollout", schedule=None) as dag:
        if name == "promotion":
            experiment_promotion(PROMOTION)
            return dag
        if name == "releases":
            release_promotion(RELEASES)
            return dag
        if name == "waves":
            experiment_waves(WAVES)
            return dag
        experiment_rollout(ROLLOUTS[name], group_id="r")
    return dag
