"""A real Airflow in a throwaway folder: API server, scheduler with LocalExecutor, DAG processor and triggerer.

Everything listens on loopback, on free ports, and ends with the context manager, however that is left. The demo and
the stack tests run on it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

SERVICES = ("api-server", "scheduler", "dag-processor", "triggerer")
USER, PASSWORD = "admin", "admin"
START_SECONDS = 180.0


class StackError(RuntimeError):
    """Airflow did not do what it was asked; the message says which log to read."""


class AirflowStack:
    """Airflow's services as child processes.

    Args:
        dags: Folder of DAG files.
        environment: Further environment variables, such as connections.
        folder: AIRFLOW_HOME; a temporary folder, removed at the end, if None.
    """

    def __init__(self, dags: Path, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> None:
        self._temporary = folder is None
        self.home = folder or Path(tempfile.mkdtemp(prefix="airflow-launchdarkly-"))
        self.keep_logs = False
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # Every process we start, and every process they start, carries this in its environment.
        self._mark = f"LAUNCHDARKLY_STACK={secrets.token_hex(8)}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._token: str | None = None
        self._http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        self.environment = self._environment(dags, environment or {})

    def _environment(self, dags: Path, extra: Mapping[str, str]) -> dict[str, str]:
        mark, value = self._mark.split("=")
        inherited = {
            key: text
            for key, text in os.environ.items()
            if not key.startswith("AIRFLOW") and key != "PYTHONDONTWRITEBYTECODE"
        }
        passwords = self.home / "passwords.json"
        return {
            **inherited,
            mark: value,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **extra,
        }

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Make the database and start the services; returns when all of them are healthy."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "passwords.json").write_text(json.dumps({USER: PASSWORD}))
        with (self.home / "migrate.log").open("wb") as log:
            migrated = subprocess.run(
                [*AIRFLOW, "db", "migrate"], env=self.environment, stdout=log, stderr=subprocess.STDOUT, check=False
            )
        if migrated.returncode != 0:
            raise StackError(f"airflow db migrate failed; read {self.home / 'migrate.log'}")
        for service in SERVICES:
            self.start_service(service)
        self._wait_until_healthy()

    def start_service(self, service: str) -> None:
        """Start one service in a session of its own, so that a Ctrl-C on the terminal reaches us alone."""
        with self.log_of(service).open("ab") as log:
            self._processes[service] = subprocess.Popen(
                [*AIRFLOW, service],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill_service(self, service: str) -> None:
        """End one service the hard way, as a machine that fails would."""
        process = self._processes.pop(service)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def log_of(self, service: str) -> Path:
        return self.home / f"{service}.log"

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        waiting_for = "api-server"
        while time.monotonic() < deadline:
            self.check_alive()
            with contextlib.suppress(httpx.HTTPError, ValueError):
                health = self._http.get("/api/v2/monitor/health").json()
                names = {"scheduler": "scheduler", "dag_processor": "dag-processor", "triggerer": "triggerer"}
                ill = [name for key, name in names.items() if health.get(key, {}).get("status") != "healthy"]
                if not ill:
                    return
                waiting_for = ill[0]
            time.sleep(0.5)
        raise StackError(f"{waiting_for} was not healthy within {START_SECONDS:.0f} s; read {self.log_of(waiting_for)}")

    def check_alive(self) -> None:
        """Raise StackError if a service has ended by itself."""
        for service, process in self._processes.items():
            if process.poll() is not None:
                raise StackError(f"{service} ended with code {process.returncode}; read {self.log_of(service)}")

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Call Airflow's public REST API as the admin and return its JSON."""
        if self._token is None:
            login = self._http.post("/auth/token", json={"username": USER, "password": PASSWORD})
            login.raise_for_status()
            self._token = login.json()["access_token"]
        answer = self._http.request(
            method,
            f"/api/v2{path}",
            json=body,
            params=query,
            headers={"Authorization": f"Bearer {self._token}", "Accept": "application/json"},
        )
        if answer.is_error:
            raise StackError(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    def wait_for_dag(self, dag_id: str, seconds: float = 90) -> None:
        """Wait until the DAG processor has parsed the DAG."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check_alive()
            with contextlib.suppress(StackError):
                self.call("GET", f"/dags/{dag_id}")
                return
            errors = self.call("GET", "/importErrors")["import_errors"]
            if errors:
                raise StackError(f"a DAG file does not import: {errors[0]['stack_trace']}")
            time.sleep(0.5)
        raise StackError(f"DAG {dag_id} did not appear in {seconds:.0f} s; read {self.log_of('dag-processor')}")

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Unpause a DAG, trigger it, and return the run's id."""
        self.wait_for_dag(dag_id)
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        run = self.call("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": dict(conf or {})})
        return str(run["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")
        return answer

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.call("GET", path, deserialize=True)["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> list[str]:
        """The messages a task has logged so far, on the worker and in the triggerer."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self.call("GET", path, full_content=True)["content"]
        return [str(entry.get("event", "")) if isinstance(entry, dict) else str(entry) for entry in content]

    def stop(self) -> None:
        """End every process that was started here, and remove the folder unless its logs are to be kept."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 15
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for pid in self._marked_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._processes.clear()
        self._http.close()
        if self._temporary and not self.keep_logs:
            shutil.rmtree(self.home, ignore_errors=True)

    def _marked_processes(self) -> Iterator[int]:
        """Processes whose environment bears our mark: task processes leave their service's session."""
        mark = self._mark.encode()
        for entry in Path("/proc").glob("[0-9]*") if Path("/proc").is_dir() else ():
            with contextlib.suppress(OSError):
                if int(entry.name) != os.getpid() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)


AIRFLOW = (sys.executable, "-m", "airflow")


# Below the ports that the system gives to outgoing connections: one of those may take a port before it is listened on.
PORTS = range(15_000, 32_000)


def free_port() -> int:
    """A port that is free on loopback now. Random, since several stacks look for ports at the same time."""
    for _ in range(100):
        port = secrets.choice(PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise StackError(f"no free port between {PORTS.start} and {PORTS.stop}")
