"""How long a staged rollout of four weeks takes on a real Airflow whose LaunchDarkly has a clock that can be turned.

Runs `dags_examples/staged_ramp.py`, with its change window, and an approval by Airflow's REST API, to `ship`. Beside it
stands what a user would do instead: wait for the days to pass.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

from stack.airflow_stack import AirflowStack  # noqa: E402 - the folder is known only now
from stack.demo import Emulator  # noqa: E402
from stack.rollouts import Rollout, make_true  # noqa: E402


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        emulator = Emulator("effect", 42, Path(folder) / "emulator.log")
        environment = {
            "AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT": emulator.connection,
            "AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL": "0.5",
        }
        try:
            with AirflowStack(REPOSITORY / "dags_examples", environment) as stack:
                make_true(emulator, effect=0.075)
                begun = time.monotonic()
                run = Rollout(stack, emulator, "staged_ramp")
                states = run.finish()
                took = time.monotonic() - begun
            times = [datetime.fromisoformat(change["server_time"]) for change in emulator.changes()]
        finally:
            emulator.stop()
    done = sum(state == "success" for state in states.values())
    days = (times[-1] - times[0]).total_seconds() / 86_400
    ended = next(e for e in ("ship", "rollback", "inconclusive", "invalid") if states[f"rollout.{e}"] == "success")
    print(f"{ended}: {days:.1f} days of experiment, {done} tasks, one approval: {took:.0f} s of wall time")


if __name__ == "__main__":
    main()
