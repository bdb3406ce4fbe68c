"""The steps of the crash matrix: each operator that writes, and each task of the rollouts."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from typing_extensions import override

from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from crash.bench import Bench, Step
from crash.rollouts import rollout_of
from support.scene import Scene
from support.task_runner import TaskRunner
from support.writes import APPROVED as APPROVED_WRITES
from support.writes import WRITES

APPROVED = {"chosen_options": ["Approve"], "params_input": {}, "responded_by_user": {"id": "1", "name": "grace"}}
EFFECTS = {"good": 0.3, "harm": -0.5, "none": 0.0}
# Worlds in which Bold does nothing until a task waits, and then harm. Whoever is asked by it does not answer.
LATE_HARM = {
    "harm while asked": "r.stage_2.approve",
    "harm while shut": "r.stage_2.window",
    "harm while released": "r.release.watch",
    "harm before the ship": "r.ship",
}
# Those in which Bold is good before.
GOOD_BEFORE = {"harm while released", "harm before the ship"}


def operator_step(bench: Bench, name: str, *, state: bool) -> Step:
    """Return an operator that is about to write.

    Args:
        bench: Where it runs.
        name: One of `WRITES`, or of those with an approval.
        state: True if Airflow keeps a state for the task, as 3.3 does.
    """
    write = (WRITES | APPROVED_WRITES)[name]
    bench.begin()
    fields = write.prepare(Scene(LaunchDarklyHook(), bench.emulator))
    kind = write.operator
    order = {"operator": f"{kind.__module__}:{kind.__qualname__}", "fields": fields, "task_id": "task"}
    step = Step(name, {**order, "state": state, "records": False}, bench.save())
    bench.warm_up(step)
    return step


class Recorder(TaskRunner):
    """Runs a rollout without any disturbance, and keeps the state before each of its tasks."""

    def __init__(self, bench: Bench, rollout: str, *, state: bool, records: bool, harm_from: str | None = None) -> None:
        super().__init__(rollout_of(rollout), wait=lambda _task: None)
        self.bench = bench
        self.harm_from = harm_from
        self.steps: list[Step] = []
        self._order = {"rollout": rollout, "state": state, "records": records}

    @override
    def _execute(self, original: Any) -> str:
        task_id = original.task_id
        if task_id.endswith("unwatched"):
            return "skipped"  # it writes nothing, and reads states that only a whole Airflow has
        if task_id == self.harm_from:
            world_of(self.bench, "harm")
        elif isinstance(original, HITLOperator):
            self.bench.lane.kept.push(task_id, "return_value", APPROVED)
            return "success"
        step = Step(task_id, {**self._order, "task_id": task_id, "states": dict(self.states)}, self.bench.save())
        self.steps.append(step)
        said = self.finish(step)
        self.reasons[task_id] = said.get("why", "")
        return str(said["end"])

    def finish(self, step: Step) -> dict[str, Any]:
        """Run a task from here to its end; return what it said."""
        self.bench.warm_up(step, lanes=1)
        return self.bench.lane.finish(step.order)


def rollout_steps(bench: Bench, rollout: str, world: str, *, state: bool, records: bool) -> list[Step]:
    """Run a rollout once, in a world in which Bold does good, harm or nothing; return its tasks as steps.

    In the worlds of `LATE_HARM`, harm begins when a task waits.
    """
    bench.begin()
    if rollout == "handed over":
        bench.emulator.switch(flag_approvals="everywhere")
    world_of(bench, "good" if world in GOOD_BEFORE else "none" if world in LATE_HARM else world)
    run = Recorder(bench, rollout, state=state, records=records, harm_from=LATE_HARM.get(world))
    run.run()
    assert "failed" not in run.states.values(), run.reasons
    return run.steps


def world_of(bench: Bench, world: str) -> None:
    """Let Bold do good, harm or nothing."""
    truth = GroundTruth.from_dict(
        {
            "people_per_day": 5_000,
            "metrics": {
                "checkout-conversion": {"baseline_rate": 0.10, "effects": {"Bold": {"relative": EFFECTS[world]}}},
                "page-load-ms": {"baseline_mean": 820, "standard_deviation": 240},
            },
        }
    )
    bench.emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": truth}))
