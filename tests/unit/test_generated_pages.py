"""The scripts that write pages of the documentation run as CONTRIBUTING says, and `make pages` runs all of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.surroundings import REPOSITORY

TABLE = (REPOSITORY / "CONTRIBUTING.md").read_text().partition("## Generated pages")[2]
SCRIPTS = dict(re.findall(r"^\| (.+) \| `\.venv/bin/python (\S+)` \|$", TABLE, flags=re.MULTILINE))

# Runs a file as a script, but prints the names of the pages in place of writing them.
RUN = """
import runpy, sys
from pathlib import Path
Path.write_text = lambda path, *_, **__: print(path.name)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize(("pages", "script"), SCRIPTS.items(), ids=SCRIPTS.values())
def test_a_script_writes_the_pages_that_the_table_names(pages: str, script: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(REPOSITORY / script)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert sorted(run.stdout.split()) == sorted(Path(page).name for page in re.findall(r"`([^`]+)`", pages))


def test_make_pages_runs_every_script() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    assert {script for script in SCRIPTS.values() if Path(script).name not in makefile} == set()
    assert "airflow-launchdarkly schema > docs/rollout.schema.json" in makefile
