"""Several experiments on one flag, one after another: LaunchDarkly runs one experiment on a rule at a time.

For a queue of ideas: the next one starts when the one before has ended, with or without a winner. An invalid one
holds the queue, since it still owns the rule. For your own: change FLAG and IDEAS.
"""

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_provider_launchdarkly import experiment_rollout

FLAG = "search-ranking"
IDEAS = {
    "semantic": "Ranking by meaning gets more clicks.",
    "hybrid": "Ranking by both words and meaning gets more clicks.",
}

with DAG(
    "rotation",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["launchdarkly"],
    default_args={"retries": 6, "retry_delay": timedelta(minutes=2)},
):
    before = None
    for idea, hypothesis in IDEAS.items():
        turn = EmptyOperator(task_id=f"turn_of_{idea}", trigger_rule="none_failed_min_one_success")
        rollout = experiment_rollout(
            {
                "experiment": {
                    "key": f"search-{idea}",
                    "flag": FLAG,
                    "hypothesis": hypothesis,
                    "treatments": [{"variation": "keyword", "baseline": True}, {"variation": idea}],
                    "primary_metric": "search-click-through",
                },
                "stages": [{"allocation": 50, "gate": "decision"}],
                "policy": {"min_duration": "7d", "max_duration": "14d"},
                "turn_flag_on": True,
            },
            group_id=idea,
        )
        turn >> rollout
        if before:
            [before.ship, before.rollback, before.inconclusive] >> turn
        before = rollout
