"""Lines of a task's log: the verdict first, none too long whatever the names, and what is live while a task waits."""

from __future__ import annotations

import ast
import re
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.checks.background import background_of
from airflow_provider_launchdarkly.checks.result import CheckResult
from airflow_provider_launchdarkly.config.lines import LONGEST_LINE, lines_of
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.sensors.experiments import LaunchDarklyDwellSensor
from airflow_provider_launchdarkly.sensors.significance import LaunchDarklyWaitForSignificanceSensor
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.scene import Scene
from unit.test_architecture import ROOT, rooms

CONTEXT: Any = {"ti": SimpleNamespace(dag_id="rollout", task_id="wait", run_id="run-1")}
# These rooms write into the logs of tasks; `write_lines` keeps to the width, and so do `say` and `warn`.
ROOMS = ("sensors", "operators", "triggers", "checks")
METHOD = re.compile(r"self\.(_task\.)?log\.(debug|info|warning|error|exception|log)")


@pytest.fixture
def scene(connection: str, emulator: EmulatorServer) -> Scene:
    return Scene(LaunchDarklyHook(connection), emulator)


def writes_to_a_tasks_log(code: ast.AST) -> list[int]:
    """The lines that name a method of a task's log, but for what goes to `write_lines`."""
    kept = {
        part
        for node in ast.walk(code)
        if isinstance(node, ast.Call) and "write_lines" in {ast.unparse(each) for each in (node.func, *node.args[:1])}
        for part in node.args
    }
    return [
        node.lineno
        for node in ast.walk(code)
        if isinstance(node, ast.Attribute) and node not in kept and METHOD.fullmatch(ast.unparse(node))
    ]


def test_every_line_of_a_tasks_log_goes_through_what_keeps_the_width() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for room in ROOMS
        for file in rooms()[room]
        for line in writes_to_a_tasks_log(ast.parse(file.read_text()))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "around"),
    [
        ("self.log.info('%s', text)", True),
        ("record(log=self._task.log.warning)", True),
        ("write_lines(self.log.info, text)", False),
        ("record(log=partial(write_lines, self.log.info))", False),
        ("self.say('%s', text)", False),
    ],
)
def test_a_line_that_may_be_too_long_is_found(code: str, around: bool) -> None:
    assert bool(writes_to_a_tasks_log(ast.parse(code))) is around


@given(st.text())
def test_a_line_fits_and_loses_no_character(text: str) -> None:
    lines = lines_of(text)
    assert max(map(len, lines)) <= LONGEST_LINE
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_key_that_is_longer_than_a_line_is_broken() -> None:
    assert all(len(line) <= LONGEST_LINE for line in lines_of(f"ship: {'metric-' * 60}"))
    assert len(lines_of(f"ship: {'metric-' * 60}")) > 1


def waiting(sensor: Any, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    with pytest.raises(TaskDeferred):
        sensor.execute(CONTEXT)
    return re.findall(r"\[info +\] (.*) \[airflow\.task", capsys.readouterr().out)


def test_while_it_waits_the_log_says_when_the_next_look_is_who_gets_what_and_what_is_watched(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = [f"{'a-metric-with-a-long-name-' * 4}{number}" for number in range(4)]
    policy = {"looks": "7d", "guardrails": [{"metric": metric, "direction": "lower"} for metric in metrics]}
    sensor = LaunchDarklyWaitForSignificanceSensor(
        task_id="wait", experiment_key="bold", iteration_id=scene.iteration_id, policy=policy
    )
    lines = waiting(sensor, capsys)
    first, *rest = lines
    assert first.startswith("waiting for look 1 of 4 at 20")
    assert first.endswith("UTC (in 6 days)")
    assert any(line.startswith("Allocation: Bold 50 %, Classic 50 %; people get it while") for line in rest)
    text = " ".join(rest)
    assert all(metric in "".join(text.split()) for metric in metrics)
    assert max(map(len, lines)) <= LONGEST_LINE


def test_a_dwell_says_until_when_who_gets_what_and_that_nothing_is_judged(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    sensor = LaunchDarklyDwellSensor(task_id="wait", experiment_key="bold", iteration_id=scene.iteration_id, dwell="7d")
    first, *rest = waiting(sensor, capsys)
    assert first.startswith("waiting until 20")
    assert "(in 6 days): iteration " in first
    assert "Guardrails: none; nothing is judged" in rest


@pytest.mark.parametrize(
    ("summary", "output", "line"),
    [
        ("look 2 of 4: a", {"verdict": "rollback", "reason": "guardrail_harmed"}, "rollback (guardrail_harmed): look"),
        ("invalid: it is stopped", {"verdict": "invalid", "reason": "iteration_stopped"}, "invalid: it is stopped"),
        ("waiting for look 1 of 4", {"verdict": "wait", "reason": "between_looks"}, "waiting for look 1 of 4"),
        ("stopped: iteration it-1", {"status": "stopped"}, "stopped: iteration it-1"),
    ],
)
def test_a_line_begins_with_the_verdict_and_its_reason(summary: str, output: dict[str, Any], line: str) -> None:
    assert CheckResult(True, summary, output).headline.startswith(line)


def test_what_is_not_running_serves_nothing() -> None:
    assert background_of(None, None) == ()
