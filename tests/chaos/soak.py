"""`make soak`: rollouts one round after the other on the real stack, under random faults, for an hour.

Celery, PostgreSQL and Redis, two workers and two triggerers. Each round runs a rollout for each flag at the same time;
the clock turns by a day when all that wait have looked. Held are: the right ending, once; every planned look on record,
once; no task and no process left behind; and the memory of a triggerer and a worker that are frozen, but never killed.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":  # as a script the tests folder is not on the path yet
    sys.path.insert(0, str(Path(__file__).parents[1]))

import yaml

from airflow_provider_launchdarkly.audit_log.chain import read
from chaos.driver import AWAY, ENDINGS
from chaos.faults import Blow
from chaos.stacks import BROKER, DATABASE, WORKERS, CeleryStack
from stack.airflow_stack import StackError
from stack.demo import FLAG, Emulator
from stack.rollouts import Rollout

# A third of the flags each: what the bold button does to the conversion, and the ending that follows.
EFFECTS = {"ship": 0.3, "rollback": -0.6, "inconclusive": 0.0}
ROUND_MINUTES = 20.0
WATCHED = ("triggerer", WORKERS[0])
BLOWS = (
    *(
        ("task", "kill"),
        ("scheduler", "kill"),
        ("scheduler", "freeze"),
        ("api-server", "kill"),
        ("api-server", "freeze"),
    ),
    *(("triggerer#2", "kill"), ("triggerer", "freeze"), (WORKERS[1], "kill"), (WORKERS[0], "freeze")),
    *((DATABASE, "kill"), (DATABASE, "freeze"), (BROKER, "kill"), (BROKER, "freeze")),
)
ALL_TASKS = "/dags/~/dagRuns/~/taskInstances"
UNFINISHED = ("running", "queued", "scheduled", "deferred", "up_for_retry", "awaiting_input", "restarting")


@dataclass
class Tally:
    """What a soak has seen."""

    rollouts: int = 0
    looks: int = 0
    blows: Counter[str] = field(default_factory=Counter)
    memory: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in WATCHED})
    wrong: list[str] = field(default_factory=list)

    def growth(self, part: str) -> float:
        """The median of the last third of a part's memory over that of the first third, the first round left out."""
        seen = self.memory[part][1:] or self.memory[part]
        third = max(1, len(seen) // 3)
        return statistics.median(seen[-third:]) / statistics.median(seen[:third])


class Lane(Rollout):
    """One of the rollouts of a round."""

    def __init__(self, stack: CeleryStack, emulator: Emulator, number: int) -> None:
        super().__init__(stack, emulator, f"soak_{number}")
        self.number = number
        self.ending = tuple(EFFECTS)[number % len(EFFECTS)]
        self.polls = 0
        self.ended = False

    def looks(self, records: Path) -> list[int]:
        """The numbers of the looks on its decision record."""
        return looks_on_record(records / FLAG[0] / f"lane-{self.number}" / f"soak-{self.number}")

    def problems(self, records: Path) -> list[str]:
        """What is wrong with how it ended, a line each."""
        key, states = f"soak-{self.number}", self.states()
        endings = [name for name in ENDINGS if states[f"rollout.{name}"] == "success"]
        environment = f"lane-{self.number}"
        flag = self.emulator.get(f"/api/v2/flags/{FLAG[0]}/button-{self.number}", env=environment)
        rule = flag["environments"][environment]["fallthrough"]
        served = flag["variations"][rule["variation"]]["name"] if "variation" in rule else "a split"
        seen = Counter(
            effect["kind"]
            for change in self.emulator.changes()
            for effect in change["effects"]
            if effect.get("experiment") == key
        )
        once = ("experiment.created", "iteration.created", "iteration.started", "iteration.stopped")
        found = []
        if endings != [self.ending] or self.state() != "success":
            found.append(f"it ended {endings}, {self.state()}; expected {self.ending}: {states}")
        if served != ENDINGS[self.ending]:
            found.append(f"everyone gets {served}; expected {ENDINGS[self.ending]}")
        if {kind: seen[kind] for kind in once} != dict.fromkeys(once, 1):
            found.append(f"LaunchDarkly saw {dict(seen)}")
        looks = self.looks(records)
        if not looks or looks != list(range(1, looks[-1] + 1)):
            found.append(f"the looks on record are {looks}")
        return [f"{self.dag_id} {self.run_id}: {line}" for line in found]


def looks_on_record(folder: Path) -> list[int]:
    """The numbers of the looks in an experiment's decision record, those that only repeat one left out."""
    files = sorted(folder.rglob("*.jsonl"))
    entries = [entry for file in files for entry in read(file.read_text(encoding="utf-8"))]
    return [entry["verdict"]["look"] for entry in entries if entry.get("evidence") and not entry.get("repeats")]


def write_world(target: Path, lanes: int) -> None:
    """A world with a flag and an environment for each lane.

    Waits on one environment share the pages of its list, and a page does not tell whose triggerer has read it.
    """
    variations = [{"value": False, "name": "Classic"}, {"value": True, "name": "Bold"}]
    names = [f"button-{number}" for number in range(lanes)]
    truths = {
        name: {
            "people_per_day": 20_000,
            "metrics": {
                "conversion": {
                    "baseline_rate": 0.1,
                    "effects": {"Bold": {"relative": tuple(EFFECTS.values())[number % len(EFFECTS)]}},
                }
            },
        }
        for number, name in enumerate(names)
    }
    project = {
        "name": "Demo",
        "environments": {f"lane-{number}": {"name": f"Lane {number}"} for number in range(lanes)},
        "flags": {name: {"name": name, "variations": variations, "fallthrough": "Classic"} for name in names},
        "metrics": {"conversion": {"name": "Conversion"}},
        "truths": truths,
    }
    owner = {"ada@example.com": {"first_name": "Ada", "last_name": "Example", "role": "owner"}}
    world = {"members": owner, "projects": {FLAG[0]: project}}
    target.write_text(yaml.safe_dump(world), encoding="utf-8")


def run_round(stack: CeleryStack, emulator: Emulator, lanes: int, draw: random.Random, tally: Tally) -> list[Lane]:
    """Run a rollout for each flag to its end, under blows at random times; returns them.

    Raises:
        StackError: They did not end in time.
    """
    runs = [Lane(stack, emulator, number) for number in range(lanes)]
    begun, next_blow = time.monotonic(), time.monotonic() + draw.uniform(5, 20)
    emulator.new_requests()
    while not all(run.ended for run in runs):
        if time.monotonic() - begun > ROUND_MINUTES * 60:
            open_ones = {run.dag_id: run.states() for run in runs if not run.ended}
            raise StackError(f"still open after {ROUND_MINUTES:.0f} minutes: {open_ones}; read {stack.home}")
        with contextlib.suppress(*AWAY):
            stack.start_what_ended()
            turn(stack, runs, emulator)
            if time.monotonic() > next_blow:
                part, how = draw.choice(BLOWS)
                if Blow(part, how).strike(next(run for run in runs if not run.ended)):
                    tally.blows[f"{how} {part}"] += 1
                next_blow = time.monotonic() + draw.uniform(10, 40)
        time.sleep(0.5)
    return runs


def close_round(stack: CeleryStack, runs: list[Lane], records: Path, tally: Tally) -> None:
    """Hold what a round did against what it should have done, and take the memory's measure."""
    tally.wrong += settle(stack)
    for run in runs:
        tally.wrong += run.problems(records)
        tally.looks += len(run.looks(records))
    tally.rollouts += len(runs)
    for part in WATCHED:
        tally.memory[part].append(memory_of(stack, part))


def turn(stack: CeleryStack, runs: list[Lane], emulator: Emulator) -> None:
    """Turn the clock by a day when each rollout that has not ended waits, and has looked at this day.

    Two requests tell how all of them stand: one for each rollout would take most of the API server's time.
    """
    under_way = stack.call("GET", "/dags/~/dagRuns", state=["queued", "running"], limit=100)["dag_runs"]
    deferred = stack.call("GET", ALL_TASKS, state=["deferred"], limit=100)["task_instances"]
    open_runs = {(run["dag_id"], run["dag_run_id"]) for run in under_way}
    watches = [task for task in deferred if task["task_id"] == "rollout.watch"]
    waiting = {(task["dag_id"], task["dag_run_id"]) for task in watches}
    for run in runs:
        run.ended = (run.dag_id, run.run_id) not in open_runs
    requests = emulator.new_requests()
    all_wait = all(run.ended or (run.dag_id, run.run_id) in waiting for run in runs)
    for run in runs:
        polls = sum(f"/environments/lane-{run.number}/" in request["path"] for request in requests)
        run.polls = run.polls + polls if all_wait else 0
    if any(not run.ended for run in runs) and all(run.ended or run.polls >= 2 for run in runs):
        for run in runs:
            run.polls = 0
        emulator.advance("P1D")


def what_is_left(stack: CeleryStack) -> list[str]:
    """Tasks that have not ended, and processes of tasks that have."""
    tasks = stack.call("GET", ALL_TASKS, state=list(UNFINISHED), limit=100)["task_instances"]
    processes = []
    for pid in stack.marked_processes():
        with contextlib.suppress(OSError):
            title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            if title.startswith(("airflow worker --", "airflow supervisor")):
                processes.append(f"process {pid}: {title}")
    return [*(f"task {task['dag_id']}.{task['task_id']} is {task['state']}" for task in tasks), *processes]


def memory_of(stack: CeleryStack, part: str) -> float:
    """The memory of a service and all that it has started, in MB.

    A page that several of them share counts for each. Divided among them it would grow for an hour: what a worker and
    its children share at first becomes their own, page by page.
    """
    total = 0
    for pid in stack.processes_of(part):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Rss:"))
    return total / 1024


def settle(stack: CeleryStack, seconds: float = 90.0) -> list[str]:
    """Wait until nothing is left of a round; returns what is left after all."""
    deadline = time.monotonic() + seconds
    left = ["the API server does not answer"]
    while time.monotonic() < deadline:
        with contextlib.suppress(*AWAY):
            stack.start_what_ended()
            if not (left := what_is_left(stack)):
                break
        time.sleep(1)
    return left


def soak(minutes: float, rollouts: int, lanes: int, seed: int) -> Tally:
    """Run rounds until there were so many rollouts, or until the time is over.

    Args:
        minutes: The time after which no further round starts.
        rollouts: The number of rollouts.
        lanes: The number of rollouts at the same time.
        seed: Of the faults.
    """
    draw, tally = random.Random(seed), Tally()
    folder = Path(__file__).parent / "dags"
    settings = {
        "SOAK_LANES": str(lanes),
        "AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL": "0.5",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "4",
    }
    stack = CeleryStack(folder, settings)
    records = stack.home / "records"
    write_world(stack.home / "world.yaml", lanes)
    emulator = Emulator("", 42, stack.home / "emulator.log", world=stack.home / "world.yaml")
    stack.environment["AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT"] = emulator.connection
    stack.environment["AIRFLOW__LAUNCHDARKLY__RECORD_PATH"] = records.as_uri()
    beginning = emulator.get("/__emulator__/snapshot")
    begun = time.monotonic()
    try:
        with stack:
            print(f"{stack.home}: up after {time.monotonic() - begun:.0f} s", flush=True)
            while tally.rollouts < rollouts and time.monotonic() - begun < minutes * 60:
                emulator.load(beginning)
                kept = records.with_name(f"records-{tally.rollouts}")
                runs = run_round(stack, emulator, min(lanes, rollouts - tally.rollouts), draw, tally)
                close_round(stack, runs, records, tally)
                records.rename(kept)
                line = ", ".join(f"{part} {tally.memory[part][-1]:.0f} MB" for part in WATCHED)
                print(
                    f"{time.monotonic() - begun:5.0f} s: {tally.rollouts} rollouts, {tally.looks} looks; {line}",
                    flush=True,
                )
            stack.keep_logs = bool(tally.wrong)
    finally:
        emulator.stop()
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="after so long no further round starts")
    parser.add_argument("--rollouts", type=int, default=200, help="number of rollouts")
    parser.add_argument("--lanes", type=int, default=20, help="rollouts at the same time")
    parser.add_argument("--seed", type=int, default=1, help="seed of the faults")
    parser.add_argument(
        "--growth", type=float, default=1.1, help="most growth of memory, from the first to the last third"
    )
    options = parser.parse_args()
    # Ended from outside, it ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tally = soak(options.minutes, options.rollouts, options.lanes, options.seed)
    growth = {part: tally.growth(part) for part in WATCHED}
    tally.wrong += [f"{part} grew to {by:.2f} times its memory" for part, by in growth.items() if by > options.growth]
    for line in tally.wrong:
        print(f"wrong: {line}")
    struck = ", ".join(f"{blow} {times}" for blow, times in sorted(tally.blows.items()))
    print(f"{tally.rollouts} rollouts, {tally.looks} looks, {tally.blows.total()} faults: {struck}")
    print("memory, last third over first: " + ", ".join(f"{part} {by:.3f}" for part, by in growth.items()))
    print(f"wrong: {len(tally.wrong)}")
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
