"""How fast the emulator answers and starts: reads a second on one core, and seconds until the first answer.

Run as a script: `python tests/benchmarks/bench_emulator.py`. Prints medians. The server runs in a process of its own,
pinned to one core where the system lets it; the reader keeps one connection open and speaks bare HTTP.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTS = 7
ROUNDS = 7
READS = 2_000
EXPERIMENTS = "/api/v2/projects/demo/environments/production/experiments"
PATHS = {
    "one experiment": f"{EXPERIMENTS}/bold?expand=treatments,draftIteration,previousIterations",
    "its results, again": f"{EXPERIMENTS}/bold/metrics/checkout-conversion/results?expand=traffic",
    "a flag": "/api/v2/flags/demo/checkout-button",
    "all metrics": "/api/v2/metrics/demo",
}


@contextmanager
def emulator() -> Iterator[tuple[int, float]]:
    """Run it; gives its port, and the seconds from the process's start to its first answer."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "airflow_provider_launchdarkly.emulator", "--port", "0", "--clock-rate", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found, "it did not start"
        port = int(found.group(1))
        with Reader(port) as reader:
            reader.ask("GET", "/api/v2")
        yield port, time.perf_counter() - began
    finally:
        process.kill()
        process.wait()


class Reader:
    """One connection, kept open."""

    def __init__(self, port: int):
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        kind = "application/json; domain-model=launchdarkly.semanticpatch" if method == "PATCH" else "application/json"
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: api-emulator\r\nLD-API-Version: beta\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + content)
        data = self._left
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(65536)
        answered, _, rest = data.partition(b"\r\n\r\n")
        length = int(re.findall(rb"content-length: (\d+)", answered, re.IGNORECASE)[0])
        while len(rest) < length:
            rest += self._socket.recv(65536)
        assert answered.startswith((b"HTTP/1.1 20",)), (answered, rest)
        self._left = rest[length:]
        return rest[:length]


def prepare(reader: Reader) -> None:
    """An experiment that has run for two weeks."""
    on = {"environmentKey": "production", "instructions": [{"kind": "turnFlagOn"}]}
    flag = json.loads(reader.ask("PATCH", "/api/v2/flags/demo/checkout-button", on))
    arms = [
        {
            "name": variation["name"],
            "baseline": index == 0,
            "allocationPercent": "50",
            "parameters": [{"flagKey": "checkout-button", "variationId": variation["_id"]}],
        }
        for index, variation in enumerate(flag["variations"])
    ]
    iteration = {
        "hypothesis": "h",
        "metrics": [{"key": "checkout-conversion"}],
        "primarySingleMetricKey": "checkout-conversion",
        "treatments": arms,
        "flags": {"checkout-button": {"ruleId": "fallthrough", "flagConfigVersion": 2}},
    }
    reader.ask("POST", EXPERIMENTS, {"key": "bold", "name": "Bold", "iteration": iteration})
    reader.ask("PATCH", f"{EXPERIMENTS}/bold", {"instructions": [{"kind": "startIteration"}]})
    reader.ask("POST", "/__emulator__/clock", {"advance": "P14D"})


def main() -> None:
    starts = []
    for _ in range(STARTS):
        with emulator() as (_, seconds):
            starts.append(seconds)
    print(f"start to first answer: {median(starts):.3f} s (median of {STARTS}, {min(starts):.3f} to {max(starts):.3f})")
    with emulator() as (port, _), Reader(port) as reader:
        prepare(reader)
        print(f"reads a second on one connection (median of {ROUNDS} rounds of {READS}):")
        for name, path in PATHS.items():
            rates = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                for _ in range(READS):
                    reader.ask("GET", path)
                rates.append(READS / (time.perf_counter() - began))
            print(f"  {name:20} {median(rates):7,.0f}")


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # reader and server share one core
    main()
