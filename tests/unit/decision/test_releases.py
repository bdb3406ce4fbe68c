"""The metrics of a release as a guardrail: LaunchDarkly judges, no data is never good news, and the words say so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_launchdarkly.decision.evidence import Evidence, ReleaseEvidence
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.standing import fingerprint
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason
from support.evidence import evidence, shifted

POLICY = Policy.from_json({"release_guardrails": [{"flag": "search"}], "harm_looks": "1h"})


def seen(*releases: ReleaseEvidence, day: float = 14, z: float = 6.0) -> Evidence:
    return evidence(day, shifted("primary", z))._replace(releases=releases)


def release(
    state: str, release_id: str = "r1", *, flag: str = "search", status: str = "in_progress"
) -> ReleaseEvidence:
    return ReleaseEvidence(flag, release_id, status, {"errors": state})


def test_the_words_of_a_rollback_say_that_launchdarkly_judged() -> None:
    verdict = decide(POLICY, seen(release("regressed", status="reverted")))
    assert (verdict.kind, verdict.reason) == (Kind.ROLLBACK, Reason.RELEASE_REGRESSED)
    assert verdict.harmed == ("errors: the release of search",)
    judged = "LaunchDarkly judges that errors regressed in release r1 of flag search (reverted): roll back"
    assert judged in verdict.summary
    said = "release r1 of flag search (reverted), as LaunchDarkly judges it: errors regressed"
    assert f"{said}; alpha_harm does not cover that judgement" in verdict.cautions


def test_a_ship_says_what_the_release_said() -> None:
    verdict = decide(POLICY, seen(release("ok")))
    assert verdict.kind is Kind.SHIP
    assert any("as LaunchDarkly judges it: errors ok" in caution for caution in verdict.cautions)


def test_a_guardrail_from_a_release_spends_nothing_and_moves_no_boundary() -> None:
    bare = Policy.from_json({"harm_looks": "1h"})
    with_release, without = (decide(policy, seen(release("ok"), z=1.0)) for policy in (POLICY, bare))
    assert with_release.metrics == without.metrics
    assert fingerprint(POLICY) == fingerprint(bare), "so a guard that is added later spends no error anew"


def test_harm_to_a_metric_of_the_experiment_is_named_first() -> None:
    verdict = decide(POLICY, seen(release("regressed"), z=-6.0))
    assert verdict.reason is Reason.PRIMARY_HARMED


@pytest.mark.parametrize("state", ["no_data", "", "a_state_of_next_year"])
def test_a_state_that_is_not_known_to_be_good_holds_the_ship(state: str) -> None:
    verdict = decide(POLICY, seen(release(state)))
    assert (verdict.kind, verdict.reason) == (Kind.WAIT, Reason.RELEASE_UNKNOWN)
    assert "LaunchDarkly has no state of errors in release r1 of flag search" in verdict.summary


def test_a_release_without_metrics_guards_nothing() -> None:
    verdict = decide(POLICY, seen(ReleaseEvidence("search", "r1", "in_progress", {})))
    assert verdict.reason is Reason.RELEASE_UNKNOWN
    assert "has no metrics" in verdict.summary


def test_the_newest_release_has_to_be_good_and_none_of_them_may_have_regressed() -> None:
    assert decide(POLICY, seen(release("ok", "r2"), release("no_data", "r1"))).kind is Kind.SHIP
    assert decide(POLICY, seen(release("no_data", "r2"), release("ok", "r1"))).kind is Kind.WAIT
    assert decide(POLICY, seen(release("ok", "r2"), release("regressed", "r1"))).kind is Kind.ROLLBACK


def test_only_the_named_release_of_the_named_flag_counts() -> None:
    named = Policy.from_json({"release_guardrails": [{"flag": "search", "release": "r1"}]})
    assert decide(named, seen(release("regressed", "r2"), release("ok", "r1"))).kind is Kind.SHIP
    other = decide(named, seen(release("ok", flag="cart")))
    assert other.reason is Reason.RELEASE_UNKNOWN
    assert "release r1 of flag search has not been released" in other.summary


def test_between_two_looks_a_regression_rolls_back_and_missing_data_wait() -> None:
    between = seen(release("regressed"), day=14.2, z=0.0)._replace(only_harm=True)
    verdict = decide(POLICY, between)
    assert (verdict.kind, verdict.reason) == (Kind.ROLLBACK, Reason.RELEASE_REGRESSED)
    for releases in ((), (release("no_data"),)):
        waiting = decide(POLICY, between._replace(releases=releases))
        assert (waiting.kind, waiting.reason) == (Kind.WAIT, Reason.BETWEEN_LOOKS)


def test_between_two_looks_releases_are_judged_though_no_metric_rolls_back() -> None:
    policy = Policy.from_json(
        {"preset": "launchdarkly", "release_guardrails": [{"flag": "search"}], "harm_looks": "1h"}
    )
    alone = seen(release("regressed"), day=14.2)._replace(only_harm=True, metrics=())
    verdict = decide(policy, alone)
    assert (verdict.kind, verdict.reason, verdict.metrics) == (Kind.ROLLBACK, Reason.RELEASE_REGRESSED, ())
    waiting = decide(policy, alone._replace(releases=(release("ok"),)))
    assert waiting.kind is Kind.WAIT
    assert "no regression in the releases of search" in waiting.summary


def test_a_stage_that_ends_without_the_releases_data_is_invalid_and_never_passes() -> None:
    stage = POLICY.model_copy(update={"min_duration": timedelta(days=14), "max_duration": timedelta(days=14)})
    assert decide(stage, seen(z=0.0)).kind is Kind.INVALID
    assert decide(stage, seen(release("ok"), z=0.0)).kind is Kind.INCONCLUSIVE
