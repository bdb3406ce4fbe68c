"""`airflow-launchdarkly portfolio`, as an analyst calls it."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typing_extensions import override

from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.portfolio.picture import MOST_ROWS, draw
from airflow_provider_launchdarkly.portfolio.reading import Period, read_records
from airflow_provider_launchdarkly.portfolio.report import ASSUMPTIONS, summarize
from support.quarter import QUARTER, TRIALS, Trial, write_quarter


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decisions")
    write_quarter(folder)
    return folder


def test_says_what_each_experiment_and_the_quarter_are_worth(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["portfolio", str(records), "--quarter", QUARTER]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert re.match(r"2026Q4: 12 experiments: 3 ship, 1 rollback, \d inconclusive, 1 invalid, \d wait\n", printed)
    assert all(trial.key in printed for trial in TRIALS)
    assert re.search(r"expected sum of their lifts +\+\d+\.\d\d % \(\+\d+\.\d\d % to \+\d+\.\d\d %\)", printed)
    assert re.search(r"false ships among them +\d+ % \(\d+ % to \d+ %\)", printed)
    assert "checkout-abandoned: 1 shipped" in printed
    assert all(text in printed for text in ASSUMPTIONS)


def test_prints_json_whose_sums_fit_its_rows(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["portfolio", str(records), "--json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    shipped = [row for row in found["rows"] if row["verdict"] == "ship"]
    assert sum(found["endings"].values()) == found["experiments"] == len(found["rows"]) == len(TRIALS)
    assert found["endings"]["ship"] == found["shipped"]["count"] == len(shipped) == 3
    assert found["shipped"]["effect"] == pytest.approx(sum(row["shrunken"] for row in shipped))
    assert found["shipped"]["raw"] == pytest.approx(sum(row["effect"] for row in shipped))
    assert found["shipped"]["false_share"] == pytest.approx(sum(row["no_better"] for row in shipped) / 3, abs=1e-5)
    assert all(0 < row["shrunken"] < row["effect"] for row in shipped)
    assert sum(metric["effect"] for metric in found["by_metric"]) == pytest.approx(found["shipped"]["effect"])


class Page(HTMLParser):
    """The tags that are open, the addresses that would be loaded, and the text of the cells."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "data")]

    @override
    def handle_data(self, data: str) -> None:
        self.text += data


def test_writes_a_page_that_loads_nothing_with_the_picture_and_the_table_behind_it(
    records: Path, tmp_path: Path
) -> None:
    file = tmp_path / "quarter.html"
    assert main(["portfolio", str(records), "--html", str(file)]) == ExitCode.OK
    text = file.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.loaded == []
    assert "url(" not in text
    assert "@import" not in text
    assert {"svg", "table", "th"} <= set(page.tags)
    assert "script" not in page.tags
    assert "prefers-color-scheme:dark" in text
    assert all(trial.key in page.text for trial in TRIALS)
    assert all(assumption in page.text for assumption in ASSUMPTIONS)


def test_text_from_records_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>&\"'"
    write_quarter(tmp_path / "decisions", [Trial(f"{number}-{evil}", (0.3,), metric=evil) for number in range(6)])
    page, picture = tmp_path / "page.html", tmp_path / "picture.svg"
    given = ["portfolio", str(tmp_path / "decisions"), "--html", str(page), "--picture", str(picture)]
    assert main(given) == ExitCode.OK
    assert "<script" not in page.read_text()
    ET.fromstring(picture.read_text())


def test_the_picture_alone_is_a_file_with_one_line_for_each_ship(records: Path, tmp_path: Path) -> None:
    file = tmp_path / "quarter.svg"
    assert main(["portfolio", str(records), "--picture", str(file)]) == ExitCode.OK
    picture = ET.fromstring(file.read_text())
    shown = "{http://www.w3.org/2000/svg}"
    lines = [line.get("class") for line in picture.iter(f"{shown}line")]
    assert (lines.count("interval"), lines.count("zero")) == (3, 1)


def test_a_picture_of_many_ships_says_how_many_it_leaves_out(tmp_path: Path) -> None:
    write_quarter(tmp_path, [Trial(f"trial-{number}", (0.3,)) for number in range(MOST_ROWS + 3)])
    found = summarize(read_records([str(tmp_path)]), Period())
    assert "and 3 more with smaller effects, in the table" in draw(found)


def test_a_quarter_in_which_nothing_shipped_has_a_page_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_quarter(tmp_path, [Trial(f"trial-{number}", days=3) for number in range(6)])
    assert main(["portfolio", str(tmp_path), "--html", str(tmp_path / "page.html")]) == ExitCode.OK
    assert "Nothing shipped." in capsys.readouterr().out
    assert "Nothing shipped." in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--quarter", "2026Q3"], "2026Q3: 0 experiments with a measured lift, of 0; from 6 on"),
        (["--quarter", "2026Q9"], "'2026Q9' is no quarter; write for instance 2026Q4"),
        (["--quarter", "2026Q4", "--since", "2026-10-01"], "give --quarter, or --since and --until, and not both"),
        (["--html", "/no/such/folder/page.html"], "/no/such/folder/page.html"),
    ],
)
def test_what_cannot_be_answered_is_an_error_that_says_why(
    records: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["portfolio", str(records), *options]) == ExitCode.ERROR
    assert told in capsys.readouterr().err


def test_says_which_ships_stand_under_a_false_discovery_rate(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["portfolio", str(records), "--false-discovery-rate", "0.2"]) == ExitCode.OK
    assert "By Benjamini-Hochberg at 20 % over" in capsys.readouterr().out
    given = ["portfolio", str(records), "--false-discovery-rate", "0.001", "--json"]
    assert main(given) == ExitCode.FINDING
    found = json.loads(capsys.readouterr().out)["discoveries"]
    assert [ship["stands"] for ship in found["ships"]] == [False] * 3


@pytest.mark.parametrize("rate", ["0", "1", "20", "nan", "a fifth"])
def test_a_false_discovery_rate_is_a_share(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["portfolio", "decisions", "--false-discovery-rate", rate])
    assert ended.value.code == ExitCode.ERROR
    assert f"a share between 0 and 1, such as 0.2, not {rate!r}" in capsys.readouterr().err


def test_five_experiments_are_too_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_quarter(tmp_path, [*(Trial(f"trial-{number}", days=2) for number in range(5)), TRIALS[10]])
    assert main(["portfolio", str(tmp_path)]) == ExitCode.ERROR
    assert "all records: 5 experiments with a measured lift, of 6; from 6 on" in capsys.readouterr().err


def test_a_picture_is_svg(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["portfolio", "decisions", "--picture", "quarter.png"])
    assert ended.value.code == ExitCode.ERROR
    assert "name it .svg, not 'quarter.png'" in capsys.readouterr().err


def test_a_broken_record_is_an_error_that_names_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_quarter(tmp_path, TRIALS[:2])
    file = min(tmp_path.rglob("*.jsonl"))
    file.write_text(file.read_text()[:-1])
    assert main(["portfolio", str(tmp_path)]) == ExitCode.ERROR
    assert f"{file}: broken at line" in capsys.readouterr().err
