"""The sub-command `power`, as an analyst runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.main import main
from support.surroundings import REPOSITORY

QUESTION = ("--baseline", "0.031", "--units-per-day", "12000", "--effect", "0.04")

ROLLOUT = """
rollouts:
  bold-button:
    experiment:
      flag: checkout-button
      primary_metric: checkout-conversion
      hypothesis: A bold button brings more people through the checkout.
      treatments:
        - {variation: Classic, baseline: true}
        - {variation: Bold}
    policy:
      guardrails: [{metric: errors, direction: lower}]
      traffic: {units_per_day: 12000, mean: 0.031, metrics: {errors: {mean: 0.004}}}
    stages:
      - {name: careful, allocation: 10, dwell: 2d}
      - {name: half, allocation: 50, gate: decision}
"""


def plan(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["power", *words, "--format", "json"]) == ExitCode.OK
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_an_analysts_question_is_one_command_and_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    guardrails = ("--guardrail", "errors=0.004,lower", "--guardrail", "page-load-ms=900,sd=400,lower")
    assert main(["power", *QUESTION, *guardrails]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) <= 24
    assert "an effect of +4.00 %, in 28 days: power 6" in printed
    assert "power 80 % takes 56 days" in printed
    assert "both guardrails" in printed


def test_a_policy_file_has_traffic_and_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        "traffic: {units_per_day: 4000, mean: 0.1}\nprimary: {minimum_detectable_effect: 0.06}\nmax_duration: 42d\n"
    )
    found = plan(capsys, str(path))
    assert found["effect"] == 0.06
    assert 50_000 < found["planned_units"] < 90_000
    assert found["longest_days"] == 42.0
    half = plan(capsys, str(path), "--units-per-day", "2000", "--days", "28", "--power", "0.9")
    assert half["longest_days"] == 28.0
    assert half["wanted_power"] == 0.9
    assert half["power"] < 0.75 < found["power"]


def test_a_rollout_file_is_planned_stage_by_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rollout.yaml"
    path.write_text(ROLLOUT)
    found = plan(capsys, str(path), "--effect", "0.04")
    assert [(stage["name"], stage["allocation"], stage["days"]) for stage in found["stages"]] == [
        ("careful", "90/10", 2.0),
        ("half", "50/50", 28.0),
    ]
    assert {cost["name"] for cost in found["costs"]} == {"stage careful", "guardrail errors"}
    longer = plan(capsys, str(path), "--effect", "0.04", "--days", "56")
    assert longer["stages"][1]["days"] == 56.0
    assert longer["power"] > found["power"] + 0.15


def test_stages_can_be_given_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, *QUESTION, "--stage", "90/10=2", "--stage", "80/20=2.5", "--guardrail", "errors=0.004,lower")
    assert [(stage["allocation"], stage["days"]) for stage in found["stages"]] == [
        ("90/10", 2.0),
        ("80/20", 2.5),
        ("50/50", 28.0),
    ]


def test_an_uneven_split_and_a_covariate(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, *QUESTION, "--allocation", "90/10", "--correlation", "0.6")
    assert [saving["correlation"] for saving in found["savings"]] == [0.6]
    assert found["costs"][0]["name"] == "split 90/10 in place of 50/50"


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_writes_a_picture(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"power.{suffix}"
    assert main(["power", *QUESTION, "--picture", str(path)]) == ExitCode.OK
    start = path.read_bytes()[:200]
    assert start.startswith(b"\x89PNG") if suffix == "png" else b"<?xml" in start


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--effect", "0.04"], "--units-per-day and --baseline missing: give the options, or a file whose policy has"),
        ([*QUESTION[:4], "--effect", "4"], "--effect 4: write the size of the lift as a share above 0"),
        ([*QUESTION[:4], "--effect", "-0.04"], "the policy says whether higher or lower is better"),
        ([*QUESTION, "--preset", "launchdarkly"], "has no boundaries to integrate; measure it with `simulate`"),
        ([*QUESTION, "--rollout", "bold"], "--rollout bold needs a file with rollouts"),
        (["a.yaml", "--preset", "balanced"], "give a file or --preset NAME, and not both"),
        (["no-such-file.yaml"], "No such file or directory"),
        ([*QUESTION, "--picture", "no/such/folder.png"], "No such file or directory"),
    ],
)
def test_what_cannot_be_planned_is_said(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["power", *words]) == ExitCode.ERROR
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--guardrail", "errors"],
        ["--guardrail", "=0.004"],
        ["--guardrail", "errors=0.004,sideways"],
        ["--guardrail", "errors=0.004,sd=wide"],
        ["--stage", "90/10"],
        ["--stage", "90/10=0"],
        ["--stage", "90=2"],
        ["--correlation", "1"],
        ["--correlation", "much"],
    ],
)
def test_wrong_words_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["power", *QUESTION, *words])
    assert caught.value.code == ExitCode.ERROR


class TestRolloutFiles:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "rollout.yaml"

    def test_one_of_several_is_chosen_by_name(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        second = ROLLOUT.replace("rollouts:\n", "").replace("bold-button:", "quiet-button:").replace("0.031", "0.1")
        path.write_text(ROLLOUT + second)
        assert main(["power", str(path)]) == ExitCode.ERROR
        assert "choose one with --rollout, of bold-button, quiet-button" in capsys.readouterr().err
        assert plan(capsys, str(path), "--rollout", "quiet-button")["traffic"]["mean"] == 0.1
        assert main(["power", str(path), "--rollout", "loud-button"]) == ExitCode.ERROR
        assert "has no rollout 'loud-button'" in capsys.readouterr().err

    def test_a_wrong_one_is_explained(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path.write_text(ROLLOUT.replace("allocation: 10,", "allocation: 110,"))
        assert main(["power", str(path)]) == ExitCode.ERROR
        assert "110 is not a percentage" in capsys.readouterr().err

    def test_it_has_its_own_stages(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path.write_text(ROLLOUT)
        assert main(["power", str(path), "--stage", "90/10=2"]) == ExitCode.ERROR
        assert "--stage is for plans without a rollout file" in capsys.readouterr().err


def test_the_guide_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    page = (REPOSITORY / "docs" / "how-to" / "plan-an-experiment.md").read_text()
    block = page.split("```console\n$ airflow-launchdarkly ")[1].split("```")[0]
    command, shown = block.replace("\\\n", " ").split("\n", maxsplit=1)
    assert main(command.split()) == ExitCode.OK
    assert capsys.readouterr().out == shown
