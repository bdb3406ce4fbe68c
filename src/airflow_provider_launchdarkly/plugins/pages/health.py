"""What keeps an overdue task, as Airflow's REST API says: a paused DAG, or a part of Airflow that does not run.

It is asked for overdue experiments alone, so a list without one costs nothing more.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.plugins.pages.airflow_rest import RefusedError
from airflow_provider_launchdarkly.views import reading

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.plugins.pages.airflow_rest import AirflowRest
    from airflow_provider_launchdarkly.views.airflow_run import Run

PARTS = ("scheduler", "triggerer")


class Health:
    """Airflow's health, asked once, and whether a DAG is paused, asked once for each DAG.

    Args:
        rest: Airflow's REST API, as the viewer sees it.
        seconds: Time, from the first question on, after which no further DAG is asked for; None for no such time.
    """

    def __init__(self, rest: AirflowRest, seconds: float | None = None) -> None:
        self._rest = rest
        self._seconds = seconds
        self._since: float | None = None
        self._answers: dict[str, dict[str, Any]] = {}

    async def of(self, run: Run) -> Run:
        """Return a run with what Airflow says of its DAG and of itself; what cannot be read is not known."""
        path = f"/dags/{run.dag_id}"
        if path not in self._answers and self._is_late():
            return replace(run, paused=None)
        paused = (await self._ask(path)).get("is_paused")
        health = await self._ask("/monitor/health")
        states = {part: reading.mapping(health.get(part)) for part in PARTS if part in health}
        unhealthy = tuple(part for part, said in states.items() if said.get("status") != "healthy")
        return replace(run, paused=None if paused is None else bool(paused), unhealthy=unhealthy)

    def _is_late(self) -> bool:
        """True if the time is over. The first DAG is asked for however late the list is."""
        if self._since is None:
            self._since = time.monotonic()
            return False
        return self._seconds is not None and time.monotonic() - self._since > self._seconds

    async def _ask(self, path: str) -> dict[str, Any]:
        if path not in self._answers:
            try:
                self._answers[path] = await self._rest.get(path)
            except RefusedError:
                self._answers[path] = {}
        return self._answers[path]
