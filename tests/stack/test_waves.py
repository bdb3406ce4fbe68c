"""Waves on a real scheduler and triggerer: a pause, two targets side by side, and a stop before the third."""

from __future__ import annotations

from datetime import datetime, timedelta

from typing_extensions import override

from airflow_provider_launchdarkly.testing import EmulatorServer
from stack.airflow_stack import AirflowStack
from stack.demo import Emulator
from stack.rollouts import Rollout
from support.promotions import make_true, truth
from support.waves import an_environment_for_each_target


class SideBySide(Rollout):
    """Turns the clock for Paris and Rome together, and not as far as Paris's first look before Rome has ended."""

    both_wait_since: datetime | None = None

    @override
    def step(self, states: dict[str, str | None]) -> None:
        if states["pause_wave_2"] != "success" or states["wave_2.rome.rollback"] == "success":
            super().step(states)
        elif not states["wave_2.paris.watch"] == states["wave_2.rome.watch"] == "deferred":
            super().step({})  # what is read from now on does not count
        else:
            now = clock_of(self.emulator)
            self.both_wait_since = self.both_wait_since or now
            if now - self.both_wait_since < timedelta(days=3):
                super().step(states)


def clock_of(emulator: Emulator) -> datetime:
    """What LaunchDarkly's clock shows."""
    return datetime.fromisoformat(emulator.get("/__emulator__/clock")["now"])


def test_a_target_that_fails_lets_the_one_beside_it_end_and_none_begin(stack: AirflowStack, emulator: Emulator) -> None:
    load_a_world_in_which_rome_fails(emulator)
    run = SideBySide(stack, emulator, "in_waves")
    states = run.finish()
    assert run.state() == "success", states
    assert states["wave_1.berlin.ship"] == states["wave_2.paris.ship"] == states["wave_2.rome.rollback"] == "success"
    assert states["pause_wave_2"] == states["stopped"] == states["summary"] == "success"
    oslo = {state for task, state in states.items() if task.startswith("wave_2.oslo.")}
    assert oslo == {"skipped"}
    changes = [effect for change in emulator.changes() for effect in change["effects"]]
    begun = [effect["environment"] for effect in changes if effect["kind"] == "iteration.started"]
    assert (begun[0], sorted(begun)) == ("berlin", ["berlin", "paris", "rome"])
    ended = [effect["environment"] for effect in changes if effect["kind"] == "iteration.stopped"]
    assert ended == ["berlin", "rome", "paris"]


def load_a_world_in_which_rome_fails(emulator: Emulator) -> None:
    """Load a world with an environment for each target, at a time that is not before the clock's."""
    with EmulatorServer(world=an_environment_for_each_target()) as server:
        make_true(server, 0.3)
        worse = truth(-0.5, "New", metric="signup-form-opened")
        server.call(lambda inside: inside.world.projects["demo"].truths.update({"pricing-page": worse}))
        snapshot = server.snapshot()
    emulator.reset("effect")
    snapshot["time"] = (clock_of(emulator) + timedelta(days=1)).isoformat()
    emulator.load(snapshot)
