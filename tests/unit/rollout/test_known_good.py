"""What is known of rollout files saves time, and never hides a change or shows anything that is not in them."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.config.regular_files import open_regular
from airflow_provider_launchdarkly.rollout import files as files_module
from airflow_provider_launchdarkly.rollout import known_good as known_good_module
from airflow_provider_launchdarkly.rollout.files import Broken, NamedRollout, read_files, rollout_files
from airflow_provider_launchdarkly.rollout.known_good import KnownGood, digest
from airflow_provider_launchdarkly.rollout.loadable import good_until

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = """
rollouts:
  NAME-first:
    experiment: &
      flag: checkout
      primary_metric: sales
      hypothesis: A bold button sells more.
      treatments: [{variation: Off, baseline: true}, {variation: On}]
    stages: [{allocation: 50, gate: decision, dwell: 9d}]
""".replace(" &", "")


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    folder = tmp_path / "rollouts"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.yaml").write_text(TEXT.replace("NAME", name))
    settle(folder)
    return folder


def settle(folder: Path) -> None:
    """Let the files look as if they had not changed for a while; only the time of their entry stays new."""
    for file in folder.iterdir():
        os.utime(file, (1_700_000_000, 1_700_000_000))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_good_module, "_TICK", 0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read afresh."""
    read_text = files_module.read_text
    found: list[str] = []

    def noted(text: str, file: Path, **options: Any) -> Iterator[NamedRollout | Broken]:
        found.append(file.name)
        return read_text(text, file, **options)

    monkeypatch.setattr(files_module, "read_text", noted)
    return found


def read(fleet: Path, cache: Path, **options: Any) -> list[NamedRollout | Broken]:
    return list(read_files(rollout_files([fleet]), known_good=KnownGood(cache), **options))


def names(found: list[NamedRollout | Broken]) -> list[str]:
    return [entry.name for entry in found if isinstance(entry, NamedRollout)]


def test_a_second_reading_checks_nothing_anew(fleet: Path, tmp_path: Path, reads: list[str]) -> None:
    first = read(fleet, tmp_path / "cache", concerns=True)
    assert reads == ["a.yaml", "b.yaml", "c.yaml"]
    reads.clear()
    second = read(fleet, tmp_path / "cache", concerns=True)
    assert not reads
    assert second == first
    assert [entry.rollout for entry in second if isinstance(entry, NamedRollout)] == [
        entry.rollout for entry in first if isinstance(entry, NamedRollout)
    ]
    assert reads == ["a.yaml", "b.yaml", "c.yaml"]  # what runs comes from the file itself


def test_a_change_shows_though_size_and_time_are_the_same(fleet: Path, tmp_path: Path) -> None:
    read(fleet, tmp_path / "cache")
    (fleet / "b.yaml").write_text(TEXT.replace("NAME", "b").replace("50", "5O"))
    (fleet / "c.yaml").write_text(TEXT.replace("NAME", "d"))
    settle(fleet)
    found = read(fleet, tmp_path / "cache")
    assert names(found) == ["a-first", "d-first"]
    assert [entry.name for entry in found if isinstance(entry, Broken)] == ["b-first"]
    assert names(read(fleet, tmp_path / "cache", only="c-first")) == []


def test_a_broken_file_is_never_known(fleet: Path, tmp_path: Path) -> None:
    (fleet / "b.yaml").write_text("rollouts: {x: 1}")
    assert read(fleet, tmp_path / "cache") == read(fleet, tmp_path / "cache")
    assert isinstance(read(fleet, tmp_path / "cache")[1], Broken)


def test_a_task_reads_only_its_own_file(fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(fleet, tmp_path / "cache")
    opened = []

    def noted(file: Path) -> Any:
        opened.append(Path(file).name)
        return open_regular(file)

    monkeypatch.setattr(files_module, "open_regular", noted)
    (found,) = read(fleet, tmp_path / "cache", only="b-first")
    assert isinstance(found, NamedRollout)
    assert opened == ["b.yaml"]


def test_a_task_checks_anew_only_what_is_not_known(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(fleet, tmp_path / "cache")
    checked = []

    def noted(rollout: Any) -> tuple[()]:
        checked.append(rollout.experiment.key)
        return ()

    monkeypatch.setattr(files_module, "wrong_values", noted)
    assert names(read(fleet, tmp_path / "cache", only="b-first")) == ["b-first"]
    assert checked == []
    (fleet / "b.yaml").write_text(TEXT.replace("NAME", "b").replace("50", "40"))
    settle(fleet)
    assert names(read(fleet, tmp_path / "cache", only="b-first")) == ["b-first"]
    assert checked == ["b-first"]


def test_a_task_finds_a_name_that_came_to_another_file(fleet: Path, tmp_path: Path) -> None:
    read(fleet, tmp_path / "cache")
    (fleet / "a.yaml").write_text(TEXT.replace("NAME", "b"))
    first, second = read(fleet, tmp_path / "cache", only="b-first")
    assert first.file.name == "a.yaml"
    assert isinstance(second, Broken)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: b"",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(b"a-first", b"x-first"),
        lambda text: b"null",
        lambda text: digest(b"[1]").encode() + b"\n[1]",
        lambda text: digest(b"[" * 100_000).encode() + b"\n" + b"[" * 100_000,
        lambda text: os.urandom(300),
    ],
)
def test_a_damaged_stamp_counts_as_none(fleet: Path, tmp_path: Path, reads: list[str], damage: Any) -> None:
    read(fleet, tmp_path / "cache")
    (stamps,) = (tmp_path / "cache").iterdir()
    stamps.write_bytes(damage(stamps.read_bytes()))
    reads.clear()
    assert names(read(fleet, tmp_path / "cache")) == ["a-first", "b-first", "c-first"]
    assert len(reads) == 3
    reads.clear()
    read(fleet, tmp_path / "cache")
    assert not reads


def test_stamps_of_other_code_or_another_writer_count_as_none(
    fleet: Path, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read(fleet, tmp_path / "cache")
    (stamps,) = (tmp_path / "cache").iterdir()
    stamps.chmod(0o666)
    reads.clear()
    read(fleet, tmp_path / "cache")
    assert len(reads) == 3
    reads.clear()
    monkeypatch.setattr(known_good_module, "_made_by", lambda: ["another version"])
    read(fleet, tmp_path / "cache")
    assert len(reads) == 3


def test_without_a_folder_to_write_everything_is_read(fleet: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, no folder")
    assert names(read(fleet, tmp_path / "cache")) == ["a-first", "b-first", "c-first"]
    assert (tmp_path / "cache").read_text() == "a file, no folder"


def test_many_writers_leave_one_whole_file(fleet: Path, tmp_path: Path, reads: list[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: names(read(fleet, tmp_path / "cache")), range(8)))
    assert found == [["a-first", "b-first", "c-first"]] * 8
    assert len(list((tmp_path / "cache").iterdir())) == 1
    reads.clear()
    read(fleet, tmp_path / "cache")
    assert not reads


def test_a_file_that_is_gone_is_forgotten(fleet: Path, tmp_path: Path) -> None:
    read(fleet, tmp_path / "cache")
    (fleet / "a.yaml").unlink()
    (fleet / "b.yaml").write_text(TEXT.replace("NAME", "e"))
    read(fleet, tmp_path / "cache")
    (stamps,) = (tmp_path / "cache").iterdir()
    assert sorted(json.loads(stamps.read_bytes().partition(b"\n")[2])["files"]) == ["b.yaml", "c.yaml"]


CALENDAR = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n"


def test_what_a_file_names_is_a_part_of_it(fleet: Path, tmp_path: Path, reads: list[str]) -> None:
    (fleet / "freeze.ics").write_text(CALENDAR)
    (fleet / "a.yaml").write_text(TEXT.replace("NAME", "a") + "    change_window: {calendar: freeze.ics}\n")
    settle(fleet)
    read(fleet, tmp_path / "cache")
    reads.clear()
    (found, *_) = read(fleet, tmp_path / "cache")
    assert not reads
    (fleet / "freeze.ics").write_text("no calendar")
    (again, *_) = read(fleet, tmp_path / "cache")
    assert reads == ["a.yaml"]
    assert isinstance(again, NamedRollout)
    assert again.calendar_problem is not None
    shutil.rmtree(fleet)
    assert isinstance(found, NamedRollout)
    assert found.rollout.change_window is not None  # its text was read, the calendar is the task's


def test_a_window_is_known_until_it_has_opened(fleet: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (fleet / "a.yaml").write_text(TEXT.replace("NAME", "a") + "    change_window: {hours: 09:00-10:00}\n")
    (found, *_) = read(fleet, tmp_path / "cache")
    assert isinstance(found, NamedRollout)
    monday = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    assert good_until(found.rollout, None, monday) == monday + timedelta(days=1)
    assert good_until(found.rollout, None, monday + timedelta(hours=1)) == datetime(2026, 11, 25, 9, tzinfo=UTC)
    assert good_until(found.rollout, "0 9 * * *", monday) is not None
    assert good_until(found.rollout, "0 9 1 1 * 2026", monday) is None
    later = datetime.now(UTC) + timedelta(days=9)
    monkeypatch.setattr("time.time", later.timestamp)
    assert KnownGood(tmp_path / "cache").find(fleet / "a.yaml", digest((fleet / "a.yaml").read_bytes())) is None
    assert KnownGood(tmp_path / "cache").find(fleet / "b.yaml", digest((fleet / "b.yaml").read_bytes())) is not None


def test_a_file_that_is_not_valid_any_more_says_so_when_it_is_used(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(fleet, tmp_path / "cache")
    (found, *_) = read(fleet, tmp_path / "cache")
    monkeypatch.setattr(files_module, "wrong_values", lambda _rollout: [(("stages",), "are wrong by now")])
    assert isinstance(found, NamedRollout)
    with pytest.raises(InvalidSettingError, match=r"a\.yaml:9: stages: are wrong by now"):
        _ = found.rollout


def test_one_setting_moves_or_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert KnownGood.configured("off") is None
    assert KnownGood.configured("OFF ") is None
    monkeypatch.setenv(known_good_module.VARIABLE, "off")
    assert KnownGood.configured() is None
    for setting, folder in {
        "": tmp_path / "airflow-provider-launchdarkly",
        str(tmp_path / "x"): tmp_path / "x",
    }.items():
        monkeypatch.setenv(known_good_module.VARIABLE, setting)
        found = KnownGood.configured()
        assert found is not None
        assert vars(found)["_root"] == folder


def test_validate_says_the_same_a_second_time(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reads: list[str]
) -> None:
    monkeypatch.setenv(known_good_module.VARIABLE, str(tmp_path / "cache"))
    (fleet / "b.yaml").write_text(TEXT.replace("NAME", "b").replace("allocation: 50", "allocation: 1"))
    (fleet / "metrics.yaml").write_text("metrics:\n  visits: {event: visit, aggregation: count, direction: higher}\n")
    assert main(["validate", str(fleet)]) == 0
    first = capsys.readouterr().out
    assert "files of metrics: 1" in first
    assert "b-first: warning" in first
    reads.clear()
    assert main(["validate", str(fleet)]) == 0
    assert capsys.readouterr().out == first
    assert not reads
