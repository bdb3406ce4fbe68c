"""Where records are stored: a file for an iteration, whole at every moment, on a disk and in an object store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import fsspec
import pytest
from upath import UPath

from airflow_provider_launchdarkly.audit_log import chain, store
from airflow_provider_launchdarkly.audit_log.chain import BrokenRecordError
from airflow_provider_launchdarkly.audit_log.store import StoragePath, latest_wait, store_decision
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.verdict import Reason, Verdict
from support.audit_records import TARGET, decision, evidence

POLICY = Policy()


@pytest.fixture(params=["disk", "object store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "disk":
        yield str(tmp_path / "decisions")
        return
    yield "memory://bucket/decisions"
    fsspec.filesystem("memory").store.clear()


def place(folder: str) -> UPath:
    return UPath(folder) / "demo" / "production" / "bold-checkout-button" / "it-1.jsonl"


def open_path(folder: str) -> StoragePath:
    return UPath(folder)


def test_looks_are_kept_in_a_file_of_their_iteration(folder: str) -> None:
    for day in (1, 2, 3):
        stored = store_decision(decision(POLICY, evidence(day)), folder, open_path)
    assert (stored.path, stored.entries) == (str(place(folder)), 3)
    entries = chain.read(place(folder).read_text(encoding="utf-8"))
    assert [entry["verdict"]["look"] for entry in entries] == [1, 2, 3]
    assert entries[-1]["hash"] == stored.head


def test_the_same_look_again_leaves_the_file_as_it_is(folder: str) -> None:
    first = store_decision(decision(POLICY, evidence(1)), folder, open_path)
    before = place(folder).read_text(encoding="utf-8")
    assert store_decision(decision(POLICY, evidence(1)), folder, open_path) == first
    assert place(folder).read_text(encoding="utf-8") == before


def test_a_record_that_was_changed_is_an_error_and_left_as_it_is(folder: str) -> None:
    store_decision(decision(POLICY, evidence(1)), folder, open_path)
    changed = place(folder).read_text(encoding="utf-8").replace("Bold", "Bald")
    place(folder).write_text(changed, encoding="utf-8")
    with pytest.raises(BrokenRecordError, match="line 1"):
        store_decision(decision(POLICY, evidence(2)), folder, open_path)
    assert place(folder).read_text(encoding="utf-8") == changed


def test_a_look_that_another_process_wrote_over_is_added_again(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = chain.write(chain.append((), decision(POLICY, evidence(1.5))))
    write = store._write

    def be_overtaken(path: StoragePath, text: str) -> None:
        write(path, text)
        monkeypatch.setattr(store, "_write", write)
        place(folder).write_text(other, encoding="utf-8")

    monkeypatch.setattr(store, "_write", be_overtaken)
    stored = store_decision(decision(POLICY, evidence(1)), folder, open_path)
    assert (stored.entries, stored.entry["seq"]) == (2, 2)
    assert len(chain.read(place(folder).read_text(encoding="utf-8"))) == 2


def test_nothing_but_the_record_is_left_on_the_disk(tmp_path: Path) -> None:
    store_decision(decision(POLICY, evidence(1)), str(tmp_path), open_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["it-1.jsonl"]


def test_a_crash_while_writing_leaves_the_record_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_decision(decision(POLICY, evidence(1)), str(tmp_path), open_path)
    before = place(str(tmp_path)).read_text(encoding="utf-8")

    def crash(_: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", crash)
    with pytest.raises(OSError, match="full"):
        store_decision(decision(POLICY, evidence(2)), str(tmp_path), open_path)
    assert place(str(tmp_path)).read_text(encoding="utf-8") == before


def test_without_a_folder_the_entry_is_computed_all_the_same() -> None:
    stored = store_decision(decision(POLICY, evidence(1)), None, open_path)
    assert (stored.path, stored.entries, stored.head) == (None, 1, stored.entry["hash"])
    assert chain.hash_of(stored.entry) == stored.head


@pytest.mark.parametrize("key", ["../../etc", "a/b", ".."])
def test_no_key_leads_out_of_the_folder(tmp_path: Path, key: str) -> None:
    from dataclasses import replace

    looked = replace(decision(POLICY, evidence(1)), target={**TARGET, "experiment_key": key})
    stored = store_decision(looked, str(tmp_path), open_path)
    assert stored.path is not None
    assert Path(stored.path).resolve().relative_to(tmp_path).parts[:2] == ("demo", "production")
    assert len(Path(stored.path).relative_to(tmp_path).parts) == 4


class TestTheLatestWait:
    """Read by a process that remembers nothing, so that it does not look twice between two looks."""

    @pytest.fixture
    def waited(self, folder: str) -> Callable[[Policy], timedelta | None]:
        return lambda policy: latest_wait(TARGET, policy.to_json(), folder, open_path)

    def test_is_none_without_a_record(self, waited: Callable[[Policy], timedelta | None]) -> None:
        assert waited(POLICY) is None

    def test_is_the_time_of_the_latest_look(self, folder: str, waited: Callable[[Policy], timedelta | None]) -> None:
        store_decision(decision(POLICY, evidence(3.25)), folder, open_path)
        assert waited(POLICY) == timedelta(days=3.25)

    def test_is_none_for_another_policy(self, folder: str, waited: Callable[[Policy], timedelta | None]) -> None:
        store_decision(decision(POLICY, evidence(3)), folder, open_path)
        assert waited(Policy(alpha=0.01)) is None

    def test_is_none_after_an_ending(self, folder: str, waited: Callable[[Policy], timedelta | None]) -> None:
        stopped = Verdict.invalid(Reason.ITERATION_STOPPED, "stopped", timedelta(days=3))
        store_decision(decision(POLICY, None, stopped), folder, open_path)
        assert waited(POLICY) is None
