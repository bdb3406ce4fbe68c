"""Virtual environments for LaunchDarkly's published Python clients and for warehouses' providers.

Each is made from its constraint file. They lie in the repository's root and are made anew only when the file or the
interpreter is another one.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


class EnvironmentNotMadeError(AssertionError):
    """An environment could not be made, so nothing is proven: this fails the tests, it does not skip them."""


def python_with_client(version: str) -> Path:
    """The interpreter of the environment in which a version of `launchdarkly-api` is installed; made if need be.

    Raises:
        EnvironmentNotMadeError: uv could not make it; the message holds what uv said.
    """
    return python_with(f"contract-{version}", "--compile-bytecode")


def python_with(name: str, *options: str) -> Path:
    """The interpreter of the environment of a constraint file; made if need be.

    Args:
        name: Of the file, without its end.
        options: For `uv pip sync`.

    Raises:
        EnvironmentNotMadeError: uv could not make it; the message holds what uv said.
    """
    constraints = REPOSITORY / "constraints" / f"{name}.txt"
    home = REPOSITORY / f".venv-{name}"
    python = home / "bin" / "python"
    made_from = home / "made-from.txt"
    wanted = f"{sys.executable} {sys.version}\n{constraints.read_text()}"
    # Several processes of pytest may want it at once: one makes it, and the others wait.
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made_from.is_file() or made_from.read_text() != wanted:
            _uv("venv", "--clear", "--python", sys.executable, str(home))
            _uv("pip", "sync", *options, "--python", str(python), str(constraints))
            made_from.write_text(wanted)
    return python


def _uv(*arguments: str) -> None:
    command = [sys.executable, "-m", "uv", "--no-progress", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    if done.returncode:
        raise EnvironmentNotMadeError(f"{' '.join(command)} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
