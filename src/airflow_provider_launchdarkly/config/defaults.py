"""Lay a mapping over its defaults, as presets and rollout files do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def lay_over(
    under: Mapping[str, Any], over: Mapping[str, Any], whole: Collection[str] = (), path: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Merge two mappings: mappings field by field; lists and plain values are replaced.

    Args:
        under: The defaults.
        over: The values that win.
        whole: Dotted paths, such as ``policy.looks``, of mappings that are replaced instead of merged.
        path: Where the two mappings are, as keys from the top.
    """
    laid = dict(under)
    for key, value in over.items():
        below, here = laid.get(key), (*path, key)
        if isinstance(below, dict) and isinstance(value, dict) and ".".join(here) not in whole:
            laid[key] = lay_over(below, value, whole, here)
        else:
            laid[key] = value
    return laid
