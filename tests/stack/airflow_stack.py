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
USERS = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"
"""Who may log in, each with a role. All have one password."""
START_SECONDS = 180.0
# The longest wait for something that is bound to happen. Only a test that fails waits so long; a busy machine is slow.
PATIENCE = 600.0
# How often a request is sent that finds Airflow's database busy.
DATABASE_TRIES = 10


class StackError(RuntimeError):
    """Airflow did not do what it was asked; the message says which log to read."""


class AirflowStack:
    """Airflow's services as child processes.

    A service is named by its command; `#` and what follows tells several of the same apart, as in ``triggerer#2``.

    Args:
        dags: Folder of DAG files.
        environment: Further environment variables, such as connections.
        folder: AIRFLOW_HOME; a temporary folder, removed at the end, if None.
    """

    services: tuple[str, ...] = SERVICES

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
        # The API server closes connections that rest for five seconds, maybe just when a request is on its way.
        limits = httpx.Limits(keepalive_expiry=2)
        self._http = httpx.Client(base_url=self.url, timeout=120, trust_env=False, limits=limits)
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
            USERS: f"{USER}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            # SQLite waits five seconds for a lock by default, and a scheduler that gets none ends.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}?timeout=60",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            # A file is parsed when it has changed. To parse all again and again is most of what an idle Airflow costs.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            # On a busy machine it takes long from the parse to the database, and no DAG goes away here.
            "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "3600",
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
        users = [user.partition(":")[0] for user in self.environment[USERS].split(",")]
        (self.home / "passwords.json").write_text(json.dumps(dict.fromkeys(users, PASSWORD)))
        with (self.home / "migrate.log").open("wb") as log:
            migrated = subprocess.run(
                [*AIRFLOW, "db", "migrate"], env=self.environment, stdout=log, stderr=subprocess.STDOUT, check=False
            )
        if migrated.returncode != 0:
            raise StackError(f"airflow db migrate failed; read {self.home / 'migrate.log'}")
        for service in self.services:
            self.start_service(service)
        self._wait_until_healthy()

    def start_service(self, service: str) -> None:
        """Start one service in a session of its own, so that a Ctrl-C on the terminal reaches us alone."""
        with self.log_of(service).open("ab") as log:
            self._processes[service] = subprocess.Popen(
                [*AIRFLOW, *service.partition("#")[0].split()],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill_service(self, service: str) -> None:
        """End one service the hard way, as a machine that fails would."""
        process = self._processes.pop(service)
        for pid in tree_of(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def processes_of(self, service: str) -> list[int]:
        """The process of a running service, and all that it has started; none if it does not run."""
        process = self._processes.get(service)
        return tree_of(process.pid) if process is not None and process.poll() is None else []

    def start_what_ended(self) -> list[str]:
        """Start what has ended by itself, as whatever supervises services in production does; returns their names."""
        ended = [service for service, process in self._processes.items() if process.poll() is not None]
        for service in ended:
            self.start_service(service)
        return ended

    def log_of(self, service: str) -> Path:
        return self.home / f"{service.replace(' ', '-')}.log"

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
                last = "\n".join(self.log_of(service).read_text(errors="replace").splitlines()[-40:])
                raise StackError(
                    f"{service} ended with code {process.returncode}; {self.log_of(service)} ends:\n{last}"
                )

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Call Airflow's public REST API as the admin and return its JSON."""
        for _ in range(DATABASE_TRIES):
            answer = self.request(method, f"/api/v2{path}", body, **query)
            # SQLite refuses a transaction that has read what another one writes meanwhile, and undoes it.
            if answer.status_code != httpx.codes.INTERNAL_SERVER_ERROR or "Database error" not in answer.text:
                break
            time.sleep(1)
        if answer.is_error:
            raise StackError(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    @property
    def token(self) -> str:
        """The admin's session, which a browser holds as its cookie `_token`."""
        if self._token is None:
            login = self._http.post("/auth/token", json={"username": USER, "password": PASSWORD})
            login.raise_for_status()
            self._token = str(login.json()["access_token"])
        return self._token

    def request(self, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
        """Send a request to the API server as the admin; returns the answer, whatever its status."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        return self._http.request(method, path, json=body, params=query, headers=headers)

    def wait_for_dag(self, dag_id: str, seconds: float = PATIENCE) -> None:
        """Wait until the DAG processor has parsed the DAG."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check_alive()
            with contextlib.suppress(StackError):
                # What is listed may not be there to run yet.
                if not self.call("GET", f"/dags/{dag_id}")["is_stale"]:
                    return
            errors = self.call("GET", "/importErrors")["import_errors"]
            if errors:
                raise StackError(f"a DAG file does not import: {errors[0]['stack_trace']}")
            time.sleep(0.5)
        raise StackError(f"DAG {dag_id} did not appear in {seconds:.0f} s; read {self.log_of('dag-processor')}")

    def parse_again(self, dag_id: str) -> None:
        """Let the DAG processor parse the DAG's file now. Only a parse gives a DAG that was unpaused its watchers."""
        token = self.call("GET", f"/dags/{dag_id}")["file_token"]
        self.call("PUT", f"/parseDagFile/{token}")

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
        for pid in self.marked_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._processes.clear()
        self._http.close()
        if self._temporary and not self.keep_logs:
            shutil.rmtree(self.home, ignore_errors=True)

    def marked_processes(self) -> Iterator[int]:
        """Processes whose environment bears our mark: task processes leave their service's session."""
        mark = self._mark.encode()
        for entry in Path("/proc").glob("[0-9]*") if Path("/proc").is_dir() else ():
            with contextlib.suppress(OSError):
                if int(entry.name) != os.getpid() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)


AIRFLOW = (sys.executable, "-m", "airflow")


def tree_of(pid: int) -> list[int]:
    """A process and all that it has started and that have started more, the eldest first."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            status = (entry / "stat").read_text()
            parents.setdefault(int(status.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found = [pid]
    for parent in found:  # grows while it is walked through
        found += parents.get(parent, [])
    return found


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
