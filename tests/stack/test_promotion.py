"""Three environments on a real scheduler and triggerer, with a kill from one to the next."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_provider_launchdarkly.testing import EmulatorServer
from stack.airflow_stack import AirflowStack
from stack.dags.promoted import KILLED
from stack.demo import Emulator
from stack.rollouts import Rollout
from support.promotions import ENVIRONMENTS, make_true, three_environments


def test_three_environments_ship_in_order_though_tasks_between_them_are_killed(
    stack: AirflowStack, emulator: Emulator
) -> None:
    give_three_environments(emulator)
    run = Rollout(stack, emulator, "promoted", days=5)
    states = run.finish()
    assert run.state() == "success", states
    assert [states[f"{place}.ship"] for place in ENVIRONMENTS] == ["success"] * 3
    for kind in ("experiment.created", "iteration.started", "iteration.stopped"):
        assert changed_in(emulator, kind) == list(ENVIRONMENTS)
    for task in KILLED:
        assert stack.task("promoted", run.run_id, task)["try_number"] == 2, task


def give_three_environments(emulator: Emulator) -> None:
    """Load a world with three environments, in which Bold does good, at a time that is not before the clock's."""
    with EmulatorServer(world=three_environments()) as server:
        make_true(server, 0.3)
        snapshot = server.snapshot()
    emulator.reset("effect")
    now = datetime.fromisoformat(emulator.get("/__emulator__/clock")["now"])
    snapshot["time"] = (now + timedelta(days=1)).isoformat()
    emulator.load(snapshot)


def changed_in(emulator: Emulator, kind: str) -> list[str]:
    return [
        effect["environment"] for change in emulator.changes() for effect in change["effects"] if effect["kind"] == kind
    ]
