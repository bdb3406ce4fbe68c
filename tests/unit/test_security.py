"""SECURITY.md: each promise names the tests that hold it, and they exist."""

from __future__ import annotations

import re

from support.surroundings import REPOSITORY

PROMISE = re.compile(r"^\| (\*\*.+) \| (.+) \|$", re.MULTILINE)
PATH = re.compile(r"`(tests/[^`]+)`")


def test_each_promise_names_tests_that_exist() -> None:
    promises = PROMISE.findall((REPOSITORY / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(promises) >= 10
    for promise, held_by in promises:
        paths = PATH.findall(held_by)
        assert paths, promise
        for path in paths:
            assert "def test_" in (REPOSITORY / path).read_text(encoding="utf-8"), path
