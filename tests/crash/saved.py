"""What is stored at one moment: the emulator's world, and all that Airflow and the decision records keep.

Two of these are equal if their texts are. A world is brought back from a copy, which takes a hundredth of the time in
which its text is read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from airflow_provider_launchdarkly.emulator.state import snapshot
from airflow_provider_launchdarkly.emulator.state.clock import Clock
from airflow_provider_launchdarkly.emulator.state.models import Project, World
from airflow_provider_launchdarkly.emulator.state.settings import Settings
from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
from airflow_provider_launchdarkly.emulator.transport.faults import Faults


@dataclass(frozen=True)
class SavedWorld:
    """The emulator's world with its time and its switches.

    Attributes:
        text: The emulator's snapshot.
    """

    text: str
    _world: World = field(compare=False, repr=False)
    _time: datetime = field(compare=False)
    _settings: Settings = field(compare=False)

    @classmethod
    def of(cls, emulator: Emulator, earlier: SavedWorld | None = None) -> SavedWorld:
        """Save the emulator's world; `earlier` is returned if nothing has changed since."""
        now, settings = emulator.clock.now(), emulator.settings
        if earlier is not None and earlier._is(emulator.world, now, settings):
            return earlier
        return cls(json.dumps(emulator.snapshot()), _copied(emulator.world), now, settings)

    def bring_back(self, emulator: Emulator) -> None:
        """Do as the emulator's `load` does. The clock goes back too, which by itself it never does."""
        emulator.clock = Clock(self._time, rate=0)
        emulator.settings, emulator.world = self._settings, _copied(self._world)
        emulator.faults = Faults(emulator.seed)
        emulator.journal.clear()
        emulator.requests.clear()

    def check(self) -> None:
        """Fail if a part that copies share was changed in place."""
        found = json.dumps(snapshot.to_json(self._world, self._time, self._settings))
        assert found == self.text, "the emulator changes a part of its world in place, which its copies share"

    def _is(self, world: World, now: datetime, settings: Settings) -> bool:
        return (now, settings) == (self._time, self._settings) and _parts(world) == _parts(self._world)


@dataclass(frozen=True)
class Saved:
    """All that is stored at one moment.

    Attributes:
        world: The emulator's world.
        kept: What Airflow keeps, as text.
        records: The decision records, each with its path.
    """

    world: SavedWorld
    kept: str
    records: tuple[tuple[str, str], ...] = ()


def _copied(value: Any) -> Any:
    """Copy what changes: the account, its projects and their tables. What these hold is replaced, never changed."""
    if isinstance(value, World | Project):
        return replace(value, **{each.name: _copied(getattr(value, each.name)) for each in fields(value)})
    return {name: _copied(inner) for name, inner in value.items()} if isinstance(value, dict) else value


def _parts(value: Any) -> Any:
    """Return which parts a world has, in order: as long as a copy holds them, no other part has their ids."""
    if isinstance(value, World | Project):
        return [_parts(getattr(value, each.name)) for each in fields(value)]
    return [(name, _parts(inner)) for name, inner in value.items()] if isinstance(value, dict) else id(value)
