"""Experiments and releases in three environments, killed at every point of every task between two of them.

None is skipped and none begins twice: the same effects, once, and the same world as if nothing had happened.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from crash.bench import Bench, Step
from crash.steps import Recorder, world_of
from crash.test_crash_matrix import check
from crash.warm import Warm
from support.promotions import ENVIRONMENTS, three_environments
from support.surroundings import CONNECTION, connection_json

if TYPE_CHECKING:
    from collections.abc import Sequence

# The tasks at which an environment is left, and those at which the next one is entered.
BETWEEN = tuple(
    task
    for before, after in itertools.pairwise(ENVIRONMENTS)
    for task in (f"{before}.ship", f"promote_to_{after}", f"{after}.start")
)
BETWEEN_RELEASES = (
    "test.start",
    *(
        task
        for before, after in itertools.pairwise(ENVIRONMENTS)
        for task in (f"{before}.completed", f"promote_to_{after}", f"{after}.start")
    ),
)
Runs = Callable[..., dict[str, Step]]


class PromotionRecorder(Recorder):
    """Runs a promotion, and skips what a gate skips."""

    skipped: Sequence[str] = ()
    turn: Callable[[str], None] = staticmethod(lambda _task: None)

    @override
    def _run_one(self, task: Any) -> str:
        self.turn(task.task_id)
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
    found: dict[tuple[str, str], dict[str, Step]] = {}

    def run(world: str, what: str = "promotion", turn: Callable[[str], None] = lambda _task: None) -> dict[str, Step]:
        if (world, what) not in found:
            bench.begin()
            world_of(bench, world)
            recorder = PromotionRecorder(bench, what, state=True, records=False)
            recorder.turn = turn
            recorder.run()
            assert not {"failed", "upstream_failed"} & set(recorder.states.values()), recorder.reasons
            found[world, what] = {step.name: step for step in recorder.steps}
        return found[world, what]

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


@pytest.mark.parametrize("task", BETWEEN_RELEASES)
def test_a_kill_between_two_releases_neither_skips_nor_repeats_one(
    bench: Bench, steps: Runs, task: str, record_property: Callable[[str, object], None]
) -> None:
    check(bench, steps("good", "releases")[task], record_property)


def test_a_gate_that_is_killed_skips_what_follows_a_release_that_went_back(
    bench: Bench, steps: Runs, record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONNECTION, connection_json(bench.emulator))

    def go_back(task: str) -> None:
        if task == "test.watch":
            hook = LaunchDarklyHook(environment_key="test")
            (release,) = hook.list_releases("checkout-button")
            hook.stop_release("checkout-button", release.id, "roll_back_all_phases_and_remove_pending_phases")

    back = steps("harm", "releases", go_back)
    assert [task for task in back if task.startswith(("staging", "production", "promote"))] == ["promote_to_staging"]
    for task in ("test.reverted", "promote_to_staging"):
        check(bench, back[task], record_property)
