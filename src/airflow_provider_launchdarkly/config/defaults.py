"""Mappings laid over defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def lay_over(
    defaults: Mapping[str, Any], own: Mapping[str, Any], *, whole: Collection[str] = (), path: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Lay a mapping over defaults: field by field within mappings, whole for lists and plain values.

    Args:
        defaults: The defaults.
        own: The values that replace them.
        whole: Mappings that replace the default's as a whole, by key or by dotted path: ``looks``, ``dag.schedule``.
        path: Where the two mappings stand.
    """
    laid = dict(defaults)
    for key, value in own.items():
        below, here = laid.get(key), (*path, key)
        if isinstance(below, dict) and isinstance(value, dict) and key not in whole and ".".join(here) not in whole:
            laid[key] = lay_over(below, value, whole=whole, path=here)
        else:
            laid[key] = value
    return laid
