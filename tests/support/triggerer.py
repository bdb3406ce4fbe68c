"""Does by Airflow's own code what Airflow does with a trigger: store its arguments, read them back, run it.

No database and no process of its own. Each Airflow minor has another way to store them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.models.trigger import Trigger
from airflow.sdk import Asset, AssetWatcher
from airflow.sdk.execution_time.comms import DeferTask
from airflow.triggers.base import BaseEventTrigger
from typing_extensions import override

from support.airflow_names import first_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# A worker of Airflow >= 3.2 serializes the arguments before it sends them.
_serde = first_of("airflow.sdk.serde.serialize", default=None)
# The second name is that of Airflow 3.1.
_OLD = "airflow.serialization.serialized_objects"
_decode_asset = first_of("airflow.serialization.decoders.decode_asset_like", f"{_OLD}.decode_asset_condition")
_clean = first_of("airflow.serialization.decoders.smart_decode_trigger_kwargs", f"{_OLD}.smart_decode_trigger_kwargs")
_encode_asset = first_of("airflow.serialization.encoders.encode_asset_like", f"{_OLD}.encode_asset_condition")
_encode_trigger = first_of("airflow.serialization.encoders.encode_trigger", f"{_OLD}._encode_trigger")
run_trigger = first_of("airflow.executors.workloads.RunTrigger")

SECONDS = 10.0


class Stored(BaseEventTrigger):
    """Stands in a watcher for a trigger with such arguments."""

    def __init__(self, classpath: str, arguments: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives it no types
        self._stored = (classpath, arguments)

    @override
    def serialize(self) -> tuple[str, dict[str, Any]]:
        return self._stored

    @override
    async def run(self) -> AsyncIterator[Any]:
        raise NotImplementedError
        yield


def stored_by_deferral(classpath: str, arguments: dict[str, Any]) -> str:
    """What the trigger's row holds after a task has deferred: worker, wire, API server."""
    plain = arguments if _serde is None else _serde(arguments)
    kwargs = {} if _serde is None else _serde({})
    sent = DeferTask(classpath=classpath, trigger_kwargs=plain, next_method="execute_complete", next_kwargs=kwargs)
    wire = sent.model_dump(mode="json", exclude_unset=True)["trigger_kwargs"]
    return wire if isinstance(wire, str) else json.dumps(wire)


def stored_by_watcher(classpath: str, arguments: dict[str, Any]) -> str:
    """What the trigger's row holds after a DAG file with a watcher was parsed: serialized DAG, back again, row."""
    asset = Asset(uri="x://a", watchers=[AssetWatcher(name="w", trigger=Stored(classpath, arguments))])
    (watcher,) = _decode_asset(json.loads(json.dumps(_encode_asset(asset)))).watchers
    encoded = _encode_trigger(watcher.trigger)
    return str(Trigger(classpath=encoded["classpath"], kwargs=encoded["kwargs"]).encrypted_kwargs)


def read_back(stored: str) -> dict[str, Any]:
    """The arguments with which the triggerer calls the trigger's class."""
    return {name: _clean(value) for name, value in Trigger._decrypt_kwargs(stored).items()}


def first_event(classpath: str, stored: str) -> Any:
    """Let a triggerer create the trigger from its row and run it until it fires; returns the event's payload.

    Raises:
        AssertionError: The triggerer could not create the trigger, or the trigger ended without an event.
        Exception: The trigger's constructor has raised, which ends a real triggerer's runner.
    """

    async def run() -> Any:
        runner = TriggerRunner()
        runner.to_create.append(run_trigger(id=1, ti=None, classpath=classpath, encrypted_kwargs=stored))
        await runner.create_triggers()
        assert not runner.failed_triggers, runner.failed_triggers
        task = runner.triggers[1]["task"]
        deadline = time.monotonic() + SECONDS
        while not runner.events and not task.done() and time.monotonic() < deadline:
            await asyncio.wait({task}, timeout=0.002)
        await asyncio.sleep(0.01)  # for what it does after its event
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert len(runner.events) == 1
        return runner.events[0][1].payload

    return asyncio.run(run())
