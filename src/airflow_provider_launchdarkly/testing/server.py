"""Run the emulator in a thread of the test's process, behind a real socket, with clock, faults and journal."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow_provider_launchdarkly.emulator.state.clock import parse_duration, parse_time
from airflow_provider_launchdarkly.emulator.state.files import read_snapshot, read_world
from airflow_provider_launchdarkly.emulator.state.likeness import Likeness, read_likeness
from airflow_provider_launchdarkly.emulator.state.settings import Settings
from airflow_provider_launchdarkly.emulator.transport.control import OPERATION_NAMES
from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
from airflow_provider_launchdarkly.emulator.transport.faults import Fault
from airflow_provider_launchdarkly.emulator.transport.server import EmulatorProcess, address_of, listen
from airflow_provider_launchdarkly.emulator.warehouse.options import WarehouseOptions
from airflow_provider_launchdarkly.emulator.warehouse.writer import Warehouse

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from airflow_provider_launchdarkly.emulator.transport.journal import Entry, RequestLine

T = TypeVar("T")
MONDAY_MORNING = datetime(2026, 1, 5, 9, tzinfo=UTC)
_TIMEOUT_SECONDS = 30.0
_WRITING_SECONDS = 900.0
"""The time that an emulator with a warehouse has for a call: turning its clock by a month writes a million rows."""


class EmulatorClock:
    """The clock of a running emulator. A test sets and advances it; it never goes back."""

    def __init__(self, server: EmulatorServer):
        self._server = server

    def now(self) -> datetime:
        """Return the emulator's time in UTC."""
        return self._server.call(lambda emulator: emulator.clock.now())

    def set(self, to: datetime | str) -> None:
        """Set the clock.

        Args:
            to: An aware datetime, or ISO 8601 text with an offset such as `2026-02-01T09:00:00Z`.

        Raises:
            ValueError: The time is in the past, has no offset, or is no ISO 8601 time.
        """
        moment = parse_time(to) if isinstance(to, str) else to

        def move(emulator: Emulator) -> None:
            emulator.clock.set(moment)
            emulator.write_warehouse()

        self._server.call(move)

    def advance(self, by: timedelta | str) -> None:
        """Advance the clock.

        Args:
            by: A timedelta, or an ISO 8601 duration such as `P10D` or `PT1H30M`.

        Raises:
            ValueError: The duration is negative, or is no ISO 8601 duration.
        """
        duration = parse_duration(by) if isinstance(by, str) else by

        def move(emulator: Emulator) -> None:
            emulator.clock.advance(duration)
            emulator.write_warehouse()

        self._server.call(move)

    def run(self, rate: float) -> None:
        """Let the clock run by itself.

        Args:
            rate: Emulated seconds per real second, 0 to 1e6; 0 stops the clock.

        Raises:
            ValueError: The rate is out of range.
        """

        def change(emulator: Emulator) -> None:
            emulator.clock.rate = rate

        self._server.call(change)


class EmulatorServer:
    """An emulator on a port of this machine, as a context manager.

    By default its clock stands still on a Monday morning, so a test gets the same numbers in every run.

    Args:
        scenario: The scenario: `effect`, `no-effect`, `broken-split`, `no-traffic` or `harm`.
        seed: Determines every id and every simulated person.
        token: The access token of the account's administrator.
        start: The clock's first time, aware.
        clock_rate: Emulated seconds per real second, 0 to 1e6; 0 stops the clock.
        settings: Switches, such as `{"results": "gone"}`.
        port: The port to listen on; 0 picks a free one.
        world: A world that replaces the scenario's: the path of a YAML file, or its data.
        snapshot: A snapshot to load: the path of a JSON file, or its data. World and switches come from it.
        like: The report of `airflow-launchdarkly doctor --write`, as a path or as data: the emulator behaves like that
            account. `settings` win over it; the clock starts at `start` all the same.
        warehouse: The warehouse to write the people into as rows: `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE`.
        warehouse_options: How the rows differ from the ideal, such as `{"lag": "PT2H", "crossovers": 0.01}`; see
            `emulator.warehouse.options.WarehouseOptions`.

    Attributes:
        url: The address, such as `http://127.0.0.1:8700`; empty before the start.
        token: The access token of the account's administrator.
        clock: The clock.

    Raises:
        ValueError: The scenario or a switch is unknown, the world or snapshot is wrong, or the warehouse cannot be
            written to.
        OSError: The port is in use (raised by `start`).
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
        like: str | Path | Mapping[str, Any] | None = None,
        warehouse: str | None = None,
        warehouse_options: Mapping[str, Any] | None = None,
    ):
        likeness = Likeness() if like is None else _likeness(like)
        self.token = token
        self.clock = EmulatorClock(self)
        options = {**likeness.warehouse, **(warehouse_options or {})}
        switches = Settings().changed({**likeness.switches, **(settings or {})})
        self._emulator = Emulator(
            seed=seed,
            scenario=scenario,
            token=token,
            settings=switches,
            start=start,
            rate=clock_rate,
            world=read_world(world) if isinstance(world, str | Path) else world,
            like=likeness,
            warehouse=Warehouse(warehouse, WarehouseOptions.from_dict(options)) if warehouse else None,
        )
        if snapshot is not None:
            self._emulator.load(read_snapshot(snapshot) if isinstance(snapshot, str | Path) else snapshot)
        else:
            self._emulator.write_warehouse()
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
        """Start to serve. After a `stop` it serves at the same address with the same state.

        Raises:
            OSError: The port is in use.
            TimeoutError: The server did not start within 30 seconds.
        """
        listening = listen("127.0.0.1", self._port)
        self.url, self._port = address_of(listening), listening.getsockname()[1]
        server = self._server = EmulatorProcess(self._emulator, self._note_start)
        self._thread = threading.Thread(
            target=server.run, args=([listening],), name="launchdarkly-emulator", daemon=True
        )
        self._thread.start()
        if not self._started.wait(_TIMEOUT_SECONDS):
            raise TimeoutError(f"the emulator did not start within {_TIMEOUT_SECONDS:g} s")

    def stop(self) -> None:
        """Close every connection and stop to serve. The state stays for a later `start` and for `journal`."""
        if self._server is None or self._thread is None:
            return
        self._server.end()
        self._thread.join(_TIMEOUT_SECONDS)
        self._server = self._thread = self._loop = None
        self._started.clear()
        if self._emulator.warehouse is not None:
            self._emulator.warehouse.close()

    def connection(self, *, project_key: str | None = None, environment_key: str | None = None) -> dict[str, Any]:
        """Return an Airflow connection to the emulator, in the JSON form of `AIRFLOW_CONN_…`.

        Args:
            project_key: The connection's default project; None for the world's first.
            environment_key: The connection's default environment; None for the project's first.
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
        """Make calls fail. See `emulator.transport.faults.Fault`.

        Args:
            operation: The name of an operation, `read`, `write` or `*`.
            fault: The kind of fault: `status`, `status_after`, `close_before`, `close_after`, `truncated`, `slow`,
                `stale` or `hidden`.
            nth: The number of the one call that fails, counted from 1.
            times: The number of calls that fail, 1 by default. For `hidden`, the number of reads of each resource.
            probability: The probability that a call fails, drawn with the emulator's seed.
            status: The HTTP status of the response, 500 by default, 429 with `limit`.
            headers: Additional headers of the response.
            message: The message of the response.
            limit: The family of rate-limit headers: `retry-after`, `retry-after-date`, `global`, `route` or `token`.
            wait: Seconds until the limit's reset, negative for the past; None omits the reset header.
            delay: Real seconds until the response.
            hours: The age of `stale` results.
            seconds: How long `hidden` hides a created resource, on the emulator's clock.

        Raises:
            ValueError: An argument is unknown or out of range.
        """
        rule: dict[str, Any] = {"operation": operation, "fault": fault, "headers": headers or {}}
        given = {"nth": nth, "times": times, "probability": probability, "message": message, "status": status}
        given |= {"limit": limit, "wait": wait, "delay": delay, "hours": hours, "seconds": seconds}
        rule |= {name: value for name, value in given.items() if value is not None}
        made = Fault.from_json(rule, OPERATION_NAMES)
        self.call(lambda emulator: emulator.faults.add(made, emulator.clock.now()))

    def clear_faults(self) -> None:
        """Remove all faults."""
        self.call(lambda emulator: emulator.faults.clear())

    def switch(self, **switches: str) -> None:
        """Change switches, such as `results="gone"`.

        Raises:
            ValueError: A switch or its position is unknown.
        """

        def change(emulator: Emulator) -> None:
            emulator.settings = emulator.settings.changed(switches)

        self.call(change)

    def dismiss_regression(self, release_id: str) -> None:
        """Dismiss the regression that a release waits for, as a person can in LaunchDarkly's UI.

        Raises:
            ApiError: There is no such release, or it does not wait for this.
        """
        self.call(lambda emulator: emulator.act_on_release(release_id, "dismiss"))

    def advance_release(self, release_id: str) -> None:
        """Advance a release of several phases to its next one, as a person can in LaunchDarkly's UI.

        Raises:
            ApiError: There is no such release, or it does not wait for this.
        """
        self.call(lambda emulator: emulator.act_on_release(release_id, "advance"))

    def start_release(
        self,
        flag_key: str,
        release: Mapping[str, Any],
        *,
        project_key: str | None = None,
        environment_key: str | None = None,
    ) -> dict[str, Any]:
        """Start a release, as a person does in LaunchDarkly's UI once its approval has been given.

        The route refuses a start with 405 where an environment demands approvals; this never does.

        Args:
            flag_key: The flag.
            release: The release, as the body of the route: `{"originalVariationId": …, "phases": […], …}`.
            project_key: The project; None for the world's first.
            environment_key: The environment; None for the project's first.

        Returns:
            The release, as the route responds.

        Raises:
            ApiError: As the route responds otherwise.
        """
        return self.call(
            lambda emulator: emulator.start_release(
                flag_key, release, project_key=project_key, environment_key=environment_key
            )
        )

    def reset(self, scenario: str | None = None) -> None:
        """Restore the first world, and clear faults, journal and request log. The clock goes on.

        Args:
            scenario: The scenario to start from instead; None for the first world.

        Raises:
            ValueError: The scenario is unknown.
        """
        self.call(lambda emulator: emulator.reset(scenario))

    def snapshot(self, path: str | Path | None = None) -> dict[str, Any]:
        """Return world, time and switches as plain JSON.

        Args:
            path: A file to write the snapshot to as well.

        Raises:
            OSError: The file cannot be written.
        """
        taken = self.call(lambda emulator: emulator.snapshot())
        if path is not None:
            Path(path).write_text(json.dumps(taken, indent=1), encoding="utf-8")
        return taken

    def load(self, snapshot: str | Path | Mapping[str, Any]) -> None:
        """Load a snapshot, and clear faults, journal and request log.

        The clock goes forward to the snapshot's time, or stays if it is already later.

        Args:
            snapshot: The data of a snapshot, or the path of its file.

        Raises:
            ValueError: The data is not a snapshot.
        """
        data = read_snapshot(snapshot) if isinstance(snapshot, str | Path) else snapshot
        self.call(lambda emulator: emulator.load(data))

    def journal(self) -> list[Entry]:
        """Return every change with its request, oldest first."""
        return self.call(lambda emulator: list(emulator.journal.entries))

    def effects(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the effects of all changes, oldest first.

        Args:
            kind: A kind to select, such as `iteration.started`; None for all.
        """
        return self.call(lambda emulator: emulator.journal.effects(kind))

    def requests(self, after: int = 0) -> list[RequestLine]:
        """Return the latest 10,000 requests, oldest first.

        Args:
            after: The sequence number after which to start.
        """
        return self.call(lambda emulator: emulator.requests.after(after))

    def call(self, do: Callable[[Emulator], T]) -> T:
        """Call a function with the emulator between two requests, in the server's thread.

        Args:
            do: The function.

        Returns:
            The function's result. Its exceptions are raised here.

        Raises:
            TimeoutError: The function did not return within 30 seconds (15 minutes with a warehouse).
        """
        if self._loop is None:
            return do(self._emulator)
        done: Future[T] = Future()

        def perform() -> None:
            try:
                done.set_result(do(self._emulator))
            except Exception as error:  # noqa: BLE001 - handed to the caller's thread, whatever it is
                done.set_exception(error)

        self._loop.call_soon_threadsafe(perform)
        return done.result(_TIMEOUT_SECONDS if self._emulator.warehouse is None else _WRITING_SECONDS)

    def _note_start(self) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._started.set()


def _likeness(like: str | Path | Mapping[str, Any]) -> Likeness:
    return read_likeness(like) if isinstance(like, str | Path) else Likeness.from_dict(like)
