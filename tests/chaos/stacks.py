"""The two real stacks: LocalExecutor with SQLite, and Celery with a PostgreSQL and a Redis of their own.

Both have two triggerers. Times after which Airflow gives a silent process up are seconds, not minutes; nothing else is
changed, so what recovers here recovers in production, later.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from typing_extensions import override

from stack.airflow_stack import SERVICES, AirflowStack, StackError, free_port, tree_of
from stack.postgres import Postgres, server_program

# What Airflow needs to notice that a process is gone, or frozen.
IMPATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "60",
}
DATABASE, BROKER = "database", "broker"
WORKERS = ("celery worker#1", "celery worker#2")


class LocalStack(AirflowStack):
    """Airflow on one machine: LocalExecutor and SQLite. Its workers are children of the scheduler."""

    services: tuple[str, ...] = (*SERVICES, "triggerer#2")
    parts: tuple[str, ...] = ("task", "worker", "scheduler", "triggerer", "triggerer#2", "api-server")
    """What can be killed or frozen."""

    def __init__(self, dags: Path, environment: Mapping[str, str]) -> None:
        super().__init__(dags, {**IMPATIENT, **environment})

    def workers_of(self, task_pid: int) -> list[int]:
        """The process that runs a task's process, and what it has started."""
        return tree_of(int((Path("/proc") / str(task_pid) / "stat").read_text().rpartition(")")[2].split()[1]))


class CeleryStack(LocalStack):
    """Airflow as larger installations run it: two Celery workers, PostgreSQL and Redis."""

    services = (*SERVICES, "triggerer#2", *WORKERS)
    parts = ("task", *WORKERS, "scheduler", "triggerer", "triggerer#2", "api-server", DATABASE, BROKER)

    def __init__(self, dags: Path, environment: Mapping[str, str]) -> None:
        self._ports = {DATABASE: free_port(), BROKER: free_port()}
        self._commands: dict[str, list[str]] = {}
        self._data = Path(tempfile.mkdtemp(prefix="airflow-launchdarkly-postgres-"))
        self._postgres = Postgres(self._data, self._ports[DATABASE])
        database = self._postgres.url("postgres")
        celery = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{self._ports[BROKER]}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
            "AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL": "False",
        }
        super().__init__(dags, {**celery, **environment})

    @override
    def start(self) -> None:
        redis = server_program("redis-server", "redis-server")
        self._postgres.create()
        self._commands[DATABASE] = self._postgres.command()
        # Nothing is kept on a disk: what was queued is gone with the broker.
        nothing_kept = ["--save", "", "--appendonly", "no"]
        port = str(self._ports[BROKER])
        self._commands[BROKER] = [str(redis), "--bind", "127.0.0.1", "--port", port, *nothing_kept]
        self.home.mkdir(parents=True, exist_ok=True)
        for name in (DATABASE, BROKER):
            self.start_service(name)
        self._postgres.wait_until_up(self.check_alive, self.log_of(DATABASE))
        super().start()

    @override
    def start_service(self, service: str) -> None:
        if service not in self._commands:
            super().start_service(service)
            return
        with self.log_of(service).open("ab") as log:
            self._processes[service] = subprocess.Popen(
                self._commands[service],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self._data,
                user=self._postgres.owner if service == DATABASE else None,
            )

    @override
    def kill_service(self, service: str) -> None:
        super().kill_service(service)
        if service == DATABASE:
            # A server that was killed leaves its file behind, and the next one asks for the process it names.
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    @override
    def workers_of(self, task_pid: int) -> list[int]:
        raise StackError("Celery's workers are services: name one of them")

    @override
    def stop(self) -> None:
        # The services before what they need, or each would wait for its database.
        stores = {name: self._processes.pop(name) for name in (DATABASE, BROKER) if name in self._processes}
        try:
            super().stop()
        finally:
            for name, process in stores.items():
                self._processes[name] = process
                self.kill_service(name)
            shutil.rmtree(self._data, ignore_errors=True)
