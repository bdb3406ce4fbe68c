"""An application with those of Airflow's REST routes that the pages read, for one viewer, and counts of what was asked.

Shapes are those of Airflow 3.3.2; the stack tests read the real ones.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from fastapi import Body, FastAPI, HTTPException, Request

from airflow_provider_launchdarkly.views.airflow_run import Asked, Note, Task
from airflow_provider_launchdarkly.views.notes import key_of
from airflow_provider_launchdarkly.views.releases import release_key
from support.shown import DAG, RUN, START, keys

COOKIE = "session of the viewer"


class PretendedAirflow:
    """Runs with their notes.

    Args:
        token: What a request's cookie must be.

    Attributes:
        deleted: DAGs whose notes are listed, but gone when they are read.
        paused: DAGs that are paused.
        health: What Airflow says of its parts.
    """

    def __init__(self, token: str = COOKIE) -> None:
        self.token = token
        self.notes: dict[tuple[str, str], list[tuple[str, Note]]] = {}
        self.tasks: dict[tuple[str, str], list[Task]] = {}
        self.asked: dict[tuple[str, str], list[Asked]] = {}
        self.states: dict[tuple[str, str], str] = {}
        self.calls: Counter[str] = Counter()
        self.deleted: set[str] = set()
        self.paused: set[str] = set()
        self.health: dict[str, Any] = {"scheduler": {"status": "healthy"}, "triggerer": {"status": "healthy"}}
        self.app = FastAPI()
        self._add_routes()

    def add(
        self, *notes: Note, dag: str = DAG, run: str = RUN, experiment: str = "checkout", state: str = "running"
    ) -> None:
        about = keys(experiment)
        key = key_of(about["project_key"], about["environment_key"], experiment)
        self.notes.setdefault((dag, run), []).extend((key, note) for note in notes)
        self.states[dag, run] = state

    def add_release(self, note: Note, *, dag: str, run: str = RUN) -> None:
        """Add the note of a release sensor."""
        key = release_key(*(str(note.body[name]) for name in ("project", "environment", "flag")))
        self.notes.setdefault((dag, run), []).append((key, note))
        self.states.setdefault((dag, run), "running")

    def _entries(self, dag: str, run: str) -> list[dict[str, Any]]:
        found = [
            {
                "dag_id": of_dag,
                "run_id": of_run,
                "task_id": note.task_id,
                "map_index": note.map_index,
                "key": key,
                "timestamp": note.at,
            }
            for (of_dag, of_run), notes in self.notes.items()
            for key, note in notes
            if dag in {"~", of_dag} and run in {"~", of_run}
        ]
        return sorted(found, key=lambda entry: str(entry["timestamp"]), reverse=True)

    def _ti(self, place: tuple[str, str], task: Task) -> dict[str, Any]:
        return {
            "dag_id": place[0],
            "dag_run_id": place[1],
            "task_id": task.task_id,
            "map_index": task.map_index,
            "state": task.state,
            "operator": task.operator,
            "start_date": START.isoformat(),
            "end_date": task.ended_at.isoformat() if task.ended_at else None,
        }

    def _hitl(self, place: tuple[str, str], asked: Asked) -> dict[str, Any]:
        return {
            "task_instance": self._ti(place, Task(asked.task_id, "deferred", "HITLOperator")),
            "subject": asked.question.subject,
            "options": list(asked.question.options),
            "defaults": [asked.question.otherwise],
            "assigned_users": [{"id": name, "name": name} for name in asked.question.people],
            "created_at": (START + timedelta(days=1)).isoformat(),
            "chosen_options": list(asked.chosen) or None,
            "response_received": bool(asked.chosen),
            "responded_by_user": {"id": asked.who, "name": asked.who} if asked.who else None,
            "responded_at": None,
        }

    def _add_routes(self) -> None:
        async def check(request: Request) -> None:
            self.calls[request.url.path.rsplit("/", 1)[-1]] += 1
            if request.headers.get("cookie") != f"_token={self.token}":
                raise HTTPException(401, "Not authenticated")

        app = FastAPI(openapi_url=None)

        @app.get("/dags/{dag}/dagRuns/{run}/taskInstances/~/xcomEntries")
        async def xcoms(request: Request, dag: str, run: str, limit: int, offset: int) -> dict[str, Any]:
            await check(request)
            found = self._entries(dag, run)
            return {"xcom_entries": found[offset : offset + limit], "total_entries": len(found)}

        @app.get("/dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/{key:path}")
        async def xcom(request: Request, dag: str, run: str, task: str, key: str, map_index: int) -> dict[str, Any]:
            await check(request)
            self.calls["value"] += 1
            for kept, note in self.notes.get((dag, run), []):
                if (kept, note.task_id, note.map_index) == (key, task, map_index) and dag not in self.deleted:
                    return {"value": note.body}
            raise HTTPException(404)

        @app.post("/dags/~/dagRuns/~/taskInstances/list")
        async def search(request: Request, body: dict[str, Any] = Body()) -> dict[str, Any]:  # noqa: B008
            await check(request)
            found = [
                self._ti(place, task)
                for place, tasks in self.tasks.items()
                for task in tasks
                if place[0] in body["dag_ids"] and task.state in body["state"]
            ]
            first = body["page_offset"]
            return {"task_instances": found[first : first + body["page_limit"]], "total_entries": len(found)}

        @app.get("/dags/{dag}/dagRuns/{run}/taskInstances")
        async def tasks(request: Request, dag: str, run: str) -> dict[str, Any]:
            await check(request)
            found = [self._ti((dag, run), task) for task in self.tasks.get((dag, run), [])]
            return {"task_instances": found, "total_entries": len(found)}

        @app.get("/dags/{dag}/dagRuns/{run}/hitlDetails")
        async def hitl(request: Request, dag: str, run: str, response_received: str = "") -> dict[str, Any]:
            await check(request)
            found = [
                self._hitl(place, asked)
                for place, questions in self.asked.items()
                for asked in questions
                if (dag in {"~", place[0]} and run in {"~", place[1]}) and not (response_received and asked.chosen)
            ]
            return {"hitl_details": found, "total_entries": len(found)}

        @app.get("/dags/{dag}/dagRuns/{run}")
        async def one_run(request: Request, dag: str, run: str) -> dict[str, Any]:
            await check(request)
            return {"state": self.states[dag, run]}

        @app.get("/dags/{dag}")
        async def one_dag(request: Request, dag: str) -> dict[str, Any]:
            await check(request)
            return {"dag_id": dag, "is_paused": dag in self.paused}

        @app.get("/monitor/health")
        async def health(request: Request) -> dict[str, Any]:
            await check(request)
            return self.health

        self.app.mount("/api/v2", app)
