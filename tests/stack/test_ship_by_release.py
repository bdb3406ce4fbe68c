"""The example whose winner ships through a guarded release, on a real scheduler and triggerer.

The emulator regresses, reverts and completes by what is true of its people.
"""

from __future__ import annotations

import pytest

from stack.airflow_stack import AirflowStack
from stack.demo import FLAG, Emulator
from stack.rollouts import Rollout, make_true


def make_slower(emulator: Emulator, share: float) -> None:
    """Let pages load slower with Bold by such a share from now on; the clock stays where it is."""
    snapshot = emulator.get("/__emulator__/snapshot")
    source = snapshot["world"]["projects"][FLAG[0]]["truths"][FLAG[2]]["source"]
    source["metrics"]["page-load-ms"]["effects"] = {"Bold": {"relative": share}}
    emulator.load(snapshot)


@pytest.mark.parametrize(("slower", "ending", "gets"), [(0.0, "ship", "Bold"), (0.3, "regressed", "Classic")])
def test_a_winner_ships_through_a_release_or_is_taken_back(
    stack: AirflowStack, emulator: Emulator, slower: float, ending: str, gets: str
) -> None:
    make_true(emulator, effect=0.3, people_per_day=6_000)
    run = Rollout(stack, emulator, "ship_by_release", days=3)
    run.until(lambda states: states.get("rollout.release.start") == "success")
    written = kinds(emulator)
    make_slower(emulator, slower)
    states = run.finish()
    assert run.state() == "success", states
    assert states[f"rollout.{ending}"] == "success"
    assert states["rollout.unwatched"] == "skipped"
    found = run.xcom(f"rollout.{ending}")
    assert found["ending"] == ending
    assert found["release"]["status"] == ("completed" if ending == "ship" else "reverted")
    assert found["release"]["regressed"] == ([] if ending == "ship" else ["page-load-ms"])
    assert emulator.served() == f"on, everyone gets {gets}"
    # The journal begins anew with the world that was loaded.
    written += kinds(emulator)
    assert written.count("iteration.stopped") == written.count("release.started") == 1


def kinds(emulator: Emulator) -> list[str]:
    """The kinds of what was changed, in order."""
    return [effect["kind"] for change in emulator.changes() for effect in change["effects"]]
