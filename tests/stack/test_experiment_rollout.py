"""The main path on a real scheduler, triggerer and worker."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stack.airflow_stack import AirflowStack
from stack.demo import DAG_ID, SCENARIOS, Emulator, roll_out
from stack.rollouts import Rollout

VERDICTS = dict(zip(SCENARIOS, ("ship", "inconclusive", "invalid"), strict=True))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_scenario_ends_in_its_verdict(
    stack: AirflowStack, emulator: Emulator, capsys: pytest.CaptureFixture[str], scenario: str
) -> None:
    emulator.reset(scenario)
    assert roll_out(stack, emulator, days=7) == VERDICTS[scenario]
    stopped = [change for change in emulator.changes() if "iteration.stopped" in kinds(change)]
    assert len(stopped) == (0 if scenario == "broken-split" else 1)
    assert "look 7 of 28, day 7.0" in capsys.readouterr().out
    assert_the_token_is_in_no_log(stack)


def test_a_triggerer_that_dies_while_waiting_changes_nothing(stack: AirflowStack, emulator: Emulator) -> None:
    emulator.reset("effect")
    run = Rollout(stack, emulator, DAG_ID, days=7)
    run.until(waits, turning=False)
    stack.kill_service("triggerer")
    emulator.advance("P3DT12H")
    stack.start_service("triggerer")
    run.finish()
    assert run.state() == "success"
    assert run.xcom("wait")["verdict"] == "ship"
    counts = [kind for change in emulator.changes() for kind in kinds(change)]
    for kind in ("experiment.created", "iteration.created", "iteration.started", "iteration.stopped"):
        assert counts.count(kind) == 1
    assert_the_token_is_in_no_log(stack)


def test_the_link_to_launchdarkly_is_there_while_the_sensor_waits(stack: AirflowStack, emulator: Emulator) -> None:
    emulator.reset("effect")
    run = Rollout(stack, emulator, DAG_ID)
    run.until(waits, turning=False)
    links = stack.call("GET", f"/dags/{DAG_ID}/dagRuns/{run.run_id}/taskInstances/wait/links")["extra_links"]
    url = links["LaunchDarkly experiment"]
    assert url.startswith(f"{emulator.url}/projects/demo/experiments/bold-checkout-button")
    assert "bold-checkout-button" in emulator.page(url)
    stack.call("PATCH", f"/dags/{DAG_ID}/dagRuns/{run.run_id}", {"state": "failed"})


def waits(states: dict[str, str | None]) -> bool:
    """Whether the sensor has gone to the triggerer."""
    return states["wait"] == "deferred"


def assert_the_token_is_in_no_log(stack: AirflowStack) -> None:
    logs = [*stack.home.rglob("*.log")]
    assert logs
    token = b"api-emulator"
    leaks = [str(log) for log in logs if token in log.read_bytes().replace(b"api-emulator.", b"")]
    assert not leaks


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_demo_leaves_no_process_behind(name: str) -> None:
    demo = subprocess.Popen([sys.executable, str(Path(__file__).parent / "demo.py")], stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    home = next(line.split("starting in ")[1].split()[0] for line in demo.stdout if "starting in" in line)
    next(line for line in demo.stdout if "created experiment" in line)
    assert processes_of(home)
    demo.send_signal(getattr(signal, name))
    demo.stdout.read()
    assert demo.wait(60) in {130, 143}
    assert processes_of(home) == []
    assert not Path(home).exists()


def kinds(change: dict[str, object]) -> list[str]:
    effects = change["effects"]
    assert isinstance(effects, list)
    return [effect["kind"] for effect in effects]


def processes_of(home: str) -> list[int]:
    """Processes whose environment names this Airflow home."""
    mark = f"AIRFLOW_HOME={home}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found
