"""With `--sandbox` the doctor writes: only what is its own, and it deletes that again whatever happens."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.doctor.sandbox import Sandbox
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import connect

if TYPE_CHECKING:
    from .conftest import Doctor, Visit

WRITES = (
    *("post_feature_flag", "post_metric", "patch_feature_flag", "create_experiment", "create_iteration"),
    *("patch_experiment", "start_environment_release", "stop_environment_release"),
    *("delete_feature_flag", "delete_metric"),
)


def left_over(emulator: EmulatorServer) -> dict[str, str]:
    """What is there of the doctor's own, and in which state."""

    def look(running: Any) -> dict[str, str]:
        project = running.world.projects["demo"]
        found = {}
        for experiment in project.experiments.values():
            if experiment.key.startswith("airflow-doctor-"):
                state = "archived" if experiment.archived_at else "active"
                found["experiment"] = f"{state}, {experiment.current.status}"
        for key, flag in project.flags.items():
            if key.startswith("airflow-doctor-"):
                found["flag"] = "archived" if flag.archived else "active"
        if any(key.startswith("airflow-doctor-") for key in project.metrics):
            found["metric"] = "there"
        return found

    found: dict[str, str] = emulator.call(look)
    return found


def is_own(key: Any) -> bool:
    return str(key).startswith("airflow-doctor-")


def others(emulator: EmulatorServer) -> str:
    """Everything that is not the doctor's own, as text."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            own = [name for name, kept in value.items() if isinstance(kept, dict) and is_own(kept.get("flag_key"))]
            return {name: without(kept) for name, kept in value.items() if not is_own(name) and name not in own}
        if isinstance(value, list):
            return [without(kept) for kept in value if "airflow-doctor-" not in json.dumps(kept)]
        return value

    return json.dumps(without(emulator.snapshot()["world"]["projects"]), sort_keys=True)


def told(visit: Visit) -> list[str]:
    return [status for status, _ in visit.lines("sandbox")]


def test_the_life_of_an_experiment_is_run_and_cleaned_up(patient: EmulatorServer, doctor: Doctor) -> None:
    before = others(patient)
    visit = doctor("--sandbox", "demo")
    assert visit.code == ExitCode.OK
    assert set(told(visit)) == {"fine"}
    assert left_over(patient) == {"experiment": "archived, stopped", "flag": "archived", "metric": "there"}
    assert others(patient) == before
    for kind in ("experiment", "flag", "metric"):
        assert any(what.startswith(f"{kind} airflow-doctor-") for _, what in visit.lines("sandbox"))


def test_two_runs_do_not_meet(unstarted: EmulatorServer, doctor: Doctor) -> None:
    assert doctor("--sandbox", "demo").code == doctor("--sandbox", "demo").code == ExitCode.OK


@pytest.mark.parametrize("winner", ["required", "optional"])
@pytest.mark.parametrize(
    ("content_type", "draft_over_draft", "flag_version"),
    [
        ("lenient", "replace", "at_create"),
        ("strict", "replace", "never"),
        ("lenient", "replace", "always"),
        ("strict", "refuse", "at_create"),
    ],
)
def test_what_only_a_write_can_tell_makes_the_round(
    unstarted: EmulatorServer,
    doctor: Doctor,
    content_type: str,
    draft_over_draft: str,
    flag_version: str,
    winner: str,
) -> None:
    switches = {"content_type": content_type, "draft_over_draft": draft_over_draft}
    switches |= {"flag_version": flag_version, "winner": winner, "guarded_releases": "available"}
    unstarted.switch(**switches)
    visit = doctor("--sandbox", "demo")
    assert {name: visit.report["emulator"]["switches"].get(name) for name in switches} == switches
    with EmulatorServer(like=visit.report) as alike:
        assert alike.call(lambda emulator: emulator.settings) == unstarted.call(lambda emulator: emulator.settings)


def test_a_plan_that_guards_no_releases_is_named_with_what_to_write(unstarted: EmulatorServer, doctor: Doctor) -> None:
    unstarted.switch(guarded_releases="unavailable")
    visit = doctor("--sandbox", "demo")
    assert visit.code == ExitCode.FINDING
    assert ("missing", "starts a guarded release: GuardingDeniedError 403") in visit.lines("sandbox")
    assert "write kind: progressive or guarded_or_progressive in endings.ship.release" in visit.cures("sandbox")
    assert visit.report["emulator"]["switches"]["guarded_releases"] == "unavailable"
    assert_cleaned(unstarted, visit)


def test_one_that_does_is_told_too_and_no_release_is_left(unstarted: EmulatorServer, doctor: Doctor) -> None:
    visit = doctor("--sandbox", "demo")
    assert ("fine", "starts a guarded release, and stops it") in visit.lines("sandbox")
    statuses = unstarted.call(lambda it: [each.status for each in it.world.projects["demo"].releases.values()])
    assert statuses == ["reverted"]


def test_a_reader_makes_nothing(patient: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, patient.url, "api-reader")
    before = len(patient.journal())
    visit = doctor("--sandbox", "demo")
    assert visit.code == ExitCode.FINDING
    assert told(visit) == ["fine", "missing", "unknown", "fine"]
    assert "Writer" in visit.cures("sandbox")
    assert len(patient.journal()) == before


def test_a_service_token_names_a_maintainer(
    patient: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, patient.url, "api-service")
    assert set(told(doctor("--sandbox", "demo"))) == {"fine"}


def test_approvals_that_stand_in_the_way_are_named(unstarted: EmulatorServer, doctor: Doctor) -> None:
    unstarted.switch(flag_approvals="everywhere")
    visit = doctor("--sandbox", "demo")
    assert ("missing", "turns the flag on: ApprovalRequiredError 405") in visit.lines("sandbox")
    assert left_over(unstarted) == {}


def test_a_project_that_is_not_there_is_named(unstarted: EmulatorServer, doctor: Doctor) -> None:
    visit = doctor("--sandbox", "none")
    assert ("missing", "creates a flag: NotFoundError 404") in visit.lines("sandbox")


def test_without_a_way_in_no_sandbox_is_tried(
    patient: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, patient.url, "api-wrong")
    assert doctor("--sandbox", "demo").lines("sandbox") == []


@pytest.mark.parametrize("fault", ["status", "status_after", "close_before", "close_after"])
@pytest.mark.parametrize("operation", WRITES)
def test_a_write_that_fails_once_leaves_nothing_that_is_not_told(
    unstarted: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, operation: str, fault: str
) -> None:
    connect(monkeypatch, unstarted.url, retry_budget=0)
    unstarted.fault(operation, fault)
    visit = doctor("--sandbox", "demo")
    assert_cleaned(unstarted, visit)


@pytest.mark.parametrize("operation", WRITES)
def test_what_cannot_be_deleted_is_told(unstarted: EmulatorServer, doctor: Doctor, operation: str) -> None:
    unstarted.fault(operation, "status", status=403, probability=1.0)
    visit = doctor("--sandbox", "demo")
    left = left_over(unstarted)
    still = {
        what.split()[0] for status, what in visit.lines("sandbox") if status == "missing" and "still there" in what
    }
    assert {kind for kind, state in left.items() if state == "active"} <= still


def assert_cleaned(emulator: EmulatorServer, visit: Visit) -> None:
    """Nothing runs or is active, and the report names all that is left."""
    left = left_over(emulator)
    lines = "\n".join(what for _, what in visit.lines("sandbox"))
    assert left.get("experiment", "archived").startswith("archived")
    assert "running" not in left.get("experiment", "")
    assert left.get("flag", "archived") == "archived" or "flag" in lines.partition("still there")[0]
    for kind in left:
        assert f"{kind} airflow-doctor-" in lines


def interrupt_at(number: int, monkeypatch: pytest.MonkeyPatch, interrupt: Callable[[], None]) -> None:
    """Interrupt the doctor just after its nth write was answered."""
    transmit, seen = LaunchDarklyClient._transmit, []

    def counted(client: LaunchDarklyClient, wire: Any) -> Any:
        reply = transmit(client, wire)
        if wire.method != "GET":
            seen.append(wire)
            if len(seen) == number:
                interrupt()
        return reply

    monkeypatch.setattr(LaunchDarklyClient, "_transmit", counted)


def by_keyboard() -> None:
    raise KeyboardInterrupt


def by_signal() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("number", "interrupt"), [*((number, by_keyboard) for number in range(1, 15)), (1, by_signal), (8, by_signal)]
)
def test_an_interruption_after_any_write_is_cleaned_up(
    unstarted: EmulatorServer,
    doctor: Doctor,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    interrupt: Callable[[], None],
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    interrupt_at(number, monkeypatch, interrupt)
    visit = doctor("--sandbox", "demo")
    assert visit.code == ExitCode.ERROR
    assert ("failed", "interrupted") in visit.lines("sandbox")
    assert_cleaned(unstarted, visit)
    assert signal.getsignal(signal.SIGTERM) == before


def test_its_names_are_its_own() -> None:
    names = {Sandbox(None, None, "demo").name for _ in range(100)}  # type: ignore[arg-type]
    assert len(names) == 100
    assert all(name.startswith("airflow-doctor-") for name in names)
