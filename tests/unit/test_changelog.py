"""The changelog: every public change has a line, and every released version keeps the list of its public names."""

from __future__ import annotations

import pytest

from airflow_provider_launchdarkly import __version__
from support.changelog import CHANGELOG, sections, unnamed_changes, unreleased
from support.public_surface import released, surface

BEFORE = ["python Policy", "Policy alpha", "cli simulate", "cli simulate --picture", "hook get_flag", "file Looks at"]


def test_every_public_change_since_the_last_release_has_a_line() -> None:
    version, names = list(released().items())[-1]
    unnamed = unnamed_changes(names, surface(), unreleased())
    assert unnamed == [], f"name each under Unreleased in CHANGELOG.md (the last release is {version})"


def test_every_version_of_the_changelog_keeps_its_public_names() -> None:
    versions = [heading for heading in sections(CHANGELOG.read_text()) if heading != "Unreleased"]
    assert sorted(versions) == sorted(released())
    assert versions[0] == __version__


@pytest.mark.parametrize(
    ("after", "text", "expected"),
    [
        ([*BEFORE, "Policy looks"], "", ["added Policy looks"]),
        ([*BEFORE, "Policy looks"], "`Policy.looks` plans them.", []),
        ([*BEFORE, "Policy looks"], "It overlooks `onlooks` and `looks-like`.", ["added Policy looks"]),
        ([*BEFORE, "cli simulate --looks"], "`simulate --looks 3`", []),
        (BEFORE[1:], "", ["removed python Policy"]),
        ([line for line in BEFORE if "Policy" not in line], "`Policy` is gone.", []),
        ([*BEFORE, "python Looks", "Looks every"], "`Looks` says when.", []),
        ([*BEFORE, "hook copy_flag", "hook.copy_flag target"], "", ["added hook copy_flag"]),
        ([*BEFORE, "cli doctor", "cli doctor --json"], "`doctor` looks.", []),
        ([*BEFORE, "file Looks every"], "", ["added file Looks every"]),
        ([*BEFORE, "file Arrival table"], "", []),
        (BEFORE, "", []),
    ],
)
def test_a_change_counts_as_named_only_by_its_whole_name(after: list[str], text: str, expected: list[str]) -> None:
    assert unnamed_changes(BEFORE, after, text) == expected
