"""Take each look when dbt has built the table that it reads: the table's asset wakes the DAG that looks.

`build_orders` stands for your pipeline. Its task `build` is one SQL statement here; yours is dbt, and nothing else
changes: `BashOperator(task_id="build", bash_command="dbt build --select orders_by_person")`, or Cosmos'
`DbtTaskGroup`. `announce` then says up to when the data are complete. `look_when_data_arrive` takes the look that these
data cover, and no other: a run without one ends at once. For your own: change the keys, the connection `warehouse` and
both queries, and set `[launchdarkly] record_path`, since the decision record says which looks were taken. The
experiment is started elsewhere. Here the warehouse is SQLite, hence `.text`.
"""

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import BaseHook
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG, Asset, task

from airflow_provider_launchdarkly import (
    DataArrival,
    LaunchDarklyGetExperimentOperator,
    LaunchDarklyStopIterationOperator,
    LaunchDarklyWaitForSignificanceSensor,
    SqlResults,
)

EXPERIMENT = "bold-checkout-button"
PEOPLE = Asset("orders_by_person")
RETRIES = {"retries": 6, "retry_delay": timedelta(minutes=2)}

# One row for each person, with the first order. dbt's model would say the same.
BUILD = [
    "DROP TABLE IF EXISTS orders_by_person",
    """
    CREATE TABLE orders_by_person AS
    SELECT exposures.user_id, exposures.variation, exposures.exposed_at, MIN(orders.ordered_at) AS ordered_at
    FROM exposures
    LEFT JOIN orders ON orders.user_id = exposures.user_id AND orders.ordered_at >= exposures.exposed_at
    GROUP BY exposures.user_id, exposures.variation, exposures.exposed_at
    """,
]

# As of the look's planned time, however late it is: nobody who came later, and no later order.
RESULTS = """
SELECT 'checkout-conversion' AS metric,
       CASE variation
           {% for treatment in treatments %}WHEN {{ treatment.name }} THEN {{ treatment.id }} {% endfor %}
       END AS treatment_id,
       COUNT(*) AS units,
       SUM(CASE WHEN ordered_at <= {{ looked_at.text }} THEN 1 ELSE 0 END) AS conversions
FROM orders_by_person
WHERE exposed_at BETWEEN {{ exposed_after.text }} AND {{ exposed_before.text }}
GROUP BY variation
"""

with DAG("build_orders", schedule="@hourly", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False,
         max_active_runs=1, tags=["launchdarkly"], default_args=RETRIES):  # fmt: skip
    build = SQLExecuteQueryOperator(task_id="build", conn_id="warehouse", sql=BUILD)

    @task(outlets=[PEOPLE])
    def announce(outlet_events=None):
        """Say up to when the rows that were loaded before the build are complete."""
        hook = BaseHook.get_connection("warehouse").get_hook()
        ((loaded_until,),) = hook.get_records("SELECT MAX(loaded_until) FROM loads")
        outlet_events[PEOPLE].extra = {"covers_until": loaded_until}

    build >> announce()

with DAG("look_when_data_arrive", schedule=[PEOPLE], catchup=False, max_active_runs=1, tags=["launchdarkly"],
         default_args=RETRIES):  # fmt: skip
    find = LaunchDarklyGetExperimentOperator(task_id="find", experiment_key=EXPERIMENT)

    @task.short_circuit
    def is_running(iteration_id):
        """After the experiment, the table is still built, and there is nothing to look at."""
        return iteration_id

    iteration = {"experiment_key": EXPERIMENT, "iteration_id": find.output["running_iteration_id"]}
    look = LaunchDarklyWaitForSignificanceSensor(
        task_id="look",
        **iteration,
        policy={"looks": {"every": "1d", "on_data": {"deadline": "12h"}}},
        results=SqlResults(conn_id="warehouse", sql=RESULTS),
        arrival=DataArrival(asset="orders_by_person"),
        once=True,
    )
    stop = LaunchDarklyStopIterationOperator(task_id="stop", **iteration, winner=look.output)

    is_running(find.output["running_iteration_id"]) >> look >> stop
