"""The chain: what is written can be read back, what was changed is found with its line, and repeats change nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.audit_log.chain import BrokenRecordError
from airflow_provider_launchdarkly.decision.policy import Policy
from support.audit_records import END, decision, evidence, look_again, record
from support.look_contexts import STARTED_AT

Entry = dict[str, Any]


def test_what_is_written_is_read_back() -> None:
    entries = record()
    assert chain.read(chain.write(entries)) == entries


def test_an_empty_record_is_whole() -> None:
    assert chain.read("") == ()


def test_each_line_is_its_entry_s_canonical_json() -> None:
    for line, entry in zip(chain.write(record()).splitlines(), record(), strict=True):
        assert line == json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def test_each_entry_holds_the_hash_of_the_one_before() -> None:
    entries = record()
    assert [entry["previous"] for entry in entries] == [None, *(entry["hash"] for entry in entries[:-1])]


def test_an_entry_says_when_what_by_which_policy_and_why() -> None:
    last = record()[-1]
    assert last["at"] == (STARTED_AT + timedelta(days=END)).isoformat()
    assert last["target"]["iteration_id"] == "it-1"
    assert last["policy"] == Policy().to_json()
    assert last["evidence"]["elapsed_seconds"] == END * 86400
    assert last["verdict"]["verdict"] == "ship"


def test_the_same_look_again_changes_nothing() -> None:
    entries = record()
    again = chain.append(entries, look_again(Policy(), END))
    assert again == entries


def test_the_same_look_a_minute_later_changes_nothing_if_it_finds_the_same() -> None:
    entries = record()
    assert chain.append(entries, replace(look_again(Policy(), END), at="2026-02-20T09:01:00+00:00")) == entries


def test_the_same_look_with_other_data_is_recorded_as_a_repeat() -> None:
    entries = chain.append((), decision(Policy(), evidence(1)))
    both = chain.append(entries, decision(Policy(), evidence(1.1)))
    assert [entry["repeats"] for entry in both] == [None, 1]
    assert chain.read(chain.write(both)) == both


def test_the_same_look_by_another_policy_is_no_repeat() -> None:
    entries = chain.append((), decision(Policy(), evidence(1)))
    both = chain.append(entries, decision(Policy(alpha=0.01), evidence(1)))
    assert [entry["repeats"] for entry in both] == [None, None]


def test_a_change_is_found_with_its_line() -> None:
    lines = chain.write(record()).splitlines(keepends=True)
    lines[4] = lines[4].replace('"seq":5', '"seq":5 ')
    with pytest.raises(BrokenRecordError, match="line 5: its hash does not fit") as raised:
        chain.read("".join(lines))
    assert raised.value.line == 5


def test_a_change_with_a_new_hash_breaks_the_line_after() -> None:
    entries = [dict(entry) for entry in record()]
    entries[4]["verdict"] = {**entries[4]["verdict"], "verdict": "ship"}
    entries[4]["hash"] = chain.hash_of(entries[4])
    with pytest.raises(BrokenRecordError, match="line 6: it does not follow the line before"):
        chain.read(chain.write(entries))


@pytest.mark.parametrize("line", [1, 3, 12])
def test_a_line_that_was_removed_is_missed_at_its_place(line: int) -> None:
    lines = chain.write(record()).splitlines(keepends=True)
    del lines[line - 1]
    with pytest.raises(BrokenRecordError, match=f"line {line}: it does not follow"):
        chain.read("".join(lines))


def test_lines_that_changed_places_are_found() -> None:
    lines = chain.write(record()).splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    with pytest.raises(BrokenRecordError, match="line 3: it does not follow"):
        chain.read("".join(lines))


def test_a_file_that_was_cut_off_is_found() -> None:
    text = chain.write(record())
    with pytest.raises(BrokenRecordError, match=f"line {END}: it is cut off"):
        chain.read(text[:-40])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("not json", "no JSON"),
        ("[1, 2]", "no entry of a decision record"),
        ('{"schema": "launchdarkly-decision/1"}', "no entry of a decision record"),
        ("", "no JSON"),
    ],
)
def test_what_is_no_entry_is_said_to_be_none(line: str, problem: str) -> None:
    with pytest.raises(BrokenRecordError, match=f"line 2: it is {problem}"):
        chain.read(chain.write(record()[:1]) + line + "\n")


def test_another_schema_is_named() -> None:
    (entry,) = record()[:1]
    later = {**entry, "schema": "launchdarkly-decision/2"}
    with pytest.raises(BrokenRecordError, match="decision/2"):
        chain.read(chain.write([later]))


@given(st.data())
def test_no_single_character_can_be_changed_unseen(data: st.DataObject) -> None:
    text = chain.write(RECORDED)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda character: character != text[place]))
    with pytest.raises(BrokenRecordError):
        chain.read(text[:place] + other + text[place + 1 :])


RECORDED = record()[:2]


def test_a_number_that_is_not_finite_is_never_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        chain.append((), replace(decision(Policy(), evidence(1)), verdict={"look": 1, "z": float("nan")}))
