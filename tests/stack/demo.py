"""`make demo`: a real Airflow rolls out an experiment against the emulator, and says what happens as it happens.

Airflow (API server, scheduler, DAG processor, triggerer) runs in a throwaway folder. Only time is not real: whenever
the waiting sensor has seen a day, this script turns the emulator's clock to the next one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if __name__ == "__main__":  # as a script the tests folder is not on the path yet
    sys.path.insert(0, str(Path(__file__).parents[1]))

from stack.airflow_stack import PASSWORD, USER, AirflowStack, StackError, free_port
from stack.demo_warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DAG_ID = "experiment_rollout"
DAG_ON_ROWS = "experiment_rollout_from_warehouse"
FLAG = ("demo", "production", "checkout-button")
TOKEN = "api-emulator"
SCENARIOS = ("effect", "no-effect", "broken-split")
RESULTS = ("endpoint", "warehouse")
MINUTES = 10
EMULATOR = (sys.executable, "-m", "airflow_provider_launchdarkly.emulator")


class Emulator:
    """The emulator as a user starts it: a process of its own, spoken to over HTTP."""

    def __init__(
        self,
        scenario: str,
        seed: int,
        log: Path,
        world: Path | None = None,
        *,
        token: str = TOKEN,
        options: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = token
        self._http = httpx.Client(base_url=self.url, timeout=60, trust_env=False, headers={"Authorization": token})
        self._log = log.open("wb")
        self._seen_changes = 0
        self._seen_requests = 0
        beginning = ("--scenario", scenario) if world is None else ("--world", str(world))
        fixed = ("--token", token, "--port", str(self.port), "--seed", str(seed), "--clock-rate", "0")
        self._process = subprocess.Popen(
            [*EMULATOR, *fixed, *beginning, *options],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._wait_until_up(log)

    def _wait_until_up(self, log: Path) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                self._http.get("/__emulator__/clock").raise_for_status()
                return
            time.sleep(0.05)
        self.stop()
        raise StackError(f"the emulator did not start; read {log}")

    @property
    def connection(self) -> str:
        extra = {"project_key": FLAG[0], "environment_key": FLAG[1]}
        return json.dumps({"conn_type": "launchdarkly", "host": self.url, "password": self.token, "extra": extra})

    def get(self, path: str, **query: Any) -> Any:
        return self._http.get(path, params=query).raise_for_status().json()

    def advance(self, duration: str) -> None:
        self._http.post("/__emulator__/clock", json={"advance": duration}).raise_for_status()

    def set_clock(self, to: datetime) -> None:
        self._http.post("/__emulator__/clock", json={"set": to.isoformat()}).raise_for_status()

    def reset(self, scenario: str) -> None:
        self._http.post("/__emulator__/reset", json={"scenario": scenario}).raise_for_status()
        self._seen_changes = 0

    def load(self, snapshot: dict[str, Any]) -> None:
        self._http.post("/__emulator__/load", json=snapshot).raise_for_status()
        self._seen_changes = 0

    def set_switch(self, name: str, position: str) -> None:
        self._http.post("/__emulator__/settings", json={name: position}).raise_for_status()

    def answer_writes_after(self, seconds: float) -> None:
        """Do each write at once, and answer it later."""
        fault = {"operation": "write", "fault": "slow", "delay": seconds, "times": 1_000_000}
        self._http.post("/__emulator__/faults", json=fault).raise_for_status()

    def clear_faults(self) -> None:
        self._http.delete("/__emulator__/faults").raise_for_status()

    def page(self, url: str) -> str:
        return self._http.get(url).raise_for_status().text

    def changes(self) -> list[dict[str, Any]]:
        return list(self.get("/__emulator__/journal")["entries"])

    def new_changes(self) -> list[dict[str, Any]]:
        entries = self.changes()
        new, self._seen_changes = entries[self._seen_changes :], len(entries)
        return list(new)

    def new_requests(self) -> list[dict[str, Any]]:
        requests = self.get("/__emulator__/requests", after=self._seen_requests)["requests"]
        self._seen_requests = max([self._seen_requests, *(request["seq"] for request in requests)])
        return list(requests)

    def new_reads(self) -> list[dict[str, Any]]:
        return [request for request in self.new_requests() if request["method"] == "GET"]

    def served(self) -> str:
        """What the flag's default rule serves, in words."""
        project, environment, key = FLAG
        flag = self.get(f"/api/v2/flags/{project}/{key}", env=environment)
        state = flag["environments"][environment]
        names = [variation.get("name") or str(variation["value"]) for variation in flag["variations"]]
        rule = state["fallthrough"]
        if not state["on"]:
            return f"off (everyone gets {names[state['offVariation']]})"
        if "variation" in rule:
            return f"on, everyone gets {names[rule['variation']]}"
        shares = [f"{names[part['variation']]} {part['weight'] / 1000:g} %" for part in rule["rollout"]["variations"]]
        return f"on, split {', '.join(shares)}"

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._http.close()
        self._log.close()


class Polls:
    """Counts how often each thing that tasks await has been read at the time that LaunchDarkly's clock shows.

    Airflow's asset watchers read, too, and read on after a pause. What is not there, no task awaits.
    """

    def __init__(self) -> None:
        self._now = ""
        self._counts: Counter[str] = Counter()

    def forget(self) -> None:
        """Count from nothing again."""
        self._counts.clear()

    def add(self, reads: Sequence[dict[str, Any]], operations: set[str]) -> None:
        """Count those of one of the operations. The clock stands still, so all reads of an instant have one time."""
        for read in reads:
            if read["server_time"] != self._now:
                self._now = read["server_time"]
                self._counts.clear()
            if read["operation"] in operations and read["status"] == 200:
                self._counts[read["path"]] += 1

    def twice(self) -> int:
        """How many things have been read twice: the first poll has looked, and it was not the end."""
        return sum(count >= 2 for count in self._counts.values())


class TimeMachine:
    """Turns the clock by some days whenever the waiting sensor has seen the present day and gone on waiting."""

    def __init__(self, emulator: Emulator, days: int = 1) -> None:
        self._emulator = emulator
        self._turn = f"P{days}D"
        self._polls = Polls()

    def turn(self, *, waiting: bool) -> None:
        """Advance after the second poll of a day.

        Args:
            waiting: Whether the sensor waits in the triggerer; other tasks read the experiment too.
        """
        reads = self._emulator.new_reads()
        if not waiting:
            self._polls.forget()
            return
        self._polls.add(reads, {"get_experiment"})
        if self._polls.twice():
            self._polls.forget()
            self._emulator.advance(self._turn)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", choices=SCENARIOS, default="effect")
    parser.add_argument("--results", choices=RESULTS, default="endpoint", help="where the sensor gets its numbers from")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--keep", action="store_true", help="leave Airflow and the emulator up until Ctrl-C")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell starts what it puts into the background with Ctrl-C ignored; this is to end by it all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        verdict = run_demo(options.scenario, options.seed, results=options.results, keep=options.keep)
    except KeyboardInterrupt:
        say("\nstopped by Ctrl-C; nothing was left running")
        return 130
    except StackError as error:
        say(f"\nthe demo failed: {error}")
        return 1
    say(f"verdict: {verdict}")
    return 0


def run_demo(scenario: str, seed: int, *, results: str = "endpoint", keep: bool = False) -> str:
    """Run the demo to its end and return the verdict."""
    begun = time.monotonic()
    # Who keeps it may edit a rollout file, which only a new parse of the DAG file that loads it finds.
    edited = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10"} if keep else {}
    stack = AirflowStack(REPOSITORY / "dags_examples", edited)
    stack.home.mkdir(exist_ok=True)
    with contextlib.ExitStack() as cleanup:
        try:
            options: tuple[str, ...] = ()
            if results == "warehouse":
                warehouse = cleanup.enter_context(open_warehouse(stack.home))
                stack.environment |= warehouse.environment
                options = ("--set", "results=gone", "--warehouse", warehouse.url)
            emulator = Emulator(scenario, seed, stack.home / "emulator.log", options=options)
            cleanup.callback(emulator.stop)
            stack.environment["AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT"] = emulator.connection
            stack.environment["AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL"] = "0.5"
            say(f"LaunchDarkly  {emulator.url}  (emulator, seed {seed}, scenario {scenario})")
            if options:
                say(f"warehouse     {warehouse.told}, which the emulator fills; its results endpoints are gone")
            say(f"Airflow {version('apache-airflow')}  {stack.url}  starting in {stack.home} ...")
            say(f"              login {USER}, password {PASSWORD}")
            cleanup.enter_context(stack)
            took = time.monotonic() - begun
            say(f"              up after {took:.0f} s: API server, scheduler, DAG processor, triggerer\n")
            verdict = roll_out(stack, emulator, DAG_ON_ROWS if options else DAG_ID)
            say(f"\nfinished after {time.monotonic() - begun:.0f} s")
            if keep:
                wait_for_ctrl_c(stack, emulator, DAG_ON_ROWS if options else DAG_ID)
        except StackError:
            stack.keep_logs = True
            raise
    return verdict


def roll_out(stack: AirflowStack, emulator: Emulator, dag_id: str = DAG_ID, *, days: int = 1) -> str:
    """Run a rollout's DAG to its end, tell what happens, and return the verdict.

    Args:
        stack: The Airflow.
        emulator: The LaunchDarkly.
        dag_id: The DAG.
        days: How far each turn takes the clock; each costs a task's start, and the days between have no look.
    """
    before = emulator.served()
    say(f"flag {FLAG[2]} before: {before}\n")
    run_id = stack.trigger(dag_id)
    machine = TimeMachine(emulator, days)
    looks = Looks(stack, dag_id, run_id)
    deadline = time.monotonic() + MINUTES * 60
    while (state := stack.run_state(dag_id, run_id)) not in {"success", "failed"}:
        stack.check_alive()
        if time.monotonic() > deadline:
            raise StackError(f"the run was still {state} after {MINUTES} minutes; read {stack.home}")
        tell(emulator)
        looks.tell()
        machine.turn(waiting=stack.task(dag_id, run_id, "wait")["state"] == "deferred")
        time.sleep(0.2)
    looks.tell()
    tell(emulator)
    verdict = stack.xcom(dag_id, run_id, "wait")
    expected = "failed" if verdict["verdict"] == "invalid" else "success"
    if state != expected:
        raise StackError(f"the run ended {state}; read {stack.home / 'logs'}")
    say(f"\nverdict {verdict['verdict']}: {verdict['summary']}")
    if verdict["verdict"] == "invalid":
        say("Airflow failed the task `stop`, so that someone looks; the iteration and the flag are as they were.")
    say(f"flag {FLAG[2]} before: {before}\nflag {FLAG[2]} after:  {emulator.served()}")
    return str(verdict["verdict"])


class Looks:
    """What the sensor logs, once for each look, as it appears in the task's log; long ones go on in further lines."""

    def __init__(self, stack: AirflowStack, dag_id: str, run_id: str) -> None:
        self._stack = stack
        self._dag_id = dag_id
        self._run_id = run_id
        self._told = 0

    def tell(self) -> None:
        with contextlib.suppress(StackError):  # the log is not there before the task has started
            lines = self._stack.task_log(self._dag_id, self._run_id, "wait")
            whole = re.sub(r"\n {4}(?=\S)", " ", "\n".join(lines)).splitlines()
            looks = list(dict.fromkeys(line for line in whole if re.match(r"\w+ \(\w+\): look ", line)))
            for line in looks[self._told :]:
                say(f"  {line}")
            self._told = len(looks)


def tell(emulator: Emulator) -> None:
    """Say what has changed in LaunchDarkly since the last time."""
    for entry in emulator.new_changes():
        for line in told(entry, emulator.served()):
            say(line)


def told(entry: dict[str, Any], flag_serves: str) -> Iterator[str]:
    """One change in LaunchDarkly, in words."""
    day = entry["server_time"][:10]
    for effect in entry["effects"]:
        match effect["kind"]:
            case "experiment.created":
                yield f"  {day}  created experiment {effect['experiment']}"
            case "iteration.created":
                yield f"  {day}  created iteration {effect['iteration']}"
            case "iteration.started":
                yield f"  {day}  started iteration {effect['iteration']}"
            case "iteration.stopped":
                reason = entry["body"]["instructions"][0].get("winningReason")
                yield f"  {day}  stopped iteration {effect['iteration']}: {reason}"
            case "flag.changed":
                yield f"  {day}  flag {effect['flag']} (version {effect['version']}): {flag_serves}"


def left_up(airflow_url: str, emulator_url: str, dag_id: str = DAG_ID) -> str:
    """What a person needs who goes on by hand."""
    clock = f"{emulator_url}/__emulator__/clock"
    return f"""
Airflow       {airflow_url}/dags/{dag_id}  (login {USER}, password {PASSWORD})
LaunchDarkly  {emulator_url}/projects/{FLAG[0]}/experiments/bold-checkout-button
The emulator's clock stands still, so a sensor waits at its next look. Turn it by a day, or let one pass every 10 s:
  curl {clock} --json '{{"advance": "P1D"}}'
  curl {clock} --json '{{"rate": 8640}}'
The experiment is over. To run the DAG again, forget it first:
  curl {emulator_url}/__emulator__/reset --json ''
Ctrl-C ends both."""


def wait_for_ctrl_c(stack: AirflowStack, emulator: Emulator, dag_id: str) -> None:
    say(left_up(stack.url, emulator.url, dag_id))
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            stack.check_alive()
            time.sleep(1)


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
