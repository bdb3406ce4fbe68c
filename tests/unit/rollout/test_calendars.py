"""Calendars of change windows in rollout files: `validate` and the loader report the same problems."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.rollout.files import NamedRollout, read_files
from airflow_provider_launchdarkly.rollout.loading import load_rollouts

ROLLOUT = """\
rollouts:
  button:
    experiment:
      flag: checkout-button
      hypothesis: Bold is better.
      primary_metric: checkout-conversion
      treatments:
        - {variation: Classic, baseline: true}
        - {variation: Bold}
    stages:
      - {allocation: 10, dwell: 2d}
      - {allocation: 50, gate: decision}
    change_window:
      hours: 09:00-17:00
      calendar: freeze.ics
"""
RIGHT = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261224\nRRULE:FREQ=YEARLY\nEND:VEVENT\nEND:VCALENDAR\n"
WRONG = {
    "no calendar": (None, "cannot be read"),
    "hourly": (RIGHT.replace("YEARLY", "HOURLY"), "line 4: RRULE FREQ='HOURLY' is not supported"),
    "zone": (RIGHT.replace("DTSTART", "DTSTART;TZID=Mine").replace("1224", "1224T090000"), "line 3: TZID 'Mine'"),
    "cut off": (RIGHT.replace("END:VCALENDAR", ""), "ends within VCALENDAR"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "button.yaml").write_text(ROLLOUT)
    (tmp_path / "freeze.ics").write_text(RIGHT)
    return tmp_path


def test_a_calendar_that_is_right_is_valid_and_loads(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "valid rollouts: 1"
    assert set(load_rollouts(folder)) == {"button"}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG)
def test_validate_and_the_loader_report_a_calendar_that_cannot_be_read(
    folder: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    calendar = folder / "freeze.ics"
    calendar.unlink() if content is None else calendar.write_text(content)
    assert main(["validate", str(folder)]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"{folder / 'button.yaml'}:15: change_window.calendar: calendar {str(calendar)!r}")
    assert message in printed.err
    assert printed.out.splitlines()[-1] == "valid rollouts: 0, problems: 1"
    dags = load_rollouts(folder)
    assert printed.err.strip() in (dags["button.broken"].doc_md or "")


def test_a_rollout_keeps_its_dag_when_its_calendar_breaks_so_that_it_can_roll_back(folder: Path) -> None:
    whole = load_rollouts(folder)["button"]
    (folder / "freeze.ics").unlink()
    dags = load_rollouts(folder)
    assert set(dags) == {"button", "button.broken"}
    assert dags["button"].task_ids == whole.task_ids


def test_a_calendar_of_the_defaults_is_reported_at_its_line(folder: Path) -> None:
    file = folder / "button.yaml"
    window = "change_window:\n      hours: 09:00-17:00\n      calendar: freeze.ics\n"
    text = ROLLOUT.replace(f"    {window}", "")
    file.write_text("defaults:\n  change_window: {calendar: none.ics}\n" + text)
    (found,) = read_files([file])
    assert isinstance(found, NamedRollout)
    assert found.calendar_problem is not None
    assert found.calendar_problem.line == 2
