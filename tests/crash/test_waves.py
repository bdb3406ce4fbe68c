"""Three targets in three waves, killed at every point of every task between two of them.

None is skipped and none begins twice: the same effects, once, and the same world as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from crash.bench import Bench, Step
from crash.steps import world_of
from crash.test_crash_matrix import check
from crash.test_promotions import PromotionRecorder
from crash.warm import Warm
from support.promotions import three_environments

# The tasks at which a target and its wave are left, and those at which the next ones are entered.
BETWEEN = (
    *("open_wave_1", "wave_1.begin_test", "wave_1.test.start", "wave_1.test.ship", "wave_1.count_test"),
    *("open_wave_2", "pause_wave_2", "wave_2.begin_staging", "wave_2.staging.start", "wave_2.count_staging"),
    *("open_wave_3", "wave_3.begin_production", "wave_3.production.start", "wave_3.count_production", "summary"),
)
STOPPED = ("wave_1.count_test", "open_wave_2", "wave_2.begin_staging", "wave_3.begin_production", "stopped", "summary")
Runs = Callable[[str], dict[str, Step]]


@pytest.fixture(scope="module")
def bench(warm: Warm) -> Iterator[Bench]:
    with Bench(warm, world=three_environments()) as made:
        yield made


@pytest.fixture(scope="module")
def steps(bench: Bench) -> Runs:
    """Run the waves in a world in which Bold does good or harm; return their tasks by their ids."""
    found: dict[str, dict[str, Step]] = {}

    def run(world: str) -> dict[str, Step]:
        if world not in found:
            bench.begin()
            world_of(bench, world)
            recorder = PromotionRecorder(bench, "waves", state=True, records=False)
            recorder.run()
            assert not {"failed", "upstream_failed"} & set(recorder.states.values()), recorder.reasons
            found[world] = {step.name: step for step in recorder.steps}
        return found[world]

    return run


@pytest.mark.parametrize("task", BETWEEN)
def test_a_kill_between_two_targets_neither_skips_nor_repeats_one(
    bench: Bench, steps: Runs, task: str, record_property: Callable[[str, object], None]
) -> None:
    check(bench, steps("good")[task], record_property)


@pytest.mark.parametrize("task", STOPPED)
def test_a_kill_once_more_failed_than_tolerated_lets_nothing_begin(
    bench: Bench, steps: Runs, task: str, record_property: Callable[[str, object], None]
) -> None:
    harmful = steps("harm")
    assert not [name for name in harmful if name.startswith(("wave_2.staging", "wave_3.production", "pause"))]
    check(bench, harmful[task], record_property)
