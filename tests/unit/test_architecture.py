"""The house: which package may know which, and what an import may cost."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import airflow_provider_launchdarkly
from support import fresh_imports
from support.surroundings import REPOSITORY

ROOT = Path(airflow_provider_launchdarkly.__file__).parent
NAME = "airflow_provider_launchdarkly"

# Each room, and the rooms it may import from. What is not listed is forbidden.
ARROWS = {
    "_lazy": set(),
    "_version": set(),
    "api": {"_lazy"},
    "config": set(),
    "decision": {"config"},
    "change_windows": {"config"},
    "evidence": {"api", "decision", "config"},
    "checks": {"api", "config", "decision", "evidence"},
    "audit_log": {"decision", "config"},
    "portfolio": {"audit_log", "decision", "pictures"},
    "retirement": {"api", "checks", "config"},
    "hooks": {"api"},
    "links": set(),
    "templates": {"config", "decision", "change_windows", "api"},
    "assets": set(),
    "retries": {"api", "config"},
    "telemetry": set(),
    "notifications": {"hooks", "templates", "config", "api", "pictures", "views"},
    "operators": {
        "hooks",
        "sensors",
        "links",
        "templates",
        "assets",
        "checks",
        "evidence",
        "audit_log",
        "decision",
        "config",
        "api",
        "retries",
        "retirement",
        "views",
    },
    "triggers": {"hooks", "checks", "evidence", "decision", "config", "api", "telemetry", "views"},
    "sensors": {
        *("hooks", "links", "templates", "triggers", "checks", "evidence", "audit_log", "decision", "config"),
        *("change_windows", "api", "retries", "retirement", "telemetry", "views", "assets"),
    },
    "rollout": {
        *("operators", "sensors", "hooks", "templates", "notifications", "decision", "config", "change_windows", "api"),
        *("retries", "retirement", "evidence", "links", "assets", "telemetry", "checks"),
    },
    "views": {"decision", "config"},
    "pictures": {"views", "config"},
    "plugins": {"rollout", "views", "pictures", "audit_log"},
    "emulator": set(),
    "testing": {"emulator"},
    "simulation": {"decision"},
    "get_provider_info": set(),
    "doctor": {"api", "hooks", "decision", "evidence", "sensors"},
    "cli": {
        *("doctor", "emulator", "audit_log", "portfolio", "simulation", "rollout", "hooks", "decision", "api"),
        *("checks", "config", "evidence", "sensors", "views", "pictures", "notifications", "plugins", "retirement"),
    },
}

# The same within the emulator: each of its rooms, and those of its rooms that it may import from.
EMULATOR_ARROWS = {
    "errors": set(),
    "fields": set(),
    "population": {"fields"},
    "state": {"errors", "fields", "population"},
    "rules": {"errors", "state", "population"},
    "serializers": {"errors", "rules", "state", "population"},
    "handlers": {"errors", "serializers", "rules", "state"},
    "warehouse": {"fields", "rules", "state", "population"},
    "transport": {"errors", "handlers", "serializers", "rules", "state", "warehouse"},
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
        "retirement.use",
        "rollout.state_machine",
        "simulation",
    )
}
NEED_THE_HOOK = {"LaunchDarklyHook"}
KNOW_AIRFLOW = {
    *("hooks", "operators", "sensors", "triggers", "links", "rollout", "plugins"),
    *("assets", "retries", "notifications", "telemetry"),
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
        known -= {room, "_version"}
        assert known <= ARROWS[room], f"{file.relative_to(ROOT)} may not import {sorted(known - ARROWS[room])}"


def module_of(file: Path) -> str:
    return ".".join((NAME, *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


def test_no_module_imports_itself_in_a_circle() -> None:
    # Imports for the type checker count too.
    modules = {module_of(file): file for file in ROOT.rglob("*.py")}
    arrows = {name: (imports_of(file) & modules.keys()) - {name} for name, file in modules.items()}
    done: set[str] = set()

    def follow(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for next_one in sorted(arrows[name]):
                follow(next_one, (*path, name))
            done.add(name)

    for name in sorted(modules):
        follow(name, ())


@pytest.mark.parametrize("folder", [ROOT, REPOSITORY / "tests"], ids=["src", "tests"])
def test_no_file_is_longer_than_500_lines(folder: Path) -> None:
    lengths = {str(file.relative_to(folder)): len(file.read_text().splitlines()) for file in folder.rglob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > 500} == {}


def code_lines(file: Path) -> list[tuple[int, str]]:
    """The lines that say something: no blank one, comment, import or lone bracket."""
    skipped = {
        number
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return [
        (number, line.strip())
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if number not in skipped and re.search(r"\w", line) and not line.lstrip().startswith("#")
    ]


def test_no_block_of_more_than_ten_lines_stands_twice() -> None:
    seen: dict[tuple[str, ...], str] = {}
    twice: list[str] = []
    for file in sorted(ROOT.rglob("*.py")):
        lines = code_lines(file)
        for start in range(len(lines) - 10):
            block = tuple(text for _, text in lines[start : start + 11])
            place = f"{file.relative_to(ROOT)}:{lines[start][0]}"
            if (first := seen.setdefault(block, place)) != place:
                twice.append(f"{place} ~ {first}")
    assert twice == []


def compares_values(pattern: ast.pattern) -> bool:
    """Return whether a pattern compares with an attribute, such as an enum's member, or with a string."""
    match pattern:
        case ast.MatchOr(patterns=alternatives):
            return any(map(compares_values, alternatives))
        case ast.MatchAs(pattern=ast.pattern() as inner):
            return compares_values(inner)
        case ast.MatchValue(value=value):
            return isinstance(value, ast.Attribute) or (
                isinstance(value, ast.Constant) and isinstance(value.value, str)
            )
        case _:
            return False


def lets_the_rest_pass(match: ast.Match) -> bool:
    """Return whether a `match` over values does nothing for a value that no case names."""
    last = match.cases[-1]
    if not any(compares_values(case.pattern) for case in match.cases):
        return False
    if last.guard or not (isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None):
        return True
    names = {node.id for statement in last.body for node in ast.walk(statement) if isinstance(node, ast.Name)}
    return "assert_never" not in names and not isinstance(last.body[-1], ast.Raise)


def test_a_match_over_values_names_all_of_them() -> None:
    # mypy proves that assert_never is out of reach, and so finds each `match` that a new member is missing from.
    silent = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Match) and lets_the_rest_pass(node)
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("last", "silent"),
    [
        ("case Kind.B: ...", True),
        ("case _: ...", True),
        ("case other: return other", True),
        ("case other if other: raise ValueError", True),
        ("case other: assert_never(other)", False),
        ("case _: raise ValueError", False),
    ],
)
def test_a_silent_match_is_found(last: str, silent: bool) -> None:
    (match,) = ast.parse(f"match kind:\n    case Kind.A | 'a': ...\n    {last}").body
    assert isinstance(match, ast.Match)
    assert lets_the_rest_pass(match) is silent


def emulator_rooms() -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for file in (ROOT / "emulator").rglob("*.py"):
        room = file.relative_to(ROOT / "emulator").parts[0].removesuffix(".py")
        if room not in ("__init__", "__main__"):
            files.setdefault(room, []).append(file)
    return files


def test_every_room_of_the_emulator_is_on_the_plan() -> None:
    assert set(emulator_rooms()) == set(EMULATOR_ARROWS)


@pytest.mark.parametrize("room", sorted(EMULATOR_ARROWS))
def test_arrows_in_the_emulator_point_one_way(room: str) -> None:
    prefix = f"{NAME}.emulator."
    for file in emulator_rooms()[room]:
        imported = {name.removeprefix(prefix).split(".")[0] for name in imports_of(file) if name.startswith(prefix)}
        wrong = imported - {room} - EMULATOR_ARROWS[room]
        assert not wrong, f"{file.relative_to(ROOT)} may not import {sorted(wrong)}"


def test_the_arrows_in_the_emulator_form_no_circle() -> None:
    left = {room: set(known) for room, known in EMULATOR_ARROWS.items()}
    while left:
        lowest = {room for room, known in left.items() if not known & left.keys()}
        assert lowest, f"a circle: {left}"
        left = {room: known for room, known in left.items() if room not in lowest}


@pytest.mark.parametrize("room", sorted(FREE_OF_AIRFLOW))
def test_what_needs_no_airflow_knows_none(room: str) -> None:
    for file in rooms().get(room, []):
        assert not {name for name in imports_of(file) if name == "airflow" or name.startswith("airflow.")}


def test_only_the_api_client_imports_httpx() -> None:
    users = {
        file.relative_to(ROOT).as_posix() for files in rooms().values() for file in files if "httpx" in imports_of(file)
    }
    assert users == {"api/http/client.py"}


def test_only_the_cron_times_import_croniter() -> None:
    # Airflow parses `schedule=` with it. It loads in 10 ms, so nothing may load it that has no cron expression to read.
    users = {
        file.relative_to(ROOT).as_posix()
        for files in rooms().values()
        for file in files
        if any(name.split(".")[0] == "croniter" for name in imports_of(file))
    }
    assert users == {"decision/cron.py"}


def test_the_decision_engine_and_what_tasks_import_are_free_of_numpy() -> None:
    for room in set(ARROWS) - {"simulation"}:
        for file in rooms().get(room, []):
            assert not {name for name in imports_of(file) if name.split(".")[0] in {"numpy", "scipy"}}


# The modules that DAG files import, and what they leave to the tasks that run.
WITH_A_POLICY = {"operators.iterations", "sensors.significance", "triggers.experiment_events"}
IMPORTED_BY_DAG_FILES = WITH_A_POLICY | {
    *("operators.experiments", "operators.flags", "operators.results", "operators.projects"),
    *("sensors.experiments", "sensors.flags", "sensors.change_window", "triggers.release_events"),
}
NEEDED_BY_RUNNING_TASKS = {
    *(f"{NAME}.api.http.client", f"{NAME}.api.models", f"{NAME}.hooks.launchdarkly", f"{NAME}.checks.significance"),
    *(f"{NAME}.evidence", f"{NAME}.decision.judge", f"{NAME}.audit_log", f"{NAME}.triggers._base"),
}


@pytest.mark.parametrize(
    ("module", "never_loaded"),
    [
        (f"{NAME}.api", {"airflow"}),
        (f"{NAME}.decision", {"airflow", "httpx", "numpy"}),
        (f"{NAME}.decision.judge", {"airflow", "httpx", "numpy", "croniter", "yaml"}),
        (f"{NAME}.emulator.transport.app", {"airflow", "httpx", "numpy", f"{NAME}.api"}),
        (f"{NAME}.operators.experiments", {"fastapi", "starlette", "numpy", "launchdarkly_api", "requests"}),
        (f"{NAME}.sensors.significance", {"fastapi", "starlette", "numpy", "launchdarkly_api", "requests"}),
        *((f"{NAME}.{module}", NEEDED_BY_RUNNING_TASKS) for module in sorted(IMPORTED_BY_DAG_FILES)),
        *(
            (f"{NAME}.{module}", {f"{NAME}.decision.policy"})
            for module in sorted(IMPORTED_BY_DAG_FILES - WITH_A_POLICY)
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
    public = import_module(NAME).__all__
    names = ", ".join(sorted(set(public) - NEED_THE_HOOK))
    assert loaded_by(f"from {NAME} import {names}", ONLY_FOR_RUNNING_TASKS) == []


@pytest.mark.parametrize("name", sorted(NEED_THE_HOOK))
def test_a_name_that_needs_the_hook_loads_it(name: str) -> None:
    assert loaded_by(f"from {NAME} import {name}", ONLY_FOR_RUNNING_TASKS) != []


def loaded_by(statement: str, modules: set[str]) -> list[str]:
    """Which of these modules a statement loads in a fresh process."""
    first = "" if "airflow" in modules else "from airflow.sdk import DAG, BaseOperator, BaseSensorOperator"
    return sorted(fresh_imports.loaded_by(statement, first) & modules)
