"""What each released version has written is read by today's code: triggers, decision records, rollout files."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.audit_log.replay import replay
from airflow_provider_launchdarkly.rollout.files import NamedRollout, read_files, rollout_files
from support.public_surface import released
from support.surroundings import REPOSITORY

PAST = REPOSITORY / "tests" / "past"
VERSIONS = [folder for folder in sorted(PAST.iterdir()) if (folder / "triggers.json").exists()]
TRIGGERS = [
    pytest.param(classpath, arguments, id=f"{folder.name} {classpath.rpartition('.')[2]}")
    for folder in VERSIONS
    for classpath, arguments in json.loads((folder / "triggers.json").read_text())
]
RECORDS = [file for folder in VERSIONS for file in sorted(folder.glob("*.jsonl"))]


def test_every_released_version_is_kept() -> None:
    assert [folder.name for folder in VERSIONS] == sorted(released())
    assert TRIGGERS
    assert {file.stem for file in RECORDS} == {"ship", "rollback", "inconclusive"}


@pytest.mark.parametrize(("classpath", "arguments"), TRIGGERS)
def test_a_trigger_that_waited_before_the_upgrade_waits_on(classpath: str, arguments: dict[str, Any]) -> None:
    module, _, name = classpath.rpartition(".")
    trigger = getattr(import_module(module), name)(**arguments)
    trigger.check()
    path, stored = trigger.serialize()
    assert path == classpath
    assert arguments.items() <= stored.items()


@pytest.mark.parametrize("file", RECORDS, ids=lambda file: f"{file.parent.name} {file.stem}")
def test_a_record_replays_as_it_was_decided_and_is_written_back_byte_for_byte(file: Path) -> None:
    entries = chain.read(file.read_text())
    assert entries[-1]["verdict"]["verdict"] == file.stem
    assert replay(entries).agrees
    assert chain.write(entries) == file.read_text()


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_a_rollout_file_still_makes_its_rollouts(folder: Path) -> None:
    found = list(read_files(rollout_files([folder])))
    assert found
    assert all(isinstance(one, NamedRollout) for one in found), found
