"""The sub-command, as a user or a pull request's check runs it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.cli.simulate import ARRIVALS
from airflow_provider_launchdarkly.simulation.world import Arrivals


def simulate(*words: str) -> int:
    return main(["simulate", *words, "--experiments", "300"])


def test_writes_a_report_with_charts_measures_and_the_policy_in_words(tmp_path: Path) -> None:
    file = tmp_path / "policy.html"
    assert simulate("--preset", "weekly", "--report", str(file), "--max-false-ship", "0.0001") == ExitCode.FINDING
    text = file.read_text(encoding="utf-8")
    assert "default-src" in text
    assert "<script" not in text
    for told in (
        "Exceeded budgets",
        "without effect: shipped (false ship)",
        "Boundaries, with sample experiments",
        "When experiments without an effect end",
        "Looks are taken every 7 days.",
        "Tried on 300 simulated experiments for each truth, split 50/50",
    ):
        assert told in text


def test_a_report_of_a_rule_without_boundaries_draws_none(tmp_path: Path) -> None:
    file = tmp_path / "policy.html"
    assert simulate("--preset", "launchdarkly", "--report", str(file)) == ExitCode.OK
    text = file.read_text(encoding="utf-8")
    assert "this rule has no boundary" in text
    assert "ships above" not in text


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text("looks: 7d\ntraffic: {units_per_day: 4000, mean: 0.2}\nbudget: {false_ship: 0.2}\n")
    return path


def test_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--preset", "balanced") == 0
    printed = capsys.readouterr().out
    assert "300 experiments of 28 looks in 28 days, for each truth" in printed
    assert "shipped (false ship)" in printed


def test_prints_json_with_the_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--preset", "balanced", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert {"false_ship", "power", "mean_stop_day", "false_rollback", "mismatch_false_alarm"} <= set(printed)


def test_reads_a_policy_file_with_its_traffic(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(str(policy), "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["looks"] == 4
    assert printed["effect"] < 0.04


def test_the_command_line_overrides_the_files_traffic(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(str(policy), "--json", "--units-per-day", "40", "--baseline", "7", "--std-dev", "3") == 0
    assert json.loads(capsys.readouterr().out)["effect"] > 0.04


def test_an_effect_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        simulate("--preset", "balanced", "--json", "--effect", "0.5", "--treatments", "3", "--arrivals", "growing") == 0
    )
    assert json.loads(capsys.readouterr().out)["power"] > 0.95


def test_every_pattern_of_traffic_can_be_chosen() -> None:
    assert tuple(Arrivals) == ARRIVALS


def test_the_policys_own_effect_is_simulated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("primary: {direction: lower, minimum_detectable_effect: 0.07}\n")
    assert simulate(str(path), "--json") == 0
    assert json.loads(capsys.readouterr().out)["effect"] == -0.07


def test_an_uneven_allocation_finds_less(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for allocation in ("1/1", "90/10"):
        assert simulate(str(policy), "--json", "--effect", "0.04", "--allocation", allocation) == 0
        found.append(json.loads(capsys.readouterr().out)["power"])
    assert found[0] > found[1] + 0.2


def test_an_exceeded_budget_on_the_command_line_fails(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(str(policy), "--min-power", "0.999") == ExitCode.FINDING
    assert "EXCEEDED: power is" in capsys.readouterr().out


def test_an_exceeded_budget_in_the_policy_fails(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy.write_text("preset: launchdarkly\nbudget: {false_ship: 0.05}\n")
    assert simulate(str(policy), "--json") == ExitCode.FINDING
    (line,) = json.loads(capsys.readouterr().out)["exceeded"]
    assert line.startswith("false_ship is 0.2")


def test_concerns_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--preset", "launchdarkly") == 0
    assert "concern: probability_to_be_best does not bound the error" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["png", "svg"])
@pytest.mark.parametrize("preset", ["balanced", "launchdarkly"])
def test_writes_a_picture(tmp_path: Path, preset: str, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    assert simulate("--preset", preset, "--picture", str(path)) == 0
    start = path.read_bytes()[:200]
    assert start.startswith(b"\x89PNG") if suffix == "png" else b"<?xml" in start


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a policy file or --preset NAME, and not both"),
        (["a.yaml", "--preset", "balanced"], "and not both"),
        (["--preset", "bold"], "preset 'bold' is none of balanced"),
        (["no-such-file.yaml"], "No such file or directory"),
        (["--preset", "balanced", "--baseline", "42"], "mean 42.0 is no conversion rate"),
        (["--preset", "balanced", "--max-false-ship", "7"], "less than or equal to 1"),
        (["--preset", "balanced", "--picture", "no/such/folder.png"], "No such file or directory"),
        (["--preset", "balanced", "--report", "no/such/folder.html"], "No such file or directory"),
        (["--preset", "balanced", "--picture", "picture.docx"], "docx"),
    ],
)
def test_what_cannot_be_done_is_said(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(*words) == 1
    assert message in capsys.readouterr().err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "airflow_provider_launchdarkly.simulation.report", None)
    assert simulate("--preset", "balanced") == 1
    assert "install the provider with its extra `simulation`" in capsys.readouterr().err


def test_a_wrong_policy_is_explained(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy.write_text("alpha: 5\n")
    assert simulate(str(policy)) == 1
    assert "policy.yaml:1: alpha: write a number less than 0.5 (given 5)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--treatments", "1"],
        ["--treatments", "x"],
        ["--arrivals", "never"],
        ["--allocation", "100"],
        ["--allocation", "90/0"],
        ["--allocation", "90/ten"],
        ["--allocation", "inf/1"],
        ["--allocation", "90/10", "--treatments", "2"],
    ],
)
def test_wrong_words_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        simulate("--preset", "balanced", *words)
    assert caught.value.code == ExitCode.ERROR


@pytest.mark.parametrize(("given", "cure"), [("4", "write 0.04 for 4 %"), ("-5", "write -0.05 for -5 %")])
def test_an_effect_in_percent_is_refused(capsys: pytest.CaptureFixture[str], given: str, cure: str) -> None:
    assert simulate("--preset", "balanced", f"--effect={given}") == ExitCode.ERROR
    assert cure in capsys.readouterr().err


def test_an_effect_that_does_not_fit_the_longest_run_is_a_concern(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("traffic: {units_per_day: 2000, mean: 0.1}\nprimary: {minimum_detectable_effect: 0.02}\n")
    assert simulate(str(path)) == 0
    assert "concern: primary.minimum_detectable_effect 0.02 does not fit" in capsys.readouterr().out
    assert simulate(str(path), "--json") == 0
    (concern,) = json.loads(capsys.readouterr().out)["concerns"]
    assert concern.startswith("primary.minimum_detectable_effect 0.02 does not fit")


def test_a_concern_follows_the_traffic_and_the_allocation_of_the_command_line(
    policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(str(policy), "--units-per-day", "100", "--allocation", "98/2") == 0
    assert "and 56 of them in the smallest treatment of 98/2, so nothing can ship" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("plan", "end"),
    [
        ("", "the plan ends on day 28\n"),
        ("planned_units: 20000\n", "the plan ends at 20,000 units, which arrive by day 10.5\n"),
        ("planned_units: 90000\n", "the plan ends at 90,000 units, which do not arrive before day 28\n"),
    ],
)
def test_the_plans_end_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str], plan: str, end: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(f"max_duration: 28d\n{plan}")
    assert simulate(str(path)) == 0
    assert end in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--baseline", "0.9", "--effect", "0.5"],
            "a rate of 0.9 cannot change by +50 %, to 1.35: name a smaller",
        ),
        (["--units-per-day", "0.001"], "a rate of 0.1 cannot change by"),
        (
            ["--units-per-day", "1e300"],
            "--units-per-day 1e+300 cannot be simulated; write a number from 0.001 to",
        ),
        (["--std-dev", "1e200"], "--std-dev 1e+200 cannot be simulated"),
        (["--effect", "nan"], "--effect nan is no lift"),
        (["--effect", "inf"], "--effect inf is no lift"),
    ],
)
def test_what_no_experiment_has_is_refused_in_plain_words(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--preset", "balanced", "--experiments", "20", *arguments]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--experiments", "1000000000"], "a whole number from 1 to 1000000, not '1000000000'"),
        (["--experiments", "9" * 5000], "a whole number from 1 to 1000000, not '999"),
        (["--seed", "-1"], "a whole number from 0 to"),
        (["--treatments", "9" * 5000], "from 2 to 10 treatments, not '999"),
        (["--allocation", "1e308/1e308"], "'1e308/1e308' is no allocation"),
        (["--allocation", "1/1e300"], "'1/1e300' is no allocation"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_number_out_of_all_proportion_is_no_argument(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--preset", "balanced", *arguments])
    assert ended.value.code == 1
    assert told in capsys.readouterr().err
