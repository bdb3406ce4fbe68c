"""Releases are started once and stopped as asked, and every way in which that fails says what to do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.errors import (
    ApprovalRequiredError,
    ConfigurationError,
    FlagOffError,
    HealthChecksFailedError,
    LaunchDarklyError,
    ReleaseActiveError,
    ReleaseEndedError,
    RuleOwnedError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.models import ReleasePost
from airflow_provider_launchdarkly.api.writes.flags import Serving

from .conftest import ENV, FLAG, METRIC, Driver, design, experiment

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import EnvironmentRelease, FeatureFlag, Resolution
    from airflow_provider_launchdarkly.testing import EmulatorServer

DAY = 86_400_000
CLAUSE = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"]}
FORWARD: Resolution = "roll_forward_all_phases"
BACK: Resolution = "roll_back_all_phases_and_remove_pending_phases"


@pytest.fixture(autouse=True)
def turned_on(driver: Driver) -> None:
    driver.run(writes.turn_flag(ENV, FLAG, on=True))


def post(flag: FeatureFlag, **changes: Any) -> ReleasePost:
    fields: dict[str, Any] = {
        "originalVariationId": flag.variations[0].id,
        "targetVariationId": flag.variations[1].id,
        "randomizationUnit": "user",
        "phases": [{"clauses": [CLAUSE], "steps": [{"allocation": 20_000, "durationMillis": DAY}]}],
        "metrics": [{"metricKey": METRIC, "autoRollback": True}],
    }
    return ReleasePost.checked(fields | changes)


def start(driver: Driver, wanted: ReleasePost, **options: Any) -> Any:
    return driver.run(writes.start_release(ENV, FLAG, wanted, **options))


def started(emulator: EmulatorServer) -> int:
    return len(emulator.effects("release.started"))


def read(driver: Driver, release: EnvironmentRelease) -> EnvironmentRelease:
    found: EnvironmentRelease = driver.send(endpoints.get_release(ENV, FLAG, release.id)).value
    return found


def test_a_repeated_start_adopts_the_active_release(
    driver: Driver, flag: FeatureFlag, emulator: EmulatorServer
) -> None:
    announced: list[str] = []
    first = start(driver, post(flag), announce=lambda: announced.append("now"))
    again = start(driver, post(flag), announce=lambda: announced.append("again"))

    assert (first.adopted, again.adopted) == (False, True)
    assert first.release.id == again.release.id
    assert announced == ["now"]
    assert started(emulator) == 1


@pytest.mark.parametrize("fault", ["close_after", "status_after", "truncated"])
def test_a_start_whose_answer_is_lost_is_not_sent_again(
    driver: Driver, flag: FeatureFlag, emulator: EmulatorServer, fault: str
) -> None:
    emulator.fault("start_environment_release", fault)

    outcome = start(driver, post(flag))

    assert outcome.release.status == "in_progress"
    assert started(emulator) == 1


def test_a_conflict_after_the_start_took_effect_is_not_taken_for_another_release(
    driver: Driver, flag: FeatureFlag, emulator: EmulatorServer
) -> None:
    emulator.fault("start_environment_release", "status_after", status=409)

    outcome = start(driver, post(flag, cleanupBehavior="remove_rules_and_update_default_rule"))

    assert outcome.release.status == "in_progress"
    assert started(emulator) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"metrics": []}, "metrics"),
        ({"metrics": [{"metricKey": METRIC}]}, "metrics"),
        ({"cleanupBehavior": "remove_rules_and_update_default_rule"}, "cleanupBehavior"),
        ({"phases": [{"clauses": [CLAUSE], "steps": [{"allocation": 10, "durationMillis": 9}]}]}, "phases[0].steps"),
        (
            {
                "phases": [
                    {
                        "clauses": [CLAUSE, CLAUSE | {"attribute": "country", "values": ["DE"]}],
                        "steps": [{"allocation": 20_000, "durationMillis": DAY}],
                    }
                ]
            },
            "phases[0].clauses",
        ),
    ],
)
def test_another_active_release_is_named(
    driver: Driver, flag: FeatureFlag, emulator: EmulatorServer, changes: dict[str, Any], field: str
) -> None:
    active = start(driver, post(flag)).release

    with pytest.raises(ReleaseActiveError, match=active.id) as failure:
        start(driver, post(flag, **changes))

    assert failure.value.release_id == active.id
    assert [difference.field for difference in failure.value.differences] == [field]
    assert started(emulator) == 1


def named(flag: FeatureFlag, description: str) -> ReleasePost:
    phase = {"clauses": [CLAUSE], "description": description, "steps": [{"allocation": 20_000, "durationMillis": DAY}]}
    return post(flag, phases=[phase])


def test_a_release_of_an_earlier_try_that_has_ended_is_adopted_by_its_description(
    driver: Driver, flag: FeatureFlag, emulator: EmulatorServer
) -> None:
    first = start(driver, named(flag, "run 1")).release
    emulator.clock.advance("P2D")

    again = start(driver, named(flag, "run 1"), by_description=True)

    assert (again.adopted, again.release.id, again.release.ended) == (True, first.id, True)
    assert started(emulator) == 1


def test_an_ended_release_is_adopted_by_its_time_and_otherwise_started_anew(
    driver: Driver, flag: FeatureFlag, emulator: EmulatorServer
) -> None:
    begun = emulator.clock.now()
    first = start(driver, post(flag, cleanupBehavior="remove_rules_and_update_default_rule")).release
    emulator.clock.advance("P2D")
    wanted = post(flag, cleanupBehavior="remove_rules_and_update_default_rule")

    adopted = start(driver, wanted, since=begun)
    anew = start(driver, wanted, since=begun + timedelta(days=1))

    assert (adopted.adopted, adopted.release.id) == (True, first.id)
    assert not anew.adopted
    assert started(emulator) == 2


def test_failing_health_checks_are_told_with_their_cure(driver: Driver, flag: FeatureFlag) -> None:
    wanted = post(flag, metrics=[{"metricKey": "search-click-through"}])

    with pytest.raises(HealthChecksFailedError, match="send the metric's event") as failure:
        start(driver, wanted)

    assert [(check.kind, check.metric_key) for check in failure.value.failing] == [
        ("metric_events_any", "search-click-through"),
        ("metric_events_with_context", "search-click-through"),
    ]
    bypass = tuple(check.kind for check in failure.value.failing)
    assert (
        start(driver, wanted.model_copy(update={"bypass_health_checks": tuple(bypass)})).release.status == "in_progress"
    )


def test_a_flag_that_is_off_is_told_before_anything_is_sent(
    driver: Driver, flag: FeatureFlag, emulator: EmulatorServer
) -> None:
    driver.run(writes.turn_flag(ENV, FLAG, on=False))

    with pytest.raises(FlagOffError, match="turn it on"):
        start(driver, post(flag))

    assert all(line.operation != "start_environment_release" for line in emulator.requests())


def test_an_approval_is_demanded_by_name(driver: Driver, flag: FeatureFlag, emulator: EmulatorServer) -> None:
    release = start(driver, post(flag)).release
    emulator.switch(flag_approvals="everywhere")

    with pytest.raises(ApprovalRequiredError):
        driver.run(writes.stop_release(ENV, FLAG, release.id, FORWARD))


def test_a_start_that_needs_an_approval_says_what_a_person_has_to_start(
    driver: Driver, flag: FeatureFlag, emulator: EmulatorServer
) -> None:
    emulator.switch(flag_approvals="everywhere")

    with pytest.raises(writes.ReleaseNeedsApprovalError, match="approval is required") as refused:
        start(driver, post(flag))

    assert (refused.value.status, refused.value.flag_key, refused.value.post) == (405, FLAG, post(flag))


@pytest.mark.parametrize("status", ["active", "ended"])
def test_a_release_that_a_person_started_is_adopted_whatever_its_description(
    driver: Driver, flag: FeatureFlag, emulator: EmulatorServer, status: str
) -> None:
    begun = emulator.clock.now()
    person = post(flag).to_wire()
    person["phases"][0]["description"] = "for the sale"  # type: ignore[index,call-overload]
    release = emulator.start_release(FLAG, person)
    if status == "ended":
        driver.run(writes.stop_release(ENV, FLAG, release["id"], FORWARD))
    wanted = post(flag)
    ours = wanted.model_copy(
        update={"phases": tuple(phase.model_copy(update={"description": "ours"}) for phase in wanted.phases or ())}
    )

    adopted = start(driver, ours, since=begun, any_description=True)

    assert (adopted.adopted, adopted.release.id) == (True, release["id"])
    if status == "active":
        with pytest.raises(ReleaseActiveError, match="description"):
            start(driver, ours, since=begun)


def test_an_experiment_on_the_default_rule_is_named(driver: Driver, flag: FeatureFlag) -> None:
    created = driver.run(writes.create_experiment(ENV, experiment(flag)))
    driver.run(writes.start_iteration(ENV, "bold", created.iteration.id))

    with pytest.raises(RuleOwnedError, match="bold") as failure:
        start(driver, post(flag, cleanupBehavior="remove_rules_and_update_default_rule"))

    assert failure.value.owner == "bold"


def test_a_release_that_holds_a_rule_is_named_as_the_cause_of_a_conflict(driver: Driver, flag: FeatureFlag) -> None:
    created = driver.run(writes.create_experiment(ENV, experiment(flag)))
    release = start(driver, post(flag, cleanupBehavior="remove_rules_and_update_default_rule")).release

    with pytest.raises(RuleOwnedError, match=release.id):
        driver.run(writes.serve(ENV, FLAG, Serving(variation_id=flag.variations[1].id)))
    with pytest.raises(RuleOwnedError, match=release.id) as failure:
        driver.run(writes.start_iteration(ENV, "bold", created.iteration.id))

    assert failure.value.owner == release.id


@pytest.mark.parametrize("fault", ["none", "close_after", "status_after"])
def test_a_stop_is_read_back_and_repeats_without_a_write(
    driver: Driver, flag: FeatureFlag, emulator: EmulatorServer, fault: str
) -> None:
    release = start(driver, post(flag)).release
    if fault != "none":
        emulator.fault("stop_environment_release", fault)

    first = driver.run(writes.stop_release(ENV, FLAG, release.id, BACK))
    again = driver.run(writes.stop_release(ENV, FLAG, release.id, BACK))

    assert (first.already_ended, again.already_ended) == (False, True)
    assert first.release.status_reason == "reverted_manual"
    assert len(emulator.effects("release.stopped")) == 1


def test_a_stop_does_not_pretend_to_change_what_has_ended(driver: Driver, flag: FeatureFlag) -> None:
    release = start(driver, post(flag)).release
    driver.run(writes.stop_release(ENV, FLAG, release.id, FORWARD))

    with pytest.raises(ReleaseEndedError, match="completed_manual") as failure:
        driver.run(writes.stop_release(ENV, FLAG, release.id, BACK))

    assert failure.value.status == "completed"


def test_a_release_says_what_it_has_no_data_of(driver: Driver, flag: FeatureFlag, emulator: EmulatorServer) -> None:
    bypass = ["metric_events_any", "metric_events_with_context"]
    metrics = [{"metricKey": METRIC}, {"metricKey": "search-click-through"}]
    release = start(driver, post(flag, metrics=metrics, bypassHealthChecks=bypass)).release
    assert release.unmeasured == (METRIC, "search-click-through")
    emulator.clock.advance("PT12H")

    assert read(driver, release).unmeasured == ("search-click-through",)


def test_releases_are_listed_page_after_page(driver: Driver, flag: FeatureFlag, emulator: EmulatorServer) -> None:
    ids = []
    for _ in range(3):
        release = start(driver, post(flag, cleanupBehavior="remove_rules_and_update_default_rule")).release
        emulator.clock.advance("P2D")
        ids.append(release.id)

    found = driver.pages(endpoints.list_releases(ENV, FLAG, kind="guarded", limit=2))

    assert [release.id for release in found] == ids[::-1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"targetVariationId": "same", "originalVariationId": "same"}, "the same"),
        ({"randomizationUnit": None}, "randomizationUnit"),
        ({"releasePlanKey": "careful"}, "leave them out"),
        ({"phases": [{"steps": [{"allocation": 1, "durationMillis": 1}]}]}, "ruleId"),
        ({"phases": [{"ruleId": "r", "steps": [{"allocation": 60_000, "durationMillis": 1}]}]}, "50000"),
        ({"phases": [{"ruleId": "r", "steps": [{"allocation": 5, "durationMillis": 1}] * 2}]}, "greater"),
        ({"phases": [{"clauses": [CLAUSE], "steps": [{"allocation": 5, "durationMillis": 1}]}] * 2}, "advancementMode"),
        ({"metric": []}, "no such field"),
    ],
)
def test_a_wrong_release_is_refused_before_it_is_sent(flag: FeatureFlag, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        post(flag, **changes)


def test_a_start_that_does_not_show_is_not_called_a_success(
    driver: Driver, flag: FeatureFlag, emulator: EmulatorServer
) -> None:
    emulator.fault("start_environment_release", "status_after", status=500)
    emulator.fault("list_environment_releases", "status", status=404, nth=2)

    with pytest.raises(LaunchDarklyError, match="list_releases") as failure:
        start(driver, post(flag))

    assert not isinstance(failure.value, UnclearOutcomeError)
    assert started(emulator) == 1


def test_a_design_of_an_experiment_is_no_release(flag: FeatureFlag) -> None:
    with pytest.raises(ConfigurationError):
        ReleasePost.checked(design(flag).to_wire())
