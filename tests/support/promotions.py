"""What the tests of promotions share: a world with three environments, and a runner that skips what a gate skips."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DownstreamTasksSkipped
from typing_extensions import override

from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.emulator.state.scenarios import scenario_data
from support.task_runner import FAILED, TaskRunner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.testing import EmulatorServer

ENVIRONMENTS = ("test", "staging", "production")


def three_environments() -> dict[str, Any]:
    """Return the default world with an environment between its two."""
    data = deepcopy(scenario_data("effect"))
    data["projects"]["demo"]["environments"]["staging"] = {"name": "Staging"}
    return data


def truth(effect: float, variation: str = "Bold", metric: str = "checkout-conversion") -> GroundTruth:
    """Return the truth that a variation changes a conversion by such a share."""
    return GroundTruth.from_dict(
        {
            "people_per_day": 4_000,
            "metrics": {
                metric: {"baseline_rate": 0.10, "effects": {variation: {"relative": effect}}},
                "page-load-ms": {"baseline_mean": 820, "standard_deviation": 240},
            },
        }
    )


def make_true(emulator: EmulatorServer, effect: float) -> None:
    """Let Bold change the conversion by such a share from now on, in every environment."""
    emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": truth(effect)}))


def changed_in(emulator: EmulatorServer, kind: str) -> list[str]:
    """Return the environment of each effect of a kind, in their order."""
    return [effect["environment"] for effect in emulator.effects(kind)]


class PromotionRunner(TaskRunner):
    """Runs a promotion's tasks, and skips what a gate skips."""

    skipped: Sequence[str] = ()

    @override
    def _run_one(self, task: Any) -> str:
        return "skipped" if task.task_id in self.skipped else super()._run_one(task)

    def go_on(self, *held: str) -> PromotionRunner:
        """Run each task that has no state once all before it have one, apart from those that are held: they wait."""
        for task in self.dag.topological_sort():
            if task.task_id not in {*self.states, *held} and task.upstream_task_ids <= set(self.states):
                self.states[task.task_id] = self._run_one(task)
        return self

    def at_once(self, task_id: str) -> Any:
        """Run a task whatever is before it; return its output. It gets no state."""
        self._execute(self.dag.get_task(task_id))
        return self.output(task_id)

    def clear(self, *task_ids: str, only_failed: bool = False) -> set[str]:
        """Clear tasks with all that follows, as Airflow does; return them.

        What they have returned stays until they run again. Airflow counts `upstream_failed` as failed. Of what was
        skipped, it keeps only what follows directly on the task that skipped it.
        """
        cleared = set(task_ids).union(*(self.dag.get_task(each).get_flat_relative_ids() for each in task_ids))
        if only_failed:
            cleared = {each for each in cleared if self.states.get(each) in FAILED}
        for each in cleared:
            self.states.pop(each, None)
        self.skipped = [
            each
            for (task_id, key), value in self.xcoms.items()
            if key == "skipmixin_key" and task_id in self.states
            for each in value["skipped"]
            if task_id in self.dag.get_task(each).upstream_task_ids
        ]
        return cleared

    @override
    def _execute(self, original: Any) -> str:
        try:
            return super()._execute(original)
        except DownstreamTasksSkipped as skip:
            self.skipped = [*self.skipped, *skip.tasks]
            return "success"
