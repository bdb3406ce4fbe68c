"""Rollout files: defaults, errors with file, line and field, and that one wrong rollout spoils no other."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly import load_rollouts
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.rollout.files import Broken, NamedRollout, read_files, rollout_files
from support.surroundings import REPOSITORY

ROLLOUT = """\
  {name}:
    experiment:
      flag: checkout-button
      hypothesis: Bold is better.
      primary_metric: checkout-conversion
      treatments:
        - {{variation: Classic, baseline: true}}
        - {{variation: Bold}}
    stages:
      - {{allocation: 10, dwell: 2d}}
      - {{allocation: 50, gate: decision}}
"""


Reader = Callable[..., list[Any]]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    def read_texts(*texts: str, only: str | None = None) -> list[NamedRollout | Broken]:
        for number, text in enumerate(texts):
            (tmp_path / f"file{number}.yaml").write_text(text)
        return list(read_files(rollout_files([tmp_path]), only=only))

    return read_texts


def text(*names: str, defaults: str = "", **more: str) -> str:
    begin = f"defaults:\n{defaults}" if defaults else ""
    return begin + "rollouts:\n" + "".join(ROLLOUT.format(name=name) + more.get(name, "") for name in names)


def problems(found: NamedRollout | Broken) -> list[tuple[int | None, str, str]]:
    assert isinstance(found, Broken)
    return [(problem.line, problem.field, problem.message) for problem in found.problems]


def test_a_rollout_is_named_by_its_key_and_so_is_its_experiment(read: Reader) -> None:
    (found,) = read(text("button"))
    assert (found.name, found.line, found.rollout.experiment.key) == ("button", 2, "button")


def test_defaults_are_laid_under_each_rollout_field_by_field(read: Reader) -> None:
    defaults = "  dag: {owner: growth, tags: [a]}\n  policy: {alpha: 0.01, max_duration: 14d}\n  connection: eu\n"
    first, second = read(text("one", "two", defaults=defaults, two="    policy: {max_duration: 21d}\n"))
    assert [found.rollout.policy.alpha for found in (first, second)] == [0.01, 0.01]
    assert [found.rollout.policy.max_duration.days for found in (first, second)] == [14, 21]
    assert (second.dag.owner, second.rollout.connection) == ("growth", "eu")


def test_looks_are_said_at_once(read: Reader) -> None:
    defaults = "  policy: {looks: {every: 1d}}\n"
    (found,) = read(text("one", defaults=defaults, one="    policy: {looks: {only_at_end: true}}\n"))
    assert (found.rollout.policy.looks.only_at_end, found.rollout.policy.looks.every) == (True, None)


def test_an_error_names_its_line_and_field(read: Reader) -> None:
    wrong = text("button").replace("dwell: 2d", "dwell: soon").replace("variation: Bold", "varation: Bold")
    (found,) = read(wrong)
    assert (9, "experiment.treatments[1].varation", "is not known") in problems(found)
    assert (9, "experiment.treatments[1].variation", "is required") in problems(found)
    ((line, field, message),) = [problem for problem in problems(found) if "dwell" in problem[1]]
    assert (line, field) == (11, "stages[0].dwell")
    assert "'soon'" in message


def test_an_error_in_the_policy_is_found_within_it(read: Reader) -> None:
    (found,) = read(text("button", button="    policy:\n      preset: balanced\n      alpha: 2\n"))
    ((line, field, message),) = problems(found)
    assert (line, field) == (15, "policy.alpha")
    assert "0.5" in message


def test_an_error_in_the_defaults_is_found_there(read: Reader) -> None:
    (found,) = read(text("button", defaults="  autonomy: free\n"))
    assert [(line, field) for line, field, _ in problems(found)] == [(2, "autonomy")]


def test_a_wrong_rollout_spoils_no_other(read: Reader) -> None:
    good, bad = read(text("good", "bad", bad="    autonomi: act\n"))
    assert isinstance(good, NamedRollout)
    assert (bad.name, problems(bad)) == ("bad", [(24, "autonomi", "is not known")])


def test_a_broken_file_spoils_no_other(read: Reader) -> None:
    bad, good = read("rollouts:\n  a: [\n", text("good"))
    assert (bad.name, bad.problems[0].line) == ("file0", 3)
    assert good.name == "good"


def test_a_name_that_is_there_already_is_an_error_that_says_where(read: Reader) -> None:
    first, second = read(text("button"), text("button"))
    assert isinstance(first, NamedRollout)
    assert "file0.yaml:2" in problems(second)[0][2]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", 1, "rollouts:"),
        ("rollouts: []\n", 1, "rollouts:"),
        ("experiment: {}\n", 1, "rollouts:"),
        ("rollouts: {a: {}}\ndefault: {}\n", 2, "default is unknown"),
        ("rollouts: {a: {}}\ndefaults: [1]\n", 2, "defaults is not a mapping"),
        ("rollouts:\n  a b: {}\n", 2, "'a b' cannot be a DAG's id"),
        ("rollouts:\n  a: 5\n", 2, "the rollout is not a mapping"),
    ],
)
def test_a_file_of_another_shape_is_refused(read: Reader, content: str, line: int, message: str) -> None:
    (found,) = read(content)
    assert (found.problems[0].line, message in found.problems[0].message) == (line, True)


def test_a_file_that_is_no_text_or_not_there_is_broken(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (binary,) = read_files([tmp_path / "binary.yaml"])
    (missing,) = read_files([tmp_path / "missing.yaml"])
    assert "UTF-8" in problems(binary)[0][2]
    assert "No such file" in problems(missing)[0][2]


def test_only_the_wanted_rollout_is_read(read: Reader) -> None:
    (found,) = read(text("one", "two", two="    wrong: 1\n"), text("three"), only="one")
    assert found.name == "one"


def test_a_calendar_is_found_beside_its_file(read: Reader, tmp_path: Path) -> None:
    (found,) = read(text("button", button="    change_window: {calendar: holidays.ics}\n"))
    assert found.rollout.change_window.calendar == str(tmp_path / "holidays.ics")


def test_folders_are_searched_for_yaml_files_in_a_steady_order(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "deep/c.yaml", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [file.name for file in rollout_files([tmp_path])] == ["a.yaml", "b.yml", "c.yaml"]


def test_the_examples_are_right() -> None:
    found = list(read_files(rollout_files([REPOSITORY / "dags_examples" / "rollouts"])))
    assert found
    assert [entry.name for entry in found if isinstance(entry, Broken)] == []


def test_a_link_that_leads_nowhere_is_told_and_touches_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text((REPOSITORY / "dags_examples/rollouts/checkout.yaml").read_text())
    (tmp_path / "lost.yaml").symlink_to("nowhere.yaml")
    (tmp_path / "folder").symlink_to(tmp_path / "away")
    (tmp_path / ".#good.yaml").symlink_to("somebody@host.1234")  # an editor's lock
    found = list(read_files(rollout_files([tmp_path])))
    broken = {one.name: str(one.problems[0]) for one in found if isinstance(one, Broken)}
    assert set(broken) == {"lost", "folder"}
    assert broken["lost"].endswith("lost.yaml: the link leads nowhere (nowhere.yaml): mend it or remove it")
    assert len(found) > 2


def linked(to: str) -> Callable[[Path], object]:
    return lambda place: place.symlink_to(to)


def listens(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(place))


NO_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link to itself": (linked("odd.yaml"), "(odd.yaml: Too many levels of symbolic links): mend it or remove it"),
    "a link through a file": (linked("good.yaml/x"), "the link leads nowhere (good.yaml/x): mend it or remove it"),
    "a link to a long name": (linked(f"{'a' * 300}.yaml"), f"({'a' * 80}…: File name too long): mend it or remove it"),
    "a link to a device": (linked("/dev/zero"), "this is a device, not a file): mend it or remove it"),
    "a link to a folder": (linked("."), "(.: Is a directory): mend it or remove it"),
    "a named pipe": (os.mkfifo, "this is a named pipe, not a file: name a file, or remove it"),
    "a socket": (listens, "this is a socket, not a file: name a file, or remove it"),
}


@pytest.mark.parametrize(("make", "told"), NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_is_told_and_touches_no_other_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], object],
    told: str,
) -> None:
    good = text("good")
    (tmp_path / "good.yaml").write_text(good)
    monkeypatch.chdir(tmp_path)
    make(Path("odd.yaml"))
    (tmp_path / ".#good.yaml").symlink_to(".#good.yaml")  # hidden, as an editor's lock is
    broken, valid = sorted(read_files(rollout_files([tmp_path])), key=lambda found: found.name, reverse=True)
    assert isinstance(broken, Broken)
    assert (broken.name, valid.name) == ("odd", "good")
    assert told in str(broken.problems[0])
    dags = load_rollouts(str(tmp_path))
    assert sorted(dags) == ["good", "odd.broken"]
    # A folder that is named directly is searched, whatever leads there.
    directly = [tmp_path] if "Is a directory" in told else [tmp_path / "odd.yaml", tmp_path / "good.yaml"]
    for named in ([tmp_path], directly):
        assert main(["validate", *map(str, named)]) == 1
        said = capsys.readouterr()
        assert told in said.err
        assert "valid rollouts: 1, problems: 1" in said.out


@pytest.mark.parametrize(
    "field",
    [
        "change_window: {calendar: odd}",
        "results: {source: data_export, conn_id: warehouse, schema: launchdarkly, metrics: odd}",
    ],
)
def test_a_pipe_that_a_rollout_names_ends_no_reading(read: Reader, tmp_path: Path, field: str) -> None:
    os.mkfifo(tmp_path / "odd")
    (found,) = read(text("button", button=f"    {field}\n"))
    problem = found.problems[0] if isinstance(found, Broken) else found.calendar_problem
    assert "this is a named pipe, not a file" in str(problem)


ENVIRONMENTS = """\
    environments:
      - test
      - key: production
        {own}
"""


def test_a_rollout_with_environments_has_a_rollout_for_each(read: Reader) -> None:
    own = "change_window: {calendar: holidays.ics}"
    (found,) = read(text("button", button=ENVIRONMENTS.format(own=own)))
    assert isinstance(found, NamedRollout)
    assert found.calendar_problem is not None
    names = [(name, rollout.environment) for name, rollout in found.by_name()]
    assert names == [("button/test", "test"), ("button/production", "production")]
    first, last = (rollout for _, rollout in found.by_name())
    assert first.change_window is None
    assert last.change_window is not None
    assert last.change_window.calendar == str(found.file.parent / "holidays.ics")
    assert found.rollout == last


def test_an_error_in_an_environment_names_its_line_and_field(read: Reader) -> None:
    (found,) = read(text("button", button=ENVIRONMENTS.format(own="stages: [{allocation: 500, gate: decision}]")))
    ((line, field, message),) = problems(found)
    assert (line, field) == (16, "environments[1].stages[0].allocation")
    assert "not a percentage" in message


def test_an_error_outside_an_environment_is_told_once_and_where_it_stands(read: Reader) -> None:
    (found,) = read(text("button", button=ENVIRONMENTS.format(own="rule: beta") + "    autonomy: free\n"))
    ((line, field, _),) = problems(found)
    assert (line, field) == (17, "autonomy")


def test_environments_that_are_wrong_together_break_the_rollout(read: Reader) -> None:
    (found,) = read(text("button", button="    environments: [test, test]\n"))
    assert problems(found) == [(13, "environments[1].key", "test is there twice: name each environment once")]
