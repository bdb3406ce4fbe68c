"""A decision record as people see it: nothing is shown that is not on record, and every look is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.audit_log.replay import replay
from airflow_provider_launchdarkly.decision.allocation import EVEN
from airflow_provider_launchdarkly.decision.evidence import Measurement, MetricEvidence, ReleaseEvidence
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.verdict import Reason, Verdict
from airflow_provider_launchdarkly.pictures.terminal import experiment_text
from airflow_provider_launchdarkly.pictures.words import standing
from airflow_provider_launchdarkly.views.model import Share, State
from airflow_provider_launchdarkly.views.plans import planned_looks
from airflow_provider_launchdarkly.views.records import detail_of_record, verdict_in_words
from support.audit_records import decision, evidence, record
from support.look_contexts import METRIC, STARTED_AT

RECORD = record()


def test_a_shipped_record_has_every_look_and_the_verdict() -> None:
    found = detail_of_record(RECORD, path="it-1.jsonl", whole=True)
    assert [look.number for look in found.looks] == list(range(1, len(RECORD) + 1))
    assert found.summary.state is State.SHIPPED
    assert verdict_in_words(found.looks[-1]) == "verdict: ship"
    assert found.why.startswith(f"Bold is 10.0 % better than the baseline on {METRIC}, and that is beyond chance")
    assert (found.record.entries, found.record.head, found.record.whole) == (  # type: ignore[union-attr]
        len(RECORD), RECORD[-1]["hash"], True,
    )  # fmt: skip
    # What was done after the verdict is not on record.
    assert (found.summary.shares, found.to_come, found.summary.next_look) == ((), (), None)
    assert found.timeline[-1].what.startswith("verdict: ship: Bold is 10.0 % better")


def test_a_waiting_record_says_who_gets_what_and_when_the_next_look_is() -> None:
    found = detail_of_record(RECORD[:3])
    assert found.summary.state is State.WAITING
    assert found.summary.shares == (Share("Classic", 50.0, baseline=True), Share("Bold", 50.0))
    assert found.summary.next_look == STARTED_AT + timedelta(days=4)
    assert [entry.ahead for entry in found.timeline] == [False, False, True]
    assert found.record is not None
    assert found.record.whole is None


def test_nothing_ships_before_the_shortest_run_so_no_boundary_is_shown() -> None:
    looks = detail_of_record(RECORD).looks
    shown = [look.primary.comparisons[0].boundary is not None for look in looks if look.primary]
    assert shown == [look.elapsed_days >= 7 for look in looks]


def test_numbers_are_those_of_the_verdict() -> None:
    entry = RECORD[-1]["verdict"]["metrics"][0]["comparisons"][0]
    found = detail_of_record(RECORD).looks[-1].metrics[0].comparisons[0]
    assert (found.lift, found.lower, found.upper) == (entry["lift"], entry["lift_lower"], entry["lift_upper"])
    assert (found.z, found.boundary, found.better) == (entry["success"]["z"], entry["success"]["boundary"], True)
    assert (found.harm_z, found.harm_boundary) == (entry["harm"]["z"], entry["harm"]["boundary"])
    assert found.worth == entry["estimate"]["bias_adjusted"]


def test_an_ending_by_someone_else_has_no_numbers_and_says_so() -> None:
    stopped = Verdict.invalid(
        Reason.ITERATION_STOPPED, "iteration it-1 is stopped, not by this task", timedelta(days=3)
    )
    found = detail_of_record(chain.append(RECORD[:2], decision(Policy(), None, stopped)))
    assert found.summary.state is State.INVALID
    assert found.why == "Iteration it-1 is stopped, not by this task."
    assert len(found.looks) == 3


def test_a_look_for_harm_is_told_from_a_planned_one() -> None:
    policy = Policy.from_json({"harm_looks": "6h"})
    between = decision(policy, evidence(1.5)._replace(only_harm=True))
    found = detail_of_record(chain.append((), between))
    assert found.looks[0].only_harm
    assert found.why == "No metric is harmed; the next planned look decides."
    assert found.summary.harm is not None
    assert (found.summary.harm.metrics, found.summary.harm.every_days) == ((METRIC,), 0.25)


@pytest.mark.parametrize("between", [True, False], ids=["a look for harm", "a planned look"])
@pytest.mark.parametrize("errors", [0.0, 0.001])
def test_nothing_says_that_a_guardrail_without_events_is_unharmed(errors: float, between: bool) -> None:
    policy = Policy.from_json({"harm_looks": "6h", "guardrails": [{"metric": "errors"}]})
    measured = evidence(3.5 if between else 9, lift=0.0)
    arms = [Measurement(arm.treatment_id, arm.units, errors, errors**0.5) for arm in measured.metrics[0].measurements]
    guarded = MetricEvidence("errors", tuple(arms), Direction.LOWER)
    found = detail_of_record(
        chain.append((), decision(policy, measured._replace(metrics=(*measured.metrics, guarded), only_harm=between)))
    )
    assert found.summary.harm is not None
    assert ("errors" in found.summary.harm.metrics) == bool(errors)
    assert ("Nothing is known of errors" in found.why) == (between and not errors)
    assert any(caution.startswith("errors is 0 for every unit") for caution in found.cautions) == (not errors)
    (compared,) = found.looks[0].metrics[-1].comparisons
    assert (standing(found.looks[0].metrics[-1], compared) == "the same for every unit") == (not errors)
    text = experiment_text(found)
    assert (f"No harm found on {METRIC}, errors" in text) == bool(errors)


def test_a_regression_between_two_looks_is_a_look_for_harm() -> None:
    policy = Policy.from_json(
        {"preset": "launchdarkly", "harm_looks": "6h", "release_guardrails": [{"flag": "search"}]}
    )
    seen = (ReleaseEvidence("search", "r1", "in_progress", {"errors": "regressed"}),)
    alone = evidence(1.5)._replace(only_harm=True, metrics=(), releases=seen)
    entries = chain.append((), decision(policy, alone))
    found = detail_of_record(entries)
    assert found.looks[0].only_harm
    assert "errors regressed" in found.why
    assert replay(entries).agrees


def test_a_change_of_the_policy_is_on_the_timeline() -> None:
    entries = chain.append(RECORD[:2], decision(Policy.from_json({"alpha": 0.01}), evidence(3)))
    assert "judged by another policy from here on" in [entry.what for entry in detail_of_record(entries).timeline]


def test_the_policy_of_a_newer_version_hides_no_numbers() -> None:
    later = chain.Decision(**{**{name: RECORD[0][name] for name in ("at", "target", "source", "evidence", "verdict")},
                              "policy": {**RECORD[0]["policy"], "moon": "full"}})  # fmt: skip
    found = detail_of_record(chain.append((), later))
    assert found.policy == ("The policy is that of a newer version.",)
    assert found.looks[0].primary is not None


def test_an_empty_record_is_no_experiment() -> None:
    with pytest.raises(ValueError, match="nothing was judged yet"):
        detail_of_record(())


def test_a_plan_has_its_boundaries_before_anything_is_measured() -> None:
    looks = planned_looks(Policy(), STARTED_AT, EVEN)
    assert [look.boundary is not None for look in looks] == [day >= 7 for day in range(1, 29)]
    ships = [look.boundary for look in looks if look.boundary is not None]
    assert ships == sorted(ships, reverse=True)
    assert looks[6].at == STARTED_AT + timedelta(days=7)
    assert all(look.harm_boundary is not None for look in looks)


def test_a_rule_without_boundaries_has_a_plan_without_them() -> None:
    looks = planned_looks(Policy.preset("launchdarkly"), None, EVEN)
    assert {(look.boundary, look.harm_boundary, look.at) for look in looks} == {(None, None, None)}
