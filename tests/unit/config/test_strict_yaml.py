"""YAML, read strictly: what looks like text is text, and every value has its line."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_launchdarkly.config.strict_yaml import DocumentError, read_document


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("yes", "yes"), ("on", "on"), ("no", "no"), ("12:30", "12:30"), ("2026-12-24", "2026-12-24"), ("007", "007"),
        ("0x1F", "0x1F"), ("1_000", "1_000"), ("True", "True"), ("'10'", "10"), ('"true"', "true"), ("7d", "7d"),
        ("10", 10), ("-3", -3), ("0.5", 0.5), ("1e3", 1000.0), ("true", True), ("false", False), ("null", None),
        ("~", None), ("", None), ("[1, two]", [1, "two"]), ("{a: 1}", {"a": 1}), ("|-\n  two\n  lines", "two\nlines"),
    ],
)  # fmt: skip
def test_a_value_is_what_it_looks_like(written: str, meant: Any) -> None:
    value = read_document(f"field: {written}\n").value["field"]
    assert (value, type(value)) == (meant, type(meant))


def test_every_value_knows_its_line() -> None:
    document = read_document("# a comment\nfirst: 1\nsecond:\n  - a: x\n    b: y\n  - 2\n")
    assert document.line(("first",)) == 2
    assert document.line(("second", 0, "b")) == 5
    assert document.line(("second", 1)) == 6
    assert document.line(("second", 0, "b", "deeper")) == 5


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "a is there twice"),
        ("a: &x {b: 1}\nc: *x\n", 1, "anchors and aliases"),
        ("a: !!python/object:os.system x\n", 1, "tags"),
        ("a: !!str 1\nb: !mine 2\n", 1, "tags"),
        ("a: 1\n b: 2\n", 2, "no YAML"),
        ("a:\n\t- 1\n", 2, "no YAML"),
        ("a: 1\n---\nb: 2\n", 2, "a second document"),
        ("? [a, b]\n: 1\n", 1, "a key is plain text"),
        ("a: \x07\n", None, "no YAML"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_line(text: str, line: int | None, message: str) -> None:
    with pytest.raises(DocumentError, match=message) as error:
        read_document(text)
    assert error.value.line == line


def test_a_document_nested_without_end_is_refused() -> None:
    with pytest.raises(DocumentError, match="nested more than 30 levels deep"):
        read_document("[" * 100_000)


def test_an_empty_document_is_nothing() -> None:
    assert read_document("# only a comment\n").value is None


@pytest.mark.parametrize("text", ["x: [{}]", "x: [[{}]]"])
def test_a_file_of_too_many_values_is_not_read_to_its_end(text: str) -> None:
    with pytest.raises(DocumentError, match="more than 100,000 values; divide it into several"):
        read_document(text.format(",".join("1" * 3_000_000)))
