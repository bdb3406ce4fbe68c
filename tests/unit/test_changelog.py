"""The changelog: every public change has a line, and every released version keeps the list of its public names."""

from __future__ import annotations

import pytest

from airflow_provider_launchdarkly import __version__
from support.changelog import CHANGELOG, sections, unnamed_changes, unreleased
from support.public_surface import released, surface

BEFORE = [
    "python Policy",
    "Policy alpha = 0.05",
    "cli simulate",
    "cli simulate --picture",
    "hook get_flag",
    "file Looks at",
]


def test_every_public_change_since_the_last_release_has_a_line() -> None:
    version, names = list(released().items())[-1]
    unnamed = unnamed_changes(names, surface(), unreleased())
    assert unnamed == [], (
        "name each as code under Unreleased in CHANGELOG.md, an argument or option in one entry with its class, call "
        f"or command (the last release is {version})"
    )


def test_every_version_of_the_changelog_keeps_its_public_names() -> None:
    versions = [heading for heading in sections(CHANGELOG.read_text()) if heading != "Unreleased"]
    assert sorted(versions) == sorted(released())
    assert versions[0] == __version__


def test_the_public_names_are_of_every_kind() -> None:
    listed = {line.partition(" = ")[0] for line in surface()}
    assert listed >= {
        *("python Policy", "Policy alpha", "hook get_flag", "hook.get_flag flag_key", "error AuthenticationError"),
        *("AuthenticationError answered", "cli simulate", "cli simulate --picture", "cli --traceback", "exit-code OK"),
        *("file Policy looks", "file Rule group_sequential", "configuration launchdarkly poll_interval"),
        *("metric launchdarkly.verdicts.*", "metric launchdarkly.waiting", "fixture launchdarkly_emulator"),
        *("EmulatorServer warehouse", "EmulatorServer fault", "EmulatorServer.fault times"),
    }


LOOKS = [*BEFORE, "Policy looks"]
METRIC = [*BEFORE, "metric launchdarkly.looks"]
NO_LOOKS = ["added Policy looks"]


@pytest.mark.parametrize(
    ("after", "text", "expected"),
    [
        (LOOKS, "", NO_LOOKS),
        (LOOKS, "- `Policy.looks` plans them.", []),
        (LOOKS, "- `looks` of a `Policy` plan them.", []),
        (LOOKS, "- `Policy(looks=…)` plans them.", []),
        (LOOKS, "- A policy looks at them. Looks of `Policy` are planned.", NO_LOOKS),
        (
            LOOKS,
            "- `Policy`: it overlooks `onlooks`, `looks-like`, `looks.every`, `--looks` and `past_looks`.",
            NO_LOOKS,
        ),
        (LOOKS, "- `looks` of `ChangeWindow`.\n- `Policy` has more.", NO_LOOKS),
        ([*BEFORE, "cli simulate --looks"], "- `simulate --looks 3`", []),
        ([*BEFORE, "cli simulate --looks"], "- `power --looks 3`", ["added cli simulate --looks"]),
        ([*BEFORE, "cli --looks"], "- Each command takes `--looks`.", []),
        (BEFORE[1:], "", ["removed python Policy"]),
        (BEFORE[1:], "- The Policy is gone.", ["removed python Policy"]),
        ([line for line in BEFORE if "Policy" not in line], "- `Policy` is gone.", []),
        ([*BEFORE, "python Looks", "Looks every"], "- `Looks` says when.", []),
        ([*BEFORE, "hook copy_flag", "hook.copy_flag target"], "", ["added hook copy_flag"]),
        ([*BEFORE, "hook.get_flag target"], "- `get_flag` has a `target`.", []),
        ([*BEFORE, "cli doctor", "cli doctor --json"], "- `doctor` looks.", []),
        ([*BEFORE, "file Looks every"], "", ["added file Looks every"]),
        ([*BEFORE, "file Looks every"], "- Looks come every day.", ["added file Looks every"]),
        ([*BEFORE, "file Looks every"], "- `looks: {every: 1d}`", []),
        ([*BEFORE, "file Arrival table"], "", []),
        (METRIC, "- `looks` and `launchdarkly.looks.all`", ["added metric launchdarkly.looks"]),
        (METRIC, "- `launchdarkly.looks` counts.", []),
        ([*BEFORE, "error NotThereError = NotFoundError"], "- `NotThereError`", []),
        ([line.replace("0.05", "0.1") for line in BEFORE], "- `Policy` is stricter.", ["changed Policy alpha"]),
        ([line.replace("0.05", "0.1") for line in BEFORE], "- `Policy`: `alpha` is 0.1 by default.", []),
        (BEFORE, "", []),
    ],
)
def test_a_change_is_named_as_code_with_what_it_belongs_to(after: list[str], text: str, expected: list[str]) -> None:
    assert unnamed_changes(BEFORE, after, text) == expected
