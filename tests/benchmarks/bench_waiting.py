"""What N waiting experiments cost a real triggerer, beside N triggers that sleep, N of HttpSensor's, and no sharing.

Each kind has a triggerer (`airflow triggerer`), a metadata database and a port of a LaunchDarkly over TLS of its own;
the databases are PostgreSQL's if that is installed, else SQLite's. All kinds wait at the same time, so that whatever
else the machine does disturbs all alike, and each window is a pair. Read the ratios. Linux only.

Run as a script: `python tests/benchmarks/bench_waiting.py --waiting 1000`.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from typing import Any

from typing_extensions import override

if __name__ == "__main__":  # as a script the tests folder is not on the path yet
    sys.path.insert(0, str(Path(__file__).parents[1]))

from waiting.report import FEW, HTTP, LONE, OURS, SLEEPING, TOLD, Measured, Window, print_report

from stack.airflow_stack import AirflowStack, StackError, free_port
from stack.postgres import Postgres

TESTS = Path(__file__).resolve().parents[1]
BENCHMARKS = TESTS / "benchmarks"
PROJECT, ENVIRONMENT = "demo", "production"
START_SECONDS = 900.0


class Triggerer(AirflowStack):
    """Airflow's triggerer alone."""

    services = ("triggerer --skip-serve-logs",)

    @override
    def start(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        self.start_service(self.services[0])

    @property
    def logs(self) -> Path:
        """One file for each trigger that has begun."""
        return self.home / "logs"

    def kill_all(self) -> None:
        """End it the hard way."""
        for service in list(self._processes):
            self.kill_service(service)

    def processes(self) -> tuple[int, int]:
        """The process that runs the triggers, and the one that supervises it."""
        self.check_alive()
        supervisor, runner, *others = self.processes_of(self.services[0])
        if others:
            raise StackError(f"the triggerer has started more than its runner: {others}; read {self.home}")
        return runner, supervisor


class LaunchDarkly:
    """The mock in its process.

    Args:
        folder: Where it writes its certificate.
        count: Experiments.
        kinds: Each gets a port.
    """

    def __init__(self, folder: Path, count: int, kinds: list[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "waiting.mock", str(folder), str(count), *kinds],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=BENCHMARKS,
            start_new_session=True,
        )
        self.certificate = folder / "certificate.pem"
        self.ports: dict[str, int] = json.loads(self._line())

    def requests(self) -> dict[str, int]:
        """Requests of each kind so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        counted: dict[str, int] = json.loads(self._line())
        return counted

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise StackError(f"the mock ended with code {self._process.wait()}")
        return line

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


class Benchmark:
    """The kinds side by side.

    Args:
        options: The command's.
        folder: A temporary folder.
        cleanup: Ends what is started.
    """

    def __init__(self, options: argparse.Namespace, folder: Path, cleanup: ExitStack) -> None:
        self.options = options
        self._folder = folder
        self._cleanup = cleanup
        kinds = options.kinds
        self.measured = {kind: Measured() for kind in kinds}
        self._mock = LaunchDarkly(folder, options.waiting, kinds)
        cleanup.callback(self._mock.stop)
        self.database, self._urls, source = self._databases(kinds)
        first = AirflowStack(BENCHMARKS, folder=folder)
        self._shared = {
            **{
                name: first.environment[name] for name in ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET")
            },
            "AIRFLOW__LOGGING__LOG_FILENAME_TEMPLATE": "{{ ti.run_id }}.log",
            "AIRFLOW__TRIGGERER__CAPACITY": str(options.waiting + 100),
            "SSL_CERT_FILE": str(self._mock.certificate),
            "PYTHONPATH": str(BENCHMARKS),
        }
        self._stacks = {kind: self._stack(kind) for kind in kinds}
        dags = BENCHMARKS / "waiting" / "dags"
        self._write_rows(source, {"dags": str(dags), "source": source, "copies": self._urls, "tasks": self._tasks()})

    def _databases(self, kinds: list[str]) -> tuple[str, dict[str, str], str]:
        """Return what they are, one for each kind, and the one that is filled first."""
        try:
            data = self._folder / "postgres"
            data.mkdir()
            self._folder.chmod(0o755)
            server = Postgres(data, free_port())
            server.create()
        except StackError:
            urls = {kind: f"sqlite:///{self._folder / kind}.db" for kind in kinds}
            return "SQLite", urls, f"sqlite:///{self._folder / 'first.db'}"
        log = self._folder / "postgres.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                server.command(), stdout=file, stderr=file, user=server.owner, cwd=data, start_new_session=True
            )
        self._cleanup.callback(_end, process)
        server.wait_until_up(lambda: None, log)
        return "PostgreSQL", {kind: server.url(kind) for kind in kinds}, server.url("postgres")

    def _stack(self, kind: str) -> Triggerer:
        environment = {**self._shared, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._urls[kind]}
        if not self.options.database_connections:
            for fields in self._connections(kind):
                conn_id = fields.pop("conn_id")
                environment[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(fields)
        stack = Triggerer(BENCHMARKS / "waiting" / "dags", environment, self._folder / f"airflow-{kind}")
        self._cleanup.callback(stack.stop)
        self._cleanup.callback(stack.kill_all)  # nothing in it is of any worth
        return stack

    def _write_rows(self, url: str, asked: dict[str, Any]) -> None:
        environment = {
            **next(iter(self._stacks.values())).environment,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            "PYTHONPATH": f"{TESTS}:{BENCHMARKS}",
        }
        log = self._folder / "rows.log"
        with log.open("ab") as file:
            done = subprocess.run(
                [sys.executable, "-m", "waiting.rows"],
                input=json.dumps(asked).encode(),
                env=environment,
                stdout=file,
                stderr=file,
                check=False,
            )
        if done.returncode != 0:
            raise StackError(f"the rows could not be written:\n{log.read_text()[-3000:]}")

    def _connections(self, kind: str) -> list[dict[str, Any]]:
        url = f"https://127.0.0.1:{self._mock.ports[kind]}"
        extra = {"project_key": PROJECT, "environment_key": ENVIRONMENT, "ca_bundle": str(self._mock.certificate)}
        ours = {"conn_id": "launchdarkly_default", "conn_type": "launchdarkly", "host": url, "password": "api-mock"}
        return [{**ours, "extra": json.dumps(extra)}, {"conn_id": "http_default", "conn_type": "http", "host": url}]

    def _tasks(self) -> list[dict[str, Any]]:
        found = []
        for kind in self.options.kinds:
            triggers = [_trigger(kind, number, self.options.interval) for number in range(self.options.waiting)]
            probe = ("waiting.triggers.LagTrigger", {"path": str(self._lag_of(kind))})
            connections = self._connections(kind) if self.options.database_connections else []
            tasks = {"url": self._urls[kind], "dag_id": kind}
            found.append({**tasks, "name": "lag", "triggers": [probe], "connections": connections})
            found.append({**tasks, "name": kind, "triggers": triggers})
        return found

    def _lag_of(self, kind: str) -> Path:
        return self._folder / f"lag-{kind}.json"

    def start(self) -> None:
        """Start the triggerers, and wait until all triggers have begun."""
        for stack in self._stacks.values():
            stack.start()
        first: dict[str, float] = {}
        last: dict[str, float] = {}
        deadline = time.monotonic() + START_SECONDS
        while len(last) < len(self._stacks):
            if time.monotonic() > deadline:
                raise StackError(f"only {sorted(last)} have started all triggers within {START_SECONDS:.0f} s")
            for kind, stack in self._stacks.items():
                stack.check_alive()
                begun = sum(1 for _ in stack.logs.iterdir())
                if begun and kind not in first:
                    first[kind] = time.time()
                if begun > self.options.waiting and kind not in last:
                    last[kind] = time.time()
                    self.measured[kind].started = last[kind] - first[kind]
            time.sleep(0.2)
        time.sleep(6)  # the probe writes every five seconds
        for kind, measured in self.measured.items():
            measured.lag_at_start = self._lag(kind, first[kind], last[kind])

    def measure(self) -> None:
        """Wait until each wait has polled once, and measure the windows."""
        time.sleep(1.25 * self.options.interval)
        began = time.time()
        before = self._snapshot()
        for _ in range(self.options.windows):
            time.sleep(self.options.window)
            after = self._snapshot()
            for kind, measured in self.measured.items():
                pairs = zip(after[kind], before[kind], strict=True)
                seconds, runner, supervisor, requests = (now - then for now, then in pairs)
                measured.windows.append(Window(seconds, runner, supervisor, int(requests)))
            before = after
        time.sleep(6)
        for kind, measured in self.measured.items():
            measured.lag = self._lag(kind, began, time.time())
            runner, supervisor = self._stacks[kind].processes()
            measured.memory = (_resident(runner), _resident(supervisor))
            if kind != SLEEPING and not any(window.requests for window in measured.windows):
                raise StackError(f"nothing was read by {TOLD[kind]}; read {self._stacks[kind].home}, with --keep")

    def _snapshot(self) -> dict[str, tuple[float, float, float, float]]:
        requests = self._mock.requests()
        found = {}
        for kind, stack in self._stacks.items():
            runner, supervisor = stack.processes()
            found[kind] = (time.monotonic(), _cpu_of(runner), _cpu_of(supervisor), float(requests[kind]))
        return found

    def _lag(self, kind: str, since: float, until: float) -> tuple[float, float]:
        """The 99th percentile of the lag, and of the loop's own part in it, in milliseconds."""
        lines = self._lag_of(kind).read_text().splitlines()
        found = [(lag, own) for line in lines for at, lag, own in json.loads(line) if since <= at <= until]
        if len(found) < 2:
            return (float("nan"), float("nan"))
        lag, own = (quantiles(values, n=100, method="inclusive")[98] * 1000 for values in zip(*found, strict=True))
        return lag, own


def _arguments(number: int, interval: float) -> dict[str, Any]:
    return {
        "launchdarkly_conn_id": "launchdarkly_default",
        "project_key": PROJECT,
        "environment_key": ENVIRONMENT,
        "poll_interval": interval,
        "experiment_key": f"experiment-{number:05}",
        "iteration_id": f"{number:024x}",
    }


def _sleeper(seconds: float) -> tuple[str, dict[str, Any]]:
    return "airflow.providers.standard.triggers.temporal.DateTimeTrigger", {"moment": seconds}


def _trigger(kind: str, number: int, interval: float) -> tuple[str, dict[str, Any]]:
    ours = {**_arguments(number, interval), "policy": "{}"}
    classes = {
        SLEEPING: _sleeper(30 * 86_400),
        # Its trigger waits on while the answer is 404, and on nothing else.
        HTTP: (
            "airflow.providers.http.triggers.http.HttpSensorTrigger",
            {"endpoint": f"/never/{number}", "http_conn_id": "http_default", "poke_interval": interval},
        ),
        LONE: ("waiting.triggers.LoneTrigger", ours),
        OURS: ("airflow_provider_launchdarkly.triggers.significance.SignificanceTrigger", ours),
    }
    return classes[kind]


def _cpu_of(pid: int) -> float:
    """CPU seconds of a process, its ended threads included (clock_getcpuclockid(3)): finer than /proc's hundredths."""
    return time.clock_gettime((~pid << 3) | 2)


def _resident(pid: int) -> float:
    """Resident megabytes of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--waiting", type=int, default=1000, help="how many wait (default: 1000)")
    parser.add_argument(
        "--interval", type=float, help="seconds between two polls (20 up to 200, 60 up to 2000, then 300)"
    )
    parser.add_argument("--window", type=float, help="seconds of a window (default: the interval)")
    parser.add_argument("--windows", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--kinds", nargs="+", choices=TOLD, help=f"default: all; above {FEW}, sleeping and ours")
    parser.add_argument(
        "--database-connections",
        action="store_true",
        help="connections in Airflow's database, not in the environment: the supervisor loads its API for the first",
    )
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    options = parser.parse_args()
    few, some = options.waiting <= 200, options.waiting <= FEW
    options.kinds = list(dict.fromkeys(options.kinds or (TOLD if some else (SLEEPING, OURS))))
    options.interval = options.interval or (20.0 if few else 60.0 if some else 300.0)
    options.window = options.window or options.interval
    if options.kinds[0] != SLEEPING:
        parser.error("the sleepers come first: the others are compared with them")
    return options


def main() -> None:
    options = _read_options()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the supervisor keeps a log file open for each trigger
    # Ended from outside, it ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="airflow-launchdarkly-waiting-"))
    try:
        with ExitStack() as cleanup:
            began = time.monotonic()
            benchmark = Benchmark(options, folder, cleanup)
            print(f"{benchmark.database}; ready after {time.monotonic() - began:.0f} s", flush=True)
            benchmark.start()
            print(f"all waits had begun after {time.monotonic() - began:.0f} s", flush=True)
            benchmark.measure()
            print_report(options, benchmark.measured)
            print(f"{time.monotonic() - began:.0f} s in all")
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
