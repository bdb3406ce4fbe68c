"""Write docs/coverage.md from `coverage_rows.py`: `python tests/support/coverage_table.py`. A test compares."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

if __name__ == "__main__":  # as a script the tests folder is not on the path yet
    sys.path.insert(0, str(Path(__file__).parents[1]))

from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from support.coverage_row import IN_ENV, IN_PROJECT
from support.coverage_rows import ROWS
from support.surroundings import REPOSITORY

PAGE = REPOSITORY / "docs" / "coverage.md"
TEST = "tests/unit/hooks/test_every_call.py"


def pages() -> dict[str, str]:
    """Return the documentation page of each operator and sensor of the table, by class name, if there is one.

    A page is named for its class: `wait-for-significance.md` for `LaunchDarklyWaitForSignificanceSensor`.
    """
    docs = REPOSITORY / "docs"
    by_name = {path.stem: path.relative_to(docs).as_posix() for path in sorted(docs.rglob("*.md"))}
    names = [name for row in ROWS for name in row.also if name.startswith("LaunchDarkly")]
    return {name: by_name[kebab_case(name)] for name in names if kebab_case(name) in by_name}


def kebab_case(name: str) -> str:
    """Return the name of a class's page: `wait-for-significance` for `LaunchDarklyWaitForSignificanceSensor`."""
    core = name.removeprefix("LaunchDarkly").removesuffix("Operator").removesuffix("Sensor")
    return re.sub(r"(?<!^)(?=[A-Z])", "-", core).lower()


def page() -> str:
    """Return the page."""
    where = pages()
    lines = [
        "# LaunchDarkly's API, call by call",
        "",
        "Each call of LaunchDarkly's Experiments API, and of the resources that experiments need: the hook's call, the",
        "endpoint, and the operator or sensor. The hook's calls run in a task as they stand, and on an event loop with",
        "`.aio`.",
        "",
        f"`{TEST}` runs each row in both forms against the emulator; `pytest` with the last column",
        "selects it. In the paths, `P` is `/api/v2/projects/{projectKey}` and `E` is",
        "`P/environments/{environmentKey}`.",
        "",
        "| | hook | endpoint | also as | test |",
        "|---|---|---|---|---|",
    ]
    for row in ROWS:
        also = "<br>".join(f"[{name}]({where[name]})" if name in where else name for name in row.also)
        for number, case in enumerate(row.cases):
            title, others = (row.title, also) if number == 0 else ("", "")
            endpoint = case.endpoint.replace(IN_ENV, "E").replace(IN_PROJECT, "P")
            lines.append(f"| {title} | `{case.call}` | `{endpoint}` | {others} | `-k {case.call}` |")
    lines += ["", "[LaunchDarklyHook](reference/hook.md) lists the parameters of each call.", ""]
    return "\n".join(lines)


def calls_of_the_hook() -> set[str]:
    """Return the name of every call that the hook has."""
    from airflow_provider_launchdarkly.hooks.calls import Call, Walk

    return {name for name, member in inspect.getmembers(LaunchDarklyHook) if isinstance(member, Call | Walk)}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
