"""`airflow-launchdarkly retire`: judges a flag, and archives it only with --apply."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.code_scan import scan
from support.scene import Scene
from support.writes import WRITES
from unit.cli.conftest import Run

Command = Callable[..., Run]
FLAG = "checkout-button"


@pytest.fixture
def scene(connection: str, emulator: EmulatorServer) -> Scene:
    """Everyone has got Bold for 40 days, and nothing uses the flag."""
    scene = Scene(LaunchDarklyHook(connection), emulator)
    WRITES["retire"].prepare(scene)
    return scene


def test_without_apply_nothing_is_written(scene: Scene, run: Command) -> None:
    before = len(scene.emulator.journal())
    judged = run("retire", FLAG)

    assert (judged.code, len(scene.emulator.journal())) == (ExitCode.OK, before)
    told = "nothing speaks against it; --apply archives: experiment bold in production, flag checkout-button"
    assert judged.out.strip() == told


def test_apply_archives_and_a_repeat_says_that_it_is_done(scene: Scene, run: Command) -> None:
    first, again, judged = (run("retire", FLAG, *more) for more in (["--apply"], ["--apply"], []))

    things = "experiment bold in production, flag checkout-button"
    assert (first.out, again.out) == (f"archived: {things}\n", f"archived already: {things}\n")
    assert judged.out == "archived already: flag checkout-button\n"
    assert {first.code, again.code, judged.code} == {ExitCode.OK}
    assert scene.hook.get_flag(FLAG).archived


def test_what_speaks_against_it_is_listed_with_cures_and_is_a_finding(scene: Scene, run: Command) -> None:
    scan(scene.emulator, "shop", {"cart.py": [7]}, FLAG)
    kept = run("retire", FLAG, "--served-for", "50d", "--apply")

    assert kept.code == ExitCode.FINDING
    assert kept.out.startswith("checkout-button stays:\n- in production, the flag was changed at ")
    assert "- code names the flag in 1 place: shop/cart.py:7\n  cure: remove it from the code" in kept.out
    assert not scene.hook.get_flag(FLAG).archived


def test_approval_requests_that_are_not_shown_keep_the_flag_unless_asked_otherwise(scene: Scene, run: Command) -> None:
    scene.emulator.fault("get_approvals_for_flag", "status", status=403, times=4)
    kept = run("retire", FLAG)
    archived = run("retire", FLAG, "--without-approval-requests", "--apply")

    assert kept.code == ExitCode.FINDING
    assert "LaunchDarkly does not show the flag's approval requests in production, test" in kept.out
    assert archived.code == ExitCode.OK
    assert scene.hook.get_flag(FLAG).archived


def test_a_proposal_is_printed_as_it_goes_into_a_pull_request(scene: Scene, run: Command) -> None:
    scan(scene.emulator, "shop", {"cart.py": [7]}, FLAG)
    proposed = run("retire", FLAG, "--propose")

    assert proposed.code == ExitCode.OK
    assert proposed.out.startswith("# Remove flag `checkout-button`\n")
    assert "| `cart.py` | 7 |" in proposed.out


def test_json_says_whether_it_was_applied(scene: Scene, run: Command) -> None:
    judged, applied = (json.loads(run("retire", FLAG, "--json", *more).out) for more in ([], ["--apply"]))

    assert (judged["outcome"], judged["applied"], judged["changed"]) == ("archived", False, False)
    assert (applied["outcome"], applied["applied"], applied["changed"]) == ("archived", True, True)


def test_environments_are_named_by_comma(scene: Scene, run: Command) -> None:
    assert run("retire", FLAG, "--environments", "production, test").code == ExitCode.OK
    unknown = run("retire", FLAG, "--environments", "prod")
    assert (unknown.code, "has no environment 'prod'" in unknown.err) == (ExitCode.ERROR, True)


def test_an_unknown_flag_is_an_error(scene: Scene, run: Command) -> None:
    unknown = run("retire", "no-such-flag")
    assert (unknown.code, "no-such-flag" in unknown.err) == (ExitCode.ERROR, True)


def test_a_wrong_duration_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["retire", FLAG, "--served-for", "a month"])
    assert ended.value.code == ExitCode.ERROR
    assert "'a month' is no duration" in capsys.readouterr().err
