"""`airflow-launchdarkly replay`: what follows from a record today, by its own policy and by another one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.audit_log.older_policies import BEFORE, as_judged
from airflow_provider_launchdarkly.audit_log.replay import UnreadableEntryError, replay
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.verdict import Reason, Verdict
from support.audit_records import END, decision, evidence, record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "it-1.jsonl"
    path.write_text(chain.write(record()), encoding="utf-8")
    return path


def policy_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "other.yaml"
    path.write_text(text)
    return str(path)


def test_a_record_agrees_with_itself(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "Every verdict follows again." in printed
    assert "ship 'Bold': better" in printed


def test_a_broken_chain_is_reported_with_its_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = path.read_text().splitlines(keepends=True)
    lines[7] = lines[7].replace("0.11", "0.12")
    path.write_text("".join(lines))
    assert main(["replay", str(path)]) == 1
    assert "broken at line 8" in capsys.readouterr().err


def test_a_broken_chain_is_reported_as_json_too(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(path.read_text()[:-1])
    assert main(["replay", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "agrees": None,
        "broken": True,
        "line": END,
        "error": f"line {END}: it is cut off",
    }


def test_entries_cut_off_the_end_are_found_by_the_head(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = record()
    path.write_text(chain.write(entries[:-1]))
    assert main(["replay", str(path)]) == 0
    assert main(["replay", str(path), "--head", entries[-1]["hash"]]) == 1
    assert "the last entry is not" in capsys.readouterr().err


def test_a_verdict_that_does_not_follow_is_a_disagreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wished = decided_otherwise("ship")
    path = tmp_path / "record.jsonl"
    path.write_text(chain.write(wished))
    assert main(["replay", str(path)]) == 2
    assert "Not every verdict follows again." in capsys.readouterr().out


def decided_otherwise(verdict: str) -> tuple[dict[str, Any], ...]:
    """Return a whole chain whose first verdict does not follow from its evidence."""
    looked = decision(Policy(), evidence(1))
    made_up: dict[str, Any] = {**looked.verdict, "verdict": verdict, "treatment_id": "id-bold"}
    return chain.append(
        (), type(looked)(looked.at, looked.target, looked.source, looked.policy, looked.evidence, made_up)
    )


def test_a_stricter_policy_would_have_waited_longer(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(path), "--policy", policy_file(tmp_path, "alpha: 0.001")]) == 2
    printed = capsys.readouterr().out
    assert f"On record: ship 'Bold': better on day {END}.00. By the other policy: no ending." in printed


def test_a_looser_policy_would_have_shipped_sooner(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["replay", str(path), "--policy", policy_file(tmp_path, "alpha: 0.2"), "--json"]
    assert main(arguments) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["replayed"]["verdict"] == "ship"
    assert found["replayed"]["elapsed_days"] < found["recorded"]["elapsed_days"] == END
    assert found["looks"][-1]["note"] == "after the end"


def test_a_policy_that_comes_to_the_same_end_agrees(path: Path, tmp_path: Path) -> None:
    assert main(["replay", str(path), "--policy", policy_file(tmp_path, "min_units_per_treatment: 150")]) == 0


def test_another_policy_looks_only_when_its_own_looks_are_due() -> None:
    weekly = Policy.from_json({"looks": "7d"})
    judged = [look.look for look in replay(record(), weekly).looks if look.note == ""]
    assert judged == [7, 14][: END // 7]


def rewritten(change: Callable[[dict[str, Any]], None]) -> tuple[dict[str, Any], ...]:
    """The record as another version of this package would have written it: changed, and chained anew."""
    entries: list[dict[str, Any]] = []
    for entry in json.loads(json.dumps(record())):
        change(entry)
        entry["previous"] = entries[-1]["hash"] if entries else None
        entries.append({**entry, "hash": chain.hash_of(entry)})
    return chain.read(chain.write(entries))


def test_entries_with_fields_of_a_newer_version_are_read_and_judged() -> None:
    def add(entry: dict[str, Any]) -> None:
        evidence = entry["evidence"]
        metric = evidence["metrics"][0]
        for part in (entry, entry["verdict"], evidence, evidence["treatments"][0], metric, metric["measurements"][0]):
            part["added_later"] = {"anything": 1}

    entries = rewritten(add)
    assert len(entries) == END
    assert replay(entries).agrees
    appended = chain.append(entries, decision(Policy(), evidence(28)))
    assert chain.read(chain.write(appended))[0]["added_later"] == {"anything": 1}


def test_entries_without_the_optional_fields_of_this_version_are_read_and_judged() -> None:
    def remove(entry: dict[str, Any]) -> None:
        for field in ("probability_of_mismatch", "unchanged_for_seconds", "started_at"):
            del entry["evidence"][field]
        for treatment in entry["evidence"]["treatments"]:
            del treatment["exposed"]
        for metric in entry["evidence"]["metrics"]:
            for measured in metric["measurements"]:
                del measured["p_best"]
        for field in ("missing", "traffic", "budget"):
            del entry["policy"][field]

    assert replay(rewritten(remove)).agrees


def test_an_entry_older_than_the_information_clock_is_judged_by_time() -> None:
    def age(entry: dict[str, Any]) -> None:
        # An older version knew no clock. The earlier looks in its evidence are made up, to see that none counts.
        by_time = decide(Policy(clock="time"), evidence(entry["verdict"]["look"]))
        entry["verdict"] = by_time.to_json()
        del entry["policy"]["clock"]

    entries = rewritten(age)
    assert all(entry["evidence"]["earlier"] for entry in entries[1:])
    assert replay(entries).agrees
    assert entries[-1]["verdict"]["verdict"] == "wait", "by the information clock it ships here"


def test_every_value_for_older_entries_is_one_of_the_policy() -> None:
    assert set(BEFORE) <= set(Policy.model_fields)
    Policy.from_json(as_judged({}))


def test_another_policy_knows_the_looks_on_record() -> None:
    def forget(entry: dict[str, Any]) -> None:
        entry["evidence"]["earlier"] = []
        entry["verdict"] = decide(Policy(), evidence(entry["verdict"]["look"])).to_json()

    (*_, last) = replay(rewritten(forget), Policy(min_units_per_treatment=150)).looks
    assert last.again is not None
    assert last.again["verdict"] == "ship"
    assert not any("no earlier look" in caution for caution in last.again["cautions"])


def test_a_policy_with_a_field_of_a_newer_version_is_not_judged() -> None:
    def demand(entry: dict[str, Any]) -> None:
        entry["policy"]["added_later"] = True

    with pytest.raises(UnreadableEntryError, match=r"entry 1: policy\.added_later: is not known"):
        replay(rewritten(demand))


def test_evidence_without_a_required_field_is_named() -> None:
    def remove(entry: dict[str, Any]) -> None:
        del entry["evidence"]["elapsed_seconds"]

    with pytest.raises(UnreadableEntryError, match="entry 1: the evidence has no field 'elapsed_seconds'"):
        replay(rewritten(remove))


def test_an_iteration_that_someone_stopped_stays_so_whatever_the_policy() -> None:
    stopped = Verdict.invalid(Reason.ITERATION_STOPPED, "stopped", timedelta(days=3))
    entries = chain.append(record()[:2], decision(Policy(), None, stopped))
    assert replay(entries).agrees
    assert replay(entries, Policy(alpha=0.2)).agrees


def test_a_policy_that_judges_what_was_not_measured_is_an_error(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(path), "--policy", policy_file(tmp_path, "guardrails: [{metric: page-load-ms}]")]) == 1
    assert "entry 1: the policy judges metric 'page-load-ms'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nowhere.jsonl"], ["{record}", "--policy", "nowhere.yaml"]])
def test_a_file_that_is_not_there_is_an_error(
    path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", *(argument.format(record=path) for argument in arguments)]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_a_record_may_be_in_an_object_store(capsys: pytest.CaptureFixture[str]) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe("/bucket/it-1.jsonl", chain.write(record()).encode())
    assert main(["replay", "memory://bucket/it-1.jsonl"]) == 0
    fsspec.filesystem("memory").store.clear()


def test_the_numbers_as_json_are_whole(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["entries"], found["head"], found["agrees"]) == (END, record()[-1]["hash"], True)
    assert found["recorded"] == found["replayed"]
    assert len(found["looks"]) == END


def test_an_entry_older_than_the_split_of_measured_units_knew_none() -> None:
    policy = {"primary": {"metric": "a"}, "guardrails": [{"metric": "b"}], "signals": [{"metric": "c", "alpha": 0.1}]}
    judged = Policy.from_json(as_judged(policy))
    assert (judged.primary.metric, judged.primary.test_split) == ("a", False)
    assert [(part.metric, part.test_split) for part in judged.guardrails] == [("b", False)]
    assert [(part.metric, part.test_split, part.required, part.alpha) for part in judged.signals] == [
        ("c", False, False, 0.1)
    ]
    assert Policy.from_json(as_judged(Policy.from_json(policy).to_json())).signals[0].required
