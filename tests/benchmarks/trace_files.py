"""Which of the provider's files a reader opens to follow one start of an iteration, and one poll to a verdict.

    .venv/bin/python tests/benchmarks/trace_files.py

Runs each in a cold process against an emulator and prints the files whose functions ran, in the order of their first
call. Importing a module does not count. It takes about half a minute: a trigger polls 10 s after its task was deferred.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import TYPE_CHECKING, Any

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.testing import EmulatorServer

KEY = "bold-checkout-button"


def start(iteration_id: str) -> Callable[[], object]:
    """Start the iteration with the operator, which also turns the flag on."""
    from airflow_provider_launchdarkly.operators.iterations import LaunchDarklyStartIterationOperator

    operator = LaunchDarklyStartIterationOperator(
        task_id="start", experiment_key=KEY, iteration_id=iteration_id, turn_flag_on=True
    )
    context: Any = {"ti": SimpleNamespace(dag_id="rollout", task_id="start", run_id="run-1")}
    return lambda: operator.execute(context)


def poll(iteration_id: str) -> Callable[[], object]:
    """Poll the running iteration once with the trigger of the significance sensor, to a verdict."""
    from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger

    trigger = SignificanceTrigger(
        launchdarkly_conn_id="launchdarkly_default",
        project_key="demo",
        environment_key="production",
        poll_interval=1.0,
        experiment_key=KEY,
        iteration_id=iteration_id,
        policy="{}",
    )

    async def first_event() -> dict[str, Any]:
        event = await anext(trigger.run())
        payload: dict[str, Any] = event.payload
        return payload

    def run() -> None:
        payload = asyncio.run(first_event())
        if payload["status"] != "verdict":
            raise RuntimeError(f"the poll ended without a verdict: {payload}")

    return run


TRACED = {"one start of an iteration": start, "one poll to a verdict": poll}


def trace(run: Callable[[], object]) -> tuple[list[str], int]:
    """Run something; return the provider's files whose functions were called, and the number of these functions."""
    import airflow_provider_launchdarkly

    root = Path(airflow_provider_launchdarkly.__file__).parent
    files: dict[str, None] = {}
    functions: set[Any] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        # The body of a module or a class runs on import, and has no fast locals.
        if event == "call" and code.co_flags & inspect.CO_OPTIMIZED and code.co_filename.startswith(str(root)):
            files[str(Path(code.co_filename).relative_to(root))] = None
            functions.add(code)

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return list(files), len(functions)


def in_a_cold_process(what: str, server: EmulatorServer, iteration_id: str) -> None:
    """Trace in a process of its own, which has imported nothing yet."""
    from support.surroundings import CONNECTION, connection_json

    done = subprocess.run(
        [sys.executable, __file__, what, iteration_id],
        env={**os.environ, CONNECTION: connection_json(server)},
        check=True,
        capture_output=True,
        text=True,
    )
    files, functions = json.loads(done.stdout.splitlines()[-1])
    print(f"{what}: {len(files)} files, {functions} functions")
    for file in files:
        print(f"    {file}")


def main() -> None:
    from airflow_provider_launchdarkly.api import writes
    from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
    from airflow_provider_launchdarkly.testing import EmulatorServer
    from support.running_experiment import ENV, experiment

    with EmulatorServer() as server, LaunchDarklyClient(server.url, server.token) as client:
        created = client.run(writes.create_experiment(ENV, experiment(server)))
        in_a_cold_process("one start of an iteration", server, created.iteration.id)
        server.clock.advance("P28D")
        in_a_cold_process("one poll to a verdict", server, created.iteration.id)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(trace(TRACED[sys.argv[1]](sys.argv[2]))))
    else:
        main()
