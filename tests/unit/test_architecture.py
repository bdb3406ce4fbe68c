"""The house: which package may know which, and what an import may cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import airflow_provider_launchdarkly

ROOT = Path(airflow_provider_launchdarkly.__file__).parent
NAME = "airflow_provider_launchdarkly"

# Each room, and the rooms it may import from. What is not listed is forbidden.
ARROWS = {
    "_lazy": set(),
    "api": {"_lazy"},
    "config": set(),
    "decision": {"config"},
    "change_windows": {"config"},
    "evidence": {"api", "decision"},
    "checks": {"api", "decision", "evidence"},
    "audit_log": {"decision"},
    "hooks": {"api"},
    "links": set(),
    "templates": set(),
    "assets": set(),
    "retries": {"api"},
    "notifications": {"hooks", "config", "api"},
    "operators": {"hooks", "links", "templates", "assets", "checks", "evidence", "decision", "api"},
    "triggers": {"hooks", "checks", "evidence", "decision", "api"},
    "sensors": {
        *("hooks", "links", "templates", "triggers", "checks", "evidence", "audit_log", "decision", "config"),
        *("change_windows", "api"),
    },
    "rollout": {
        *("operators", "sensors", "hooks", "notifications", "decision", "config", "change_windows", "api"),
    },
    "plugins": {"rollout"},
    "emulator": set(),
    "testing": {"emulator"},
    "simulation": {"decision"},
    "get_provider_info": set(),
    "cli": {"emulator", "audit_log", "simulation", "rollout", "hooks", "decision", "api"},
}

# The same within the emulator, whose rooms are named as in moto: what answers, what is shown, what holds, what is.
EMULATOR_ARROWS = {
    "errors": set(),
    "fields": set(),
    "population": {"fields"},
    "state": {"errors", "fields", "population"},
    "rules": {"errors", "state", "population"},
    "serializers": {"errors", "rules", "state", "population"},
    "handlers": {"errors", "serializers", "rules", "state"},
    "transport": {"errors", "handlers", "serializers", "rules", "state"},
}
# httpx is not among them, since airflow.sdk loads it: only api.http.client imports it.
ONLY_FOR_RUNNING_TASKS = {
    f"{NAME}.{module}"
    for module in (
        "api.endpoints",
        "api.http.client",
        "api.models",
        "api.reads.results",
        "api.writes.comparison",
        "checks.significance",
        "decision.judge",
        "evidence.source",
        "evidence.launchdarkly_results",
        "evidence.sql_rows",
        "hooks.launchdarkly",
        "rollout.state_machine",
        "simulation",
    )
}
# The hook itself, and the asset watcher's trigger, which only the triggerer and its DAG files import.
NEED_THE_HOOK = {"LaunchDarklyHook", "ExperimentEventTrigger"}
KNOW_AIRFLOW = {
    *("hooks", "operators", "sensors", "triggers", "links", "rollout", "plugins"),
    *("assets", "retries", "notifications"),
}
FREE_OF_AIRFLOW = set(ARROWS) - KNOW_AIRFLOW


@cache
def imports_of(file: Path) -> frozenset[str]:
    """Every absolute module name that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            assert node.module is not None
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def rooms() -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for file in ROOT.rglob("*.py"):
        room = file.relative_to(ROOT).parts[0].removesuffix(".py")
        if room != "__init__" and file.name != "__main__.py":  # `python -m` goes through the command line's door
            files.setdefault(room, []).append(file)
    return files


def test_every_room_is_on_the_plan() -> None:
    assert set(rooms()) <= set(ARROWS)


@pytest.mark.parametrize("room", sorted(ARROWS))
def test_arrows_point_one_way(room: str) -> None:
    for file in rooms().get(room, []):
        known = {name.split(".")[1] for name in imports_of(file) if name.startswith(f"{NAME}.")}
        known -= {room, "__version__"}
        assert known <= ARROWS[room], f"{file.relative_to(ROOT)} may not import {sorted(known - ARROWS[room])}"


@pytest.mark.parametrize("room", sorted(FREE_OF_AIRFLOW))
def test_what_needs_no_airflow_knows_none(room: str) -> None:
    for file in rooms().get(room, []):
        assert not {name for name in imports_of(file) if name == "airflow" or name.startswith("airflow.")}


def test_only_the_api_client_imports_httpx() -> None:
    users = {
        file.relative_to(ROOT).as_posix() for files in rooms().values() for file in files if "httpx" in imports_of(file)
    }
    assert users == {"api/http/client.py"}


def test_the_decision_engine_and_what_tasks_import_are_free_of_numpy() -> None:
    for room in set(ARROWS) - {"simulation"}:
        for file in rooms().get(room, []):
            assert not {name for name in imports_of(file) if name.split(".")[0] in {"numpy", "scipy"}}


@pytest.mark.parametrize(
    ("module", "never_loaded"),
    [
        (f"{NAME}.api", {"airflow"}),
        (f"{NAME}.decision", {"airflow", "httpx", "numpy"}),
        (f"{NAME}.emulator.transport.app", {"airflow", "httpx", "numpy", f"{NAME}.api"}),
        (f"{NAME}.operators.experiments", {"fastapi", "starlette", "numpy", "launchdarkly_api", "requests"}),
        (f"{NAME}.sensors.significance", {"fastapi", "starlette", "numpy", "launchdarkly_api", "requests"}),
        *(
            (f"{NAME}.{module}", {f"{NAME}.api.http.client", f"{NAME}.api.models", f"{NAME}.hooks.launchdarkly"})
            for module in (
                "operators.experiments",
                "operators.iterations",
                "operators.flags",
                "operators.results",
                "operators.projects",
                "sensors.experiments",
                "sensors.flags",
            )
        ),
        (f"{NAME}.triggers.experiment_events", {"fastapi", "starlette", "numpy", "launchdarkly_api", "requests"}),
        (f"{NAME}.notifications.notifier", {"fastapi", "starlette", "numpy", "launchdarkly_api", "requests"}),
        (f"{NAME}.cli.main", {"airflow", "httpx", "numpy", "pydantic", "starlette", "yaml"}),
        (f"{NAME}.rollout.files", {"airflow", "httpx"}),
        (f"{NAME}.rollout.drift", {"airflow", "httpx"}),
        (f"{NAME}.plugins.provider", {"fastapi", "starlette", "numpy", f"{NAME}.api", f"{NAME}.hooks"}),
        (f"{NAME}.rollout.dag", {"fastapi", "starlette", "numpy", "airflow.providers.standard.operators.hitl"}),
        *((f"{NAME}.{module}", ONLY_FOR_RUNNING_TASKS) for module in ("rollout.dag", "rollout.loading")),
        *((f"{NAME}.{module}", ONLY_FOR_RUNNING_TASKS) for module in ("rollout.timetable", "rollout.task_group")),
        (f"{NAME}.get_provider_info", {"airflow", "httpx", "pydantic"}),
    ],
)
def test_an_import_does_not_load(module: str, never_loaded: set[str]) -> None:
    assert loaded_by(f"import {module}", never_loaded) == []


def test_the_public_names_for_dag_files_load_nothing_that_only_a_running_task_needs() -> None:
    names = ", ".join(set(airflow_provider_launchdarkly.__all__) - NEED_THE_HOOK)
    assert loaded_by(f"from {NAME} import {names}", ONLY_FOR_RUNNING_TASKS) == []


@pytest.mark.parametrize("name", sorted(NEED_THE_HOOK))
def test_a_name_that_needs_the_hook_loads_it(name: str) -> None:
    assert loaded_by(f"from {NAME} import {name}", ONLY_FOR_RUNNING_TASKS) != []


def loaded_by(statement: str, modules: set[str]) -> list[str]:
    """Which of these modules a statement loads in a fresh process."""
    code = f"import sys\n{statement}\nprint(*sorted(set(sys.modules) & {modules!r}))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
