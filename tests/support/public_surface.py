"""Lists what users may rely on, a line a name: `python tests/support/public_surface.py --write` for a new release.

`tests/unit/released` keeps the list of each released version. A test compares the newest with today's, and expects a
line of the changelog for each difference.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import re
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
from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.main import parser
from airflow_provider_launchdarkly.get_provider_info import get_provider_info
from airflow_provider_launchdarkly.hooks.calls import Call, Walk
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.rollout.schema import file_schema
from airflow_provider_launchdarkly.testing import EmulatorServer, plugin

RELEASED = Path(__file__).parents[1] / "unit" / "released"
_NO_NAMES = {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}


def surface() -> list[str]:
    """Return every public name, as `WHERE NAME`, sorted: `python Policy`, `hook get_flag`, `cli simulate --picture`.

    A default, an enum's value and an error's base class follow: `Policy alpha = 0.05`.
    """
    code = {*_python(), *_hook(), *_errors(), *_command_line(), *_exit_codes(), *_fixtures()}
    return sorted({*code, *_files(), *_settings(), *_metrics()})


def released() -> dict[str, list[str]]:
    """Return the list of each released version, oldest first."""
    found = {path.stem: path.read_text(encoding="utf-8").splitlines() for path in RELEASED.glob("*.txt")}
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


def _python() -> Iterator[str]:
    public = {name: getattr(package, name) for name in vars(package)["__all__"]}
    for name, value in {**public, "EmulatorServer": EmulatorServer}.items():
        yield f"python {name}"
        yield from (f"{name} {part}" for part in _parts(value))
    for name, method in vars(EmulatorServer).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            yield f"EmulatorServer {name}"
            yield from (f"EmulatorServer.{name} {part}" for part in _parameters(method))


def _parts(value: Any) -> Iterator[str]:
    """Yield the arguments of a class or function, or the members of an enum."""
    if isinstance(value, type) and issubclass(value, Enum):
        yield from (_with(name, member.value) for name, member in value.__members__.items())
    elif isinstance(value, type) and issubclass(value, BaseModel):
        for name, field in value.model_fields.items():
            yield name if field.is_required() else _with(name, field.get_default(call_default_factory=True))
    elif isinstance(value, type) and "__dataclass_fields__" in vars(value):  # not what a base class of Airflow's has
        for part in dataclasses.fields(value):
            if part.init and part.name[0] != "_":
                yield part.name if part.default is dataclasses.MISSING else _with(part.name, part.default)
    elif isinstance(value, type) and hasattr(value, "_fields"):
        defaults = vars(value)["_field_defaults"]
        yield from (_with(name, defaults[name]) if name in defaults else name for name in value._fields)
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
            yield name if parameter.default is inspect.Parameter.empty else _with(name, parameter.default)


def _with(name: str, default: Any) -> str:
    """Add a default to a name: its text, or its type if that has fields of its own or prints as an address."""
    told = repr(default)
    by_type = isinstance(default, BaseModel) or dataclasses.is_dataclass(default) or " at 0x" in told
    return f"{name} = {type(default).__name__ if by_type else told}"


def _hook() -> Iterator[str]:
    for name, call in inspect.getmembers_static(LaunchDarklyHook):
        if isinstance(call, Call | Walk):
            yield f"hook {name}"
            yield from (f"hook.{name} {part}" for part in _parameters(call._build))


def _errors() -> Iterator[str]:
    for name, error in vars(errors).items():
        if isinstance(error, type) and issubclass(error, LaunchDarklyError):
            yield f"error {name} = {', '.join(base.__name__ for base in error.__bases__)}"
            arguments = list(_parameters(error.__init__)) if "__init__" in vars(error) else []
            taken = {argument.partition(" = ")[0] for argument in arguments}
            yield from (f"{name} {part}" for part in (*arguments, *(set(inspect.get_annotations(error)) - taken)))


def _command_line() -> Iterator[str]:
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    options = {f"cli {name}": set(_options(command)) for name, command in commands.choices.items()}
    # What every command takes is listed once.
    common = set.intersection(*options.values())
    yield from (f"cli {option}" for option in common)
    for command, taken in options.items():
        yield command
        yield from (f"{command} {option}" for option in taken - common)


def _options(command: argparse.ArgumentParser) -> Iterator[str]:
    for action in command._actions:
        if not isinstance(action, argparse._HelpAction):
            declared = {"default": action.default, "choices": action.choices and sorted(action.choices)}
            told = ", ".join(f"{key} {value!r}" for key, value in declared.items() if value not in (None, False))
            yield from (f"{name} = {told}" if told else name for name in action.option_strings or [action.dest])


def _exit_codes() -> Iterator[str]:
    yield from (f"exit-code {code.name} = {code.value}" for code in ExitCode)


def _files() -> Iterator[str]:
    """Yield each field of a rollout file, and each value that a field may have."""
    for name, model in file_schema()["$defs"].items():
        for field, told in model.get("properties", {}).items():
            yield f"file {name} {field}" + (f" = {json.dumps(told['default'])}" if "default" in told else "")
        yield from (f"file {name} {value}" for value in model.get("enum", ()))


def _settings() -> Iterator[str]:
    info = get_provider_info()
    for section, settings in info["config"].items():
        for name, told in settings["options"].items():
            yield _with(f"configuration {section} {name}", told["default"])
    for connection in info["connection-types"]:
        yield from (f"connection {name}" for name in connection["conn-fields"])


def _metrics() -> Iterator[str]:
    """Yield the metrics, with a star for each part of a name that the call fills in."""
    for file in Path(package.__file__).parent.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if "telemetry import" in text:
            for name in re.findall(r"\b(?:count|gauge)\(f?\"([^\"]+)\"", text):
                yield f"metric launchdarkly.{re.sub(r'{[^}]*}', '*', name)}"


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
