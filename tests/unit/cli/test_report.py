"""`airflow-launchdarkly report`: the record as a file that an auditor can open, with what came of checking it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.decision.policy import Policy
from support.audit_records import decision, evidence, record

RECORD = record()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "it-1.jsonl"
    written.write_text(chain.write(RECORD))
    return written


def test_the_report_is_beside_the_record_and_says_that_every_verdict_follows(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(file)]) == ExitCode.OK
    text = file.with_suffix(".html").read_text(encoding="utf-8")
    assert f"{len(RECORD)} entries, the chain is whole. Every verdict follows again." in capsys.readouterr().out
    assert "Every verdict follows again." in text
    assert "verdict: ship" in text
    assert RECORD[-1]["hash"] in text
    assert len(re.findall(r'<th scope="row">\d+</th>', text.partition("decided again")[2])) >= len(RECORD)
    assert "That no line was cut off the end can be seen" in text


def test_the_head_is_checked_and_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(file), "--head", RECORD[-1]["hash"], "--output", "-"]) == ExitCode.OK
    assert "so no line was cut off" in capsys.readouterr().out
    assert main(["report", str(file), "--head", "abc"]) == ExitCode.ERROR
    assert "the last entry is not abc" in capsys.readouterr().err


def test_a_verdict_that_does_not_follow_is_a_finding_and_is_in_the_file(tmp_path: Path) -> None:
    made_up = decision(Policy(), evidence(1))
    forged = replace(made_up, verdict={**made_up.verdict, "verdict": "ship"})
    written = tmp_path / "it-2.jsonl"
    written.write_text(chain.write(chain.append((), forged)))
    assert main(["report", str(written), "--output", str(tmp_path / "out.html")]) == ExitCode.FINDING
    assert "Not every verdict follows again." in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_a_changed_line_gives_no_report(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(file.read_text().replace('"units":3000', '"units":3001', 1))
    assert main(["report", str(file)]) == ExitCode.ERROR
    assert "broken at line" in capsys.readouterr().err
    assert not file.with_suffix(".html").exists()


def test_a_file_that_cannot_be_written_is_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(file), "--output", str(file.parent / "none" / "x.html")]) == ExitCode.ERROR
    assert "name a file in a folder that exists" in capsys.readouterr().err
