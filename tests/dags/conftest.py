"""Running DAG files through `dag.test()`, on the oldest and the newest Airflow minor that is supported."""

from __future__ import annotations

import functools
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.airflow_names import first_of
from support.surroundings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import DAG


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """A migrated SQLite database in the session's Airflow home, which need not survive a crash of the machine."""
    from airflow import settings
    from airflow.utils.db import initdb
    from sqlalchemy import event

    def do_not_wait_for_the_disk(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    assert settings.engine is not None
    event.listen(settings.engine, "connect", do_not_wait_for_the_disk)
    initdb()


@pytest.fixture(scope="session", autouse=True)
def one_api_server() -> Iterator[None]:
    """One in-process API server for all tasks, as Airflow 3.3 has it: older minors take seconds to build one a task."""
    from airflow.sdk.execution_time import supervisor

    with pytest.MonkeyPatch.context() as patch:
        if not hasattr(supervisor.in_process_api_server, "cache_clear"):
            patch.setattr(supervisor, "in_process_api_server", functools.cache(supervisor.in_process_api_server))
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_api_server(one_api_server: None) -> Iterator[None]:
    """The in-process API server inspects each dependency once, and runs each request in one thread.

    Since its authorization is overridden, FastAPI would inspect some twenty functions in every request. And it would
    hand each of them to another thread, so that other requests need not wait, of which there are none.
    """
    import anyio.to_thread
    from fastapi.dependencies import utils

    inspect, in_other_thread = utils.get_dependant, anyio.to_thread.run_sync
    known: dict[Any, tuple[Any, Any]] = {}

    def get_dependant(*, call: Any, **asked: Any) -> Any:
        # What is built with the server's routes is its own; and an override made for each task may hold a whole DAG.
        if "use_cache" in asked or "name" not in asked or getattr(call, "__closure__", None):
            return inspect(call=call, **asked)
        # By identity, since the wrappers of different API versions are equal. Kept, so that no id comes twice.
        key = id(call), *((name, tuple(value) if isinstance(value, list) else value) for name, value in asked.items())
        if key not in known:
            known[key] = call, inspect(call=call, **asked)
        return known[key][1]

    async def run_sync(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            return await in_other_thread(function, *args, **options)
        return function(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "get_dependant", get_dependant)
        patch.setattr(anyio.to_thread, "run_sync", run_sync)
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_task_runner() -> Iterator[None]:
    """Read each type for validation once.

    Airflow does it for each field of each task, which took a tenth of the time: here all tasks share one process.
    """
    from airflow.sdk.execution_time import comms, task_runner

    with pytest.MonkeyPatch.context() as patch:
        for module in (comms, task_runner):
            patch.setattr(module, "TypeAdapter", functools.cache(module.TypeAdapter))
        yield


@pytest.fixture(autouse=True)
def rounds_without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """`dag.test()` looks again at once after a round in which it only skipped tasks; it would sleep for a second."""
    sleep = time.sleep

    def nap(seconds: float) -> None:
        by_dag_test = sys._getframe(1).f_globals["__name__"] == "airflow.sdk.definitions.dag"
        sleep(0.001 if by_dag_test else seconds)

    monkeypatch.setattr(time, "sleep", nap)


@pytest.fixture(autouse=True)
def folders_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`dag.test()` does not parse a whole folder before each run, as Airflow 3.3 does: what runs here is registered."""
    try:
        from airflow.dag_processing import dagbag
    except ImportError:  # Airflow 3.1
        return
    from airflow.models.dag_version import DagVersion
    from airflow.sdk import DAG

    run_to_its_end = DAG.test

    def test(dag: DAG, *args: Any, **kwargs: Any) -> Any:
        if DagVersion.get_version(dag.dag_id) is None:
            return run_to_its_end(dag, *args, **kwargs)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dagbag, "BundleDagBag", lambda **_: None, raising=False)
            patch.setattr(dagbag, "sync_bag_to_db", lambda *_: None, raising=False)
            return run_to_its_end(dag, *args, **kwargs)

    monkeypatch.setattr(DAG, "test", test)


@pytest.fixture(autouse=True)
def a_successful_run_has_no_failed_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's state is that of its last tasks, which may be skipped, though a task before them has failed."""
    from airflow.sdk import DAG

    run_to_its_end = DAG.test

    def test(dag: DAG, *args: Any, **kwargs: Any) -> Any:
        run = run_to_its_end(dag, *args, **kwargs)
        if str(run.state) == "success":
            failed = [ti.task_id for ti in run.get_task_instances() if str(ti.state) in {"failed", "upstream_failed"}]
            assert not failed, f"the run of {dag.dag_id} is a success, but {failed} failed"
        return run

    monkeypatch.setattr(DAG, "test", test)


@pytest.fixture
def load_dag(airflow_database: None) -> Callable[[str], DAG]:
    """Load one DAG of `dags_examples` by its id, registered in the database as the DAG processor would."""

    def load(dag_id: str) -> DAG:
        bag = dag_bag(example_files()[dag_id])
        assert not bag.import_errors
        dag: DAG = bag.dags[dag_id]
        register(dag)
        return dag

    return load


@functools.cache
def example_files() -> dict[str, str]:
    """The file of each DAG of `dags_examples`."""
    bag = dag_bag(str(REPOSITORY / "dags_examples"))
    assert not bag.import_errors
    return {dag_id: dag.fileloc for dag_id, dag in bag.dags.items()}


def dag_bag(folder: str) -> Any:
    # The second name is that of Airflow 3.1.
    return first_of("airflow.dag_processing.dagbag.DagBag", "airflow.models.dagbag.DagBag")(folder)


def register(dag: DAG, bundle: str = "dags-folder") -> None:
    """Store the DAG's serialised form: since Airflow 3.3, `dag.test()` runs only what is in the database."""
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session

    serialized_dag = first_of(
        "airflow.serialization.definitions.dag.SerializedDAG",
        "airflow.serialization.serialized_objects.SerializedDAG",  # Airflow 3.1
    )
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    first_of("airflow.dag_processing.bundles.manager.DagBundlesManager")().sync_bundles_to_db()
    lazy = LazyDeserializedDAG.from_dag(dag) if hasattr(LazyDeserializedDAG, "from_dag") else None
    if lazy is None:
        lazy = LazyDeserializedDAG(data=serialized_dag.to_dict(dag))
    with create_session() as session:
        serialized_dag.bulk_write_to_db(bundle, None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name=bundle, session=session)
