"""The emulator in a thread of this process, behind a real socket; clock, faults and journal are in a test's reach."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow_provider_launchdarkly.emulator.state.clock import parse_duration, parse_time
from airflow_provider_launchdarkly.emulator.state.files import read_snapshot, read_world
from airflow_provider_launchdarkly.emulator.state.settings import Settings
from airflow_provider_launchdarkly.emulator.transport.control import OPERATION_NAMES
from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
from airflow_provider_launchdarkly.emulator.transport.faults import Fault
from airflow_provider_launchdarkly.emulator.transport.server import EmulatorProcess, address_of, listen

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from airflow_provider_launchdarkly.emulator.transport.journal import Entry, RequestLine

T = TypeVar("T")
MONDAY_MORNING = datetime(2026, 1, 5, 9, tzinfo=UTC)
_PATIENCE = 30.0


class EmulatorClock:
    """The emulator's clock, turned by a test. It never goes back."""

    def __init__(self, server: EmulatorServer):
        self._server = server

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return self._server.call(lambda emulator: emulator.clock.now())

    def set(self, to: datetime | str) -> None:
        """Go to a time, aware or as ISO 8601 text.

        Raises:
            ValueError: it is in the past, or no time.
        """
        moment = parse_time(to) if isinstance(to, str) else to
        self._server.call(lambda emulator: emulator.clock.set(moment))

    def advance(self, by: timedelta | str) -> None:
        """Go forward by a duration, a timedelta or ISO 8601 text such as `P10D`.

        Raises:
            ValueError: it is negative, or no duration.
        """
        duration = parse_duration(by) if isinstance(by, str) else by
        self._server.call(lambda emulator: emulator.clock.advance(duration))

    def run(self, rate: float) -> None:
        """Let the clock run at so many emulated seconds per second; 0 stops it."""

        def change(emulator: Emulator) -> None:
            emulator.clock.rate = rate

        self._server.call(change)


class EmulatorServer:
    """A running emulator, as a context manager.

    Its clock stands still unless `clock_rate` says otherwise, and starts on a Monday morning, so that a test sees the
    same numbers each time it runs.

    Args:
        scenario: `effect`, `no-effect`, `broken-split` or `no-traffic`.
        seed: of every id and every simulated person.
        token: the access token to accept.
        start: the time to start at, aware.
        clock_rate: emulated seconds per real second.
        settings: switches, such as `{"results": "gone"}`.
        port: to listen on; 0 takes a free one.
        world: a world of one's own in place of the scenario's: the path of a YAML file, or its data.
        snapshot: what `snapshot` returned or wrote, its data or a file's path; world and switches come from there.

    Raises:
        ValueError: there is no such scenario or switch, or something is wrong with the world or the snapshot.
        OSError: the port is in use.
    """

    def __init__(
        self,
        *,
        scenario: str = "effect",
        seed: int = 42,
        token: str = "api-emulator",  # noqa: S107 - the well-known token of a server on loopback
        start: datetime = MONDAY_MORNING,
        clock_rate: float = 0.0,
        settings: Mapping[str, str] | None = None,
        port: int = 0,
        world: str | Path | Mapping[str, Any] | None = None,
        snapshot: str | Path | Mapping[str, Any] | None = None,
    ):
        self.token = token
        self.clock = EmulatorClock(self)
        switches = Settings().changed(settings or {})
        self._emulator = Emulator(
            seed=seed,
            scenario=scenario,
            token=token,
            settings=switches,
            start=start,
            rate=clock_rate,
            world=read_world(world) if isinstance(world, str | Path) else world,
        )
        if snapshot is not None:
            self._emulator.load(read_snapshot(snapshot) if isinstance(snapshot, str | Path) else snapshot)
        self._port = port
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: EmulatorProcess | None = None
        self._thread: threading.Thread | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen and answer; after a `stop`, at the same address and with the same state."""
        listening = listen("127.0.0.1", self._port)
        self.url, self._port = address_of(listening), listening.getsockname()[1]
        server = self._server = EmulatorProcess(self._emulator, self._note_start)
        self._thread = threading.Thread(
            target=server.run, args=([listening],), name="launchdarkly-emulator", daemon=True
        )
        self._thread.start()
        if not self._started.wait(_PATIENCE):
            raise TimeoutError("the emulator did not start")

    def stop(self) -> None:
        """Cut every connection and end. What the emulator knows stays, for a `start` or for `journal`."""
        if self._server is None or self._thread is None:
            return
        self._server.end()
        self._thread.join(_PATIENCE)
        self._server = self._thread = self._loop = None
        self._started.clear()

    def connection(self, *, project_key: str | None = None, environment_key: str | None = None) -> dict[str, Any]:
        """Return an Airflow connection to it, in the form that `AIRFLOW_CONN_…` takes as JSON.

        Args:
            project_key: the connection's default project; the world's first one, if None.
            environment_key: the connection's default environment; that project's first one, if None.
        """
        projects = self.call(lambda emulator: emulator.world.projects)
        project_key = project_key or next(iter(projects), "")
        if environment_key is None and project_key in projects:
            environment_key = next(iter(projects[project_key].environments), "")
        return {
            "conn_type": "launchdarkly",
            "host": self.url,
            "password": self.token,
            "extra": {"project_key": project_key, "environment_key": environment_key},
        }

    def fault(
        self,
        operation: str,
        fault: str,
        *,
        nth: int | None = None,
        times: int | None = None,
        probability: float | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        message: str | None = None,
        limit: str | None = None,
        wait: float | None = None,
        delay: float | None = None,
        hours: float | None = None,
        seconds: float | None = None,
    ) -> None:
        """Let calls fail; the arguments are those of `emulator.faults.Fault`.

        Args:
            operation: an operation's name, `read`, `write` or `*`.
            fault: what goes wrong, one of `emulator.faults.FAULTS`.
            nth: only the nth call from now on, counted from 1.
            times: so many calls from now on; 1 by default.
            probability: each call with this probability, drawn from the emulator's seed.
            status: of the answer; 500 by default, 429 with `limit`.
            headers: more headers of the answer.
            message: of the answer.
            limit: the family of rate-limit headers of the answer, one of `emulator.faults.LIMITS`.
            wait: seconds until that limit's reset; may be negative; without it there is no reset header.
            delay: real seconds until the answer.
            hours: how old `stale` results are.
            seconds: how long `hidden` hides things, on the emulator's clock.

        Raises:
            ValueError: there is no such operation or fault.
        """
        rule: dict[str, Any] = {"operation": operation, "fault": fault, "headers": headers or {}}
        given = {"nth": nth, "times": times, "probability": probability, "message": message, "status": status}
        given |= {"limit": limit, "wait": wait, "delay": delay, "hours": hours, "seconds": seconds}
        rule |= {name: value for name, value in given.items() if value is not None}
        made = Fault.from_json(rule, OPERATION_NAMES)
        self.call(lambda emulator: emulator.faults.add(made, emulator.clock.now()))

    def clear_faults(self) -> None:
        """Take all faults back."""
        self.call(lambda emulator: emulator.faults.clear())

    def switch(self, **switches: str) -> None:
        """Change switches while it runs, such as `results="gone"`.

        Raises:
            ValueError: there is no such switch or position.
        """

        def change(emulator: Emulator) -> None:
            emulator.settings = emulator.settings.changed(switches)

        self.call(change)

    def reset(self, scenario: str | None = None) -> None:
        """Begin anew, with another scenario if one is named; the clock goes on."""
        self.call(lambda emulator: emulator.reset(scenario))

    def snapshot(self, path: str | Path | None = None) -> dict[str, Any]:
        """World, time and switches as plain JSON, also written to a file if one is named."""
        taken = self.call(lambda emulator: emulator.snapshot())
        if path is not None:
            Path(path).write_text(json.dumps(taken, indent=1), encoding="utf-8")
        return taken

    def load(self, snapshot: str | Path | Mapping[str, Any]) -> None:
        """Go on from a snapshot, its data or a file's path. The clock never goes back: see `Emulator.load`.

        Raises:
            ValueError: it is no snapshot.
        """
        data = read_snapshot(snapshot) if isinstance(snapshot, str | Path) else snapshot
        self.call(lambda emulator: emulator.load(data))

    def journal(self) -> list[Entry]:
        """Return every change with its request, oldest first."""
        return self.call(lambda emulator: list(emulator.journal.entries))

    def effects(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What happened, or what of one kind such as `iteration.started` happened, oldest first."""
        return self.call(lambda emulator: emulator.journal.effects(kind))

    def requests(self, after: int = 0) -> list[RequestLine]:
        """Return the requests so far, answered or not, oldest first."""
        return self.call(lambda emulator: emulator.requests.after(after))

    def call(self, do: Callable[[Emulator], T]) -> T:
        """Do something with the emulator between two requests, in the server's thread."""
        if self._loop is None:
            return do(self._emulator)
        done: Future[T] = Future()

        def perform() -> None:
            try:
                done.set_result(do(self._emulator))
            except Exception as error:  # noqa: BLE001 - handed to the caller's thread, whatever it is
                done.set_exception(error)

        self._loop.call_soon_threadsafe(perform)
        return done.result(_PATIENCE)

    def _note_start(self) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._started.set()
