"""`make audit` with the real pip-audit and a stubbed index of advisories: one that knows some, others that do not."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from support.surroundings import REPOSITORY

AUDIT = REPOSITORY / "tests" / "release" / "audit.py"
ADVISED = {"jinja2": "2.10", "weak": "1.0"}


class Index(ThreadingHTTPServer):
    """An index on loopback. It keeps what it was asked, and answers with what `reply` makes of it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str]] = []
        self.reply: Callable[[str, str], tuple[int, Any]] = knows
        self.url = f"http://127.0.0.1:{self.server_port}/v1/query"


class _Handler(BaseHTTPRequestHandler):
    server: Index

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        pin = (question["package"]["name"], question["version"])
        self.server.asked.append(pin)
        status, answer = self.server.reply(*pin)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def knows(name: str, version: str) -> tuple[int, Any]:
    if ADVISED.get(name) != version:
        return 200, {}
    affected = {"package": {"name": name, "ecosystem": "PyPI"}, "ranges": [{"type": "ECOSYSTEM", "events": []}]}
    affected["ranges"] = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.1"}]}]
    return 200, {
        "vulns": [{"id": f"GHSA-{name}", "aliases": [f"CVE-{name}"], "summary": "Bad.", "affected": [affected]}]
    }


@pytest.fixture
def index() -> Iterator[Index]:
    server = Index()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two constraint files, which share a pin."""
    pins = {"one.txt": ["sound==1.0", "weak==2.0"], "two.txt": ["sound==1.0", "weak==1.0"]}
    for name, lines in pins.items():
        (tmp_path / name).write_text("\n".join(lines))
    return [tmp_path / name for name in pins]


def audit(url: str, files: list[Path], accepted: str = "") -> tuple[int, str]:
    listed = files[0].with_name("accepted.txt")
    listed.write_text(accepted)
    command = [sys.executable, str(AUDIT), "--index", url, "--accepted", str(listed), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, done.stdout + done.stderr


def test_an_advisory_fails_and_names_file_version_and_cure(index: Index, files: list[Path]) -> None:
    code, said = audit(index.url, files)
    assert code == 1, said
    assert "two.txt: weak==1.0: ADVISORY CVE-weak, fixed in 9.1" in said
    assert "audited 3 versions of 2 constraint files" in said
    assert index.asked.count(("sound", "1.0")) == 1


def test_sound_versions_pass(index: Index, files: list[Path]) -> None:
    code, said = audit(index.url, files[:1])
    assert (code, said.splitlines()[-1]) == (0, "audited 2 versions of 1 constraint files: no advisory")
    assert {("sound", "1.0"), ("weak", "2.0")} <= set(index.asked)


def test_an_accepted_advisory_passes_by_any_of_its_names_and_a_stale_line_is_told(
    index: Index, files: list[Path]
) -> None:
    code, said = audit(index.url, files, "# read\nGHSA-weak we never call it\nCVE-gone old\n")
    assert code == 0, said
    assert "weak==1.0: accepted (we never call it) CVE-weak" in said
    assert "CVE-gone is accepted, and no package has it any more" in said


def test_an_accepted_advisory_needs_a_reason(index: Index, files: list[Path]) -> None:
    code, said = audit(index.url, files, "CVE-weak\n")
    assert code == 1
    assert "CVE-weak has no reason" in said


@pytest.mark.parametrize(
    "reply",
    [lambda _name, _version: (200, {}), lambda _name, _version: (404, {}), lambda _name, _version: (503, "away")],
    ids=["knows of nothing", "not found", "away"],
)
def test_an_index_that_knows_no_advisory_has_audited_nothing(
    index: Index, files: list[Path], reply: Callable[[str, str], tuple[int, Any]]
) -> None:
    index.reply = reply
    assert_nothing_was_audited(*audit(index.url, files))
    assert set(index.asked) == {("jinja2", "2.10")}


def test_without_an_index_nothing_is_audited(index: Index, files: list[Path]) -> None:
    index.server_close()
    assert_nothing_was_audited(*audit(index.url, files))


def test_an_index_that_goes_away_in_between_fails(index: Index, files: list[Path]) -> None:
    index.reply = lambda name, version: knows(name, version) if name != "sound" else (503, "away")
    code, said = audit(index.url, files)
    assert code == 1
    assert "the audit broke off" in said
    assert "audited" not in said.replace("not audited", "")


def assert_nothing_was_audited(code: int, said: str) -> None:
    assert code == 0, said
    assert said.splitlines()[-1] == "NOTHING WAS AUDITED"
    assert "no index of advisories answers" in said
    assert "no advisory\n" not in said
