"""Addresses of Airflow's own pages, relative to ours: they hold behind any proxy and below any path."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, urlencode

from airflow_provider_launchdarkly.views.model import Links


class Place(NamedTuple):
    """One note: whose it is, and which experiment it is about."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    key: str

    @property
    def experiment(self) -> tuple[str, str, str, int]:
        """The part that the notes of one experiment in one run have in common."""
        return self.dag_id, self.run_id, self.key, self.map_index


def links_to(place: Place, launchdarkly: str | None) -> Links:
    """Return where to go on from an experiment.

    Args:
        place: Its newest note.
        launchdarkly: Its address in LaunchDarkly.
    """
    run = f"../dags/{quote(place.dag_id, safe='')}/runs/{quote(place.run_id, safe='')}"
    task = f"{run}/tasks/{quote(place.task_id, safe='')}"
    chosen = {"dag_id": place.dag_id, "run_id": place.run_id, "key": place.key, "map_index": place.map_index}
    return Links(
        run,
        task if place.map_index < 0 else f"{task}/mapped/{place.map_index}",
        launchdarkly,
        f"experiment?{urlencode(chosen)}",
    )
