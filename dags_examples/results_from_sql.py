"""Decide on the numbers of your own warehouse instead of LaunchDarkly's, and keep a record of each decision.

The query runs on a worker at each look; the triggerer only watches the clock. For your own: change the keys, the
connection `warehouse` (any SQL database that Airflow has a hook for) and the query. Set `[launchdarkly] record_path`
to keep the record. Here the warehouse is SQLite, which has no type for moments, hence `.text`: leave it out elsewhere.
"""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_launchdarkly import (
    Guardrail,
    LaunchDarklyCreateExperimentOperator,
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
    LaunchDarklyWaitForSignificanceSensor,
    Policy,
    SqlResults,
)

# Who was exposed since the iteration's start, and what they ordered after that. Everyone exposed is counted, also who
# ordered nothing. The warehouse knows variations by name; LaunchDarkly's treatments have the same names here.
QUERY = """
WITH people AS (
    SELECT exposures.user_id,
           CASE exposures.variation
               {% for treatment in treatments %}WHEN {{ treatment.name }} THEN {{ treatment.id }} {% endfor %}
           END AS treatment_id,
           COUNT(orders.user_id) AS orders,
           COALESCE(SUM(orders.amount), 0) AS revenue,
           MAX(orders.ordered_at) AS latest_order_at
    FROM exposures
    LEFT JOIN orders ON orders.user_id = exposures.user_id
                    AND orders.ordered_at BETWEEN exposures.exposed_at AND {{ looked_at.text }}
    WHERE exposures.experiment_key = {{ experiment_key }}
      AND exposures.exposed_at BETWEEN {{ exposed_after.text }} AND {{ exposed_before.text }}
    GROUP BY exposures.user_id, exposures.variation
)
SELECT 'checkout-conversion' AS metric, treatment_id, COUNT(*) AS units, MAX(latest_order_at) AS latest_event_at,
       SUM(CASE WHEN orders > 0 THEN 1 ELSE 0 END) AS conversions, NULL AS sum, NULL AS sum_squares
FROM people GROUP BY treatment_id
UNION ALL
SELECT 'revenue-per-user', treatment_id, COUNT(*), MAX(latest_order_at),
       NULL, SUM(revenue), SUM(revenue * revenue)
FROM people GROUP BY treatment_id
"""

with DAG(
    "results_from_sql",
    schedule=None,
    catchup=False,
    tags=["launchdarkly"],
    default_args={"retries": 6, "retry_delay": timedelta(minutes=2)},
):
    create = LaunchDarklyCreateExperimentOperator(
        task_id="create",
        experiment_key="bold-checkout-button",
        name="Bold checkout button",
        hypothesis="A bold button brings more people through the checkout, and no less revenue.",
        flag_key="checkout-button",
        treatments=[
            {"variation": "Classic", "allocation_percent": 50, "baseline": True},
            {"variation": "Bold", "allocation_percent": 50},
        ],
        primary_metric="checkout-conversion",
    )
    iteration = {"experiment_key": "bold-checkout-button", "iteration_id": create.output["iteration_id"]}

    start = LaunchDarklyStartIterationOperator(task_id="start", **iteration, turn_flag_on=True)
    wait = LaunchDarklyWaitForSignificanceSensor(
        task_id="wait",
        **iteration,
        # LaunchDarkly does not measure the revenue in this experiment, so the policy says which way is better.
        policy=Policy(guardrails=[Guardrail(metric="revenue-per-user", direction="higher")]),
        results=SqlResults(conn_id="warehouse", sql=QUERY),
    )
    stop = LaunchDarklyStopIterationOperator(task_id="stop", **iteration, winner=wait.output)

    create >> start >> wait >> stop
