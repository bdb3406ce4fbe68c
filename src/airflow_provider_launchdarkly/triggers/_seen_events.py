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
        self._keys: tuple[str, ...] = ()
        self._inherited: list[str] | None = None
        self._begins = False
        self._names: set[str] | None = None
        self._ids: frozenset[str] = frozenset()

    def __contains__(self, name: str) -> bool:
        return self._names is not None and name in self._names

    async def load(self, key: str, *, beside: str | None = None, of_policy: str = "", older: str | None = None) -> None:
        """Read the notes of an earlier triggerer, once.

        Args:
            key: The watcher's entry in the store.
            beside: An entry that watchers by other policies write, too. A watcher without notes goes on from it.
            of_policy: The kind of event that depends on the policy, and so is not taken from there.
            older: The entry that version 0.1 wrote, which watchers of other places and policies had in common.
        """
        self._keys = self._keys or tuple(filter(None, (key, beside)))
        if self._names is not None or self._store is None:
            return
        if (noted := await self._noted(key)) is not None:
            self._names = set(noted)
        elif beside is not None and (noted := await self._noted(beside)) is not None:
            self._names = {name for name in noted if name.partition(":")[0] != of_policy}
            self._begins = True
        elif older is not None:
            self._inherited = await self._noted(older)

    async def _noted(self, key: str) -> list[str] | None:
        if self._store is None:
            return None
        try:
            noted = await self._store.aget(key)
        except ValueError:  # one trigger for several assets: Airflow cannot choose between their stores
            self._store = noted = None
        return noted if isinstance(noted, list) else None

    async def begin(self, names: Iterable[str], ids: frozenset[str]) -> bool:
        """Count the events of the first poll as fired, unless there are notes.

        Args:
            names: The events that this poll shows.
            ids: Ids of everything that LaunchDarkly lists.

        Returns:
            True if this is the first poll and there were no notes of its own.
        """
        self._ids = ids
        older, begins = self._inherited, self._begins
        self._inherited, self._begins = None, False
        if self._names is None and older is not None and (not older or any(_id_of(name) in ids for name in older)):
            # It names what happened here. One that names other ids alone is of a watcher of another place.
            self._names = set(older)
            await self._save()
        if self._names is None:
            self._names, begins = set(names), True
        if begins:
            await self._save()
        return begins

    async def add(self, *names: str) -> None:
        """Note that an event has been fired."""
        assert self._names is not None, "begin() comes before add()"  # noqa: S101
        # What LaunchDarkly no longer lists has no events any more, so its notes need not be kept.
        self._names = {noted for noted in self._names if _id_of(noted) in self._ids} | set(names)
        await self._save()

    async def _save(self) -> None:
        if self._store is not None:
            for key in self._keys:
                await self._store.aset(key, sorted(self._names or ()))


def _id_of(name: str) -> str:
    return name.rpartition(":")[2]
