"""Read worlds and snapshots from files, strictly. Every error is a ValueError that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typing_extensions import override


def read_world(path: str | Path) -> dict[str, Any]:
    """Read a world from a YAML file, as `world.build_world` takes it.

    Raises:
        ValueError: The file is unreadable or not YAML, repeats a name, or holds no mapping.
    """
    import yaml

    class Strict(yaml.SafeLoader):
        """A safe YAML loader that rejects repeated names."""

        @override
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen: set[Any] = set()
            for key, _ in node.value:
                name = key.value
                if name in seen:
                    raise ValueError(f"{path}:{key.start_mark.line + 1}: {name!r} is given twice")
                seen.add(name)
            return super().construct_mapping(node, deep)

    text = read_text(path)
    try:
        data = yaml.load(text, Strict)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path} does not hold a world: write a mapping with members, tokens and projects")  # noqa: TRY004
    return data


def read_snapshot(path: str | Path) -> dict[str, Any]:
    """Read a snapshot's JSON from a file.

    Raises:
        ValueError: The file is unreadable, or holds no JSON object.
    """
    text = read_text(path)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is not JSON") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path} does not hold a snapshot: use what `GET /__emulator__/snapshot` returns")  # noqa: TRY004
    return data


def read_text(path: str | Path) -> str:
    """Read a file in UTF-8.

    Raises:
        ValueError: It cannot be read, or is no file. The message names it.
    """
    if (there := Path(path)).exists() and not there.is_file():
        raise ValueError(f"cannot read {path}: it is no file")  # a read of a named pipe or a device may never end
    try:
        return there.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
