"""Three environments, one after the other, killed at every point of every task between two of them.

None is skipped and none begins twice: the same effects, once, and the same world as if nothing had happened.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from crash.bench import Bench, Step
from crash.steps import Recorder, world_of
from crash.test_crash_matrix import check
from crash.warm import Warm
from support.promotions import ENVIRONMENTS, three_environments

if TYPE_CHECKING:
    from collections.abc import Sequence

# The tasks at which an environment is left, and those at which the next one is entered.
BETWEEN = tuple(
    task
    for before, after in itertools.pairwise(ENVIRONMENTS)
    for task in (f"{before}.ship", f"promote_to_{after}", f"{after}.start")
)
Runs = Callable[[str], dict[str, Step]]


class PromotionRecorder(Recorder):
    """Runs a promotion, and skips what a gate skips."""

    skipped: Sequence[str] = ()

    @override
    def _run_one(self, task: Any) -> str:
        return "skipped" if task.task_id in self.skipped else super()._run_one(task)

    @override
    def finish(self, step: Step) -> dict[str, Any]:
        said = super().finish(step)
        self.skipped = [*self.skipped, *said.get("skips", ())]
        return said


@pytest.fixture(scope="module")
def bench(warm: Warm) -> Iterator[Bench]:
    with Bench(warm, world=three_environments()) as made:
        yield made


@pytest.fixture(scope="module")
def steps(bench: Bench) -> Runs:
    """Run a promotion in a world in which Bold does good or harm; return its tasks by their ids."""
    found: dict[str, dict[str, Step]] = {}

    def run(world: str) -> dict[str, Step]:
        if world not in found:
            bench.begin()
            world_of(bench, world)
            recorder = PromotionRecorder(bench, "promotion", state=True, records=False)
            recorder.run()
            assert not {"failed", "upstream_failed"} & set(recorder.states.values()), recorder.reasons
            found[world] = {step.name: step for step in recorder.steps}
        return found[world]

    return run


@pytest.mark.parametrize("task", BETWEEN)
def test_a_kill_between_two_environments_neither_skips_nor_repeats_one(
    bench: Bench, steps: Runs, task: str, record_property: Callable[[str, object], None]
) -> None:
    check(bench, steps("good")[task], record_property)


def test_a_gate_that_is_killed_skips_what_follows_a_harmful_environment(
    bench: Bench, steps: Runs, record_property: Callable[[str, object], None]
) -> None:
    harmful = steps("harm")
    assert [task for task in harmful if task.startswith(("staging", "production", "promote"))] == ["promote_to_staging"]
    check(bench, harmful["promote_to_staging"], record_property)
