"""Lists what users may rely on, a line a name: `python tests/support/public_surface.py --write` for a new release.

`tests/unit/released` keeps the list of each released version. A test compares the newest with today's, and expects a
line of the changelog for each difference.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

if __name__ == "__main__":  # as a script the tests folder is not on the path yet
    sys.path.insert(0, str(Path(__file__).parents[1]))

import airflow_provider_launchdarkly as package
from airflow_provider_launchdarkly import __version__
from airflow_provider_launchdarkly.api import errors
from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.cli.main import parser
from airflow_provider_launchdarkly.get_provider_info import get_provider_info
from airflow_provider_launchdarkly.hooks.calls import Call, Walk
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.rollout.schema import file_schema
from airflow_provider_launchdarkly.testing import plugin

RELEASED = Path(__file__).parents[1] / "unit" / "released"
_NO_NAMES = {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}


def surface() -> list[str]:
    """Return every public name, as `WHERE NAME`, sorted: `python Policy`, `Policy alpha`, `cli simulate --picture`."""
    return sorted({*_python(), *_hook(), *_errors(), *_command_line(), *_files(), *_settings(), *_fixtures()})


def released() -> dict[str, list[str]]:
    """Return the list of each released version, oldest first."""
    found = {path.stem: path.read_text(encoding="utf-8").splitlines() for path in RELEASED.glob("*.txt")}
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


def _python() -> Iterator[str]:
    for name in vars(package)["__all__"]:
        yield f"python {name}"
        yield from (f"{name} {part}" for part in _parts(getattr(package, name)))


def _parts(value: Any) -> Iterator[str]:
    """Yield the arguments of a class or function, or the members of an enum."""
    if isinstance(value, type) and issubclass(value, Enum):
        yield from value.__members__
    elif isinstance(value, type) and issubclass(value, BaseModel):
        yield from value.model_fields
    elif isinstance(value, type) and "__dataclass_fields__" in vars(value):  # not what a base class of Airflow's has
        yield from (field.name for field in dataclasses.fields(value) if field.init and field.name[0] != "_")
    elif isinstance(value, type) and hasattr(value, "_fields"):
        yield from value._fields
    elif isinstance(value, type):
        for base in value.__mro__:
            made = vars(base).get("__init__")
            # Airflow gives each operator a constructor: ours are those that our modules define.
            if str(getattr(made, "__module__", "")).startswith(package.__name__):
                yield from _parameters(made)
    elif callable(value):
        yield from _parameters(value)


def _parameters(function: Any) -> Iterator[str]:
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in {"self", "hook"} and not name.startswith("_") and parameter.kind not in _NO_NAMES:
            yield name


def _hook() -> Iterator[str]:
    for name, call in inspect.getmembers_static(LaunchDarklyHook):
        if isinstance(call, Call | Walk):
            yield f"hook {name}"
            yield from (f"hook.{name} {part}" for part in _parameters(call._build))


def _errors() -> Iterator[str]:
    for name, error in vars(errors).items():
        if isinstance(error, type) and issubclass(error, LaunchDarklyError):
            yield f"error {name}"


def _command_line() -> Iterator[str]:
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        yield f"cli {name}"
        for action in command._actions:
            if not isinstance(action, argparse._HelpAction):
                yield from (f"cli {name} {option}" for option in action.option_strings or [action.dest])


def _files() -> Iterator[str]:
    """Yield each field of a rollout file."""
    for name, model in file_schema()["$defs"].items():
        yield from (f"file {name} {field}" for field in model.get("properties", {}))


def _settings() -> Iterator[str]:
    info = get_provider_info()
    for section, settings in info["config"].items():
        yield from (f"configuration {section} {name}" for name in settings["options"])
    for connection in info["connection-types"]:
        yield from (f"connection {name}" for name in connection["conn-fields"])


def _fixtures() -> Iterator[str]:
    yield from (f"fixture {name}" for name in vars(plugin) if name.startswith("launchdarkly_"))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--write", action="store_true", help="keep the list as that of the present version")
    if options.parse_args().write:
        target = RELEASED / f"{__version__}.txt"
        target.write_text("\n".join(surface()) + "\n", encoding="utf-8")
        print(f"written: {target.relative_to(Path.cwd()) if target.is_relative_to(Path.cwd()) else target.name}")
    else:
        print(*surface(), sep="\n")


if __name__ == "__main__":
    main()
