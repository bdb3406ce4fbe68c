"""Where tasks are killed: an emulator, and lanes to it, each with a proxy that kills and a process that forks tasks."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from airflow_provider_launchdarkly.emulator.state.clock import Clock
from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.testing.server import MONDAY_MORNING
from crash.kept import EMPTY, Kept
from crash.killing_proxy import KillingProxy
from crash.saved import Saved, SavedWorld
from crash.warm import Warm
from support.reviewers import review_pending, start_handed_over
from support.surroundings import CONNECTION

# How far the clock goes between two polls of a trigger.
BETWEEN_POLLS = timedelta(days=1)
# No task has so many parts, however often it is killed: one that does not end is a failure of the test.
MOST_PARTS = 100
KILLED = "killed"
_AGAIN = {KILLED, "retry"}


@dataclass(frozen=True)
class Step:
    """A task at its beginning.

    Attributes:
        name: For messages.
        order: What the warmed process is told.
        before: What it finds.
    """

    name: str
    order: Mapping[str, Any]
    before: Saved


@dataclass(frozen=True)
class Outcome:
    """What a finished task leaves behind.

    Attributes:
        end: How it ended, with the reason.
        effects: What it changed in LaunchDarkly, with the requests that did.
        world: The emulator's snapshot, as text.
        kept: XComs, tasks' states and decision records, as text, without `changed`, which says whether this try wrote.
    """

    end: str
    effects: tuple[str, ...]
    world: str
    kept: str

    @classmethod
    def of(cls, said: Mapping[str, Any], effects: tuple[str, ...], saved: Saved) -> Outcome:
        stays = {name: _without_changed(table) for name, table in json.loads(saved.kept).items() if name != "waiting"}
        kept = json.dumps([stays, saved.records], sort_keys=True)
        return cls(f"{said['end']}: {said.get('why', '')}", effects, saved.world.text, kept)


class Lane:
    """One task's way to the emulator, and what Airflow keeps of its run.

    Args:
        emulator: Where the task writes.
        warm: Where its process is forked.
    """

    def __init__(self, emulator: EmulatorServer, warm: Warm) -> None:
        self.emulator = emulator
        self.kept = Kept()
        self.proxy = KillingProxy(emulator, self.kept.store)
        self.folder = Path(tempfile.mkdtemp(prefix="crash-"))
        connection = {**emulator.connection(), "host": self.proxy.url}
        self._process = warm.fork(self.proxy.url, {CONNECTION: json.dumps(connection)})

    def close(self) -> None:
        self._process.close()
        self.proxy.close()
        shutil.rmtree(self.folder)

    def run_part(self, order: Mapping[str, Any], part: str, try_number: int) -> dict[str, Any]:
        """Run a part of a task in a new process: a try, what follows a trigger's event, or a poll of the trigger.

        Returns:
            What it said of its end; `{"end": "killed"}` if it could say nothing.
        """
        if part == "execute":
            self.kept.forget(order["task_id"])
        self.proxy.expect_process()
        self._tell(order, part=part, try_number=try_number, warm_up=False)
        self.proxy.name_process(self._answer()["pid"])
        return self._until_dead()

    def warm_up(self, order: Mapping[str, Any]) -> None:
        """Run a task in the process that forks, so that what it imports on the way is there for all children."""
        part: str | None = "execute"
        while part is not None:
            self._tell(order, part=part, try_number=1, warm_up=True)
            said = self._until_dead()
            following = follows(part, said)
            part = following[0] if following and said["end"] != "waiting" else None

    def finish(self, order: Mapping[str, Any], patience: int = MOST_PARTS) -> dict[str, Any]:
        """Run a task to its end as Airflow does: what is killed or fails for now begins anew in a new process.

        Args:
            order: The task.
            patience: After so many parts all faults are removed from the emulator.

        Returns:
            What its last process said.
        """
        part, number = "execute", 1
        for done in range(MOST_PARTS):
            if done == patience:
                self.emulator.clear_faults()
            said = self.run_part(order, part, number)
            following = follows(part, said)
            if following is None:
                return said
            part, waits = following
            number += part == "execute"
            if waits:
                pass_time(self.emulator, self.kept)
        raise AssertionError(f"{order['task_id']} did not end in {MOST_PARTS} parts; the last said {said}")

    def _until_dead(self) -> dict[str, Any]:
        said: dict[str, Any] = {"end": KILLED}
        while not (answer := self._answer()).get("dead"):
            said = answer["end"]
        return said

    def _tell(self, order: Mapping[str, Any], **how: Any) -> None:
        told = {"folder": str(self.folder), "kept": self.kept.save(), "sleeps": 0, **order, **how}
        self._process.write(json.dumps(told) + "\n")
        self._process.flush()

    def _answer(self) -> dict[str, Any]:
        line = self._process.readline()
        assert line, "the process that forks has ended; its traceback is above"
        found: dict[str, Any] = json.loads(line)
        return found


def pass_time(emulator: EmulatorServer, kept: Kept) -> None:
    """Let a trigger's sleep pass; meanwhile somebody approves what waits for that, and starts what is awaited."""
    emulator.clock.advance(BETWEEN_POLLS)
    review_pending(emulator)
    for waiting in kept.tables["waiting"].values():
        trigger = waiting.get("trigger", {"classpath": ""})
        released = emulator.call(lambda inside: inside.world.projects["demo"].releases)
        if trigger["classpath"].endswith(".ReleaseHandedOverTrigger") and not released:
            start_handed_over(emulator, trigger["arguments"])


def follows(part: str, said: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Return the part that Airflow runs next, and whether it waits before; None if the task has ended."""
    match said["end"], part:
        case end, "trigger" if end in _AGAIN:
            return "trigger", False
        case end, _ if end in _AGAIN:
            return "execute", False
        case "deferred" | "waiting", _:
            return "trigger", True
        case "event", _:
            return "resume", False
        case _:
            return None


class Bench:
    """An emulator with its lanes.

    Args:
        warm: Where processes are forked.
        lanes: How many tasks can run at the same time.
        world: The emulator's world; None for the default one.
    """

    def __init__(self, warm: Warm, lanes: int = 1, world: Mapping[str, Any] | None = None) -> None:
        self.emulator = EmulatorServer(world=world)
        self.emulator.start()
        self.lanes = [Lane(self.emulator, warm) for _ in range(lanes)]
        self.lane = self.lanes[0]
        self._world: SavedWorld | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for lane in self.lanes:
            lane.close()
        self.emulator.stop()

    @property
    def kills(self) -> int:
        return sum(lane.proxy.kills for lane in self.lanes)

    def begin(self) -> None:
        """Begin a new world and a new run, always at the same time."""

        def restart(inside: Emulator) -> None:
            inside.clock = Clock(MONDAY_MORNING, rate=0)
            inside.reset()

        self.emulator.call(restart)
        self.emulator.switch(flag_approvals="by_environment")
        shutil.rmtree(self.lane.folder / "records", ignore_errors=True)
        self.lane.kept.load(EMPTY)

    def save(self) -> Saved:
        folder = self.lane.folder
        records = tuple((str(path.relative_to(folder)), path.read_text()) for path in sorted(folder.rglob("*.jsonl")))
        self._world = self.emulator.call(lambda inside: SavedWorld.of(inside, self._world))
        return Saved(self._world, self.lane.kept.save(), records)

    def load(self, saved: Saved) -> None:
        """Bring everything back, for all lanes."""
        self._world = saved.world
        self.emulator.call(saved.world.bring_back)
        for lane in self.lanes:
            shutil.rmtree(lane.folder / "records", ignore_errors=True)
            for name, text in saved.records:
                (lane.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (lane.folder / name).write_text(text)
            lane.kept.load(saved.kept)

    def wait(self) -> None:
        """Let the time pass that a trigger sleeps."""
        pass_time(self.emulator, self.lane.kept)

    def effects(self) -> tuple[str, ...]:
        """Return what was changed since the last `load`, with the requests that did."""
        entries = self.emulator.journal()
        return tuple(json.dumps([e.operation, e.path, e.body, list(e.effects)], sort_keys=True) for e in entries)

    def warm_up(self, step: Step, lanes: int | None = None) -> None:
        """Run a step in the processes of the first lanes, all by default, and bring back what it found."""
        for lane in self.lanes[:lanes]:
            self.load(step.before)
            lane.proxy.arm(())
            lane.warm_up(step.order)
        self.load(step.before)

    def finish(
        self,
        step: Step,
        kills: Collection[int] = (),
        patience: int = MOST_PARTS,
        faults: Collection[Mapping[str, Any]] = (),
    ) -> Outcome:
        """Run a step from its beginning to its end.

        Args:
            step: The step.
            kills: Points at which its processes are killed.
            patience: After so many processes the faults are over.
            faults: Faults of the emulator.
        """
        self.load(step.before)
        for fault in faults:
            self.emulator.fault(**fault)
        self.lane.proxy.arm(kills)
        said = self.lane.finish(step.order, patience)
        return Outcome.of(said, self.effects(), self.save())


def _without_changed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_changed(inner) for key, inner in value.items() if key != "changed"}
    return [_without_changed(inner) for inner in value] if isinstance(value, list) else value
