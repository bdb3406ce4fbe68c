"""The how-to page: its commands run as pasted."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.main import PROGRAM, main
from airflow_provider_launchdarkly.decision.policy_files import read_policy
from support.surroundings import REPOSITORY

PAGE = REPOSITORY / "docs" / "how-to" / "portfolio.md"
BLOCKS = re.findall(r"^```console\n\$ ([^\n]*)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("command", "shown"), BLOCKS, ids=[command for command, _ in BLOCKS])
def test_a_command_runs_as_pasted_and_prints_what_the_page_shows(
    command: str,
    shown: str,
    records: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "decisions").symlink_to(records)
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(command)
    assert program == PROGRAM
    assert main(words) == ExitCode.OK
    for written in (word for word in words if word.endswith((".html", ".svg"))):
        assert Path(written).read_text()
    # Figures change with the rules that end experiments; the words around them may not.
    printed = {without_figures(line) for line in capsys.readouterr().out.splitlines()}
    assert {without_figures(line) for line in shown.splitlines() if line not in ("", "…")} <= printed


def without_figures(line: str) -> str:
    """The words of a line."""
    return " ".join(re.sub(r"[+-]?\d[\d.-]*", "#", line).split())


def test_the_policies_of_the_page_are_policies(tmp_path: Path) -> None:
    written = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    policies = []
    for text in written:
        (tmp_path / "policy.yaml").write_text(text)
        policies.append(read_policy(tmp_path / "policy.yaml"))
    divided, bounded = policies
    assert divided.alpha == 0.01
    assert bounded.alpha == 0.05
    assert bounded.portfolio is not None
    assert bounded.portfolio.false_discovery_rate == 0.2
