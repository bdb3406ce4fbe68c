"""The memory of a watcher: which events it has fired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class SeenEvents:
    """Note which events a watcher has fired: in memory, and on Airflow 3.3 also in its asset's state store.

    The name of an event ends in a colon and the id of what it happened to.

    Args:
        store: Airflow's ``asset_state_store``, or None if there is none.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._key = ""
        self._names: set[str] | None = None
        self._ids: frozenset[str] = frozenset()

    def __contains__(self, name: str) -> bool:
        return self._names is not None and name in self._names

    async def load(self, key: str) -> None:
        """Read the notes of an earlier triggerer, once.

        Args:
            key: The watcher's entry in the store.
        """
        self._key = self._key or key
        if self._names is None and self._store is not None:
            try:
                noted = await self._store.aget(self._key)
            except ValueError:  # one trigger for several assets: Airflow cannot choose between their stores
                self._store = noted = None
            self._names = set(noted) if isinstance(noted, list) else None

    async def begin(self, names: Iterable[str], ids: frozenset[str]) -> bool:
        """Count the events of the first poll as fired, unless there are notes.

        Args:
            names: The events that this poll shows.
            ids: Ids of everything that LaunchDarkly lists.

        Returns:
            True if this is the first poll and there were no notes.
        """
        self._ids = ids
        if self._names is not None:
            return False
        self._names = set(names)
        await self._save()
        return True

    async def add(self, *names: str) -> None:
        """Note that an event has been fired."""
        assert self._names is not None, "begin() comes before add()"  # noqa: S101
        # What LaunchDarkly no longer lists has no events any more, so its notes need not be kept.
        self._names = {noted for noted in self._names if noted.rpartition(":")[2] in self._ids} | set(names)
        await self._save()

    async def _save(self) -> None:
        if self._store is not None:
            await self._store.aset(self._key, sorted(self._names or ()))
