"""What all commands have in common: parsers, exit codes, errors, and the reference page."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode
from airflow_provider_launchdarkly.cli.main import PROGRAM, VERBS, main, parser
from support import cli_page
from support.surroundings import CONNECTION


def test_the_reference_page_is_what_the_parsers_say() -> None:
    written = cli_page.PAGE.read_text(encoding="utf-8")
    assert written == cli_page.page(), "run: python tests/support/cli_page.py"


def test_each_verb_adds_one_command_of_its_name() -> None:
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert list(commands.choices) == list(VERBS)


# Lines of a decision record that are JSON, and that Python's reader does not take.
STRANGE = {"brackets": "[" * 100_000, "digits": f'{{"seq": {"9" * 5000}}}'}


@pytest.mark.parametrize("verb", list(VERBS))
def test_each_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == ExitCode.OK
    assert f"usage: {PROGRAM} {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("verb", list(VERBS))
def test_wrong_arguments_are_an_error_and_no_finding(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--no-such-option"])
    assert ended.value.code == ExitCode.ERROR
    assert f"{PROGRAM}" in capsys.readouterr().err


def test_an_error_is_printed_with_its_command_and_gives_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: argparse.Namespace) -> int:
        raise CliError("nothing to print", ExitCode.FINDING)

    monkeypatch.setattr(VERBS["schema"], "run", run)
    assert main(["schema"]) == ExitCode.FINDING
    assert capsys.readouterr().err == f"{PROGRAM} schema: nothing to print\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "{folder}/none.yaml"],
        ["validate", "{folder}/binary"],
        ["validate", "{folder}"],
        ["notify", "--test", "{folder}/none.yaml"],
        ["notify", "--test", "{folder}/binary", "--send"],
        ["plan", "{folder}/none.yaml"],
        ["plan", "{folder}/binary"],
        ["plan", "{folder}/list.yaml"],
        ["simulate", "{folder}/binary"],
        ["simulate", "{folder}/list.yaml"],
        ["simulate", "--preset", "balanced", "--effect", "nan"],
        ["replay", "{folder}/none.jsonl"],
        ["replay", "{folder}/binary"],
        ["replay", "{folder}/list.yaml"],
        ["replay", "nowhere://bucket/it.jsonl"],
        ["replay", "{folder}/empty.jsonl", "--policy", "{folder}/binary"],
        ["report", "{folder}/none.jsonl"],
        ["report", "{folder}/binary"],
        ["report", "{folder}/list.yaml"],
        ["report", "{folder}/empty.jsonl"],
        ["report", "nowhere://bucket/it.jsonl"],
        *([command, f"{{folder}}/{name}.jsonl"] for command in ("replay", "report", "portfolio") for name in STRANGE),
        ["portfolio", "{folder}/none.jsonl"],
        ["portfolio", "{folder}/binary"],
        ["portfolio", "{folder}/list.yaml"],
        ["portfolio", "{folder}/empty.jsonl"],
        ["portfolio", "nowhere://bucket/decisions"],
        ["retire", "checkout-button"],
        ["hygiene"],
        ["emulator", "--port", "0", "--world", "{folder}/binary"],
        ["emulator", "--port", "0", "--load", "{folder}/list.yaml"],
    ],
)
def test_bad_input_gives_an_error_and_no_traceback(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "list.yaml").write_text("[1, 2]\n")
    (tmp_path / "empty.jsonl").write_text("")
    for name, line in STRANGE.items():
        (tmp_path / f"{name}.jsonl").write_text(f"{line}\n")
    assert main([word.format(folder=tmp_path) for word in arguments]) == ExitCode.ERROR
    told = capsys.readouterr().err
    assert told
    if any(f"/{name}.jsonl" in arguments[-1] for name in STRANGE):
        assert "line 1: it is no JSON that this version reads (" in told


@pytest.mark.parametrize(
    ("written", "token"),
    [
        ("", ""),
        ("{", ""),
        ("{}", ""),
        ("[]", ""),
        ("x", ""),
        ("launchdarkly://:t@h:port", ""),
        ('{"password": "t", "extra": 5}', ""),
        ('{"password": "t", "extra": "no json"}', ""),
        ('{"password": "t", "host": "no url"}', ""),
        ('{"password": "t", "port": "no port"}', ""),
        ('{"password": 5}', ""),
        ("", "a token\n with a line"),
    ],
)
def test_a_wrong_connection_gives_an_error_and_no_traceback(
    written: str, token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CONNECTION, written)
    monkeypatch.setenv("LAUNCHDARKLY_ACCESS_TOKEN", token)
    where = ["--host", "http://127.0.0.1:9 9", "--project", "demo", "--environment", "production"]
    assert main(["init", "button", *where]) == ExitCode.ERROR
    assert capsys.readouterr().err.startswith(f"{PROGRAM} init: ")


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def run(arguments: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(VERBS["schema"], "run", run)


@pytest.mark.parametrize("error", [KeyError("name"), RuntimeError("driver"), TypeError()])
def test_an_error_that_no_command_expects_is_a_sentence_and_says_how_to_see_more(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, error)
    assert main(["schema"]) == ExitCode.ERROR
    told = capsys.readouterr().err
    assert told.startswith(f"{PROGRAM} schema: {type(error).__name__}")
    assert "--traceback" in told
    assert "Traceback" not in told
    assert main(["schema", "--traceback"]) == ExitCode.ERROR
    assert "Traceback" in capsys.readouterr().err


def test_a_traceback_shows_what_a_named_error_came_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: argparse.Namespace) -> int:
        try:
            int("the cause")
        except ValueError:
            raise CliError("named") from None
        return ExitCode.OK

    monkeypatch.setattr(VERBS["schema"], "run", run)
    assert main(["schema", "--traceback"]) == ExitCode.ERROR
    told = capsys.readouterr().err
    assert "invalid literal for int() with base 10: 'the cause'" in told
    assert told.endswith(f"{PROGRAM} schema: named\n")


def test_each_argument_that_cannot_be_read_says_why() -> None:
    """argparse shows the name of a function that raises ValueError, such as `_moment`."""
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    read = {action.type for command in commands.choices.values() for action in command._actions if action.type}
    own = [kind for kind in read if kind not in {int, float, Path}]
    assert len(own) > 10
    for kind in own:
        for text in ("yesterday", "", "-1:x=y,/"):
            with suppress(argparse.ArgumentTypeError):
                kind(text)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_enough_is_no_error(unbuffered: str) -> None:
    code = "import sys; from airflow_provider_launchdarkly.cli.main import main; sys.exit(main(['schema']))"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as writer:
        assert writer.stdout
        assert writer.stderr
        writer.stdout.close()
        told = writer.stderr.read()
    assert (writer.returncode, told) == (ExitCode.OK, b"")


def test_the_process_exits_with_the_code() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "airflow_provider_launchdarkly.cli.main", "validate", "/nowhere.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, "Traceback" in ran.stderr) == (ExitCode.ERROR, False)
