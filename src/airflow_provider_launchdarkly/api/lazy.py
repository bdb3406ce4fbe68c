"""Packages whose names load their module on first use: a DAG file is parsed every half minute, and pays each time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def on_first_use(package: str, homes: Mapping[str, tuple[str, ...]]) -> tuple[Callable[[str], Any], list[str]]:
    """Make a package's ``__getattr__`` and ``__all__`` (PEP 562).

    Args:
        package: The package's ``__name__``.
        homes: For each of its modules, the names that live there.

    Returns:
        The two, in this order.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def __getattr__(name: str) -> Any:  # noqa: N807 - it becomes the package's
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home_of[name]}"), name)

    return __getattr__, list(home_of)
