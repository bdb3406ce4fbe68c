"""A policy that changed under a running iteration: what the record says that the policies before have spent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.audit_log.changes import spent_before
from airflow_provider_launchdarkly.audit_log.replay import replay
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.verdict import Kind
from support.audit_records import decision, evidence

SHORT, LONG = Policy(futility=None), Policy(futility=None, max_duration="42d")
Entries = tuple[dict[str, Any], ...]


def looked(entries: Entries, policy: Policy, *days: int, lift: float = 0.0) -> Entries:
    """Add a look by a policy on each day, with what the record says that the others have spent."""
    for day in days:
        measured = evidence(day, lift)._replace(spent=spent_before(entries, policy))
        entries = chain.append(entries, decision(policy, measured))
    return entries


def test_one_policy_has_spent_nothing_before_itself() -> None:
    assert spent_before((), SHORT) is None
    assert spent_before(looked((), SHORT, 1, 7, 14), SHORT) is None


@pytest.mark.parametrize("change", [{"budget": {"power": 0.5}}, {"missing": {"grace": "3d"}}, {"on_change": "refuse"}])
def test_a_change_that_moves_no_boundary_is_none(change: dict[str, Any]) -> None:
    assert spent_before(looked((), SHORT, 7, 14), Policy.from_json({**SHORT.to_json(), **change})) is None


def test_an_entry_that_is_older_than_a_field_of_the_policy_was_judged_by_the_same_one() -> None:
    (entry,) = looked((), SHORT, 7)
    older = {name: value for name, value in entry["policy"].items() if name not in ("harm_looks", "on_repeat")}
    assert spent_before([{**entry, "policy": older}], SHORT) is None


def test_a_policy_of_a_newer_version_counts_in_full() -> None:
    (entry,) = looked((), SHORT, 14)
    spent = spent_before([{**entry, "policy": {**entry["policy"], "of_a_newer_version": 1}}], SHORT)
    assert spent is not None
    assert spent.ship > 0.0
    assert spent.changes == ("of_a_newer_version from 1 to None",)


def test_a_longer_plan_is_told_with_what_the_shorter_one_spent() -> None:
    entries = looked((), SHORT, 7, 14)
    spent = spent_before(entries, LONG)
    assert spent is not None
    bar = entries[-1]["verdict"]["metrics"][0]["comparisons"][0]["success"]
    assert spent.ship == pytest.approx(bar["alpha_spent"])
    assert 0.0 < spent.ship < 0.05
    assert 0.0 < spent.harm < 0.05
    assert spent.until == timedelta(days=14)
    assert spent.changes == ("max_duration from 28d to 42d",)


def test_it_stays_known_while_the_new_policy_looks() -> None:
    entries = looked((), SHORT, 7, 14)
    before = spent_before(entries, LONG)
    assert spent_before(looked(entries, LONG, 21, 28), LONG) == before


def test_plans_add_up_and_a_change_back_is_a_change() -> None:
    entries = looked(looked((), SHORT, 7, 14), LONG, 21)
    spent, first = spent_before(entries, SHORT), spent_before(entries[:2], LONG)
    assert spent is not None
    assert first is not None
    assert spent.ship > first.ship
    assert spent.until == timedelta(days=21)


def test_no_chain_of_edits_spends_more_than_alpha() -> None:
    entries: Entries = ()
    for number, weeks in enumerate((2, 4, 6, 8)):
        policy = Policy(futility=None, max_duration=f"{7 * weeks}d")
        entries = looked(entries, policy, *range(14 * number + 1, 14 * number + 15))
        spent = spent_before(entries, Policy(futility=None, max_duration="99d"))
        assert spent is not None
        assert spent.ship <= 0.05 + 1e-6
        assert spent.harm <= 0.05 + 1e-6


class TestTheNewPolicy:
    def judged(self, policy: Policy, day: int = 35) -> Any:
        entries = looked((), SHORT, *range(1, 15))
        measured = evidence(day)._replace(spent=spent_before(entries, policy))
        return decide(policy, measured)

    def test_spends_only_what_is_left(self) -> None:
        (compared,) = self.judged(LONG, 42).metrics[0].comparisons
        spent = spent_before(looked((), SHORT, *range(1, 15)), LONG)
        assert spent is not None
        assert compared.success.alpha_spent == pytest.approx(0.05 - spent.ship)

    def test_says_so(self) -> None:
        told = [caution for caution in self.judged(LONG).cautions if "judged by another policy" in caution]
        assert len(told) == 1
        assert "max_duration from 28d to 42d" in told[0]
        assert "is left to ship by" in told[0]

    def test_or_spends_all_anew_and_says_what_that_costs(self) -> None:
        accepting = LONG.model_copy(update={"on_change": "accept"})
        verdict = self.judged(Policy.from_json(accepting.to_json()), 42)
        (compared,) = verdict.metrics[0].comparisons
        assert compared.success.alpha_spent == pytest.approx(0.05)
        assert any("chance of a false ship is up to 5.6" in caution for caution in verdict.cautions)

    def test_cannot_ship_where_all_is_spent(self) -> None:
        entries = looked((), SHORT, 14, 28)
        measured = evidence(40, 0.2)._replace(spent=spent_before(entries, LONG))
        assert decide(SHORT, evidence(28, 0.2)).kind is Kind.SHIP
        verdict = decide(LONG, measured._replace(metrics=evidence(40, 0.08).metrics))
        assert verdict.kind is Kind.WAIT
        assert any("nothing can ship any more" in caution for caution in verdict.cautions)

    def test_is_replayed_from_its_own_evidence(self) -> None:
        entries = looked(looked((), SHORT, 7, 14), LONG, 21, 28, 42)
        assert replay(entries).agrees
