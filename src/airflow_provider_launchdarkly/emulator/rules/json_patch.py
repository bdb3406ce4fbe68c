"""Apply JSON patches (RFC 6902: add, remove, replace, test) and merge patches (RFC 7396) to plain JSON."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from airflow_provider_launchdarkly.emulator.errors import conflict, invalid_request


class PatchError(ValueError):
    """The patch is malformed, or does not fit the document."""


class TestFailedError(PatchError):
    """A `test` operation found another value than it expects."""


def applied(document: dict[str, Any], operations: Any) -> dict[str, Any]:
    """Return a copy of a resource's JSON with operations applied.

    Raises:
        ApiError: 409 for a failed `test`, 400 for a patch that is malformed or leaves no resource.
    """
    if not isinstance(operations, list):
        raise invalid_request("a JSON patch must be a list of operations")
    try:
        patched = apply(deepcopy(document), operations)
    except TestFailedError as failed:
        raise conflict(f"the patch's precondition does not hold: {failed}") from None
    except PatchError as wrong:
        raise invalid_request(f"invalid JSON patch: {wrong}") from None
    if not isinstance(patched, dict):
        raise invalid_request("the patch leaves nothing")
    return patched


def apply(document: Any, operations: list[Any]) -> Any:
    """Apply operations in order to a document, in place, and return it.

    Raises:
        TestFailedError: A `test` found another value.
        PatchError: An operation is malformed or unknown, or its path does not exist.
    """
    root = {"": document}
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise PatchError("each operation needs to be an object with op and path")
        kind, path = operation.get("op"), operation["path"]
        if kind in ("add", "replace", "test") and "value" not in operation:
            raise PatchError(f"{kind} {path} needs a value")
        parent, name = _locate(root, path)
        match kind:
            case "test":
                if _get(parent, name, path) != operation["value"]:
                    raise TestFailedError(path)
            case "replace":
                _get(parent, name, path)
                parent[_place(parent, name, path)] = operation["value"]
            case "add" if isinstance(parent, list):
                parent.insert(len(parent) if name == "-" else _place(parent, name, path, end=1), operation["value"])
            case "add":
                parent[name] = operation["value"]
            case "remove":
                _get(parent, name, path)
                del parent[_place(parent, name, path)]
            case _:
                raise PatchError(f"op must be add, remove, replace or test, not {kind!r}")
    return root[""]


def merge(document: Any, patch: Any) -> Any:
    """Apply a merge patch: null removes a field, an object is merged, and any other value replaces the field."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def _locate(root: dict[str, Any], path: str) -> tuple[Any, str]:
    if path and not path.startswith("/"):
        raise PatchError(f"path {path!r} must start with /")
    *before, name = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")]
    parent: Any = root
    for part in before:
        parent = _get(parent, part, path)
    if not isinstance(parent, dict | list):
        raise PatchError(f"path {path!r} does not exist")
    return parent, name


def _get(parent: Any, name: str, path: str) -> Any:
    if isinstance(parent, list):
        return parent[_place(parent, name, path)]
    if not isinstance(parent, dict) or name not in parent:
        raise PatchError(f"path {path!r} does not exist")
    return parent[name]


def _place(parent: Any, name: str, path: str, end: int = 0) -> Any:
    if not isinstance(parent, list):
        return name
    if not (name.isascii() and name.isdigit() and int(name) < len(parent) + end):
        raise PatchError(f"path {path!r} does not exist")
    return int(name)
