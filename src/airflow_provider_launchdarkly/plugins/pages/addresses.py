"""Addresses of the pages in Airflow's UI. Imports nothing of the pages: Airflow reads it in every process."""

from __future__ import annotations

from urllib.parse import urlsplit

PREFIX = "/launchdarkly"


def external_views(base_url: str) -> list[dict[str, str]]:
    """Return the tabs and the entry of the navigation, as Airflow takes them.

    Airflow puts what is in braces into each address, encoded. ``{MAP_INDEX}`` stays as it is for an unmapped task.

    Args:
        base_url: ``[api] base_url``, whose path is that of the deployment behind its proxy.
    """
    root = urlsplit(base_url).path.rstrip("/") + PREFIX
    run = f"{root}/experiment?dag_id={{DAG_ID}}&run_id={{RUN_ID}}"
    places = (
        ("nav", "Experiments", f"{root}/experiments"),
        ("dag", "Experiment", f"{root}/experiment?dag_id={{DAG_ID}}"),
        ("dag_run", "Experiment", run),
        ("task_instance", "Experiment", f"{run}&task_id={{TASK_ID}}&map_index={{MAP_INDEX}}"),
    )
    return [
        {
            "name": name,
            "href": href,
            "destination": destination,
            "url_route": f"launchdarkly-{destination.replace('_', '-')}",
        }
        for destination, name, href in places
    ]
