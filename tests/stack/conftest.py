"""A real Airflow, with the examples and the DAGs in `dags`, and an emulator: one of each for each pytest process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stack.airflow_stack import AirflowStack
from stack.demo import REPOSITORY, Emulator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The emulator as a process of its own, its clock standing still."""
    running = Emulator("effect", 42, tmp_path_factory.mktemp("emulator") / "emulator.log")
    yield running
    running.stop()


# The examples that these tests run. The demo gives its Airflow all of them, and `tests/dags` loads and runs each.
EXAMPLES = ("experiment_rollout", "staged_ramp", "ship_by_release", "watch_an_experiment", "watch_releases")


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with those examples alone: the DAG processor starts a process for each file."""
    folder = tmp_path_factory.mktemp("examples")
    for name in EXAMPLES:
        shutil.copy(REPOSITORY / "dags_examples" / f"{name}.py", folder)
    return folder


@pytest.fixture(scope="session")
def stack(emulator: Emulator, examples: Path) -> Iterator[AirflowStack]:
    """A running Airflow with those examples, the tests' own DAGs, and the connection to the emulator."""
    folders = {"dags-folder": examples, "for-tests": Path(__file__).parent / "dags"}
    bundles = [
        {
            "name": name,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(folder), "refresh_interval": 5},
        }
        for name, folder in folders.items()
    ]
    environment = {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT": emulator.connection,
        "AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL": "0.5",
        # A task waits for several rounds of the scheduler, one after the other; each rests for a second by default.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.4",
    }
    with AirflowStack(examples, environment) as running:
        yield running


# The files whose tests take longest, the longest first: one of them that began last would run alone at the end.
LONGEST = (
    *("test_staged_ramp", "test_timed_out", "test_token_hunt", "test_waves", "test_promotion", "test_ship_by_release"),
    *("test_warehouse", "test_in_the_ui", "test_harm_while_asked"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take longest."""

    def place(item: pytest.Item) -> int:
        return LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST)

    ours = [item for item in items if item.path.parent == Path(__file__).parent]
    others = [item for item in items if item not in ours]
    items[:] = [*others, *sorted(ours, key=place)]


# Whether a test's own part has failed.
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures see how the test ended."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


def tell_what_failed(stack: AirflowStack, since: str) -> None:
    """Print how each task of the test's runs stands that has failed or is to be tried again, and what it logged."""
    for run in stack.call("GET", "/dags/~/dagRuns", run_after_gte=since)["dag_runs"]:
        path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"
        for task in stack.call("GET", path, limit=200)["task_instances"]:
            if task["state"] not in {"failed", "up_for_retry"}:
                continue
            print(f"{run['dag_id']} {run['dag_run_id']}: {task['task_id']} is {task['state']}")
            for number in range(1, task["try_number"] + 1):
                lines = stack.task_log(run["dag_id"], run["dag_run_id"], task["task_id"], number)
                print(f"try {number}:", *lines[-40:], sep="\n    ")


@pytest.fixture(autouse=True)
def nothing_goes_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """No run outlives its test: it would read the emulator, and hold its DAG, while the next one runs."""
    if "stack" not in request.fixturenames:  # a test that starts an Airflow of its own
        yield
        return
    stack: AirflowStack = request.getfixturevalue("stack")
    begun = datetime.now(UTC).isoformat()
    yield
    if request.node.stash.get(FAILED, False):
        stack.keep_logs = True
        tell_what_failed(stack, begun)
    for state in ("running", "queued"):
        for run in stack.call("GET", "/dags/~/dagRuns", state=state)["dag_runs"]:
            stack.call("PATCH", f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}", {"state": "failed"})
