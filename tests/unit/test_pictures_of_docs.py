"""The documentation's pictures, which `make browser WRITE=1` writes: each is shown, and light."""

from __future__ import annotations

import re
from pathlib import Path

from support.surroundings import REPOSITORY

MOST_BYTES = 200_000
PICTURES = sorted((REPOSITORY / "docs" / "images").iterdir())
SHOWN = re.compile(r"!\[([^\]]+)\]\((?![a-z]+:)([^)\s]+)\)")


def shown() -> dict[Path, set[str]]:
    """Each picture that a page shows, with what it says to those who do not see it."""
    found: dict[Path, set[str]] = {}
    for page in (REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")):
        for words, address in SHOWN.findall(page.read_text(encoding="utf-8")):
            found.setdefault((page.parent / address).resolve(), set()).add(words)
    return found


def test_each_picture_is_shown_and_each_that_is_shown_is_there() -> None:
    assert sorted(shown()) == [picture.resolve() for picture in PICTURES]
    assert all(len(words) > 20 for told in shown().values() for words in told), "say what there is to see"


def test_each_picture_is_light() -> None:
    assert PICTURES
    for picture in PICTURES:
        content = picture.read_bytes()
        assert content.startswith(b"\x89PNG\r\n"), picture
        assert len(content) <= MOST_BYTES, f"{picture}: {len(content)} bytes"
