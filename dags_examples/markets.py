"""One rollout for each market, by dynamic task mapping; each starts and ships in its own business hours.

For the same change in several places: here each market is an environment, but it may be a project, a rule or a flag
as well (see the overrides of `experiment_rollout`). For your own: change MARKETS, or let a task return them.
"""

from datetime import timedelta

from airflow.sdk import DAG, task_group

from airflow_provider_launchdarkly import experiment_rollout

MARKETS = [
    {"environment_key": "production", "timezone": "Europe/Berlin"},
    {"environment_key": "test", "timezone": "America/New_York"},
]

ROLLOUT = {
    "experiment": {
        "key": "search-by-meaning",
        "flag": "search-ranking",
        "hypothesis": "Ranking by both words and meaning gets more clicks.",
        "treatments": [{"variation": "Keyword", "baseline": True}, {"variation": "Hybrid"}],
        "primary_metric": "search-click-through",
    },
    "stages": [
        {"allocation": 20, "dwell": "2d"},
        {"allocation": 50, "gate": "decision"},
    ],
    "policy": {"min_duration": "7d", "max_duration": "21d"},
    "change_window": {"hours": "09:00-17:00"},
    "turn_flag_on": True,
}

with DAG(
    "markets",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["launchdarkly"],
    default_args={"retries": 6, "retry_delay": timedelta(minutes=2)},
):

    @task_group
    def market(environment_key: str, timezone: str) -> None:
        experiment_rollout(ROLLOUT, environment_key=environment_key, timezone=timezone)

    market.expand_kwargs(MARKETS)
