"""`make dist`: builds wheel and source distribution, checks them, and runs the demo from them in a clean Airflow.

The wheel is built from the source distribution, and installed with the constraint file into an environment that has
nothing else. The demo is that of the unpacked source distribution, in a folder outside of this tree. The bill of
materials (CycloneDX) lists what was installed beside the wheel.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

if __name__ == "__main__":  # as a script the tests folder is not on the path yet
    sys.path.insert(0, str(Path(__file__).parents[1]))

from release.distribution import PACKAGE, Distribution, left_to_publish
from support.surroundings import REPOSITORY

DIST = REPOSITORY / "dist"
UV = (sys.executable, "-m", "uv", "--no-progress")
WHERE = f"import {PACKAGE}, sys; print({PACKAGE}.__version__, {PACKAGE}.__file__.startswith(sys.prefix))"


class DistError(Exception):
    """A step failed; the message says which, and what it said."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--constraints", type=Path, required=True, help="constraint file of the clean environment")
    parser.add_argument("--tag", help="tag that is to be published: whatever is left to do is then an error")
    parser.add_argument("--scenario", default="effect", help="scenario of the demo")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="airflow-launchdarkly-dist-") as folder:
        try:
            version = make(Path(folder), options.constraints.resolve(), options.scenario)
        except DistError as error:
            print(f"make dist failed: {error}")
            return 1
    left = left_to_publish(version, options.tag)
    for line in left:
        print(f"{'error' if options.tag else 'before it is published'}: {line}")
    print(f"== dist: {', '.join(sorted(path.name for path in DIST.iterdir() if path.name != '.gitignore'))}")
    return 1 if left and options.tag else 0


def make(folder: Path, constraints: Path, scenario: str) -> str:
    """Build, check, install and try; returns the version.

    Args:
        folder: An empty folder outside of the source tree.
        constraints: The constraint file of the clean environment.
        scenario: The demo's.

    Raises:
        DistError: A step failed.
    """
    say("building the source distribution, and the wheel from it")
    shutil.rmtree(DIST, ignore_errors=True)
    run(*UV, "build", "--quiet", "--out-dir", str(DIST), str(REPOSITORY))
    built = Distribution.found_in(DIST)
    say("checking metadata and content")
    tools = environment(folder / "tools", "--group", f"{REPOSITORY / 'pyproject.toml'}:dist")
    run(str(tools), "-m", "twine", "check", "--strict", str(built.wheel), str(built.sources))
    if problems := built.problems():
        raise DistError("\n  ".join(("the distributions are wrong:", *problems)))
    say(f"installing {built.wheel.name} into a clean environment ({constraints.name})")
    wheel = f"airflow-provider-launchdarkly[emulator] @ {built.wheel.as_uri()}"
    clean = environment(folder / "clean", "--constraint", str(constraints), wheel)
    run(*UV, "pip", "check", "--python", str(clean))
    version, inside = run(str(clean), "-c", WHERE, cwd=folder).split()
    if inside != "True":
        raise DistError(f"the clean environment does not import {PACKAGE} from itself")
    say("writing the bill of materials")
    write_bill_of_materials(tools, clean, version)
    say(f"running the demo of {built.sources.name} with the wheel, scenario {scenario}")
    with tarfile.open(built.sources) as sources:
        sources.extractall(folder / "sources", filter="data")
    (unpacked,) = (folder / "sources").iterdir()
    demo = [str(clean), str(unpacked / "tests" / "stack" / "demo.py"), "--scenario", scenario]
    if (code := subprocess.run(demo, cwd=unpacked, env=clean_variables(), check=False).returncode) != 0:
        raise DistError(f"the demo ended with code {code}")
    return version


def environment(home: Path, *wanted: str) -> Path:
    """Make a virtual environment with what is wanted; returns its interpreter."""
    run(*UV, "venv", "--quiet", "--python", sys.executable, str(home))
    python = home / "bin" / "python"
    run(*UV, "pip", "install", "--quiet", "--python", str(python), *wanted)
    return python


def write_bill_of_materials(tools: Path, clean: Path, version: str) -> Path:
    """Write what the clean environment holds, as CycloneDX JSON, the same for the same content; returns the file."""
    target = DIST / f"{PACKAGE}-{version}.cdx.json"
    options = ("--pyproject", str(REPOSITORY / "pyproject.toml"), "--mc-type", "library", "--output-reproducible")
    run(str(tools.with_name("cyclonedx-py")), "environment", str(clean), *options, "-o", str(target))
    bill = json.loads(target.read_text(encoding="utf-8"))
    # The version is not in pyproject.toml, where the tool looks for it.
    bill["metadata"]["component"] |= {"version": version, "purl": f"pkg:pypi/airflow-provider-launchdarkly@{version}"}
    target.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    return target


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a command and return what it printed.

    Raises:
        DistError: It failed; the message holds what it said.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=clean_variables())
    if done.returncode != 0:
        raise DistError(f"{' '.join(command)} ended with code {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def clean_variables() -> dict[str, str]:
    """The environment variables without those that would bring this tree's packages or another Airflow in."""
    return {key: text for key, text in os.environ.items() if not key.startswith(("AIRFLOW", "PYTHON", "VIRTUAL_ENV"))}


def say(line: str) -> None:
    print(f"-- {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
