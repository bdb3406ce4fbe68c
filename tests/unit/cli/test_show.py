"""`airflow-launchdarkly show`: what runs, from a record or from LaunchDarkly, in the words of the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_launchdarkly.api.models import ReleasePost
from airflow_provider_launchdarkly.api.writes.flags import Serving, serve, turn_flag
from airflow_provider_launchdarkly.api.writes.stop_for_release import stop_reason
from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.audit_records import record
from support.scene import Scene
from unit.cli.conftest import Run

Command = Callable[..., Run]
RECORD = record()


@pytest.fixture
def scene(connection: str, emulator: EmulatorServer) -> Scene:
    return Scene(LaunchDarklyHook(connection), emulator)


def written(folder: Path, iteration_id: str, entries: int) -> Path:
    """Keep the first looks of a record for an iteration, as a sensor does."""
    target = {"project_key": "demo", "environment_key": "production", "experiment_key": "bold"}
    kept: tuple[dict[str, object], ...] = ()
    for entry in RECORD[:entries]:
        fields = {name: entry[name] for name in ("at", "source", "policy", "evidence", "verdict")}
        kept = chain.append(kept, chain.Decision(target={**target, "iteration_id": iteration_id}, **fields))
    file = folder / "demo" / "production" / "bold" / f"{iteration_id}.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text(chain.write(kept))
    return folder


def test_a_record_is_shown_with_its_verdict_and_numbers(tmp_path: Path, run: Command) -> None:
    file = tmp_path / "it-1.jsonl"
    file.write_text(chain.write(RECORD))
    shown = run("show", file, "--utc")
    assert shown.code == ExitCode.OK
    for told in ("verdict: ship", "Bold is 10.0 % better than the baseline", f"{len(RECORD)} entries, whole", "UTC"):
        assert told in shown.out
    assert "\x1b" not in shown.out


def test_what_runs_is_read_from_launchdarkly(scene: Scene, run: Command) -> None:
    shown = run("show", "bold", "--project", "demo", "--environment", "production")
    assert shown.code == ExitCode.OK
    for told in ("Bold · demo/production · running", "Who gets what now: 50 % Classic, 50 % Bold", "Bold is better."):
        assert told in shown.out
    assert f"iteration {scene.iteration_id} started" in shown.out


def test_its_looks_come_from_its_record(
    scene: Scene, run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path, scene.iteration_id, 8)
    where = ("--project", "demo", "--environment", "production")
    shown = run("show", "bold", *where, "--records", folder)
    for told in ("running", "Who gets what now: 50 %", "is needed", "8 entries, whole"):
        assert told in shown.out
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__RECORD_PATH", str(folder))
    assert "8 entries, whole" in run("show", "bold", *where).out
    assert json.loads(run("show", "bold", *where, "--json").out)["looks"][7]["number"] == 8


def test_a_stopped_experiment_says_who_won_and_promises_no_look(scene: Scene, run: Command, tmp_path: Path) -> None:
    scene.stop()
    folder = written(tmp_path, scene.iteration_id, 8)
    shown = run("show", "bold", "--project", "demo", "--environment", "production", "--records", folder)
    assert "Bold · demo/production · stopped" in shown.out
    assert "Everyone gets Classic: enough." in shown.out
    assert "Who gets what now: everyone gets Classic" in shown.out
    assert "Next look" not in shown.out


def test_a_broken_record_is_an_error_that_names_the_folder(scene: Scene, run: Command, tmp_path: Path) -> None:
    folder = written(tmp_path, scene.iteration_id, 2)
    (file,) = folder.rglob("*.jsonl")
    file.write_text(file.read_text().replace('"seq":2', '"seq":3'))
    shown = run("show", "bold", "--project", "demo", "--environment", "production", "--records", folder)
    assert (shown.code, "broken at line 2" in shown.err) == (ExitCode.ERROR, True)


def test_an_experiment_that_is_not_there_is_an_error(connection: str, run: Command) -> None:
    shown = run("show", "nothing", "--project", "demo", "--environment", "production")
    assert shown.code == ExitCode.ERROR
    assert "nothing" in shown.err


def start_release(scene: Scene) -> None:
    """Start a release of Bold: 5 % for a day, and 25 % for a day."""
    clause = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"]}
    steps = [{"allocation": share * 1000, "durationMillis": 86_400_000} for share in (5, 25)]
    post = {
        "originalVariationId": scene.classic,
        "targetVariationId": scene.bold,
        "randomizationUnit": "user",
        "phases": [{"clauses": [clause], "steps": steps}],
    }
    scene.hook.start_release("checkout-button", ReleasePost.checked(post))


def test_the_release_of_its_flag_is_shown_and_a_refusal_of_releases_is_no_error(
    scene: Scene, run: Command, emulator: EmulatorServer
) -> None:
    where = ("--project", "demo", "--environment", "production", "--utc")
    assert "Release of the flag" not in run("show", "bold", *where).out
    start_release(scene)
    shown = run("show", "bold", *where).out
    assert "as LaunchDarkly judges it: in progress: step 1 of 2, 5 % get the target" in shown
    assert "Next step, 25 %" in shown
    assert "/flags/checkout-button/targeting" in shown
    found = json.loads(run("show", "bold", *where, "--json").out)["summary"]["release"]
    assert (found["percent"], found["next_percent"]) == (5, 25)
    emulator.fault("list_environment_releases", "status", status=403, times=10)
    refused = run("show", "bold", *where)
    assert refused.code == ExitCode.OK
    assert "Release of the flag" not in refused.out


def test_an_experiment_that_has_ended_for_its_winners_release_shows_who_gets_what_in_it(
    scene: Scene, run: Command, emulator: EmulatorServer
) -> None:
    where = ("--project", "demo", "--environment", "production", "--utc")
    scene.hook.stop_iteration("bold", scene.iteration_id, winner="baseline", reason=stop_reason("Bold is better"))
    start_release(scene)
    shown = run("show", "bold", *where).out
    for told in (
        "· releasing",
        "A progressive release takes Bold to everyone: step 1 of 2, 5 %. No metric guards it.",
        "Who gets what now: 95 % Classic, 5 % Bold",
        "Step 1 of 2 of the progressive release, since",
        "When step 1 ends, 25 % get Bold.",
        "ended on Classic, and a progressive release of Bold started: 5 %, 25 %",
    ):
        assert told in shown, shown
    emulator.clock.advance("P3D")
    over = run("show", "bold", *where).out
    assert "· release completed" in over
    assert "The progressive release has completed: everyone gets Bold." in over
    assert "Who gets what now: everyone gets Bold" in over


def test_a_release_that_follows_on_an_end_for_another_reason_is_not_the_winners(scene: Scene, run: Command) -> None:
    scene.hook.stop_iteration("bold", scene.iteration_id, winner="baseline", reason="enough")
    start_release(scene)
    shown = run("show", "bold", "--project", "demo", "--environment", "production").out
    assert shown.splitlines()[0].endswith("· stopped")
    assert "Release of the flag, as LaunchDarkly judges it: in progress" in shown
    assert "takes Bold to everyone" not in shown


def test_a_flag_that_was_turned_off_is_said_with_what_everyone_gets(scene: Scene, run: Command) -> None:
    where = ("--project", "demo", "--environment", "production")
    scene.hook.run(turn_flag(scene.hook.environment(), "checkout-button", on=False))
    shown = run("show", "bold", *where).out
    assert "It is running in LaunchDarkly. Flag checkout-button is off: everyone gets Classic." in shown
    assert "Who gets what now: everyone gets Classic" in shown
    assert "50 %" not in shown
    told = json.loads(run("show", "bold", *where, "--json").out)["summary"]
    assert told["drift"] == ["Flag checkout-button is off: everyone gets Classic."]
    assert (told["served"]["by"], told["served"]["now"]) == ("flag", True)


def test_after_a_stop_who_gets_what_is_what_the_flag_serves_now(scene: Scene, run: Command) -> None:
    scene.stop()
    bold = serve(scene.hook.environment(), "checkout-button", Serving(scene.bold))
    scene.hook.run(bold)
    shown = run("show", "bold", "--project", "demo", "--environment", "production").out
    assert "Everyone got Classic: enough." in shown
    assert "Since the stop, the default rule of flag checkout-button was changed: it serves Bold to everyone" in shown
    assert "Who gets what now: everyone gets Bold" in shown
