"""Recompile the constraint files: one for each Airflow minor, as of a day on which that minor worked.

Usage: make constraints. Needs `uv`. The date keeps an old Airflow away from newer libraries that it does not run on.
"""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
TODAY = "2026-11-20"
AIRFLOW = {"3.1": ("3.1.8", "2026-03-25"), "3.2": ("3.2.2", "2026-06-15"), "3.3": ("3.3.2", TODAY)}
NEWEST = "3.3"
PYTHON = "3.11"
TOOLS = ["uv"]
OFFICIAL_CLIENTS = ("17.1.0", "17.2.0", "25.0.1")
AUDIT = "pip-audit==2.10.1"
WAREHOUSES = ("databricks>=7", "google>=22", "snowflake>=6", "trino>=6")


def main() -> None:
    """Write the files."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())
    extras = [line for extra in project["project"]["optional-dependencies"].values() for line in extra]
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *extras, *groups["dev"], *TOOLS]
    for minor, (version, day) in AIRFLOW.items():
        newest = [*groups["comparison"], *groups["chaos"]] if minor == NEWEST else []
        write(HERE / f"airflow-{minor}.txt", [*wanted, *newest, f"apache-airflow=={version}"], day)
    providers = [f"apache-airflow-providers-{name}" for name in WAREHOUSES]
    own = project["project"]["dependencies"]
    write(HERE / "warehouses.txt", [*own, *providers, f"apache-airflow=={AIRFLOW[NEWEST][0]}"], TODAY)
    write(HERE / "audit.txt", [AUDIT], TODAY)
    for version in OFFICIAL_CLIENTS:
        write(HERE / f"contract-{version}.txt", [f"launchdarkly-api=={version}"], TODAY)


def write(target: Path, requirements: list[str], day: str) -> None:
    """Pin what the requirements came to on that day."""
    print(f"== {target.name} as of {day}")
    options = ["--quiet", "--python-version", PYTHON, "--exclude-newer", day, "--no-header", "--no-annotate"]
    subprocess.run(
        ["uv", "pip", "compile", "-", *options, "--output-file", str(target)],
        input="\n".join(requirements),
        text=True,
        check=True,
    )


if __name__ == "__main__":
    main()
