"""A process in which everything is imported. It forks one for each lane, which forks a child for each try of a task.

A lane's orders come as lines of JSON through its socket. On that it says the child's id, what the child says of its
end, and that the child is dead. Each process has one thread, so that a fork is safe.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import importlib
import json
import os
import socket
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import quote, urlsplit
from uuid import UUID

from crash.kept import Kept
from crash.killing_proxy import KEPT, POINT

TI_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


class StillWaiting(BaseException):
    """The trigger has polled once, and would sleep now. Another triggerer takes it over."""


class Clock:
    """Time that passes quickly while the task sleeps: by this share of it for real."""

    def __init__(self, share: float) -> None:
        self._share, self._ahead = share, 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds * self._share)
        self._ahead += seconds * (1 - self._share)

    async def sleep_in_loop(self, seconds: float) -> None:
        self.sleep(seconds)


def main(orders: socket.socket) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what tasks log
    _import_all()
    _remember_templates()
    gc.collect()
    gc.freeze()
    while True:
        order, (*lane,), _, _ = socket.recv_fds(orders, 100_000, 1)
        if not order:
            break
        if os.fork() == 0:
            try:
                orders.close()
                url, environment = json.loads(order)
                os.environ |= environment
                _serve(url, lane[0])
            except BaseException:  # noqa: BLE001 - nothing may leave it and go on as its parent
                traceback.print_exc()
            os._exit(0)
        os.close(lane[0])
    with suppress(ChildProcessError):
        while True:
            os.wait()


def _serve(url: str, answers: int) -> None:
    for line in os.fdopen(answers, closefd=False):
        order = json.loads(line)
        if order["warm_up"]:
            _say(answers, {"end": _end_of(order, url)})
            _say(answers, {"dead": True})
            _settle()
            continue
        pid = os.fork()
        if pid == 0:
            try:
                # The child itself, so that this comes before its end, however quick it is.
                _say(answers, {"pid": os.getpid()})
                _say(answers, {"end": _end_of(order, url)})
            except BaseException:  # noqa: BLE001 - nothing may leave the child and go on as its parent
                _say(answers, {"end": {"end": "broken", "why": traceback.format_exc()}})
            os._exit(0)
        os.waitpid(pid, 0)
        _say(answers, {"dead": True})


def _settle() -> None:
    """End the thread in which Airflow looks connections up for triggers, and let children share what is in memory."""
    from asgiref.sync import SyncToAsync

    SyncToAsync.single_thread_executor.shutdown()
    SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()


def _say(answers: int, what: dict[str, Any]) -> None:
    os.write(answers, json.dumps(what).encode() + b"\n")


def _import_all() -> None:
    triggers = ("significance", "experiments", "change_window", "question", "approvals")
    for name in (*(f"triggers.{trigger}" for trigger in triggers), "rollout.task_group", "rollout.questions"):
        importlib.import_module(f"airflow_provider_launchdarkly.{name}")


def _remember_templates() -> None:
    """Let children find the code of templates that were rendered before: making it takes a third of a task's time."""
    from jinja2 import Environment

    making = Environment.compile
    known: dict[Any, Any] = {}

    def remembered(env: Any, source: Any, *args: Any, **options: Any) -> Any:
        key = (env.code_generator_class, source, args, *options.items())
        if key not in known:
            known[key] = making(env, source, *args, **options)
        return known[key]

    mock.patch.object(Environment, "compile", remembered).start()


def _end_of(order: dict[str, Any], url: str) -> dict[str, Any]:
    """Run a part of a task; return how it ended."""
    from airflow.providers.common.compat.sdk import (
        AirflowFailException,
        AirflowSkipException,
        DownstreamTasksSkipped,
        TaskDeferred,
    )

    from airflow_provider_launchdarkly.api.errors import LaunchDarklyError

    tell = partial(_tell, urlsplit(url).port or 0)
    kept = Kept(order["kept"], lambda *entry: tell(KEPT, entry))
    task = copy.copy(_task(order))
    with (
        _surroundings(order, lambda name: tell(POINT + quote(name))),
        _nobody_answers(partial(kept.wait, task.task_id, "asked")),
    ):
        try:
            if order["part"] == "trigger":
                return _run_trigger(task, kept)
            return _run_task(task, kept, order)
        except TaskDeferred as deferral:
            classpath, arguments = deferral.trigger.serialize()
            trigger = {"classpath": classpath, "arguments": arguments, "method": deferral.method_name}
            kept.wait(task.task_id, "trigger", trigger)
            return {"end": "deferred"}
        except AirflowSkipException as skip:
            return {"end": "skipped", "why": str(skip)}
        except DownstreamTasksSkipped as skip:
            return {"end": "success", "skips": list(skip.tasks)}
        except AirflowFailException as error:
            return {"end": "failed", "why": str(error)}
        except LaunchDarklyError as error:
            return {"end": "retry", "why": f"{type(error).__name__}: {error}"}


def _task(order: dict[str, Any]) -> Any:
    if "rollout" in order:
        from crash.rollouts import rollout_of

        return rollout_of(order["rollout"]).get_task(order["task_id"])
    return _operator(order["operator"], order["task_id"], json.dumps(order["fields"]))


@lru_cache(maxsize=100)
def _operator(path: str, task_id: str, fields: str) -> Any:
    from airflow.sdk import DAG

    module, name = path.split(":")
    with DAG("rollout", schedule=None):
        return getattr(importlib.import_module(module), name)(task_id=task_id, **json.loads(fields))


def _run_task(task: Any, kept: Kept, order: dict[str, Any]) -> dict[str, Any]:
    waited = kept.waiting(task.task_id)
    context = _context(task, kept, order)
    task.render_template_fields(context)
    if order["part"] == "execute":
        result = task.execute(context)
    else:
        result = getattr(task, waited["trigger"]["method"])(context, waited["event"])
    kept.push(task.task_id, "return_value", result)
    return {"end": "success"}


def _context(task: Any, kept: Kept, order: dict[str, Any]) -> Any:
    def pull(*, task_ids: str, key: str = "return_value", default: Any = None, **_: Any) -> Any:
        stored = kept.xcoms_of(task_ids)
        # Each entry of an output is an XCom of its own as well.
        return {**(stored.get("return_value") or {}), **stored}.get(key, default)

    ti = SimpleNamespace(
        id=TI_ID,
        dag_id="rollout",
        task_id=task.task_id,
        run_id="run",
        map_index=-1,
        try_number=order["try_number"],
        xcom_pull=pull,
        get_task_states=lambda *, task_ids, **_: {
            "run": {name: state for name, state in order["states"].items() if name in task_ids}
        },
        xcom_push=partial(kept.push, task.task_id),
    )
    context = {"ti": ti, "task_instance": ti, "task": task, "dag": task.dag, "params": {}, "run_id": "run"}
    return context | ({"task_state_store": kept.state_of(task.task_id)} if order["state"] else {})


def _run_trigger(task: Any, kept: Kept) -> dict[str, Any]:
    """Let a triggerer poll once: the trigger is made from what was stored, and its event is stored."""
    stored = kept.waiting(task.task_id)["trigger"]
    module, _, name = stored["classpath"].rpartition(".")
    trigger = getattr(importlib.import_module(module), name)(**stored["arguments"])

    async def first_event() -> Any:
        return (await anext(trigger.run())).payload

    try:
        payload = asyncio.run(first_event())
    except StillWaiting:
        return {"end": "waiting"}
    kept.wait(task.task_id, "event", payload)
    return {"end": "event"}


def _surroundings(order: dict[str, Any], point: Any) -> Any:
    """Replace what a child does not need to wait for, and make storing a decision record a point."""
    from airflow_provider_launchdarkly.api.http.client import AsyncLaunchDarklyClient, LaunchDarklyClient
    from airflow_provider_launchdarkly.api.http.rate_limit import RateGate
    from airflow_provider_launchdarkly.audit_log import store
    from airflow_provider_launchdarkly.hooks import clients
    from airflow_provider_launchdarkly.sensors import _notes
    from airflow_provider_launchdarkly.testing.server import MONDAY_MORNING
    from airflow_provider_launchdarkly.triggers import _base
    from airflow_provider_launchdarkly.triggers._shared_reader import SharedReader

    clock = Clock(order["sleeps"])
    options: dict[str, Any] = {"monotonic": clock.monotonic, "gate": RateGate()}
    polls: list[float] = []

    async def sleep(seconds: float) -> None:
        polls.append(seconds)
        if len(polls) > 1:
            raise StillWaiting

    async def read_alone(*_: Any, delay: float, **__: Any) -> None:
        await sleep(delay)  # one trigger is too few for a list

    def sync(file: int) -> None:
        point("record written aside")

    def write(path: Any, text: str, _write: Any = store._write) -> None:
        point("before record")
        _write(path, text)
        point("after record")

    replaced = ExitStack()
    tasks = partial(LaunchDarklyClient, sleep=clock.sleep, **options)
    loops = partial(AsyncLaunchDarklyClient, sleep=clock.sleep_in_loop, **options)
    replaced.enter_context(mock.patch.object(clients, "LaunchDarklyClient", tasks))
    replaced.enter_context(mock.patch.object(clients, "AsyncLaunchDarklyClient", loops))
    replaced.enter_context(mock.patch.object(_base, "asyncio", SimpleNamespace(sleep=sleep)))
    replaced.enter_context(mock.patch.object(SharedReader, "next_reading", read_alone))
    # By the worker's clock no two states of a task would be the same.
    replaced.enter_context(mock.patch.object(_notes, "now", return_value=MONDAY_MORNING))
    replaced.enter_context(mock.patch.object(store, "_write", write))
    replaced.enter_context(mock.patch.object(os, "fsync", sync))
    if order["records"]:
        folder = str(Path(order["folder"]) / "records")
        replaced.enter_context(mock.patch.dict(os.environ, {"AIRFLOW__LAUNCHDARKLY__RECORD_PATH": folder}))
    return replaced


def _nobody_answers(note: Any) -> Any:
    """Replace Airflow's part of a question: that it is asked is a point, and the answer never comes."""
    from airflow.providers.standard.operators import hitl
    from airflow.providers.standard.triggers.hitl import HITLTrigger

    async def run(trigger: Any) -> Any:
        await asyncio.Event().wait()
        yield

    replaced = ExitStack()
    replaced.enter_context(mock.patch.object(hitl, "upsert_hitl_detail", lambda **asked: note(asked["subject"])))
    replaced.enter_context(mock.patch.object(HITLTrigger, "run", run))
    return replaced


def _tell(port: int, path: str, what: Any = None) -> None:
    """Tell the proxy that a point is reached, and wait until it has decided whether this process lives on."""
    body = json.dumps(what)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        if not connection.recv(1_000):
            time.sleep(30)  # the kill is under way


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
