"""Recompile the constraint files: one for each Airflow minor, as of a day on which that minor worked.

Usage: make constraints. Needs `uv`. The date keeps an old Airflow away from newer libraries that it does not run on.
"""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
AIRFLOW = {"3.1": ("3.1.8", "2026-03-25"), "3.2": ("3.2.2", "2026-06-15"), "3.3": ("3.3.2", "2026-11-20")}
PYTHON = "3.11"
TOOLS = ["uv"]


def main() -> None:
    """Write the files."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())
    extras = [line for extra in project["project"]["optional-dependencies"].values() for line in extra]
    wanted = [*project["project"]["dependencies"], *extras, *project["dependency-groups"]["dev"], *TOOLS]
    for minor, (version, day) in AIRFLOW.items():
        target = HERE / f"airflow-{minor}.txt"
        print(f"== {target.name}: Airflow {version} as of {day}")
        options = ["--quiet", "--python-version", PYTHON, "--exclude-newer", day, "--no-header", "--no-annotate"]
        subprocess.run(
            ["uv", "pip", "compile", "-", *options, "--output-file", str(target)],
            input="\n".join([*wanted, f"apache-airflow=={version}"]),
            text=True,
            check=True,
        )


if __name__ == "__main__":
    main()
